"""Updates of pipelines: each derives, in a process with Apache Spark, what its endpoint has logged since the last one.

The source that runs is the pipeline's own file in the workspace's tree, under the privileges of who runs the pipeline.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, conflict, not_found
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.process_tree import kill_process_tree
from agent_deploy.local.core.store import Document, Documents
from agent_deploy.local.core.supervision import contained, explained
from agent_deploy.local.pipelines.pipelines import IDLE, RUNNING, Pipelines
from agent_deploy.local.pipelines.published import Published
from agent_deploy.local.serving.endpoints import Endpoints
from agent_deploy.local.workspace_files.tree import Tree
from agent_deploy.rules.inference_tables import derived_names
from agent_deploy.tables.scratch import remove_scratch

ENDED = ("COMPLETED", "FAILED", "CANCELED")
CONTINUOUS_SECONDS = 20.0  # between two batches of a continuous pipeline
_SCRATCH = "scratch/pipelines"  # in the workspace's folder; one for each update
_LATEST, _KEPT = 5, 50
_END_SECONDS = 30.0
_SETTING = "agent_deploy."
_log = logging.getLogger(__name__)


class UpdateFailed(Exception):
    """The update cannot go on; the message says why."""


@dataclass
class _Run:
    """An update that has not ended, and how to stop it."""

    update_id: str
    stopped: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[str] | None = None
    thread: threading.Thread | None = None


class Updates:
    """Documents ``pipeline_update`` and ``pipeline_event``, by pipeline."""

    def __init__(
        self, workspace: Workspace, pipelines: Pipelines, published: Published, tree: Tree, endpoints: Endpoints
    ) -> None:
        self._workspace = workspace
        self._store = workspace.store
        self._pipelines = pipelines
        self._published = published
        self._tree = tree
        self._endpoints = endpoints
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()
        # A machine has room for one Spark; the others wait for resources, as they do on the platform.
        self._compute = threading.Semaphore(1)
        self._scratch = workspace.folder / _SCRATCH
        seconds = workspace.options.get("pipeline_continuous_seconds", CONTINUOUS_SECONDS)
        self._pause = float(seconds)

    def recover(self) -> None:
        """After a restart: what ran then has failed and leaves no files; continuous pipelines go on."""
        remove_scratch(self._scratch)
        for pipeline in self._pipelines.list():
            for update in self._store.list("pipeline_update", pipeline["pipeline_id"]):
                if update["state"] not in ENDED:
                    self._end(pipeline["pipeline_id"], update["update_id"], "CANCELED", "The workspace stopped.")
            self.keep_running(pipeline)

    def close(self) -> None:
        """Stop what runs."""
        for pipeline_id in list(self._runs):
            self.stop(pipeline_id)

    def keep_running(self, pipeline: Document) -> None:
        """A continuous pipeline always runs, with its newest spec; another one stops being continuous."""
        pipeline_id, run = pipeline["pipeline_id"], self._runs.get(pipeline["pipeline_id"])
        continuous = bool(pipeline["spec"].get("continuous"))
        if run is not None and self.get(pipeline_id, run.update_id)["cause"] == "INFRASTRUCTURE_MAINTENANCE":
            self.stop(pipeline_id)
        if continuous and pipeline_id not in self._runs:
            self.start(pipeline, "INFRASTRUCTURE_MAINTENANCE")

    def start(self, pipeline: Document, cause: str) -> str:
        """Start an update; returns its id. Raises 409 while another one runs."""
        pipeline_id, update_id = pipeline["pipeline_id"], str(uuid.uuid4())
        document = {"update_id": update_id, "pipeline_id": pipeline_id, "state": "QUEUED", "cause": cause}
        document |= {"creation_time": int(time.time() * 1000), "full_refresh": False}
        with self._lock:
            if (active := self._runs.get(pipeline_id)) is not None:
                message = f"An active update {active.update_id} already exists for pipeline '{pipeline['name']}'."
                raise conflict(message)
            self._store.put("pipeline_update", update_id, document, parent=pipeline_id)
            self._pipelines.note(pipeline_id, state=RUNNING)
            run = self._runs[pipeline_id] = _Run(update_id)
        run.thread = threading.Thread(target=self._run, args=(pipeline_id, run), name=f"pipeline {update_id}")
        run.thread.start()
        return update_id

    def stop(self, pipeline_id: str) -> None:
        """Cancel the update that runs, if one does, and wait for its end."""
        if (run := self._runs.get(pipeline_id)) is None:
            return
        run.stopped.set()
        if (process := run.process) is not None:
            kill_process_tree(process.pid)  # its Spark is a process of its own, and would write on
        if run.thread is not None:
            run.thread.join()

    def pipeline(self, pipeline_id: str) -> Document:
        """Raises 404."""
        return self._pipelines.get(pipeline_id)

    def get(self, pipeline_id: str, update_id: str) -> Document:
        """Raises 404."""
        document = self._store.get("pipeline_update", update_id)
        if document is None or document["pipeline_id"] != pipeline_id:
            raise not_found(f"The specified update {update_id} was not found in pipeline {pipeline_id}.")
        return document

    def list(self, pipeline_id: str) -> Documents:
        """Newest first."""
        return self._store.list("pipeline_update", pipeline_id)[::-1]

    def latest(self, pipeline_id: str) -> Documents:
        """The last ones, as a pipeline shows them."""
        moments = [(u, datetime.fromtimestamp(u["creation_time"] / 1000, timezone.utc)) for u in self.list(pipeline_id)]
        return [
            {"update_id": update["update_id"], "state": update["state"], "creation_time": moment.isoformat()}
            for update, moment in moments[:_LATEST]
        ]

    def events(self, pipeline_id: str) -> Documents:
        """Newest first."""
        return self._store.list("pipeline_event", pipeline_id)[::-1]

    def _run(self, pipeline_id: str, run: _Run) -> None:
        try:
            self._tell(pipeline_id, run.update_id, "WAITING_FOR_RESOURCES")
            with self._turn(run):
                contained(self._execute)(pipeline_id, run)
            state, reason = ("CANCELED", "The update was stopped.") if run.stopped.is_set() else ("COMPLETED", "")
        except (UpdateFailed, ApiError) as error:
            state, reason = ("CANCELED", "The update was stopped.") if run.stopped.is_set() else ("FAILED", str(error))
        except Exception as error:  # noqa: BLE001 - told to whoever asks for the update; the server goes on
            _log.exception("Update %s", run.update_id)
            state, reason = "FAILED", explained(error)
        finally:
            if run.process is not None:
                _end(run.process)
            # Whether it ended or was killed: Spark itself leaves tens of megabytes.
            remove_scratch(self._scratch / run.update_id)
        with self._lock:  # whoever sees the end may start the next one: `start` waits for both
            try:
                self._end(pipeline_id, run.update_id, state, reason)
            except Exception:  # noqa: BLE001 - logged; the slot must be free again
                _log.exception("The end of update %s could not be saved; a restart cancels it", run.update_id)
            finally:
                self._runs.pop(pipeline_id, None)

    @contextlib.contextmanager
    def _turn(self, run: _Run) -> Any:
        while not self._compute.acquire(timeout=0.2):
            if run.stopped.is_set():
                raise UpdateFailed("The update was stopped.")
        try:
            yield
        finally:
            self._compute.release()

    def _execute(self, pipeline_id: str, run: _Run) -> None:
        """One batch, or batch after batch while the pipeline is continuous."""
        while not run.stopped.is_set():
            pipeline = self._pipelines.get(pipeline_id)
            self._tell(pipeline_id, run.update_id, "INITIALIZING")
            job, owner = self._job(pipeline)
            scratch = self._scratch / run.update_id
            job["isolation"] = self._isolation(job["payload"], scratch)
            if run.process is None or run.process.poll() is not None:
                run.process = _start_process(scratch)
            self._tell(pipeline_id, run.update_id, "RUNNING")
            added = _answer(run.process, job)
            self._published.publish(job["payload"], owner, pipeline_id)
            self._event(pipeline_id, run.update_id, "INFO", "flow_progress", f"Rows added: {json.dumps(added)}.")
            if not pipeline["spec"].get("continuous") or run.stopped.wait(self._pause):
                return

    def _job(self, pipeline: Document) -> tuple[Document, Principal]:
        """What the process is given, after all is allowed; raises UpdateFailed and ApiError."""
        spec, name = pipeline["spec"], pipeline["run_as_user_name"]
        settings = spec.get("configuration") or {}
        payload = str(settings.get(f"{_SETTING}payload_table") or "").replace("`", "")
        files = [library["file"]["path"] for library in spec.get("libraries") or [] if library.get("file")]
        if not payload or len(files) != 1:
            raise UpdateFailed(
                "The local workspace runs pipelines that derive inference tables: one file in libraries, and "
                f"{_SETTING}payload_table in the configuration."
            )
        owner = self._workspace.principals.by_name(name)
        if owner is None:
            raise UpdateFailed(f"{name}, who runs the pipeline, does not exist or is not active.")
        self._published.require(payload, owner, pipeline["pipeline_id"], derived_names(payload).values())
        source = self._tree.read(files[0], owner).decode()
        endpoint = str(settings.get(f"{_SETTING}endpoint_name") or "")
        entities = json.loads(settings.get(f"{_SETTING}served_entities") or "{}")
        entities = {**self._endpoints.models_served(endpoint), **entities}
        job = {
            "folder": str(self._workspace.folder),
            "payload": payload,
            "endpoint": endpoint,
            "served_entities": entities,
            "source": source,
        }
        return job, owner

    def _isolation(self, payload: str, scratch: Path) -> Document | None:
        # Here, not at the top: Spark's part of the package is loaded when something is derived.
        from agent_deploy.local.pipelines.confined import terms

        is_wanted = self._workspace.options.get("serving_isolation", True)
        return terms(self._workspace.folder, payload, scratch) if is_wanted else None

    def _tell(self, pipeline_id: str, update_id: str, state: str) -> None:
        document = self._store.get("pipeline_update", update_id)
        if document is None or document["state"] in (state, *ENDED):
            return
        self._store.put("pipeline_update", update_id, {**document, "state": state}, parent=pipeline_id)
        self._event(pipeline_id, update_id, "INFO", "update_progress", f"Update {update_id[:6]} is {state}.")

    def _end(self, pipeline_id: str, update_id: str, state: str, reason: str) -> None:
        self._pipelines.note(pipeline_id, state=IDLE, health="UNHEALTHY" if state == "FAILED" else "HEALTHY")
        level = "ERROR" if state == "FAILED" else "INFO"
        message = f"Update {update_id[:6]} is {state}."
        # Before the state: whoever sees that it has failed finds the reason among the events.
        self._event(pipeline_id, update_id, level, "update_progress", f"{message} {reason}".strip())
        document = self._store.get("pipeline_update", update_id)
        if document is not None:
            self._store.put("pipeline_update", update_id, {**document, "state": state}, parent=pipeline_id)
        for old in self.list(pipeline_id)[_KEPT:]:
            self._store.delete("pipeline_update", old["update_id"])

    def _event(self, pipeline_id: str, update_id: str, level: str, kind: str, message: str) -> None:
        if self._store.get("pipeline", pipeline_id) is None:
            return
        event_id, now = str(uuid.uuid4()), datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        origin = {"pipeline_id": pipeline_id, "update_id": update_id}
        document = {"id": event_id, "event_type": kind, "level": level, "message": message, "origin": origin}
        document |= {"timestamp": now.replace("+00:00", "Z"), "maturity_level": "STABLE"}
        self._store.put("pipeline_event", event_id, document, parent=pipeline_id)


def _start_process(scratch: Path) -> subprocess.Popen[str]:
    """``scratch`` takes its temporary files, and those of its Spark."""
    make(scratch)
    # Its messages go to the server's own standard error, which is the workspace's log.
    command = [sys.executable, "-m", "agent_deploy.local.pipelines.process"]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _answer(process: subprocess.Popen[str], job: Document) -> Document:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(job) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        raise UpdateFailed("The process that runs the pipeline ended. The workspace's log may say why.")
    answer: Document = json.loads(line)
    if "failed" in answer:
        raise UpdateFailed(str(answer["failed"]))
    return dict(answer["added"])


def _end(process: subprocess.Popen[str]) -> None:
    """Closes its input, at which it ends with its Spark; one that does not is killed with it."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        kill_process_tree(process.pid)
        process.wait()
