"""The resource ObjectPermission: one principal on one workspace object, added to whatever others have there.

The permissions API can add one principal (PATCH), but take one out only by writing the whole list anew (PUT). Writers
of this process take turns; between two processes the list is read right before it is written, and looked at again.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.claims import Claims
from agent_deploy.provider.plugin.resource import (
    UNKNOWN,
    Context,
    Created,
    Failure,
    Found,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.workspace.connection import workspace_of
from agent_deploy.rules.groups import ADMINS
from agent_deploy.rules.object_permissions import IS_OWNER, OBJECT_TYPES, ObjectType
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.resource_kinds import ROUTES

PERMISSIONS = "/api/2.0/permissions"
PRINCIPAL_KINDS = ("user", "group", "service_principal")
# A list that others write at the same time is written again, so many times.
MAX_WRITES = 5
# A principal that was just made may be unknown to the permissions API for a moment.
PROPAGATION_PAUSES = (0.5, 1.0, 2.0, 4.0)
_PLACE = ("objectType", "objectId", "objectName", "principalKind", "principal")

Entry = tuple[str, str, str]  # kind, name as the workspace writes it, level


@dataclass(frozen=True)
class Place:
    """One principal on one object; the resource's id is its text."""

    object_type: str
    object_id: str
    kind: str
    principal: str

    @property
    def type(self) -> ObjectType:
        """Levels of the object."""
        return OBJECT_TYPES[self.object_type]

    @property
    def path(self) -> str:
        """Of the permissions API."""
        return f"{PERMISSIONS}/{self.object_type}/{segment(self.object_id)}"

    @property
    def shown(self) -> str:
        """For messages."""
        return f"{self.type.title} {self.object_id}"

    def __str__(self) -> str:
        return f"{self.object_type}/{self.object_id}/{self.kind}/{self.principal}"

    @classmethod
    def parse(cls, id: str) -> Place:
        """From a resource's id; raises UserError."""
        for path in OBJECT_TYPES:
            parts = id.removeprefix(f"{path}/").split("/", 2)
            if id.startswith(f"{path}/") and len(parts) == 3 and parts[1] in PRINCIPAL_KINDS:
                return cls(path, *parts)
        raise UserError(
            f"{id!r} is not the id of an object's permission: expected <object type>/<object id>/<kind>/<principal>, "
            "such as sql/warehouses/0123456789abcdef/user/ann@example.com"
        )


