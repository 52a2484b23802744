"""The resource DerivedTables: what a pipeline derives from a payload table, and what becomes of it afterwards.

The platform deletes a pipeline's tables with the pipeline, unless the request says `cascade=false`, which the vendor's
resource cannot say (terraform-provider-databricks#5577). This one depends on the pipeline and so goes first: it deletes
the pipeline without its tables, and the vendor's resource finds it gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.endpoint.messages import kept_tables_line
from agent_deploy.provider.endpoint.waiting import Polling
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Failure,
    Found,
    PartialFailure,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.tables.sql_statements import run_sql
from agent_deploy.provider.workspace.connection import LOOK_UP_PATIENCE, workspace_of
from agent_deploy.provider.workspace.unity_tables import TABLES
from agent_deploy.provider.workspace.workspace_tree import TREE, parent, remove_empty, remove_file
from agent_deploy.rules.inference_tables import FILES, derived_names
from agent_deploy.rules.tables import sql_name

PIPELINES = "/api/2.0/pipelines"
# The first update makes the tables; serverless compute starts within minutes.
PATIENCE = 20 * 60.0
_REPLACED = ("pipelineId", "payloadTable")
_ENDED_BADLY = ("FAILED", "CANCELED")
_OUTPUT_OF = {"requests": "requestLogs", "assessments": "assessmentLogs", "quarantine": "quarantine"}


class DerivedTables(Resource):
    """Id: the pipeline's id."""

    inputs: ClassVar[tuple[str, ...]] = (*_REPLACED, "deleteOnDestroy", "awaitTables", "warehouseId", "formerFolder")
    outputs: ClassVar[tuple[str, ...]] = tuple(_OUTPUT_OF.values())
    replaces: ClassVar[frozenset[str]] = frozenset(_REPLACED)

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Tables of another pipeline are told in the preview already."""
        payload: Any = inputs.get("payloadTable")
        if payload is UNKNOWN or old_inputs.get("payloadTable") == payload:
            return inputs, []
        workspace = workspace_of(context, LOOK_UP_PATIENCE)
        taken = [
            reason
            for name, pipeline in _pipelines_of(workspace, payload).items()
            if (reason := _hindrance(workspace, name, pipeline, inputs))
        ]
        return inputs, [Failure("payloadTable", reason) for reason in taken]

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """The names follow from the payload table's."""
        return {**inputs, **_outputs(inputs["payloadTable"])}

    def create(self, context: Context, inputs: Values) -> Created:
        """Takes tables over that an earlier pipeline left; waits for the first ones where somebody is to read them."""
        workspace, id = workspace_of(context, PATIENCE), str(inputs["pipelineId"])
        for name, pipeline in _pipelines_of(workspace, inputs["payloadTable"]).items():
            if pipeline != id:
                _take_over(context, workspace, name, pipeline, inputs)
        properties = {**inputs, **_outputs(inputs["payloadTable"])}
        _remove_former(context, workspace, inputs)
        _await_tables(context, workspace, inputs, properties)
        return Created(id, properties)

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """There as long as the pipeline is."""
        pipeline = workspace_of(context, LOOK_UP_PATIENCE).find(f"{PIPELINES}/{id}")
        if pipeline is None:
            return None
        # The pipeline's configuration has the name in backquotes.
        configured = str((pipeline.get("spec", {}).get("configuration") or {}).get("agent_deploy.payload_table") or "")
        payload = old_inputs.get("payloadTable") or configured.replace("`", "")
        inputs = {**old_inputs, "pipelineId": id, "payloadTable": payload}
        return Found(id, {**inputs, **_outputs(payload)}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Only what is done at the end changes, or whether there must be tables by now."""
        workspace, properties = workspace_of(context, PATIENCE), {**inputs, **_outputs(inputs["payloadTable"])}
        _remove_former(context, workspace, inputs)
        _await_tables(context, workspace, inputs, properties)
        return properties

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Deletes the pipeline without its tables; where they are to go, they go with it."""
        if old_inputs.get("deleteOnDestroy"):
            return
        workspace = workspace_of(context, PATIENCE)
        kept = [name for name, pipeline in _pipelines_of(workspace, old_inputs["payloadTable"]).items() if pipeline]
        workspace.remove(f"{PIPELINES}/{id}?cascade=false")
        polling = Polling(context, context.deadline(PATIENCE))
        while workspace.find(f"{PIPELINES}/{id}") is not None:
            context.status(f"waiting for pipeline {id} to disappear")
            if not polling.pause():
                raise UserError(f"The workspace accepted the deletion of pipeline {id}, but it is still there.")
        if kept:
            context.info(kept_tables_line(kept))


def _outputs(payload: Any) -> Values:
    if payload is UNKNOWN:
        return dict.fromkeys(_OUTPUT_OF.values(), UNKNOWN)
    return {_OUTPUT_OF[key]: name for key, name in derived_names(payload).items()}


def _pipelines_of(workspace: Workspace, payload: str) -> dict[str, str]:
    """Derived tables that exist, each with the pipeline that owns it; empty for one that no pipeline made."""
    found = {}
    for name in derived_names(payload).values():
        table = workspace.find(f"{TABLES}/{segment(name)}")
        if table is not None:
            found[name] = str(table.get("pipeline_id") or "")
    return found


def _hindrance(workspace: Workspace, name: str, pipeline: str, inputs: Mapping[str, Any]) -> str:
    """Why a table that exists cannot be the new pipeline's; empty when it can."""
    if not pipeline:
        return f"{name} exists, and no pipeline has made it: drop it, rename it, or choose another prefix"
    if workspace.find(f"{PIPELINES}/{pipeline}") is not None:
        return f"{name} belongs to pipeline {pipeline}: delete that one first, or choose another prefix"
    if inputs.get("warehouseId") in (None, ""):
        return (
            f"{name} was kept when its pipeline {pipeline} was deleted. Give warehouse_id, so that it can be handed to "
            f"the new pipeline, or remove it: DROP TABLE {sql_name(name)}"
        )
    return ""


def _take_over(context: Context, workspace: Workspace, name: str, pipeline: str, inputs: Mapping[str, Any]) -> None:
    """Hands a kept table to the new pipeline. Source of the statement: Databricks, "Move tables between pipelines"."""
    if reason := _hindrance(workspace, name, pipeline, inputs):
        raise UserError(reason)
    properties = f"'pipelines.pipelineId' = '{inputs['pipelineId']}'"
    statement = f"ALTER STREAMING TABLE {sql_name(name)} SET TBLPROPERTIES ({properties})"
    context.status(f"handing {name} to the new pipeline")
    run_sql(context, workspace, str(inputs["warehouseId"]), statement)


def _remove_former(context: Context, workspace: Workspace, inputs: Values) -> None:
    """Takes the files of earlier versions out of the folder where everybody may write, and the folder if it is empty.

    To come after the pipeline and its job, which then run others.
    """
    folder = str(inputs.get("formerFolder") or "")
    if not folder or workspace.find(f"{TREE}/get-status", {"path": folder}) is None:
        return
    for name in FILES:
        remove_file(workspace, f"{folder}/{name}")
    remove_empty(context, workspace, folder, parent(folder))


def _await_tables(context: Context, workspace: Workspace, inputs: Values, properties: Values) -> None:
    """The tables exist when it returns, where they must; raises PartialFailure with the pipeline's own message."""
    id, names = str(inputs["pipelineId"]), derived_names(inputs["payloadTable"]).values()
    if not inputs.get("awaitTables") or len(_pipelines_of(workspace, inputs["payloadTable"])) == len(names):
        return
    url = f"{PIPELINES}/{id}/updates"
    polling = Polling(context, context.deadline(PATIENCE))
    update = _running_update(workspace, id) or str(workspace.post(url, {})["update_id"])
    while (state := str(workspace.get(f"{url}/{update}")["update"]["state"])) != "COMPLETED":
        context.status(f"first update of the pipeline: {state.lower().replace('_', ' ')}")
        if state in _ENDED_BADLY or not polling.pause():
            reason = f"the pipeline's update {update} is {state}: {_reason(workspace, id, update)}"
            raise PartialFailure(id, properties, {**inputs, "awaitTables": False}, [reason])


def _running_update(workspace: Workspace, id: str) -> str:
    latest = (workspace.get(f"{PIPELINES}/{id}").get("latest_updates") or [{}])[0]
    ended = (*_ENDED_BADLY, "COMPLETED", None)
    return "" if latest.get("state") in ended else str(latest["update_id"])


def _reason(workspace: Workspace, id: str, update: str) -> str:
    """The newest error among the pipeline's events."""
    events = workspace.get(f"{PIPELINES}/{id}/events", {"max_results": 50}).get("events") or []
    told = [e["message"] for e in events if e.get("level") == "ERROR" and e["origin"].get("update_id") == update]
    return str(told[0]) if told else "its events do not say why"
