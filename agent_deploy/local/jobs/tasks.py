"""What a job's task does: a pipeline's update, or the statements of a SQL file; other kinds are refused."""

from __future__ import annotations

import threading

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

KINDS = ("pipeline_task", "sql_task")
_POLL_SECONDS = 0.1
_DEFAULT_CATALOG, _DEFAULT_SCHEMA = "main", "default"


class TaskFailed(Exception):
    """The task cannot be done, or has failed; the message says why."""


def run_task(workspace: Workspace, task: Document, run_as: str, stopped: threading.Event) -> None:
    """Returns when it is done; raises TaskFailed and ApiError. ``run_as`` is whose privileges count."""
    principal = workspace.principals.by_name(run_as)
    if principal is None:
        raise TaskFailed(f"{run_as}, as whom the job runs, does not exist or is not active.")
    if "pipeline_task" in task:
        _run_pipeline(workspace, task["pipeline_task"], principal, stopped)
    elif "file" in (task.get("sql_task") or {}):
        _run_sql(workspace, task["sql_task"], principal, stopped)
    else:
        kind = next((name for name in task if name.endswith("_task")), "no task")
        raise TaskFailed(f"the local workspace runs pipeline_task and sql_task with a file, not {kind}.")


def _run_pipeline(workspace: Workspace, task: Document, principal: Principal, stopped: threading.Event) -> None:
    from agent_deploy.local.pipelines.pipelines import TYPE
    from agent_deploy.local.pipelines.updates import ENDED

    updates, pipeline_id = workspace.services["pipelines"], str(task["pipeline_id"])
    pipeline = updates.pipeline(pipeline_id)
    workspace.authorization.require_object(principal, TYPE, pipeline_id, "CAN_RUN")
    update_id = updates.start(pipeline, "JOB_TASK")
    while (update := updates.get(pipeline_id, update_id))["state"] not in ENDED:
        if stopped.wait(_POLL_SECONDS):
            updates.stop(pipeline_id)
    if update["state"] != "COMPLETED":
        reason = next((event["message"] for event in updates.events(pipeline_id)), "")
        raise TaskFailed(f"update {update_id} of pipeline {pipeline['name']} is {update['state']}. {reason}")


def _run_sql(workspace: Workspace, task: Document, principal: Principal, stopped: threading.Event) -> None:
    # Here, not at the top: the SQL engine takes a moment to load.
    from agent_deploy.local.statements.errors import Canceled, SqlError
    from agent_deploy.local.statements.parsing import statements
    from agent_deploy.local.statements.session import Session

    workspace.authorization.require_object(principal, "sql/warehouses", str(task["warehouse_id"]), "CAN_USE")
    text = workspace.services["workspace_files"].read(str(task["file"]["path"]), principal).decode()
    session = Session(principal, principal, _DEFAULT_CATALOG, _DEFAULT_SCHEMA, canceled=stopped)
    try:
        for statement in statements(text):
            workspace.services["statements"].engine.run(statement, session)
    except SqlError as error:
        raise TaskFailed(str(error)) from error
    except Canceled as error:
        raise TaskFailed("the run was canceled.") from error
