"""How a call to the workspace can fail, each with a text that tells the user what to do."""

from __future__ import annotations

import json
import re

from agent_deploy.client.masking import masked

# Error codes that say something else than "not found", even with HTTP 404. Source: Databricks' SDKs.
_NOT_ABOUT_EXISTENCE = frozenset(
    {
        "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "ABORTED",
        "RESOURCE_CONFLICT", "RESOURCE_EXHAUSTED", "REQUEST_LIMIT_EXCEEDED", "PERMISSION_DENIED", "UNAUTHENTICATED",
        "UNKNOWN", "DATA_LOSS", "ENDPOINT_NOT_FOUND",
    }
)  # fmt: skip


class WorkspaceError(Exception):
    """Anything that went wrong between us and the workspace; its text is for the user, and shows no credential."""

    def __init__(self, text: str = "") -> None:
        super().__init__(masked(text))


class ConfigurationError(WorkspaceError):
    """The workspace or the credentials cannot be told from what the user configured."""


class Unreachable(WorkspaceError):
    """No connection: the request was never sent."""


class ConnectionLost(WorkspaceError):
    """The request was sent and no answer came back: the workspace may or may not have done it."""


class Interrupted(WorkspaceError):
    """The user stopped the run while a request waited to be sent again."""


class ApiError(WorkspaceError):
    """An answer other than success."""

    def __init__(
        self,
        status: int,
        error_code: str,
        message: str,
        request: str = "",
        hint: str = "",
        retry_after: float | None = None,
    ) -> None:
        self.status, self.error_code, self.message, self.request = status, error_code, masked(message), request
        self.retry_after = retry_after  # seconds that the workspace asks to wait
        where = f" [{error_code or 'no error code'}, HTTP {status}{', ' + request if request else ''}]"
        super().__init__(message + where + (f"\n{hint}" if hint else ""))

    @property
    def is_missing(self) -> bool:
        """Whether the object that was asked for does not exist: the class of errors that SDKs call not found."""
        if self.error_code == "RESOURCE_DOES_NOT_EXIST":
            return True
        return self.status == 404 and self.error_code not in _NOT_ABOUT_EXISTENCE

    @property
    def already_exists(self) -> bool:
        """Whether the name is taken; serving endpoints say it with 400 or 409."""
        return self.error_code in ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")

    @property
    def is_conflict(self) -> bool:
        """Whether something else is going on with the object, so that the call may succeed later."""
        return self.error_code == "RESOURCE_CONFLICT" or (self.status == 409 and not self.already_exists)


def parse_error(status: int, reason: str, body: str) -> tuple[str, str]:
    """Error code and message out of any of the forms in which a workspace answers an error."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict):
        if "detail" in document or "scimType" in document:  # SCIM
            message = " ".join(str(document[key]) for key in ("scimType", "detail") if document.get(key))
            return f"SCIM_{document.get('status', status)}", message or reason
        message = document.get("message") or document.get("error") or document.get("error_description") or reason
        return str(document.get("error_code") or ""), str(message)
    if match := re.fullmatch(r"\s*([A-Z][A-Z_]+): (.*)", body, re.DOTALL):
        return match[1], match[2].strip()
    if match := re.search(r"<pre>(.*?)</pre>", body, re.DOTALL):
        return "", match[1].strip()
    return ("UNKNOWN" if body.strip() and status != 404 else ""), body.strip()[:500] or reason
