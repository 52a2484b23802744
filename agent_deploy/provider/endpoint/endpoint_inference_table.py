"""The resource EndpointInferenceTable: AI Gateway's inference table on an endpoint that others have made.

The gateway is written as a whole, so the rest of it is sent back as it is; on delete only the table is taken out, and
nothing where the table was on before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.checks import TablePrefixes
from agent_deploy.provider.endpoint.conflicts import when_free
from agent_deploy.provider.endpoint.messages import kept_line
from agent_deploy.provider.endpoint.request import is_on
from agent_deploy.provider.endpoint.waiting import find, get
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.provider.workspace.unity_tables import drop_table, same_name
from agent_deploy.rules.tables import check_prefix, payload_table

CHANGE_TIMEOUT, LOOK_TIMEOUT = 45 * 60.0, 60.0
_PLACE = {"catalogName": "catalog_name", "schemaName": "schema_name", "tableNamePrefix": "table_name_prefix"}


class EndpointInferenceTable(Resource):
    """Id: the endpoint's name. ``switchedOn`` tells whether we have turned the table on, and so turn it off."""

    inputs: ClassVar[tuple[str, ...]] = ("endpointName", *_PLACE, "tableNamePrefixHint", "deleteOnDestroy")
    outputs: ClassVar[tuple[str, ...]] = ("payloadTable", "switchedOn")
    replaces: ClassVar[frozenset[str]] = frozenset({"endpointName"})

    def __init__(self) -> None:
        self._prefixes = TablePrefixes()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Settles the prefix: the one in the state, that of a table which is on, or a free one."""
        given = inputs.get("tableNamePrefix")
        if given not in (None, UNKNOWN) and (problems := check_prefix("tableNamePrefix", given)):
            return inputs, [Failure("", str(problem)) for problem in problems]
        names = ("endpointName", "catalogName", "schemaName")
        if UNKNOWN in [inputs.get(name) for name in (*names, "tableNamePrefix", "tableNamePrefixHint")]:
            return inputs, []
        workspace = workspace_of(context, LOOK_TIMEOUT)
        same_endpoint = old_inputs.get("endpointName") == inputs["endpointName"]
        present = _table(find(workspace, str(inputs["endpointName"])) or {})
        if not same_endpoint and is_on(present):
            if reason := _elsewhere(inputs, present):
                return inputs, [Failure("endpointName", reason)]
            return {**inputs, "tableNamePrefix": present["table_name_prefix"]}, []
        config = {name: inputs.get(name) for name in (*_PLACE, "tableNamePrefixHint") if inputs.get(name) is not None}
        # As the platform names a table: after its endpoint.
        config.setdefault("tableNamePrefixHint", inputs["endpointName"])
        as_gateway = {"name": inputs["endpointName"], "aiGateway": {"inferenceTableConfig": config}}
        old = {name: old_inputs[name] for name in _PLACE if name in old_inputs}
        before = {"aiGateway": {"inferenceTableConfig": old}} if same_endpoint else {}
        failures = self._prefixes.choose(context, workspace, before, as_gateway)
        settled = as_gateway["aiGateway"]["inferenceTableConfig"]
        return {**inputs, **{name: settled[name] for name in _PLACE if settled.get(name)}}, failures

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """A hint has had its effect when the prefix was chosen; a table that others turned on is not ours to move."""
        _leave_alone(old_inputs, old, inputs)
        found = super().diff(context, id, old_inputs, old, inputs)
        found.changes.pop(("tableNamePrefixHint",), None)
        return found

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """The table's name is known as soon as its parts are."""
        parts = [inputs.get(name) for name in _PLACE]
        table = UNKNOWN if None in parts or UNKNOWN in parts else payload_table(*parts)
        before = old or {}
        return {**inputs, "payloadTable": table, "switchedOn": before.get("switchedOn", UNKNOWN)}

    def create(self, context: Context, inputs: Values) -> Created:
        """Turns the table on, unless it is on in this very place already."""
        workspace, name = workspace_of(context, CHANGE_TIMEOUT), str(inputs["endpointName"])
        remote = find(workspace, name)
        if remote is None:
            raise UserError(f"There is no serving endpoint {name}: correct endpointName, or create it first.")
        present = _table(remote)
        if is_on(present):
            if reason := _elsewhere(inputs, present):
                raise UserError(reason)
            return Created(name, {**inputs, "payloadTable": states.payload_table_in(present), "switchedOn": False})
        _write(context, workspace, name, remote, _wanted(inputs))
        # Nothing that may fail comes after the write: the next run would take the table for one that was on before.
        return Created(name, {**inputs, "payloadTable": states.payload_table_in(_wanted(inputs)), "switchedOn": True})

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """None when the endpoint or its table is off."""
        remote = find(workspace_of(context, LOOK_TIMEOUT), id)
        if remote is None or not is_on(present := _table(remote)):
            return None
        inputs = {**old_inputs, "endpointName": id, **{ours: present[theirs] for ours, theirs in _PLACE.items()}}
        outputs = {"payloadTable": states.payload_table_in(present), "switchedOn": bool(old.get("switchedOn", True))}
        return Found(id, {**inputs, **outputs}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Another place is turned off here and on there: a table's place is fixed while it is on."""
        _leave_alone(old_inputs, old, inputs)
        workspace = workspace_of(context, CHANGE_TIMEOUT)
        remote = get(workspace, id)
        present, wanted = _table(remote), _wanted(inputs)
        moves = any(not same_name(present.get(field), wanted[field]) for field in _PLACE.values())
        if moves and is_on(present):
            _write(context, workspace, id, remote, {**present, "enabled": False})
            context.info(kept_line(states.payload_table_in(present)))
        if moves or not is_on(present):
            _write(context, workspace, id, remote, wanted)
        switched_on = bool(old.get("switchedOn")) or moves or not is_on(present)
        return {
            **inputs,
            "payloadTable": states.payload_table_in(_table(get(workspace, id))),
            "switchedOn": switched_on,
        }

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Turns off what we have turned on; the rows stay unless the inputs say otherwise."""
        workspace = workspace_of(context, CHANGE_TIMEOUT)
        remote = find(workspace, id)
        # One that is off already is what a run left that was cut between the two writes.
        if old.get("switchedOn") and remote is not None and _table(remote):
            _turn_off(context, workspace, id, remote)
        table = str(old.get("payloadTable") or "")
        if not old.get("switchedOn") or not table:
            return
        if old_inputs.get("deleteOnDestroy"):
            drop_table(workspace, table)
        else:
            context.info(kept_line(table))


def _table(remote: Mapping[str, Any]) -> dict[str, Any]:
    return dict((remote.get("ai_gateway") or {}).get("inference_table_config") or {})


def _wanted(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"enabled": True, **{theirs: inputs[ours] for ours, theirs in _PLACE.items()}}


def _leave_alone(old_inputs: Values, old: Values, inputs: Values) -> None:
    """Raises UserError when a table that was on before is wanted in another place of the same endpoint."""
    if inputs.get("endpointName") != old_inputs.get("endpointName"):
        return  # a replacement, which leaves that table on
    wanted = {name: None if value == UNKNOWN else value for name, value in inputs.items()}
    present = {theirs: old_inputs.get(ours) for ours, theirs in _PLACE.items()}
    if not old.get("switchedOn", True) and (reason := _elsewhere(wanted, present)):
        raise UserError(reason)


def _elsewhere(inputs: Mapping[str, Any], present: Mapping[str, Any]) -> str:
    """Why a table that somebody else turned on is not the wanted one; empty when it is."""
    wanted = {theirs: inputs.get(ours) for ours, theirs in _PLACE.items()}
    if all(value is None or same_name(value, present.get(field)) for field, value in wanted.items()):
        return ""
    table = states.payload_table_in(present)
    return (
        f"Endpoint {inputs['endpointName']} logs to {table} already, and one endpoint has one table. Leave catalog, "
        "schema and prefix out to derive from that one, or turn it off where it was turned on"
    )


def _write(
    context: Context, workspace: Workspace, name: str, remote: Mapping[str, Any], table: Mapping[str, Any] | None
) -> None:
    rest = {key: part for key, part in (remote.get("ai_gateway") or {}).items() if key != "inference_table_config"}
    body = {**rest, **({} if table is None else {"inference_table_config": dict(table)})}
    url, deadline = f"{states.PATH}/{segment(name)}/ai-gateway", context.deadline(CHANGE_TIMEOUT)
    when_free(context, workspace, name, deadline, lambda: workspace.put(url, body))


def _turn_off(context: Context, workspace: Workspace, name: str, remote: Mapping[str, Any]) -> None:
    if is_on(_table(remote)):
        _write(context, workspace, name, remote, {**_table(remote), "enabled": False})
    # What is off leaves no trace: the gateway is again as it was found.
    _write(context, workspace, name, remote, None)
    if is_on(_table(get(workspace, name))):
        raise UserError(f"The workspace keeps the inference table of {name} on although it was turned off.")
