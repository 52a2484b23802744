"""As whom a pipeline or a job runs: who made it, or whom its definition names."""

from __future__ import annotations

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import forbidden, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document

_FIELDS = ("service_principal_name", "user_name")


def run_as(workspace: Workspace, given: object, caller: Principal, held: str = "") -> str:
    """The name; ``held`` is what it was. Raises 400 for one that does not exist, 403 for one that may not be used.

    The platform knows a role by which a service principal may be used; here that is for administrators.
    """
    if not given:
        return held or caller.name
    fields: Document = given if isinstance(given, dict) else {}
    named = [fields[field] for field in _FIELDS if isinstance(fields.get(field), str)]
    if len(named) != 1:
        raise invalid(f"run_as: expected exactly one of {', '.join(_FIELDS)}.")
    principal = workspace.principals.by_name(named[0])
    if principal is None or principal.is_confined:
        raise invalid(f"run_as: {named[0]} does not exist or is not active.")
    if principal.name not in (caller.name, held) and not caller.is_admin:
        raise forbidden(f"User {caller.name} may not run anything as {principal.name}.")
    return principal.name
