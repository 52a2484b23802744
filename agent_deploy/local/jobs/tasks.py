"""What a job's task does: a pipeline's update, or the statements of a SQL file; other kinds are refused."""

from __future__ import annotations

import threading

from agent_deploy.local.catalog.metastore import DEFAULT_CATALOG, DEFAULT_SCHEMA
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.pipelines.pipelines import TYPE
from agent_deploy.local.pipelines.updates import ENDED, Updates
from agent_deploy.local.statements.execution import CAN_USE, WAREHOUSE, Statements
from agent_deploy.local.workspace_files.tree import Tree

KINDS = ("pipeline_task", "sql_task")
_POLL_SECONDS = 0.1


class TaskFailed(Exception):
    """The task cannot be done, or has failed; the message says why."""


class Tasks:
    """Runs one task at a time, for as many runs as there are."""

    def __init__(self, workspace: Workspace, updates: Updates, statements: Statements, tree: Tree) -> None:
        self._principals = workspace.principals
        self._access = workspace.authorization
        self._updates = updates
        self._statements = statements
        self._tree = tree

    def run(self, task: Document, run_as: str, stopped: threading.Event) -> None:
        """Returns when it is done; raises TaskFailed and ApiError. ``run_as`` is whose privileges count."""
        principal = self._principals.by_name(run_as)
        if principal is None:
            raise TaskFailed(f"{run_as}, as whom the job runs, does not exist or is not active.")
        if "pipeline_task" in task:
            self._run_pipeline(task["pipeline_task"], principal, stopped)
        elif "file" in (task.get("sql_task") or {}):
            self._run_sql(task["sql_task"], principal, stopped)
        else:
            kind = next((name for name in task if name.endswith("_task")), "no task")
            raise TaskFailed(f"the local workspace runs pipeline_task and sql_task with a file, not {kind}.")

    def _run_pipeline(self, task: Document, principal: Principal, stopped: threading.Event) -> None:
        updates, pipeline_id = self._updates, str(task["pipeline_id"])
        pipeline = updates.pipeline(pipeline_id)
        self._access.require_object(principal, TYPE, pipeline_id, "CAN_RUN")
        update_id = updates.start(pipeline, "JOB_TASK")
        while (update := updates.get(pipeline_id, update_id))["state"] not in ENDED:
            if stopped.wait(_POLL_SECONDS):
                updates.stop(pipeline_id)
        if update["state"] != "COMPLETED":
            reason = next((event["message"] for event in updates.events(pipeline_id)), "")
            raise TaskFailed(f"update {update_id} of pipeline {pipeline['name']} is {update['state']}. {reason}")

    def _run_sql(self, task: Document, principal: Principal, stopped: threading.Event) -> None:
        # Here, not at the top: the SQL engine takes a moment to load.
        from agent_deploy.local.statements.errors import Canceled, SqlError
        from agent_deploy.local.statements.parsing import statements
        from agent_deploy.local.statements.session import Session

        self._access.require_object(principal, WAREHOUSE, str(task["warehouse_id"]), CAN_USE)
        text = self._tree.read(str(task["file"]["path"]), principal).decode()
        session = Session(principal, principal, DEFAULT_CATALOG, DEFAULT_SCHEMA, canceled=stopped)
        try:
            for statement in statements(text):
                self._statements.engine.run(statement, session)
        except SqlError as error:
            raise TaskFailed(str(error)) from error
        except Canceled as error:
            raise TaskFailed("the run was canceled.") from error
