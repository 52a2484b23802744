"""The resource ServingEndpoint: made, waited for, changed in place, read without the platform's defaults, removed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError, ConnectionLost, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.apply_change import EndpointChange
from agent_deploy.provider.endpoint.checks import TablePrefixes, check_fields
from agent_deploy.provider.endpoint.conflicts import when_free
from agent_deploy.provider.endpoint.diff import at, changes_between, with_traffic
from agent_deploy.provider.endpoint.messages import kept_line, replacement_warning, traffic_line
from agent_deploy.provider.endpoint.request import create_body
from agent_deploy.provider.endpoint.served_versions import (
    RECORD,
    anew_texts,
    carried,
    registered,
    registered_anew,
)
from agent_deploy.provider.endpoint.state import PATH, Remote
from agent_deploy.provider.endpoint.waiting import find, get, wait_until_gone
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Change,
    Context,
    Created,
    Diff,
    Failure,
    Found,
    Kind,
    PartialFailure,
    Path,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import host_of, workspace_of
from agent_deploy.provider.workspace.permission_facts import facts_of
from agent_deploy.provider.workspace.unity_tables import drop_table, table_exists
from agent_deploy.rules.credentials import looks_like_credential
from agent_deploy.rules.endpoint_fields import INPUTS, OWNER_TAG
from agent_deploy.rules.names import MAX_NAME
from agent_deploy.rules.tables import payload_table

# Seconds, unless the user sets custom_timeouts. Source: the databricks provider's own defaults.
CHANGE_TIMEOUT, DELETE_TIMEOUT = 45 * 60.0, 20 * 60.0
# A preview or refresh does not go on asking a workspace that says "later" for longer.
LOOK_TIMEOUT = 60.0
# Properties that no change of ours moves.
_FIXED = ("endpointId", "endpointUrl", "creator", "workspaceUrl")


class ServingEndpoint(Resource):
    """Id: the endpoint's name."""

    inputs: ClassVar[tuple[str, ...]] = INPUTS
    outputs: ClassVar[tuple[str, ...]] = (
        *_FIXED,
        "ready",
        "configUpdate",
        "configVersion",
        "servedEntityStates",
        RECORD,
        "payloadTable",
        "tableNamePrefix",
    )

    def __init__(self) -> None:
        self._prefixes = TablePrefixes()
        # Ids of the endpoints whose deletion was accepted, as far as this process knows.
        self._leaving: set[str] = set()
        # By URN, the names of endpoints that the state has: one that is to be replaced is checked as if it were new.
        self._known: dict[str, object] = {}
        # By workspace and name, the URN of the endpoint that this run's program wants so.
        self._wanted: dict[tuple[str, str], str] = {}
        # By URN, the inputs of endpoints that this process has read for an import.
        self._imported: dict[str, Values] = {}

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Completes the inputs: versions as strings, a free table prefix; a new one's name must be free."""
        if old_inputs:
            self._known[context.urn] = old_inputs.get("name")
        for entity in _dicts(inputs.get("servedEntities")):
            if isinstance(entity.get("entityVersion"), int):
                entity["entityVersion"] = str(entity["entityVersion"])
        if inputs == self._imported.get(context.urn):
            return inputs, []  # `pulumi import` asks about what was read, which is no mistake of the user's
        failures = check_fields(context, inputs) or self._check_name(context, inputs)
        if not failures:
            workspace = workspace_of(context, LOOK_TIMEOUT)
            failures = self._prefixes.choose(context, workspace, old_inputs, inputs)
        return inputs, failures

    def _check_name(self, context: Context, inputs: Values) -> list[Failure]:
        """Whether a name is wanted twice, or a new one is somebody else's.

        Costs no call where a verification has just looked.
        """
        name = inputs.get("name")
        if name is UNKNOWN:
            return []
        first = self._wanted.setdefault((host_of(context).host, str(name)), context.urn)
        if first != context.urn:
            return [Failure("", _wanted_twice(str(name), first.rpartition("::")[2]))]
        if inputs.get("ownerMark") is UNKNOWN or self._known.get(context.urn) == name:
            return []
        remote = facts_of(context).look_up(f"{PATH}/{segment(str(name))}").document
        if not remote or remote.get("id") in self._leaving or _is_own(remote, inputs):
            return []
        return [Failure("", _taken(remote, inputs))]

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        """What is really there (as the state's properties have it, also after a failure) against what is wanted."""
        self._known[context.urn] = old_inputs.get("name")
        present = {name: old[name] for name in INPUTS if name in old} if old else old_inputs
        before, after = with_traffic(present), with_traffic(inputs)
        changes, emptied = changes_between(before, after)
        if anew := registered_anew(context, old, inputs.get("servedEntities")):
            changes |= {(RECORD, name): Change(Kind.UPDATE, of_inputs=False) for name in anew}
            lines = "; ".join(f"{name}: {text}" for name, text in anew_texts(old, anew).items())
            context.warn(f"The endpoint {id} is deployed anew. {lines}.")
        if replacing := [path for path, change in changes.items() if change.replaces]:
            context.warn(replacement_warning(id, inputs.get("name"), replacing, emptied))
        # Two endpoints cannot have one name: unless it changes, the old one must go first.
        return Diff(changes, delete_before_replace=old_inputs.get("name") == inputs.get("name"))

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """Only what the change can move is unknown, so that nothing downstream looks changed without need."""
        known: Values = {}
        if old is not None:
            if line := traffic_line(with_traffic(old), with_traffic(inputs)):
                context.info(line)
            config = ("servedEntities", "traffic")
            same = all(old.get(name) == inputs.get(name) for name in config) and old.get("ready") == states.READY
            anew = registered_anew(context, old, inputs.get("servedEntities"))
            kept = set(self.outputs) - {"payloadTable", "tableNamePrefix"} if same and not anew else {*_FIXED}
            known = {name: old[name] for name in kept if name in old}
            if same and anew:
                known[RECORD] = {**old[RECORD], **anew}
        elif inputs.get("name") is not UNKNOWN:
            known = {"workspaceUrl": host_of(context).host}
        return {**inputs, **dict.fromkeys(self.outputs, UNKNOWN), **known, **_foreseen_table(inputs)}

    def create(self, context: Context, inputs: Values) -> Created:
        """Posts the endpoint and waits; an endpoint that an interrupted run of this stack has made is taken over."""
        workspace, name = workspace_of(context, CHANGE_TIMEOUT), str(inputs["name"])
        deadline = context.deadline(CHANGE_TIMEOUT)
        change = EndpointChange(context, workspace, name, deadline, inputs)
        try:
            remote = workspace.post(PATH, create_body(inputs))
        except ApiError as error:
            if not error.already_exists:
                raise
            found = find(workspace, name)
            if found is not None and found.get("id") not in self._leaving:
                change.adopt(_own(found, inputs), inputs)
            else:  # its predecessor, on its way out
                wait_until_gone(context, workspace, name, deadline)
                change.created(workspace.post(PATH, create_body(inputs)), inputs)
        except ConnectionLost:
            if (found := find(workspace, name)) is None:
                raise
            change.adopt(_own(found, inputs), inputs)
        else:
            change.created(remote, inputs)
        return Created(name, change.finished(inputs))

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """The endpoint as it is; one that is not healthy is told as such, so that the next update mends it."""
        workspace = workspace_of(context, LOOK_TIMEOUT)
        remote = find(workspace, id)
        if remote is None:
            return None
        inputs = states.inputs_of(remote, old_inputs)
        properties = {**inputs, **states.outputs_of(remote, workspace.host)}
        _add_versions(context, properties, old)
        secrets = {} if old_inputs else _credentials(inputs)
        if not old_inputs:
            self._imported[context.urn] = inputs
        if not states.is_healthy(remote):
            raise PartialFailure(id, properties, inputs, [states.unhealthy_reason(remote)], secrets)
        return Found(id, properties, inputs, secrets)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Changes what differs, in one order; goes on waiting where an earlier run stopped."""
        workspace = workspace_of(context, CHANGE_TIMEOUT)
        change = EndpointChange(context, workspace, id, context.deadline(CHANGE_TIMEOUT), inputs, old)
        change.update(get(workspace, id), old_inputs, old, inputs)
        return change.finished(inputs)

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Deletes the endpoint, when need be after the update that keeps it busy.

        Whether it is really gone is looked at by who needs its name: `create`. Its inference table stays, and the user
        is told so, unless the inputs say otherwise.
        """
        workspace = workspace_of(context, DELETE_TIMEOUT)
        deadline = context.deadline(DELETE_TIMEOUT)
        try:
            when_free(context, workspace, id, deadline, lambda: workspace.delete(f"{PATH}/{segment(id)}"))
            self._leaving.add(str(old.get("endpointId")))
        except ApiError as error:
            if not error.is_missing:
                raise
        if not (table := old.get("payloadTable")):
            return
        if at(old_inputs, ("aiGateway", "inferenceTableConfig", "deleteOnDestroy")):
            drop_table(workspace, table)
        elif _is_kept(workspace, table):
            context.info(kept_line(table))


