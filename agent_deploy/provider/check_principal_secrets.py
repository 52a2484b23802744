"""The function checkPrincipalSecrets: whether a service principal may have one more OAuth secret."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.look_ups import patient
from agent_deploy.provider.resource import Context, Values
from agent_deploy.rules.credentials import MAX_SECRETS


def check_principal_secrets(context: Context, arguments: Values) -> Values:
    """``servicePrincipalId`` to ``problem``: empty when there is room, or when the principal is not there any more."""
    id = str(arguments["servicePrincipalId"])
    try:
        count = _count(patient(context), id)
    except ApiError as error:
        # Deleted by hand: the run that is previewed makes another one. Not to be seen: only the run can tell.
        return {"problem": "" if error.is_missing or error.status == 403 else str(error)}
    except WorkspaceError as error:
        return {"problem": str(error)}
    if count < MAX_SECRETS:
        return {"problem": ""}
    return {
        "problem": f"service principal {id} has {count} OAuth secrets, and the platform allows {MAX_SECRETS}: the new "
        "one that is due cannot be made. Delete one that nobody uses in the principal's settings (Secrets), "
        "not the one that this deployment made last, as the agent signs in with it"
    }


def _count(workspace: Workspace, id: str) -> int:
    path = f"/api/2.0/accounts/servicePrincipals/{segment(id)}/credentials/secrets"
    page: dict[str, str] = {}
    count = 0
    while True:
        answer = workspace.get(path, page)
        count += len(answer.get("secrets") or [])
        if not (token := answer.get("next_page_token")):
            return count
        page = {"page_token": str(token)}
