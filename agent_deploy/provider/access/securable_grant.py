"""The resource SecurableGrant: privileges of one principal on one securable, added to those that it has anyhow.

The vendor's Grant owns all that its principal has there, which is right for a principal of our own and wrong for one
that somebody else made: its other privileges would go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

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
from agent_deploy.rules.problems import Problem, not_one_of
from agent_deploy.rules.unity_catalog import PRIVILEGES, Securable

_PLACE = ("securableType", "fullName", "principal")


class SecurableGrant(Resource):
    """Id: ``<securable type>/<full name>/<principal>``, as it was when the resource was made.

    All of it changes in place: a principal or a table that a preview does not know yet would show as a replacement.
    ``added`` are the privileges that only we have given.
    """

    inputs: ClassVar[tuple[str, ...]] = (*_PLACE, "privileges")
    outputs: ClassVar[tuple[str, ...]] = ("added",)

    def __init__(self) -> None:
        self._claims = Claims()

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        """Only the form: the securable and the principal may be made by the same run."""
        self._claims.claim(context, _named(inputs))
        return inputs, [Failure("", str(problem)) for problem in _problems(inputs)]

    def create(self, context: Context, inputs: Values) -> Created:
        """Grants what the principal lacks."""
        workspace = workspace_of(context)
        added = sorted(set(inputs["privileges"]) - _held(workspace, inputs))
        _change(workspace, inputs, add=added)
        return Created("/".join(str(inputs[name]) for name in _PLACE), {**inputs, "added": added})

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        """What is left of the privileges; none, or no securable, is gone."""
        inputs = old_inputs or _imported(id)
        try:
            held = _held(workspace_of(context), inputs)
        except ApiError as error:
            if error.is_missing:
                return None
            raise
        wanted = inputs.get("privileges")
        left = sorted(held) if wanted is None else [privilege for privilege in wanted if privilege in held]
        if not left:
            return None
        added = [privilege for privilege in old.get("added", ()) if privilege in held]
        found = {**inputs, "privileges": left}
        return Found(id, {**found, "added": added}, found)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        """Grants what is new, revokes what we had given and is no longer wanted, all of it where it was."""
        if any(old_inputs.get(name) != inputs.get(name) for name in _PLACE):
            self.delete(context, id, old_inputs, old)
            return self.create(context, inputs).properties
        workspace = workspace_of(context)
        wanted, ours = set(inputs["privileges"]), set(old.get("added") or ())
        new = wanted - _held(workspace, inputs)
        _change(workspace, inputs, add=sorted(new), remove=sorted(ours - wanted))
        return {**inputs, "added": sorted((ours & wanted) | new)}

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        """Revokes what we have given, and only that."""
        if self._claims.is_anothers(context, _named(old_inputs)):
            return
        try:
            _change(workspace_of(context), old_inputs, remove=list(old.get("added") or ()))
        except ApiError as error:
            if not error.is_missing:
                raise


def _named(inputs: Values) -> tuple[str, ...]:
    return tuple(str(inputs.get(name)) for name in _PLACE)


def _problems(inputs: Values) -> Iterator[Problem]:
    type_, privileges = inputs.get("securableType"), inputs.get("privileges")
    for name in _PLACE[1:]:
        if inputs.get(name) is not UNKNOWN and not (isinstance(inputs.get(name), str) and inputs[name]):
            yield Problem(name, inputs.get(name), "a name")
    if type_ is UNKNOWN:
        return
    grantable = PRIVILEGES.get(Securable.of(str(type_), "").type)
    if grantable is None:
        yield not_one_of("securableType", type_, PRIVILEGES)
        return
    for index, privilege in enumerate(privileges if isinstance(privileges, list) else ()):
        if privilege is not UNKNOWN and privilege not in grantable:
            expected = f"on a {type_} one of " + ", ".join(sorted(grantable))
            yield not_one_of(f"privileges[{index}]", privilege, grantable, expected)


def _path(inputs: Values) -> str:
    return f"/api/2.1/unity-catalog/permissions/{inputs['securableType']}/{segment(str(inputs['fullName']))}"


def _held(workspace: Workspace, inputs: Values) -> set[str]:
    """The principal's direct privileges."""
    answer = workspace.get(_path(inputs))
    return {
        str(privilege)
        for assignment in answer.get("privilege_assignments") or []
        if assignment.get("principal") == inputs["principal"]
        for privilege in assignment.get("privileges") or []
    }


def _change(
    workspace: Workspace, inputs: Values, add: list[str] | None = None, remove: list[str] | None = None
) -> None:
    if add or remove:
        change = {"principal": inputs["principal"], "add": add or [], "remove": remove or []}
        workspace.patch(_path(inputs), {"changes": [{name: value for name, value in change.items() if value}]})


def _imported(id: str) -> Values:
    parts = id.split("/")
    if len(parts) != len(_PLACE):
        raise UserError(f"{id!r} is not the id of a grant: expected <securable type>/<full name>/<principal>")
    return dict(zip(_PLACE, parts, strict=True))
