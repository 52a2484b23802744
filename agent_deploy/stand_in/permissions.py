"""All direct permissions on one object: what is sent replaces everybody's but the caller's own."""

from __future__ import annotations

from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, is_missing
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, Created, Failure, Found, UserError, Values
from agent_deploy.rules.groups import ADMINS
from agent_deploy.stand_in.job import says_that_there_is_no_job
from agent_deploy.stand_in.object_types import BY_FIELD, OBJECT_TYPES, OWNER, ObjectType
from agent_deploy.stand_in.refusals import conflicts, too_few, wrong
from agent_deploy.stand_in.vendor_resource import (
    VendorResource,
    current_user,
    present,
    without_notes,
    workspace_of,
)
from agent_deploy.stand_in.wire_names import camel_case, snake_case, to_wire

PERMISSIONS = "/api/2.0/permissions"
PRINCIPALS = ("userName", "groupName", "servicePrincipalName")
# Objects with an owner: where the owner is told, and under which name.
CREATORS = {
    "sqlEndpointId": ("/api/2.0/sql/warehouses/{}", "creator_name"),
    "jobId": ("/api/2.2/jobs/get?job_id={}", "creator_user_name"),
}
Entry = dict[str, Any]


class Permissions(VendorResource):
    """Id: ``/<kind's path>/<object's id>``."""

    inputs = ("accessControls", *BY_FIELD, "providerConfig")
    outputs = ("objectType",)
    required = frozenset({"accessControls"})
    replaces = frozenset({*BY_FIELD, "providerConfig"})
    sets = frozenset({"accessControls"})

    def check_inputs(self, context: Context, inputs: Values) -> list[Failure]:
        given = [field for field in BY_FIELD if field in inputs]
        entries = inputs["accessControls"]
        failures = conflicts(context, given)
        if entries is not UNKNOWN and not entries:
            failures.append(too_few(context, "accessControls", "access_control"))
        if failures or entries is UNKNOWN or not given:
            return failures
        return [failure for entry in entries for failure in _check_level(context, entry, BY_FIELD[given[0]])]

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        kind = next((kind for field, kind in BY_FIELD.items() if field in inputs), None)
        if kind is None:
            allowed = ", ".join(sorted(map(snake_case, BY_FIELD)))
            raise UserError(f"at least one type of resource identifier must be set; allowed fields: {allowed}")
        id = f"/{kind.path}/{_object_id(workspace, kind, inputs[kind.field])}"
        _apply(workspace, id, kind, inputs)
        return Created(id, {"objectType": kind.name})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        kind = _kind(id, inputs)
        if (found := self._read(workspace_of(context), id, kind, inputs)) is None:
            raise UserError(f"{id} has no permissions, though they were just set")
        return {"accessControls": found, "objectType": kind.name}

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        kind = _kind(id, old_inputs)
        found = self._read(workspace_of(context), id, kind, old_inputs)
        if found is None:
            return None
        inputs = {**old_inputs, "accessControls": found}
        inputs.setdefault(kind.field, id.removeprefix(f"/{kind.path}/"))
        return Found(id, {"objectType": kind.name}, inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        _apply(workspace_of(context), id, _kind(id, inputs), inputs)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        kind = _kind(id, old_inputs)
        if kind.field == "pipelineId":
            return  # the vendor's plugin leaves a pipeline's list as it is
        workspace = workspace_of(context)
        current = workspace.get(PERMISSIONS + id).get("access_control_list", [])
        kept = [entry for item in current if item.get("group_name") == ADMINS for entry in _direct(item)]
        entries = [{"group_name": ADMINS, "permission_level": entry["permissionLevel"]} for entry in kept]
        if kind.adds_caller:
            entries.append({"permission_level": "CAN_MANAGE", "user_name": current_user(workspace)})
        if kind.has_owner:
            if (owner := _creator(workspace, kind, id)) is None:
                return  # the object itself is gone
            entries.append({"permission_level": OWNER, "user_name": owner})
        workspace.put(PERMISSIONS + id, present({"access_control_list": entries}))

    def _read(self, workspace: Workspace, id: str, kind: ObjectType, inputs: Values) -> list[Entry] | None:
        """The direct entries, without the caller's and the administrators'; None when there are none."""
        wanted: list[Entry] = inputs.get("accessControls", [])
        me = current_user(workspace)
        answer = workspace.get(PERMISSIONS + id)
        if answer.get("object_type", kind.name) != kind.name:
            raise UserError(f"expected object type {kind.name} at {id}, got {answer['object_type']}")
        is_declared = me.lower() in {str(_principal(entry)).lower() for entry in wanted}
        entries = [
            entry
            for item in answer.get("access_control_list", [])
            if item.get("group_name") != ADMINS
            for entry in _direct(item)
            if is_declared or _principal(entry) != me.lower()
        ]
        return _in_order(wanted, entries) or None

    def _comparable(self, name: str, value: Any) -> Any:
        if name == "accessControls" and isinstance(value, list):
            value = [_lower(entry) if isinstance(entry, dict) else entry for entry in value]
        return super()._comparable(name, value)


def _check_level(context: Context, entry: object, kind: ObjectType) -> list[Failure]:
    level = entry.get("permissionLevel") if isinstance(entry, dict) else UNKNOWN
    if level is UNKNOWN or level in kind.levels:
        return []
    allowed = ", ".join(sorted(kind.levels))
    text = f"permission_level {level} is not supported with {snake_case(kind.field)} objects; allowed levels: {allowed}"
    return [wrong(context, "accessControls", text)]


def _apply(workspace: Workspace, id: str, kind: ObjectType, inputs: Values) -> None:
    me = current_user(workspace)
    entries = [to_wire(entry) for entry in inputs["accessControls"]]
    for entry in entries:
        _check_entry(entry, me, kind)
    _put(workspace, id, [*entries, *_own_entries(entries, me, kind)])


def _check_entry(entry: Entry, me: str, kind: ObjectType) -> None:
    """What the vendor's plugin looks at only when it is about to send it."""
    if entry.get("group_name") == ADMINS:
        raise UserError(f"it is not possible to modify admin permissions for {kind.name} resources")
    own = me in (entry.get("user_name"), entry.get("service_principal_name"))
    if own and entry["permission_level"] not in kind.management_levels:
        raise UserError(
            f"cannot remove management permissions for the current user for {kind.name}, "
            f"allowed levels: {', '.join(sorted(kind.management_levels))}"
        )


def _own_entries(entries: list[Entry], me: str, kind: ObjectType) -> list[Entry]:
    """What the caller adds for himself: as a manager where the kind asks for it, as the owner where there is one."""
    own = [entry for entry in entries if me in (entry.get("user_name"), entry.get("service_principal_name"))]
    added = [{"permission_level": "CAN_MANAGE", "user_name": me}] if kind.adds_caller and not own else []
    if kind.has_owner and all(entry["permission_level"] != OWNER for entry in entries):
        added.append({"permission_level": OWNER, "user_name": me})
    return added


def _put(workspace: Workspace, id: str, entries: list[Entry]) -> None:
    try:
        workspace.put(PERMISSIONS + id, {"access_control_list": entries})
    except ApiError as error:
        if "with no existing owner must provide a new owner" not in error.message:
            raise
        without_owner = [entry for entry in entries if entry["permission_level"] != OWNER]
        workspace.put(PERMISSIONS + id, {"access_control_list": without_owner})


def _object_id(workspace: Workspace, kind: ObjectType, given: str) -> str:
    if not kind.by_path:
        return given
    return str(workspace.get("/api/2.0/workspace/get-status", {"path": given})["object_id"])


def _kind(id: str, inputs: Values) -> ObjectType:
    for kind in OBJECT_TYPES:
        if id.startswith(f"/{kind.path}/") and (kind.field in inputs or not any(field in inputs for field in BY_FIELD)):
            return kind
    known = ", ".join(sorted({kind.path for kind in OBJECT_TYPES}))
    raise UserError(f"{id!r} is not the id of permissions: expected /<kind>/<id>, kind one of {known}")


def _creator(workspace: Workspace, kind: ObjectType, id: str) -> str | None:
    path, name = CREATORS[kind.field]
    try:
        return workspace.get(path.format(id.rpartition("/")[2])).get(name) or None
    except ApiError as error:
        if is_missing(error) or says_that_there_is_no_job(error):
            return None
        raise


def _direct(item: Entry) -> list[Entry]:
    """One principal's entry of the API, as inputs; without what is inherited from a parent."""
    principal = {camel_case(name): item[name].lower() for name in ("user_name", "group_name") if item.get(name)}
    if item.get("service_principal_name"):
        principal = {"servicePrincipalName": item["service_principal_name"].lower()}
    levels = [one["permission_level"] for one in item.get("all_permissions", []) if not one.get("inherited")]
    return [{**principal, "permissionLevel": level} for level in levels]


def _principal(entry: Entry) -> str | None:
    return next((str(entry[name]) for name in PRINCIPALS if entry.get(name) is not None), None)


def _lower(entry: Entry) -> Entry:
    """The entry with its principal in lower case, and without what is not set."""
    given = {name: value for name, value in without_notes(entry).items() if value is not None}
    return {
        name: value.lower() if name in PRINCIPALS and isinstance(value, str) else value for name, value in given.items()
    }


def _in_order(wanted: list[Entry], entries: list[Entry]) -> list[Entry]:
    """The entries in the program's order and spelling, then those that it does not know."""
    kept = [entry for entry in wanted if _lower(entry) in entries]
    known = [_lower(entry) for entry in kept]
    return kept + [entry for entry in entries if entry not in known]