def _add_versions(context: Context, properties: Values, old: Values) -> None:
    """Of which versions the endpoint was made: as the state says, or, for an import, those that there are now.

    An entity whose version is another by now says so in its state, so that a refresh shows it.
    """
    entities = properties.get("servedEntities") or {}
    if not old:
        properties[RECORD] = registered(context, entities)
    elif RECORD in old:
        properties[RECORD] = carried(old, entities)
        for name, text in anew_texts(old, registered_anew(context, old, entities)).items():
            properties["servedEntityStates"][name]["message"] = text


def _credentials(inputs: Values) -> dict[Path, str]:
    """Variables that hold a credential in plain text: an import takes them into the state, as secrets then."""
    return {
        ("servedEntities", name, "environmentVars", key): value
        for name, entity in (inputs.get("servedEntities") or {}).items()
        for key, value in (entity.get("environmentVars") or {}).items()
        if looks_like_credential(key, value)
    }


def _is_kept(workspace: Workspace, table: str) -> bool:
    """Whether there is a table that stays: one that nobody has written to may never have been made."""
    try:
        return table_exists(workspace, table)
    except WorkspaceError:
        return True  # rather told in vain than not at all; the endpoint is gone


def _is_own(remote: Remote, inputs: Values) -> bool:
    mark = inputs.get("ownerMark")
    return bool(mark) and states.tags_of(remote).get(OWNER_TAG) == mark


