"""MLflow's own tracking server as a child process that ends with its parent, however that ends.

Run as ``python -m agent_deploy.local.tracking.process <socket> <database> <artifact root>``; standard input is a pipe
whose other end only the parent holds: its first line is the secret that requests must have, its end of file means that
the parent is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from agent_deploy.loading import loading
from agent_deploy.local.core import privacy

SECRET_HEADER = "x-agent-deploy-secret"
SPANS_PATH = "/_spans"  # beside MLflow's own: spans of traces out of their files


def main(socket_path: str, database: str, artifact_root: str) -> None:
    """Serve until told to stop or until the parent is gone."""
    privacy.close_to_others()
    secret = _line()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # No background jobs (a second process), no telemetry (network), no workspaces. Scorers are kept; clients run them.
    os.environ.update(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS="true")
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")
    # A user's tracking settings are for his programs, not for the server that they reach.
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "MLFLOW_EXPERIMENT_ID", "MLFLOW_RUN_ID"):
        os.environ.pop(name, None)
    with loading():
        import uvicorn  # before mlflow.server, which looks for it to know that it serves
        from mlflow.server import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR
        from mlflow.server.handlers import initialize_backend_stores

        os.environ[BACKEND_STORE_URI_ENV_VAR] = database
        os.environ[ARTIFACT_ROOT_ENV_VAR] = artifact_root
        initialize_backend_stores(database, database, artifact_root)
        from fastapi.routing import APIRoute
        from mlflow.server.fastapi_app import app

        # First, as MLflow's own application takes every path.
        app.router.routes.insert(0, APIRoute(SPANS_PATH, _take_spans, methods=["POST"]))
    uvicorn.run(
        _asked_with(secret, app), uds=socket_path, log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )


def _take_spans(body: dict[str, Any]) -> dict[str, Any]:
    """MLflow's store reads the files' spans; a file that has none is passed over."""
    from mlflow.entities import Span
    from mlflow.exceptions import MlflowException
    from mlflow.server.handlers import _get_tracking_store
    from mlflow.tracing.constant import TraceTagKey

    store = _get_tracking_store()
    for file in body["files"]:
        try:
            spans = [Span.from_dict(each) for each in json.loads(Path(file).read_bytes())["spans"]]
        except (
            OSError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            MlflowException,
        ):  # whoever may write there may have put anything
            continue
        if spans:
            store.log_spans(body["experiment_id"], spans)
            # The file stays what clients load.
            store.delete_trace_tag(spans[0].trace_id, TraceTagKey.SPANS_LOCATION)
    return {}


def _asked_with(secret: bytes, app: Any) -> Any:
    """The application, for whoever knows the secret: a served model, which is the same user's, may reach the socket."""

    async def checked(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(SECRET_HEADER.encode()) != secret:
            await send({"type": "http.response.start", "status": 401, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    return checked


def _line() -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        if not (byte := os.read(sys.stdin.fileno(), 1)):
            os._exit(0)
        read += byte
    return read.strip()


def _die_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