class ObjectPermission(Resource):
    """Id: ``<object type>/<object id>/<principal kind>/<principal>``, as it was when the resource was made.

    All of it changes in place: a principal or an object that a preview does not know yet would show as a replacement.
    ``previousLevel`` is what the principal had before, directly: it is never lowered, and comes back on delete.
    """

    inputs: ClassVar[tuple[str, ...]] = (*_PLACE, "level")
    outputs: ClassVar[tuple[str, ...]] = ("resolvedObjectId", "previousLevel")

    def __init__(self) -> None:
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._claims = Claims()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form: the object and the principal may be made by the same run."""
        problems = [*_check_object(inputs), *_check_principal(inputs), *_check_level(inputs)]
        self._claims.claim(context, _named(inputs))
        return inputs, [Failure("", str(problem)) for problem in problems]

    def preview(self, context: Context, old: Values | None, inputs: Values) -> Values:
        """What the principal had before is of the place."""
        same = old is not None and all(old.get(name) == inputs.get(name) for name in _PLACE)
        return super().preview(context, old if same else None, inputs)

    def create(self, context: Context, inputs: Values) -> Created:
        """Gives the level, unless the principal has it or more already."""
        workspace = workspace_of(context)
        place = _place(workspace, inputs)
        if place is None:
            return Created(str(_open_place(inputs)), {**inputs, "resolvedObjectId": "", "previousLevel": ""})
        with self._turn(place):
            held = _direct_levels(_existing(workspace, place), place)
            previous = place.type.highest(held) or ""
            if not _includes(place, held, inputs["level"]):
                _give(context, workspace, place, inputs["level"])
        return Created(str(place), _properties(inputs, place, previous))

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """The principal's direct level; None when it has none, or the object is gone. Inherited ones are not ours."""
        place, previous = _place_of(id, old), str(old.get("previousLevel") or "")
        workspace = workspace_of(context)
        try:
            if _is_open(old):
                is_open = not place.object_id or _id_of(workspace, place.object_type, place.object_id) == ""
                return Found(id, old, old_inputs) if is_open else None
            held = _direct_levels(_entries(workspace, place), place)
        except ApiError as error:
            if error.is_missing:
                return None
            raise
        level = place.type.highest(held)
        if level is None:
            return None
        wanted = old_inputs.get("level")
        if previous == level and wanted and _includes(place, {level}, wanted):
            level = wanted  # what it had before is more than what we ask, and still there
        inputs = old_inputs or {
            "objectType": place.object_type,
            "objectId": place.object_id,
            "principalKind": place.kind,
            "principal": place.principal,
        }
        inputs = {**inputs, "level": level}
        return Found(id, _properties(inputs, place, previous), inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Another level, but never less than what the principal had before; another place is left, then taken."""
        workspace, place, previous = workspace_of(context), _place_of(id, old), str(old.get("previousLevel") or "")
        wanted = _place(workspace, inputs)
        if (wanted or _open_place(inputs)) != place:
            self.delete(context, id, old_inputs, old)
            return self.create(context, inputs).properties
        if wanted is None:
            return {**inputs, "resolvedObjectId": "", "previousLevel": ""}
        level = previous if previous and _includes(place, {previous}, inputs["level"]) else inputs["level"]
        with self._turn(place):
            if _direct_levels(_entries(workspace, place), place) != {level}:
                _give(context, workspace, place, level)
        return _properties(inputs, place, previous)

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Takes out what was given, back to what was before; a higher level that somebody else gave since stays."""
        if _is_open(old) or self._claims.is_anothers(context, _named(old_inputs or old)):
            return
        workspace, place, previous = workspace_of(context), _place_of(id, old), str(old.get("previousLevel") or "")
        given = str(old_inputs.get("level") or old.get("level") or "")
        try:
            with self._turn(place):
                held = place.type.highest(_direct_levels(_entries(workspace, place), place))
                if held is None or held == previous:
                    return
                if given and not _includes(place, {given}, held):
                    context.warn(f"{place.principal} has {held} on {place.shown} by now; it was not given here: kept.")
                    return
                _rewrite(workspace, place, previous)
        except ApiError as error:
            if not error.is_missing:
                raise

    @contextmanager
    def _turn(self, place: Place) -> Iterator[None]:
        with self._locks[f"{place.object_type}/{place.object_id}"]:
            yield


def _named(inputs: Values) -> tuple[object, ...]:
    """The entry as a program names it."""
    return tuple(str(inputs.get(name)) for name in _PLACE)


def _check_object(inputs: Values) -> list[Problem]:
    kind: Any = inputs.get("objectType")
    id, name = inputs.get("objectId"), inputs.get("objectName")
    problems = []
    if kind is not UNKNOWN and kind not in OBJECT_TYPES:
        problems.append(not_one_of("objectType", kind, OBJECT_TYPES))
    if (id is None) == (name is None):
        problems.append(Problem("objectId", None, "either objectId or objectName"))
    if name is not None and kind is not UNKNOWN and kind in OBJECT_TYPES and kind not in ROUTES:
        problems.append(Problem("objectName", None, f"objectId: {OBJECT_TYPES[kind].title} is not found by its name"))
    return problems


def _check_principal(inputs: Values) -> list[Problem]:
    kind, principal = inputs.get("principalKind"), inputs.get("principal")
    problems = []
    if kind is not UNKNOWN and kind not in PRINCIPAL_KINDS:
        problems.append(not_one_of("principalKind", kind, PRINCIPAL_KINDS))
    if principal is not UNKNOWN and not (isinstance(principal, str) and principal):
        problems.append(
            Problem("principal", principal, "an e-mail address, a group's name or a service principal's application id")
        )
    if kind == "group" and principal is not UNKNOWN and principal == ADMINS:
        problems.append(Problem("principal", principal, "another group", "The admins manage every object anyhow"))
    return problems


def _check_level(inputs: Values) -> list[Problem]:
    kind: Any = inputs.get("objectType")
    level = inputs.get("level")
    if level is UNKNOWN or kind is UNKNOWN or kind not in OBJECT_TYPES:
        return []
    levels = [each for each in OBJECT_TYPES[kind].levels if each != IS_OWNER]
    if level in levels:
        return []
    owned = "An object has one owner: ownership is handed over, not added" if level == IS_OWNER else ""
    expected = f"one of {', '.join(levels)} ({OBJECT_TYPES[kind].title})"
    return [not_one_of("level", level, levels, expected, otherwise=owned)]


def _place(workspace: Workspace, inputs: Values) -> Place | None:
    """With the object's id, looked up by its name when that is what the program knows; None when there is no list.

    Raises UserError when there is no such object.
    """
    kind, id = inputs["objectType"], inputs.get("objectId")
    if id is None:
        try:
            id = _id_of(workspace, kind, inputs["objectName"])
        except ApiError as error:
            if not error.is_missing:
                raise
            shown = f"{OBJECT_TYPES[kind].title} {inputs['objectName']!r}"
            raise UserError(f"{shown} does not exist: create it first, or correct objectName.") from None
    return Place(kind, str(id), inputs["principalKind"], inputs["principal"]) if id else None


def _place_of(id: str, old: Values) -> Place:
    """Where the state has it; by its id where there is no state, as in an import."""
    if "resolvedObjectId" not in old:
        return Place.parse(id)
    if _is_open(old):
        return _open_place(old)
    return Place(old["objectType"], str(old["resolvedObjectId"]), old["principalKind"], old["principal"])


def _open_place(inputs: Values) -> Place:
    """Of an endpoint of the platform itself, which everybody may query, or of no object: there is nothing to give."""
    return Place(inputs["objectType"], inputs.get("objectName") or "", inputs["principalKind"], inputs["principal"])


def _is_open(old: Values) -> bool:
    return old.get("resolvedObjectId") == ""


def _id_of(workspace: Workspace, kind: str, name: str) -> str:
    """By which the permissions API knows it; empty for the platform's own. Raises ApiError."""
    route = ROUTES[kind]
    if not route.id_field:
        return name
    return str(workspace.get(route.path.format(segment(name))).get(route.id_field) or "")


def _entries(workspace: Workspace, place: Place) -> list[Entry]:
    """All direct entries; raises ApiError, is_missing when the object is gone."""
    document = workspace.get(place.path)
    return [
        (kind, str(entry[f"{kind}_name"]), str(permission["permission_level"]))
        for entry in document.get("access_control_list") or []
        for kind in PRINCIPAL_KINDS
        if entry.get(f"{kind}_name")
        for permission in entry.get("all_permissions") or []
        if not permission.get("inherited")
    ]


def _existing(workspace: Workspace, place: Place) -> list[Entry]:
    """As `_entries`; raises UserError when the object is not there, or may not be seen."""
    try:
        return _entries(workspace, place)
    except ApiError as error:
        if error.is_missing:
            remedy = "create it first, or correct objectId"
            raise UserError(f"{place.shown} does not exist ({error.message}): {remedy}.") from None
        raise _refusal(error, place, "a permission") from None


def _is_ours(entry: Entry, place: Place) -> bool:
    kind, name, _ = entry
    return kind == place.kind and name.lower() == place.principal.lower()


def _direct_levels(entries: list[Entry], place: Place) -> set[str]:
    return {entry[2] for entry in entries if _is_ours(entry, place)}


def _includes(place: Place, held: set[str], level: str) -> bool:
    return any(place.type.allows(each, level) for each in held)


def _give(context: Context, workspace: Workspace, place: Place, level: str) -> None:
    """Adds the level; where adding leaves a higher one beside it, writes the list anew."""
    for pause in (*PROPAGATION_PAUSES, None):
        try:
            workspace.patch(place.path, _body([(place.kind, place.principal, level)]))
            break
        except ApiError as error:
            if _knows_no_principal(error) and pause is not None:
                context.pause(pause)
            else:
                raise _refusal(error, place, level) from None
    if _direct_levels(_entries(workspace, place), place) != {level}:
        _rewrite(workspace, place, level)


def _rewrite(workspace: Workspace, place: Place, level: str) -> None:
    """The list as it is, but with ``level`` for our principal, or without it when that is empty."""
    wanted = {level} if level else set()
    for _ in range(MAX_WRITES):
        entries = _entries(workspace, place)
        if _direct_levels(entries, place) == wanted:
            return
        others = [entry for entry in entries if not _is_ours(entry, place)]
        ours = [(place.kind, place.principal, level)] if level else []
        workspace.put(place.path, _body([*others, *ours]))
    if _direct_levels(_entries(workspace, place), place) != wanted:
        raise UserError(f"The permissions of {place.shown} are being written by somebody else all the time: try again.")


def _body(entries: list[Entry]) -> dict[str, Any]:
    return {"access_control_list": [{f"{kind}_name": name, "permission_level": level} for kind, name, level in entries]}


def _knows_no_principal(error: ApiError) -> bool:
    # The object was read just before: what does not exist is the principal.
    return error.is_missing or "PRINCIPAL" in error.error_code


def _refusal(error: ApiError, place: Place, level: str) -> Exception:
    if _knows_no_principal(error):
        what = place.kind.replace("_", " ")
        return UserError(f"There is no {what} {place.principal!r} to give {level} on {place.shown}: {error.message}")
    if error.status == 403:
        return UserError(
            f"{error.message} To give {place.principal} {level} on {place.shown}, the deployer needs CAN_MANAGE there."
        )
    return error


def _properties(inputs: Values, place: Place, previous: str) -> Values:
    return {**inputs, "resolvedObjectId": place.object_id, "previousLevel": previous}
