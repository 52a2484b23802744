"""What a job's settings cannot be: refused when they are given, since the clock and the runs rely on them."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.shapes import NUMBER, TEXT
from agent_deploy.local.core.store import Document, Documents
from agent_deploy.rules.schedule import Schedule, check_schedule, parse_schedule

_DEPENDENCIES = [{"task_key": TEXT}]
_CLOCK = {"quartz_cron_expression": TEXT, "timezone_id": TEXT, "pause_status": TEXT}
SHAPE = {
    "tasks": [{"task_key": TEXT, "depends_on": _DEPENDENCIES}],
    "schedule": _CLOCK,
    "continuous": {"pause_status": TEXT},
    "max_concurrent_runs": NUMBER,
}
_PAUSE_STATUS = ("PAUSED", "UNPAUSED")
_LONGEST_CRON = 200  # characters
_MOST_RUNS = 1000  # at once; Databricks, "Create a new job"


def check_settings(settings: Document) -> None:
    """Raises 400 for tasks without keys of their own or that wait for themselves, and for what no clock can follow."""
    _check_tasks(settings.get("tasks") or [])
    for field in ("schedule", "continuous"):
        status = (settings.get(field) or {}).get("pause_status")
        if status is not None and status not in _PAUSE_STATUS:
            raise invalid(f"{field}.pause_status {status!r}: expected {' or '.join(_PAUSE_STATUS)}.")
    if schedule := settings.get("schedule"):
        _check_schedule(schedule)
    runs = settings.get("max_concurrent_runs") or 0
    if runs % 1 or not 0 <= runs <= _MOST_RUNS:
        raise invalid(f"max_concurrent_runs {runs!r}: expected a whole number from 0 to {_MOST_RUNS}.")


def _check_tasks(tasks: Documents) -> None:
    keys = [task.get("task_key") for task in tasks]
    if None in keys or len(set(keys)) != len(keys):
        raise invalid("tasks: each needs a task_key of its own.")
    before = {task["task_key"]: [after.get("task_key") for after in task.get("depends_on") or []] for task in tasks}
    for key, others in before.items():
        if unknown := [other for other in others if other not in keys]:
            raise invalid(f"tasks: {key} depends on {unknown[0]}, which is no task.")
    try:
        TopologicalSorter(before).prepare()
    except CycleError as error:
        raise invalid(f"Invalid dependency graph: {' waits for '.join(reversed(error.args[1]))}.") from error


def _check_schedule(schedule: Document) -> None:
    cron = schedule.get("quartz_cron_expression")
    if len(cron or "") > _LONGEST_CRON:
        raise invalid(f"schedule.quartz_cron_expression: expected at most {_LONGEST_CRON} characters.")
    if problems := check_schedule("schedule", cron, schedule.get("timezone_id")):
        raise invalid("; ".join(map(str, problems)))
    # A component takes words such as `daily`, too; a job does not.
    if cron is None or parse_schedule(cron) != Schedule(cron=" ".join(cron.split())):
        expected = "a Quartz cron expression such as '0 15 * * * ?' (seconds first)"
        raise invalid(f"schedule.quartz_cron_expression {cron!r}: expected {expected}.")