def _own(remote: Remote, inputs: Values) -> Remote:
    """The endpoint, if this very resource has made it; raises UserError if it is somebody else's."""
    if not _is_own(remote, inputs):
        raise UserError(_taken(remote, inputs))
    if bool(remote.get("route_optimized")) != bool(inputs.get("routeOptimized")):
        raise UserError(
            f"The endpoint {inputs['name']} exists with another routeOptimized, which cannot be changed: delete it."
        )
    return remote


def _taken(remote: Remote, inputs: Values) -> str:
    name, owner = inputs["name"], states.tags_of(remote).get(OWNER_TAG)
    whose = f"it belongs to {owner} (project/stack/resource)" if owner else "no Pulumi stack has marked it as its own"
    created = f", and {remote['creator']} created it" if remote.get("creator") else ""
    # What another stack has declared is that stack's to let go first.
    command = f"agent-deploy import {name} --stack STACK"
    imported = "" if owner else f"; or an AgentDeployment takes it over: `{command}`, docs/coming-from.md"
    return (
        f"A serving endpoint {name!r} exists already: {whose}{created}. Choose another name (endpoint_name of an "
        f"AgentDeployment), or delete it; a ServingEndpoint of your own program takes it over with the resource option "
        f"import_={name!r}{imported}.{_renamed(owner, inputs)}"
    )


def _renamed(owner: str | None, inputs: Values) -> str:
    """What keeps the endpoint, where a resource of this very stack has it: perhaps it is this one's former name."""
    # project/stack/resource; a resource's name may have slashes, too.
    theirs, ours = ((mark or "").split("/", 2) for mark in (owner, inputs.get("ownerMark")))
    if len(theirs) < 3 or theirs[:2] != ours[:2]:
        return ""
    return (
        f" If this is {theirs[2]!r} under a new name, it keeps its endpoint with the resource option "
        f'pulumi.ResourceOptions(aliases=[pulumi.Alias(name="{theirs[2]}")]).'
    )


def _wanted_twice(name: str, first: str) -> str:
    return (
        f"Two endpoints of this program are to be called {name!r}: this one and that of {first!r}. Choose another name "
        f"for one of them (endpoint_name of an AgentDeployment; a name made of model_name is cut at {MAX_NAME} "
        "characters)"
    )


def _foreseen_table(inputs: Mapping[str, Any]) -> Values:
    gateway = inputs.get("aiGateway")
    table = gateway.get("inferenceTableConfig") if isinstance(gateway, dict) else gateway
    if table is UNKNOWN:
        return {}
    if not table or table.get("enabled", True) is False:
        return {"payloadTable": "", "tableNamePrefix": ""}
    names = [table.get(field) for field in ("catalogName", "schemaName", "tableNamePrefix")]
    if None in names or UNKNOWN in names:
        return {}
    return {"payloadTable": payload_table(*names), "tableNamePrefix": names[2]}


def _dicts(values: object) -> list[Values]:
    return [value for value in values.values() if isinstance(value, dict)] if isinstance(values, dict) else []
