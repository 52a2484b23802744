"""What a job's settings cannot be: refused when they are given, since the clock and the runs rely on them."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.store import Document
from agent_deploy.rules.schedule import Schedule, check_schedule, parse_schedule

_PAUSE_STATUS = ("PAUSED", "UNPAUSED")
_MOST_RUNS = 1000  # at once; Databricks, "Create a new job"


def check_settings(settings: object) -> None:
    """Raises 400 for tasks without keys of their own or that wait for themselves, and for what no clock can follow."""
    if not isinstance(settings, dict):
        raise invalid(f"Settings {settings!r}: expected an object.")
    _check_tasks(settings.get("tasks") or [])
    for field in ("schedule", "continuous"):
        _check_pause(field, settings.get(field) or {})
    if schedule := settings.get("schedule"):
        _check_schedule(schedule)
    runs = settings.get("max_concurrent_runs") or 0
    if isinstance(runs, bool) or not isinstance(runs, (int, float)) or runs % 1 or not 0 <= runs <= _MOST_RUNS:
        raise invalid(f"max_concurrent_runs {runs!r}: expected a whole number from 0 to {_MOST_RUNS}.")


def _check_tasks(tasks: object) -> None:
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise invalid("tasks: expected a list of objects.")
    keys = [task.get("task_key") for task in tasks]
    if not all(isinstance(key, str) and key for key in keys) or len(set(keys)) != len(keys):
        raise invalid("tasks: each needs a task_key of its own.")
    before = {task["task_key"]: _dependencies(task["task_key"], task.get("depends_on") or []) for task in tasks}
    for key, others in before.items():
        if unknown := [other for other in others if other not in keys]:
            raise invalid(f"tasks: {key} depends on {unknown[0]}, which is no task.")
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        raise invalid(f"Invalid dependency graph: {' waits for '.join(reversed(error.args[1]))}.") from error


def _dependencies(key: str, given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(other, dict) for other in given):
        raise invalid(f"tasks: depends_on of {key}: expected a list of {{task_key}}.")
    return [str(other.get("task_key")) for other in given]


def _check_pause(field: str, given: object) -> None:
    if not isinstance(given, dict):
        raise invalid(f"{field} {given!r}: expected an object.")
    status = given.get("pause_status")
    if status is not None and status not in _PAUSE_STATUS:
        raise invalid(f"{field}.pause_status {status!r}: expected {' or '.join(_PAUSE_STATUS)}.")


def _check_schedule(schedule: Document) -> None:
    cron = schedule.get("quartz_cron_expression")
    if problems := check_schedule("schedule", cron, schedule.get("timezone_id")):
        raise invalid("; ".join(map(str, problems)))
    # A component takes words such as `daily`, too; a job does not.
    if not isinstance(cron, str) or parse_schedule(cron) != Schedule(cron=" ".join(cron.split())):
        expected = "a Quartz cron expression such as '0 15 * * * ?' (seconds first)"
        raise invalid(f"schedule.quartz_cron_expression {cron!r}: expected {expected}.")
