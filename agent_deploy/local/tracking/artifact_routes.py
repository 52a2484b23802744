"""Routes of artifacts: listings, and the URLs that clients are given to read and write them."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.shapes import TEXT, TEXTS
from agent_deploy.local.files.storage import Files
from agent_deploy.local.tracking.artifacts import listing, root_of, uri
from agent_deploy.local.tracking.experiments import Experiments

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"run_id": TEXT, "path": TEXTS, "paths": TEXTS}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]
Transfer = Literal["download", "upload"]
_TRACE_DATA = "traces.json"
# Clients put the whole file to a URL of this type; for AWS's they would ask for one URL per part.
_URL_TYPE = "GCP_SIGNED_URL"


def routes(experiments: Experiments, files: Files) -> APIRouter:
    """Listings, and URLs for reading and writing, which older clients ask for and newer ones fall back to."""
    router = APIRouter(prefix="/api/2.0/mlflow")

    def urls(principal: Principal, kind: str, key: str, paths: list[str], method: str) -> Iterator[dict[str, Any]]:
        root = root_of(experiments, kind, key)
        for path in paths:
            url = files.sign(principal, posixpath.join(root, path), method)
            yield {"path": path, "signed_uri": url, "type": _URL_TYPE, "headers": []}

    @router.get("/artifacts/list")
    def run_artifacts(principal: Caller, run_id: str, path: str = "") -> dict[str, Any]:
        root = root_of(experiments, "run", run_id)
        return {"root_uri": uri(root), "files": listing(files, principal, root, path)}

    @router.get("/logged-models/{model_id}/artifacts/directories")
    def model_artifacts(principal: Caller, model_id: str, artifact_directory_path: str = "") -> dict[str, Any]:
        root = root_of(experiments, "model", model_id)
        return {"root_uri": uri(root), "files": listing(files, principal, root, artifact_directory_path)}

    @router.post("/artifacts/credentials-for-{purpose}")
    def run_urls(principal: Caller, body: Body, purpose: Literal["read", "write"]) -> dict[str, Any]:
        run_id, method = required(body, "run_id"), {"read": "GET", "write": "PUT"}[purpose]
        found = urls(principal, "run", run_id, body.get("path") or [], method)
        return {"credential_infos": [{"run_id": run_id, **url} for url in found]}

    @router.post("/logged-models/{model_id}/artifacts/credentials-for-{purpose}")
    def model_urls(principal: Caller, body: Body, model_id: str, purpose: Transfer) -> dict[str, Any]:
        method = {"download": "GET", "upload": "PUT"}[purpose]
        found = urls(principal, "model", model_id, body.get("paths") or [], method)
        return {"credentials": [{"credential_info": {"model_id": model_id, **url}} for url in found]}

    @router.get("/traces/{trace_id}/credentials-for-data-{purpose}")
    def trace_url(
        principal: Caller, trace_id: str, purpose: Transfer, path: str = Query(_TRACE_DATA)
    ) -> dict[str, Any]:
        method = {"download": "GET", "upload": "PUT"}[purpose]
        (url,) = urls(principal, "trace", trace_id, [path], method)
        return {"credential_info": url}

    return router
