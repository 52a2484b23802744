"""What a token opens that was given to a served model on behalf of its caller: the API scopes that the model declares.

Source: Databricks, "Authenticate on behalf of the user", for the names of the scopes.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent_deploy.local.core.errors import forbidden

# What a client looks up of itself and of the workspace.
_ALWAYS = ("/api/2.0/preview/scim/v2/Me", "/oidc/", "/.well-known/")
# Scope → the beginnings of paths that it opens. One that is not here opens nothing.
_OPENS: Mapping[str, tuple[str, ...]] = {
    "sql.statement-execution": ("/api/2.0/sql/statements",),
    "sql.warehouses": ("/api/2.0/sql/warehouses",),
    "serving.serving-endpoints": ("/serving-endpoints/", "/route-optimized/", "/api/2.0/serving-endpoints"),
    "vectorsearch.vector-search-endpoints": ("/api/2.0/vector-search/endpoints",),
    "vectorsearch.vector-search-indexes": ("/api/2.0/vector-search/indexes",),
    "catalog.connections": ("/api/2.1/unity-catalog/connections", "/api/2.0/external-function"),
    "dashboards.genie": ("/api/2.0/genie/",),
    "files.files": ("/api/2.0/fs/",),
    "apps.apps": ("/api/2.0/apps",),
}


def require_scope(scopes: frozenset[str], path: str) -> None:
    """Pass, or raise 403 that names the scopes of which one would do."""
    if path.startswith(_ALWAYS) or any(path.startswith(_OPENS.get(scope, ())) for scope in scopes):
        return
    needed = [scope for scope, opened in _OPENS.items() if path.startswith(opened)]
    raise forbidden(f"Provided OAuth token does not have required scopes: {' or '.join(needed) or path}")
