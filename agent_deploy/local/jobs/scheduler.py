"""The clock of the workspace's jobs: starts what is due, and keeps continuous jobs running."""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timezone

from agent_deploy.local.core.store import Document
from agent_deploy.local.core.supervision import contained
from agent_deploy.local.jobs.jobs import Jobs
from agent_deploy.local.jobs.runs import Runs
from agent_deploy.rules.schedule import Schedule

_LONGEST_WAIT = 60.0  # seconds; a clock that is set meanwhile is noticed by then
_NEVER = datetime.max.replace(tzinfo=timezone.utc)  # a year that is past
_CONTINUOUS_PAUSE = 5.0  # between two runs of a continuous job, so that one that fails at once does not spin
_log = logging.getLogger(__name__)


class Scheduler:
    """One thread; ``changed`` after every change of a job. What was due while the server did not run is left out."""

    def __init__(self, jobs: Jobs, runs: Runs) -> None:
        self._jobs, self._runs = jobs, runs
        # Job's id → its schedule as it was looked at, and when it is due.
        self._due: dict[int, tuple[Document, datetime]] = {}
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None
        runs.on_end = lambda _job_id: self._wake.set()

    def start(self) -> None:
        """Called when the server starts."""
        self._thread = threading.Thread(target=self._run, name="job schedules", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Called when it stops."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def changed(self) -> None:
        """A job was made, changed or deleted."""
        self._wake.set()

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                wait = contained(self._tick)(datetime.now(timezone.utc))
            except Exception:  # noqa: BLE001 - logged; the clock goes on
                _log.exception("The schedules could not be looked at")
                wait = _LONGEST_WAIT
            self._wake.wait(wait)

    def _tick(self, now: datetime) -> float:
        """Starts what is due; returns the seconds until something may be due again."""
        waits = [_LONGEST_WAIT]
        jobs = {job["job_id"]: job for job in self._jobs.list()}
        self._due = {job_id: due for job_id, due in self._due.items() if job_id in jobs}
        for job_id, job in jobs.items():
            try:
                waits.append(contained(self._look_at)(job, now))
            except Exception:  # noqa: BLE001 - logged; the other jobs have their own times
                _log.exception("Job %s could not be looked at", job_id)
        return max(0.0, min(waits))

    def _look_at(self, job: Document, now: datetime) -> float:
        """Starts the job when it is due; returns the seconds until it may be due again."""
        job_id, settings = job["job_id"], job["settings"]
        schedule = settings.get("schedule") or {}
        if _is_on(settings.get("continuous") or {}):
            self._due.pop(job_id, None)
            self._keep_running(job)
            return _CONTINUOUS_PAUSE
        if not _is_on(schedule):
            self._due.pop(job_id, None)
            return _LONGEST_WAIT
        known = self._due.get(job_id)
        if known is not None and known[0] == schedule and known[1] <= now:
            self._runs.start(job, "PERIODIC")
            known = None
        if known is None or known[0] != schedule:
            cron = str(schedule["quartz_cron_expression"])
            due = Schedule(cron=cron, timezone=schedule.get("timezone_id") or "UTC").next_after(now)
            known = self._due[job_id] = (schedule, due or _NEVER)
        return (known[1] - datetime.now(timezone.utc)).total_seconds()

    def _keep_running(self, job: Document) -> None:
        last = next(iter(self._runs.list(str(job["job_id"]))), None)
        now = datetime.now(timezone.utc).timestamp()
        if last is None or (last["end_time"] and now - last["end_time"] / 1000 >= _CONTINUOUS_PAUSE):
            self._runs.start(job, "CONTINUOUS")


def _is_on(part: Document) -> bool:
    """Whether a schedule or a continuous setting is there and not paused."""
    return bool(part) and str(part.get("pause_status") or "UNPAUSED") == "UNPAUSED"
