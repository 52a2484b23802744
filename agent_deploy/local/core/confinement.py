"""What a served model's own identity (automatic passthrough) may ask: to read, and to use what its model declares.

What it uses, its privileges decide; nothing else is asked for here: it makes, changes and removes nothing of the
workspace's. It is one list of what is open, so a new route is closed to it.
"""

from __future__ import annotations

import re

from starlette.routing import Match, compile_path
from starlette.types import Scope

from agent_deploy.local.core.errors import forbidden
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.scopes import require_scope

_READING = ("GET", "HEAD")
_GENIE = "/api/2.0/genie/spaces/{space}"
_MESSAGES = f"{_GENIE}/conversations/{{conversation}}/messages"
# Method and path, each with the resource or the place that its privileges are on.
USES = (
    # Serving endpoints.
    ("POST", "/serving-endpoints/{name}/invocations"),
    ("POST", "/serving-endpoints/{name}/served-models/{entity}/invocations"),
    ("POST", "/serving-endpoints/chat/completions"),
    ("POST", "/serving-endpoints/responses"),
    ("POST", "/serving-endpoints/completions"),
    ("POST", "/serving-endpoints/embeddings"),
    # SQL warehouses; tables and functions by SQL, where each statement needs its own privileges.
    ("POST", "/api/2.0/sql/statements"),
    ("POST", "/api/2.0/sql/statements/{statement}/cancel"),
    # Vector search indexes; the vendor's client asks by GET.
    ("POST", "/api/2.0/vector-search/indexes/{name}/query"),
    ("POST", "/api/2.0/vector-search/indexes/{name}/scan"),
    # Genie spaces: a conversation is its asker's own, and goes with him.
    ("POST", f"{_GENIE}/start-conversation"),
    ("POST", _MESSAGES),
    ("POST", f"{_MESSAGES}/{{message}}/execute-query"),
    ("POST", f"{_MESSAGES}/{{message}}/attachments/{{attachment}}/execute-query"),
    ("DELETE", f"{_GENIE}/conversations/{{conversation}}"),
    # Connections.
    ("POST", "/api/2.0/external-function"),
    # Registered models: the files of a version.
    ("POST", "/api/2.0/mlflow/unity-catalog/model-versions/generate-temporary-credentials"),
    # The experiment of its deployment: searching, and runs, traces and logged models in it.
    ("POST", "/api/2.0/mlflow/experiments/search"),
    ("POST", "/api/2.0/mlflow/artifacts/credentials-for-{purpose}"),
    ("POST", "/api/2.0/mlflow/logged-models/{model}/artifacts/credentials-for-{purpose}"),
    *(
        (method, f"/api/{version}/mlflow/{kind}")
        for version in ("2.0", "3.0")
        for kind in ("runs/{path:path}", "traces", "traces/{path:path}", "logged-models", "logged-models/{path:path}")
        for method in ("POST", "PATCH", "PUT", "DELETE")
    ),
    # Has no traces; from its answer clients learn to turn to 3.0.
    *(("POST", f"/api/{version}/mlflow/{{path:path}}") for version in ("4.0", "5.0")),
)
_USES: tuple[tuple[str, re.Pattern[str]], ...] = tuple((method, compile_path(path)[0]) for method, path in USES)


def require_use(principal: Principal, scope: Scope) -> None:
    """Pass, or raise 403 for what a token's scopes do not open, and for a confined principal's request that makes or
    changes something of the workspace's.

    A route that there is not is for the application to tell.
    """
    method, path = scope["method"], scope["path"]
    if principal.scopes is not None:
        require_scope(principal.scopes, path)
    if not principal.is_confined or method in _READING:
        return
    if any(method == allowed and pattern.match(path) for allowed, pattern in _USES):
        return
    if any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes):
        raise forbidden(
            f"{principal.name} is the identity of a served model, which may use what its model declares and nothing "
            f"else: {method} {path} is not open to it. Deploy with auth = SERVICE_PRINCIPAL where it has to do more."
        )
