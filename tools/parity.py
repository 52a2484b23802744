"""Writes docs/parity.md: the local workspace's routes, and by which unmodified client each is witnessed.

`AGENT_DEPLOY_WITNESSES=<file> pytest tests/workspace …` notes who was answered; then `python tools/parity.py <file>`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from starlette.routing import Match

from agent_deploy.local.app import create_app
from agent_deploy.local.core.context import Workspace

LEDGER = Path(__file__).parent.parent / "docs" / "parity.md"
# Word in a user agent → the client's name; the first that is found.
CLIENTS = {
    "databricks-tf-provider": "databricks provider",
    "mlflow": "MLflow",
    "databricks-sdk-py": "databricks SDK",
    "agent-deploy": "agent-deploy",
    "curl": "curl",
    "databricksopenai": "databricks-openai",
    "python-requests": "databricks-vectorsearch",  # which names itself no further; no test of ours uses requests
    "httpx": "plain HTTP",
}
# Routes by which tests and commands steer the workspace, and the API whose routes are web pages.
_OWN, _PAGES = "/_local/", "pages"
UNMODIFIED = (
    "databricks provider",
    "MLflow",
    "databricks SDK",
    "databricks-openai",
    "databricks-vectorsearch",
    "curl",
    "MCP client",
)

_HEAD = """\
# Parity

The routes of the local workspace. A route counts as *witnessed* when a client that was not made for it (Databricks'
SDK, its clients for vector search and OpenAI, MLflow, the databricks provider, curl) was answered with success in the
named test; as *tested* when only a plain HTTP client was. Every other route is answered with 501 and its name. Routes
under `/_local`, which steer the workspace, and its web pages are not Databricks' API and not in this list.

This file is written by `tools/parity.py`; a test compares it with the application, and keeps the share from falling.

**COVERAGE**
"""


def main(witnesses: Path | None) -> None:
    """Write the ledger from noted witnesses (lines of JSON: method, path, client, test), else rows stay."""
    known = {line.split("`")[1]: f"{line}\n" for line in _lines() if line.startswith("| `")}
    with tempfile.TemporaryDirectory() as folder:
        routes = list(application_routes(Path(folder)))
    found = _witnessed(routes, witnesses)
    parts = [_HEAD]
    for api in dict.fromkeys(route.api for route in routes):
        title = (import_module(f"agent_deploy.local.{api}").__doc__ or api).strip().splitlines()[0]
        parts += [f"\n## {api}\n\n{title}\n\n| route | status | clients | test |\n|---|---|---|---|\n"]
        for route in routes:
            if route.api == api:
                kept = known.get(route.name) if route.name not in found else None
                parts.append(kept or _row(route, found.get(route.name, {})))
    LEDGER.write_text("".join(parts).replace("COVERAGE", coverage("".join(parts))))


def coverage(ledger: str) -> str:
    """How many routes have an unmodified client for a witness, in words."""
    statuses = [line.split("|")[2].strip() for line in ledger.splitlines() if line.startswith("| `")]
    witnessed, tested = statuses.count("witnessed"), statuses.count("tested")
    share = 100 * witnessed / len(statuses)
    return f"{witnessed} of {len(statuses)} routes ({share:.0f} %) are witnessed, {tested} more are tested."


class Route:
    """One method of one path, and the API whose module answers it."""

    def __init__(self, route: Any, method: str) -> None:
        self._route = route
        self.method = method
        self.name = f"{method} {route.path}"
        self.api = route.endpoint.__module__.split(".")[2]

    def matches(self, method: str, path: str) -> bool:
        """Whether the route answers this request."""
        match, _ = self._route.matches({"type": "http", "method": method, "path": path})
        return method == self.method and match == Match.FULL


def application_routes(folder: Path) -> Iterator[Route]:
    """All routes, in the order in which they are tried."""
    workspace = Workspace.open(folder)
    app = create_app(workspace)
    for route in app.routes:
        for method in sorted(getattr(route, "methods", None) or ()):
            found = Route(route, method)
            if found.api != _PAGES and not route.path.startswith(_OWN):  # type: ignore[attr-defined]
                yield found
    workspace.store.close()


def ledger_routes(text: str) -> list[str]:
    """The routes that a ledger names."""
    return [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]


def _lines() -> list[str]:
    return LEDGER.read_text().splitlines() if LEDGER.exists() else []


def _witnessed(routes: Iterable[Route], witnesses: Path | None) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    known = list(routes)
    for line in witnesses.read_text().splitlines() if witnesses else ():
        noted = json.loads(line)
        route = next((route for route in known if route.matches(noted["method"], noted["path"])), None)
        if route is not None:
            found.setdefault(route.name, {}).setdefault(
                _client(noted["client"], noted["path"], noted["test"]), noted["test"]
            )
    return found


def _client(agent: str, path: str, test: str) -> str:
    if "/api/2.0/mcp/" in path and "python-httpx" in agent and test.startswith("tests/clients/"):
        return "MCP client"  # which has no name of its own
    if "databricks-sdk-py" in agent and "/mlflow/" in path:
        return "MLflow"  # which sends its requests through the SDK
    return next((name for word, name in CLIENTS.items() if word in agent.lower()), agent.partition("/")[0] or "unknown")


def _row(route: Route, clients: dict[str, str]) -> str:
    order = [*(name for name in UNMODIFIED if name in clients), *(name for name in clients if name not in UNMODIFIED)]
    status = "untested" if not order else "witnessed" if order[0] in UNMODIFIED else "tested"
    test = f"`{clients[order[0]]}`" if order else ""
    return f"| `{route.name}` | {status} | {', '.join(order)} | {test} |\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
