"""The function checkPrincipals: which users, groups and service principals the workspace does not know."""

from __future__ import annotations

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.provider.permission_facts import UnknownPrincipal, facts_of
from agent_deploy.provider.resource import Context, Values
from agent_deploy.rules.verification import ACCOUNT_USERS, ADMINS, ALL_USERS

PATIENCE = 60.0  # seconds that a verification goes on asking a workspace that says "later"
# Every workspace has these groups, whether or not its listing shows them.
_ALWAYS = frozenset({ADMINS, ALL_USERS, ACCOUNT_USERS})


def check_principals(context: Context, arguments: Values) -> Values:
    """``principals`` to those that are ``unknown``; an unreachable workspace is told in ``problem``."""
    workspace = context.configuration
    facts = facts_of(workspace, workspace.during(context.cancelled, PATIENCE))
    unknown = []
    for name in arguments.get("principals") or []:
        if name in _ALWAYS:
            continue
        try:
            facts.principal(str(name))
        except UnknownPrincipal:
            unknown.append(str(name))
        except WorkspaceError as error:
            return {"unknown": [], "problem": str(error)}
    return {"unknown": unknown, "problem": ""}
