"""A workspace that builds nothing, its model's versions, and stacks that leave nothing behind."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint import waiting as endpoint_waiting
from tests.engine.serving import PATH, Site, endpoints_of
from tests.invariants.configurations import MODEL
from tests.invariants.engine import Engine

VERSIONS = 4


@dataclass(frozen=True)
class Place:
    """The workspace as its administrator sees it."""

    host: str
    token: str
    workspace: Workspace

    def endpoints(self) -> dict[str, dict[str, Any]]:
        """Name → endpoint."""
        names = endpoints_of(self.workspace.get(PATH))
        return {name: self.workspace.get(f"{PATH}/{name}") for name in names}

    def keys(self, scope: str) -> set[str]:
        """The keys in a secret scope."""
        listed = self.workspace.get("/api/2.0/secrets/list", {"scope": scope})
        return {str(secret["key"]) for secret in listed.get("secrets") or []}

    def tables(self) -> set[str]:
        """Full names of the tables in main.default."""
        listed = self.workspace.get("/api/2.1/unity-catalog/tables", {"catalog_name": "main", "schema_name": "default"})
        return {str(table["full_name"]) for table in listed.get("tables") or []}


@pytest.fixture(scope="session")
def place(local_workspace_factory: Callable[..., Any]) -> Place:
    """A workspace in which versions 1 to 4 of MODEL are registered."""
    local = local_workspace_factory(serving_start="on_request")
    site = Site(local)
    site.register_bare(MODEL, VERSIONS)
    return Place(local.host, local.token, site.workspace)


@pytest.fixture
def scope(place: Place) -> Iterator[Callable[[], str]]:
    """Makes names, each with a secret scope of that name, which goes after the test."""
    made: list[str] = []

    def make() -> str:
        made.append(f"i{uuid.uuid4().hex[:10]}")
        place.workspace.post("/api/2.0/secrets/scopes/create", {"scope": made[-1]})
        return made[-1]

    yield make
    for name in made:
        place.workspace.post("/api/2.0/secrets/scopes/delete", {"scope": name})
        if name in place.endpoints():
            place.workspace.delete(f"{PATH}/{name}")


@pytest.fixture
def engine(place: Place) -> Callable[[], Engine]:
    """Makes stacks, each with a state of its own."""
    return lambda: Engine(place.host, place.token)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_waiting, "FIRST_POLL", 0.005)
    monkeypatch.setattr(endpoint_waiting, "LAST_POLL", 0.05)
    monkeypatch.setattr(endpoint_waiting, "SETTLE_SECONDS", 0.5)
