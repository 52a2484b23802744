"""Runs of jobs: each task by whoever does its kind of work, one after the other in the order of their dependencies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.store import Document, Documents, Store
from agent_deploy.local.core.supervision import contained, explained
from agent_deploy.local.jobs.tasks import TaskFailed, Tasks

PENDING, RUNNING, TERMINATED, SKIPPED = "PENDING", "RUNNING", "TERMINATED", "SKIPPED"
SUCCESS, FAILED, CANCELED = "SUCCESS", "FAILED", "CANCELED"
UPSTREAM_FAILED, UPSTREAM_CANCELED = "UPSTREAM_FAILED", "UPSTREAM_CANCELED"
_KEPT = 100  # runs of a job; the platform keeps 60 days
_log = logging.getLogger(__name__)


@dataclass
class _Active:
    """A run that has not ended."""

    job_id: int
    stopped: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None


class Runs:
    """Documents ``job_run`` by id, as the API shows them, below their job's id."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._active: dict[int, _Active] = {}
        self._lock = threading.Lock()
        # Called with the job's id when a run has ended: a continuous job starts the next one.
        self.on_end: Callable[[int], None] = lambda _job_id: None

    def recover(self) -> None:
        """After a restart: what ran then runs no more."""
        for run in self._store.list("job_run"):
            if run["state"]["life_cycle_state"] in (PENDING, RUNNING):
                self._put(_ended(run, FAILED, "The workspace stopped while the run went on."))

    def close(self) -> None:
        """Cancel what runs, and wait for it."""
        for run_id in list(self._active):
            self.cancel(run_id)

    def start(self, job: Document, trigger: str) -> Document:
        """A new run; SKIPPED when as many run already as the job allows."""
        run_id, now, settings = self._store.next_number("job_run", 1), int(time.time() * 1000), job["settings"]
        state: Document = {"life_cycle_state": PENDING, "state_message": "", "user_cancelled_or_timedout": False}
        run = {"run_id": run_id, "job_id": job["job_id"], "number_in_job": run_id, "run_name": settings.get("name", "")}
        run |= {"creator_user_name": job["creator_user_name"], "trigger": trigger, "run_type": "JOB_RUN"}
        run |= {"start_time": now, "end_time": 0, "state": state}
        run["tasks"] = [{**task, "run_id": run_id, "state": dict(state)} for task in settings.get("tasks") or []]
        with self._lock:
            running = [active for active in self._active.values() if active.job_id == job["job_id"]]
            if len(running) >= int(settings.get("max_concurrent_runs") or 1):
                message = "The maximum number of concurrent runs of this job was reached."
                skipped = {**state, "life_cycle_state": SKIPPED, "result_state": "MAXIMUM_CONCURRENT_RUNS_REACHED"}
                return self._put({**run, "state": {**skipped, "state_message": message}, "end_time": now})
            self._put(run)
            active = self._active[run_id] = _Active(job["job_id"])
        active.thread = threading.Thread(target=self._run, args=(run, job, active), name=f"run {run_id}")
        active.thread.start()
        return run

    def get(self, run_id: object) -> Document:
        """Raises the platform's 400 when there is none."""
        document = self._store.get("job_run", str(run_id))
        if document is None:
            raise invalid(f"Run {run_id} does not exist.")
        return document

    def list(self, job_id: str | None = None) -> Documents:
        """Newest first, of one job or of all."""
        return self._store.list("job_run", job_id)[::-1]

    def cancel(self, run_id: int) -> None:
        """Stop it and wait for its end; one that has ended stays as it is."""
        if (active := self._active.get(run_id)) is not None:
            active.stopped.set()
            if active.thread is not None:
                active.thread.join()

    def _run(self, run: Document, job: Document, active: _Active) -> None:
        results: dict[str, str] = {}
        message = ""
        try:
            run = self._put({**run, "state": {**run["state"], "life_cycle_state": RUNNING}})
            for task in _ordered(run["tasks"]):
                results[task["task_key"]], reason = self._task(task, job, results, active)
                message = message or reason
                done = _ended(task, results[task["task_key"]], reason)
                tasks = [done if each["task_key"] == done["task_key"] else each for each in run["tasks"]]
                run = self._put({**run, "tasks": tasks})
            failed = [result for result in results.values() if result != SUCCESS]
            result = CANCELED if active.stopped.is_set() else FAILED if failed else SUCCESS
        except Exception as error:  # noqa: BLE001 - a run that nobody ends would be waited for for ever
            _log.exception("Run %s of job %s", run["run_id"], job["job_id"])
            result, message = FAILED, explained(error)
        with self._lock:  # whoever sees the end may start the next one: `start` waits for both
            try:
                self._put(_ended(run, result, message))
            except Exception:  # noqa: BLE001 - logged; the slot must be free again
                _log.exception("The end of run %s could not be saved; a restart says that it failed", run["run_id"])
                return
            finally:
                self._active.pop(run["run_id"], None)
        for old in self.list(str(job["job_id"]))[_KEPT:]:
            self._store.delete("job_run", str(old["run_id"]))
        if not active.stopped.is_set():
            self.on_end(job["job_id"])

    def _task(self, task: Document, job: Document, results: dict[str, str], active: _Active) -> tuple[str, str]:
        before = [results[after["task_key"]] for after in task.get("depends_on") or []]
        if active.stopped.is_set():
            return UPSTREAM_CANCELED if before else CANCELED, "The run was canceled."
        if any(result != SUCCESS for result in before):
            return UPSTREAM_FAILED, "A task that this one depends on has failed."
        try:
            contained(self._tasks.run)(task, job["run_as_user_name"], active.stopped)
        except (TaskFailed, ApiError) as error:
            return (CANCELED if active.stopped.is_set() else FAILED), f"Task {task['task_key']}: {error}"
        except Exception as error:  # noqa: BLE001 - told to whoever asks for the run; the server goes on
            _log.exception("Task %s of job %s", task["task_key"], job["job_id"])
            return FAILED, f"Task {task['task_key']}: {explained(error)}"
        return SUCCESS, ""

    def _put(self, run: Document) -> Document:
        return self._store.put("job_run", str(run["run_id"]), run, parent=str(run["job_id"]))


def _ended(run: Document, result: str, message: str) -> Document:
    state: dict[str, Any] = {**run["state"], "life_cycle_state": TERMINATED, "result_state": result}
    state |= {"state_message": message, "user_cancelled_or_timedout": result == CANCELED}
    return {**run, "state": state, "end_time": int(time.time() * 1000)}


def _ordered(tasks: Documents) -> Documents:
    """Each after those that it depends on; what waits for itself is last, and fails there."""
    ordered: Documents = []
    waiting = list(tasks)
    while waiting:
        done = {task["task_key"] for task in ordered}
        ready = [t for t in waiting if all(after["task_key"] in done for after in t.get("depends_on") or [])]
        ordered += ready or waiting
        waiting = [task for task in waiting if task not in ordered]
    return ordered
