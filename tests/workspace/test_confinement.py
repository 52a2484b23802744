"""A served model's own identity, with nothing declared: refused on every route that makes or changes something."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import Match

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.app import PUBLIC, create_app
from agent_deploy.local.core.confinement import USES
from agent_deploy.local.core.context import Workspace
from tests.workspace.conftest import http_client
from tests.workspace.test_odd_bodies import LISTS, MAKING

UC = "/api/2.1/unity-catalog"
READING = {"GET", "HEAD"}


def _app() -> Any:
    """The application, for its routes."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.open(Path(folder))
        try:
            return create_app(workspace)
        finally:
            workspace.store.close()


APP = _app()
PARAMETER = re.compile(r"\{[^}]*\}")
WRITING = sorted(
    {
        (method, route.path)
        for route in APP.routes
        for method in route.methods - READING
        if not route.path.startswith(PUBLIC)
    }
)
BODIES = dict(MAKING)


@dataclass(frozen=True)
class Site:
    """A workspace, its administrator, and a served model's identity to which nothing was given."""

    admin: httpx.Client
    model: httpx.Client
    name: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace of this module's own."""
    folder = tmp_path_factory.mktemp("confined")
    before = Workspace.open(folder)
    principal = before.principals.create_service_principal("Serving of main.default.x/1", hidden=True)
    token = before.principals.issue_token(principal["id"], 3600)
    before.store.close()
    with (
        LocalWorkspace(folder) as workspace,
        http_client(workspace.host, workspace.token) as admin,
        http_client(workspace.host, token) as model,
    ):
        admin.timeout = model.timeout = httpx.Timeout(120)  # MLflow's server starts with the first request to it
        yield Site(admin, model, principal["applicationId"])


def _lists(http: httpx.Client) -> dict[str, Any]:
    return {path: http.get(path).json() for path in LISTS if not path.startswith("/_local/requests")}


def test_it_makes_and_changes_nothing(site: Site) -> None:
    before, wrong = _lists(site.admin), []
    assert len(WRITING) > 150
    for method, path in WRITING:
        # What a route of MLflow's takes is told by its path, not by its place in the table.
        asked = PARAMETER.sub("experiments/create" if "{path:path}" in path and "/mlflow/" in path else "x", path)
        answer = site.model.request(method, asked, json=BODIES.get(path.replace("/2.1/jobs", "/2.2/jobs"), {}))
        is_use = any(m == method and re.fullmatch(PARAMETER.sub(".+", p), asked) for m, p in USES)
        if is_use:
            wrong += [(method, asked, answer.status_code)] if answer.status_code not in (400, 403, 404) else []
        elif answer.status_code != 403 or answer.json().get("error_code") != "PERMISSION_DENIED":
            wrong.append((method, asked, answer.status_code))
    assert not wrong
    assert _lists(site.admin) == before
    # The bodies were sound: whoever may make them does.
    assert site.admin.post("/api/2.0/token/create", json=BODIES["/api/2.0/token/create"]).status_code == 200


def test_what_it_uses_is_its_privileges_matter(site: Site) -> None:
    warehouse = site.admin.post("/api/2.0/sql/warehouses", json={"name": "w", "cluster_size": "Small"}).json()["id"]
    space = {"title": "s", "warehouse_id": warehouse, "serialized_space": "{}"}
    space_id = site.admin.post("/api/2.0/genie/spaces", json=space).json()["space_id"]
    experiments = "/api/2.0/mlflow/experiments"
    site.admin.post("/api/2.0/workspace/mkdirs", json={"path": "/Shared/confined"})
    experiment = site.admin.post(f"{experiments}/create", json={"name": "/Shared/confined/e"}).json()["experiment_id"]
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    trace = {"trace": {"trace_info": {"trace_id": "tr-1", "trace_location": place}}}
    asked: tuple[tuple[str, dict[str, Any]], ...] = (
        ("/api/2.0/sql/statements", {"statement": "SELECT 1", "warehouse_id": warehouse}),
        (f"/api/2.0/genie/spaces/{space_id}/start-conversation", {"content": "How many?"}),
        ("/api/2.0/mlflow/runs/create", {"experiment_id": experiment}),
        ("/api/3.0/mlflow/traces", trace),
        ("/api/2.0/mlflow/runs/search", {"experiment_ids": [experiment]}),
    )
    for path, body in asked:
        refusal = site.model.post(path, json=body)
        assert (refusal.status_code, refusal.json()["error_code"]) == (403, "PERMISSION_DENIED"), path
    acl = {"access_control_list": [{"service_principal_name": site.name, "permission_level": "CAN_USE"}]}
    assert site.admin.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse}", json=acl).status_code == 200
    assert site.model.post(asked[0][0], json=asked[0][1]).json()["status"]["state"] == "SUCCEEDED"


def test_what_everybody_has_is_not_its(site: Site) -> None:
    table = {"catalog_name": "main", "schema_name": "default", "name": "open_to_all", "table_type": "MANAGED"}
    columns = [{"name": "x", "type_name": "INT", "type_text": "int", "type_json": '"int"', "position": 0}]
    made = site.admin.post(f"{UC}/tables", json={**table, "columns": columns, "data_source_format": "DELTA"})
    assert made.status_code == 200
    for kind, name, privilege in (
        ("catalog", "main", "USE_CATALOG"),
        ("schema", "main.default", "USE_SCHEMA"),
        ("table", "main.default.open_to_all", "SELECT"),
    ):
        changes = [{"principal": "account users", "add": [privilege]}]
        assert site.admin.patch(f"{UC}/permissions/{kind}/{name}", json={"changes": changes}).status_code == 200
    assert site.model.get(f"{UC}/tables/main.default.open_to_all").status_code == 403


def test_it_reads_who_it_is_and_a_route_that_there_is_not_says_so(site: Site) -> None:
    assert site.model.get("/api/2.0/preview/scim/v2/Me").json()["userName"] == site.name
    assert site.model.post("/api/2.0/no/such/route", json={}).status_code == 501


@pytest.mark.parametrize(("method", "path"), USES)
def test_each_use_is_a_route(method: str, path: str) -> None:
    scope = {"type": "http", "method": method, "path": PARAMETER.sub("x", path)}
    assert any(route.matches(scope)[0] is Match.FULL for route in APP.routes)
