"""The function checkPrincipalSecrets: whether a service principal may have one more OAuth secret."""

from __future__ import annotations

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.provider.look_ups import patient
from agent_deploy.provider.resource import Context, Values
from agent_deploy.provider.service_principal_secret import secrets_of
from agent_deploy.rules.credentials import MAX_SECRETS, too_many_secrets


def check_principal_secrets(context: Context, arguments: Values) -> Values:
    """``servicePrincipalId`` to ``problem``: empty when there is room, or when the principal is not there any more."""
    id = str(arguments["servicePrincipalId"])
    try:
        count = sum(1 for _ in secrets_of(patient(context), id))
    except ApiError as error:
        # Deleted by hand: the run that is previewed makes another one. Not to be seen: only the run can tell.
        return {"problem": "" if error.is_missing or error.status == 403 else str(error)}
    except WorkspaceError as error:
        return {"problem": str(error)}
    return {"problem": "" if count < MAX_SECRETS else too_many_secrets(id, count)}
