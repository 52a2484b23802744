"""What one caller sends never breaks what others read: every route × depth, size, text, number."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.app import create_app
from agent_deploy.local.core.admission import RULES
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.json_text import MAX_DEPTH, parse, parse_or_none
from agent_deploy.local.core.store import Store
from agent_deploy.local.serving import mlmodel
from agent_deploy.rules.mlmodel import MAX_BYTES
from tests.workspace.conftest import http_client

UC = "/api/2.1/unity-catalog"
MIB = 1 << 20


def _nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


# No route takes these.
REFUSED = {
    "one level too deep": _nested(MAX_DEPTH + 1).encode(),
    "deeper than Python reads": b"[" * 100_000,
    "deep and closed": ("[" * 5000 + "]" * 5000).encode(),
    "half a character": rb'{"name":"\ud800"}',
    "the other half": rb'{"name":"x\uDFFFx"}',
    "half a character as a field": rb'{"\udabc":1}',
    "half a character in UTF-8": b'{"name":"\xed\xa0\x80"}',
    "no character": rb'{"name":"a\u0000b"}',
    "another encoding": '{"name":"x"}'.encode("utf-16"),
    "no number": b'{"name":NaN}',
    "endless": b'{"name":-Infinity}',
    "endless when it is read": b'{"name":1e400}',
    "beyond 64 bits": b'{"name":[9223372036854775808]}',
    "more digits than Python reads": b'{"name":' + b"9" * 5000 + b"}",
    "no JSON": b'{"name":',
}
# Any route may take these, and what it then shows is JSON again.
ODD: tuple[Any, ...] = (
    *("²", "\uffff", "\u202e\U0001f600", "x" * 5000, "1e308", "../..", ""),
    *(2**63 - 1, -(2**63), 9e18, 1e-320, -1, True, [], {}, [None], [{}], {"": ""}, ["²"]),
    json.loads(_nested(MAX_DEPTH - 10)),
)
_TABLE = {"catalog_name": "main", "schema_name": "default"}
# Requests that make something, each with what they may say.
MAKING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/api/2.0/sql/warehouses", {"name": "w", "tags": {}, "cluster_size": "Small", "auto_stop_mins": 5}),
    ("/api/2.0/pipelines", {"name": "p", "configuration": {}, "clusters": [], "libraries": [], "serverless": True}),
    (
        "/api/2.2/jobs/create",
        {"name": "j", "tasks": [], "tags": {}, "schedule": {}, "continuous": {}, "max_concurrent_runs": 1},
    ),
    (
        "/api/2.0/serving-endpoints",
        {"name": "e", "tags": [], "description": "", "budget_policy_id": "", "email_notifications": {}, "config": {}}
        | {"ai_gateway": {}},
    ),
    (
        f"{UC}/tables",
        {**_TABLE, "name": "t", "columns": [], "properties": {}, "comment": "", "table_type": "MANAGED"}
        | {"storage_location": "", "view_definition": "", "owner": ""},
    ),
    (f"{UC}/functions", {**_TABLE, "name": "f", "comment": "", "input_params": {}, "return_params": {}}),
    (f"{UC}/volumes", {**_TABLE, "name": "v", "volume_type": "MANAGED", "comment": ""}),
    (f"{UC}/models", {**_TABLE, "name": "m", "comment": ""}),
    (f"{UC}/schemas", {"catalog_name": "main", "name": "s", "comment": "", "properties": {}}),
    (f"{UC}/catalogs", {"name": "c", "comment": "", "options": {}}),
    (f"{UC}/connections", {"name": "n", "connection_type": "HTTP", "options": {}, "comment": ""}),
    (
        "/api/2.0/mlflow/unity-catalog/registered-models/create",
        {"name": "main.default.r", "description": "", "tags": [], "deployment_job_id": ""},
    ),
    ("/api/2.0/workspace/mkdirs", {"path": "/Shared/d"}),
    (
        "/api/2.0/workspace/import",
        {"path": "/Shared/i", "content": "", "format": "RAW", "language": "", "overwrite": True},
    ),
    ("/api/2.0/genie/spaces", {"title": "g", "description": "", "warehouse_id": "", "serialized_space": "{}"}),
    ("/api/2.0/apps", {"name": "a", "description": "", "resources": []}),
    ("/api/2.0/database/instances", {"name": "b", "capacity": "CU_1"}),
    ("/api/2.0/token/create", {"comment": "", "lifetime_seconds": 60}),
    ("/api/2.0/vector-search/endpoints", {"name": "x", "endpoint_type": "STANDARD"}),
    ("/api/2.0/secrets/scopes/create", {"scope": "k", "initial_manage_principal": "users"}),
    ("/api/2.0/preview/scim/v2/Users", {"userName": "u", "displayName": "", "active": True}),
    ("/api/2.0/preview/scim/v2/Groups", {"displayName": "g", "members": []}),
    ("/api/2.0/preview/scim/v2/ServicePrincipals", {"displayName": "", "active": True, "entitlements": []}),
    ("/api/2.0/policies/clusters/create", {"name": "q", "definition": "{}", "description": ""}),
    ("/_local/faults", {"path": "/none", "status": 503, "delay": 0, "times": 1, "message": "", "nth": 1}),
)
LISTS = (
    *("/api/2.0/sql/warehouses", "/api/2.0/preview/sql/data_sources", "/api/2.0/pipelines", "/api/2.2/jobs/list"),
    *("/api/2.2/jobs/runs/list", "/api/2.0/serving-endpoints", "/api/2.0/secrets/scopes/list", "/api/2.0/genie/spaces"),
    *(f"{UC}/{kind}?catalog_name=main&schema_name=default" for kind in ("tables", "functions", "volumes")),
    *(f"{UC}/{kind}" for kind in ("models", "catalogs", "connections", "schemas?catalog_name=main")),
    *("/api/2.0/mlflow/unity-catalog/registered-models/search", "/api/2.0/workspace/list?path=/Shared"),
    *("/api/2.0/apps", "/api/2.0/database/instances", "/api/2.0/vector-search/endpoints", "/api/2.0/token/list"),
    *("/api/2.0/token-management/tokens", "/api/2.0/agents/deployments", "/api/2.0/policies/clusters/list"),
    *(f"/api/2.0/preview/scim/v2/{kind}" for kind in ("Users", "Groups", "ServicePrincipals")),
    *("/_local/requests", "/_local/faults", "/_local/serving/processes", "/_local/transitions"),
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """The administrator of a workspace of this module's own: what it breaks is nobody else's."""
    with LocalWorkspace() as workspace, http_client(workspace.host, workspace.token) as client:
        yield client


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str]]:
    """The application without a server, and a token for it."""
    workspace = Workspace.open(tmp_path_factory.mktemp("app"))
    token = workspace.principals.bootstrap()
    assert token
    yield create_app(workspace), token
    workspace.store.close()


def _writing(app: Any) -> list[tuple[str, str]]:
    found = []
    for route in app.routes:
        path = getattr(route, "path", "")
        for part in [piece for piece in path.split("/") if piece.startswith("{")]:
            path = path.replace(part, "x")
        found += [(method, path) for method in sorted(route.methods) if method not in ("GET", "HEAD")]
    return found


def test_no_route_takes_what_cannot_be_read_again(http: httpx.Client, app: tuple[Any, str]) -> None:
    routes = _writing(app[0])
    assert len(routes) > 150
    rules = {path: next(rule for rule in RULES if path.startswith(rule.path)) for _, path in routes}
    wrong = []
    for method, path in routes:
        for what, body in REFUSED.items():
            # A route of its own takes forms or raw bytes; then it answers for itself, but never with a failure.
            if "/mlflow/" in path and what == "beyond 64 bits" and not rules[path].json:
                continue
            answer = http.request(method, path, content=body)
            fits = (
                answer.status_code == 400 if rules[path].json else answer.status_code < 500 or answer.status_code == 501
            )
            if not fits:
                wrong.append((method, path, what, answer.status_code, answer.text[:100]))
    assert not wrong
    assert http.get("/_local/requests").status_code == 200


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.path)
def test_a_larger_body_than_its_route_takes_is_refused_before_it_is_held(http: httpx.Client, rule: Any) -> None:
    if rule.most > 100 * MIB:
        return
    path = {"/": "/api/2.0/sql/warehouses", "/serving-endpoints/": "/serving-endpoints/x/invocations"}.get(
        rule.path, rule.path + ("token" if rule.path == "/oidc/" else "x" if rule.path.endswith("/") else "")
    )

    def chunks() -> Iterator[bytes]:
        for _ in range(rule.most // 65536 + 2):
            yield b"x" * 65536

    for content in (b"x" * (rule.most + 1), chunks()):
        headers = {"content-type": "application/x-www-form-urlencoded"}
        method = "PUT" if rule.path == "/api/2.0/fs/directories/" else "POST"
        answer = http.request(method, path, content=content, headers=headers)
        # Where the route reads no body, it need not be refused for that.
        assert answer.status_code == 413 if rule.json else answer.status_code >= 303, (path, answer.text)
        if rule.json:
            assert str(rule.most) in answer.json()["message"]


@pytest.mark.parametrize(("path", "body"), MAKING, ids=[path.rpartition("/2.")[2] for path, _ in MAKING])
def test_odd_values_break_no_list(http: httpx.Client, path: str, body: dict[str, Any]) -> None:
    wrong = []
    for field in body:
        for number, value in enumerate(ODD):
            # The rest of the body is as it should be, with names of its own.
            sound = {
                key: f"{given}{number}{field}".replace("_", "").lower()
                if key in ("name", "scope", "userName", "path") and key != field
                else given
                for key, given in body.items()
            }
            answer = http.post(path, json={**sound, field: value})
            if answer.status_code >= 500 and answer.status_code != 501:
                wrong.append((field, value, answer.status_code, answer.text[:200]))
    assert not wrong
    broken = {where: answer.text[:200] for where in LISTS if (answer := http.get(where)).status_code >= 400}
    assert not broken
    http.delete("/_local/faults")
    http.delete("/_local/requests")


_COLUMN = {"name": "a", "type_text": "int", "type_name": "INT", "position": 0, "nullable": True, "comment": "c"}


@pytest.mark.parametrize("field", _COLUMN)
def test_odd_columns_and_parameters_break_no_information_schema(http: httpx.Client, field: str) -> None:
    for number, value in enumerate(ODD):
        names = {**_TABLE, "name": f"{field}{number}".replace("_", "")}
        column = {**_COLUMN, field: value}
        tried = {
            "tables": {**names, "columns": [column]},
            "functions": {"function_info": {**names, "input_params": {"parameters": [column]}}},
        }
        for kind, body in tried.items():
            assert http.post(f"{UC}/{kind}", json=body).status_code < 500, (kind, value)
    warehouses = http.get("/api/2.0/sql/warehouses").json()["warehouses"]
    named = [found["id"] for found in warehouses if found["name"] == "information"]
    warehouse = named[0] if named else http.post("/api/2.0/sql/warehouses", json={"name": "information"}).json()["id"]
    for view in ("schemata", "tables", "columns", "routines"):
        statement = f"SELECT count(*) FROM main.information_schema.{view}"
        asked = {"statement": statement, "warehouse_id": warehouse, "wait_timeout": "30s"}
        status = http.post("/api/2.0/sql/statements", json=asked).json()["status"]
        assert status["state"] == "SUCCEEDED", status


class TestJson:
    @pytest.mark.parametrize("body", REFUSED.values(), ids=list(REFUSED))
    def test_the_same_is_refused_in_text(self, body: bytes) -> None:
        with pytest.raises(ApiError) as refused:
            parse(body)
        assert (refused.value.status, refused.value.error_code) == (400, "MALFORMED_REQUEST")
        assert parse_or_none(body.decode("utf-8", "replace")) is None or b"\xed" in body

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(st.characters(exclude_categories=())), inner, max_size=3)
            ),
        )
    )
    def test_what_is_taken_can_be_written_again(self, value: Any) -> None:
        try:
            taken = parse(json.dumps(value))
        except ApiError:
            return
        assert json.dumps(taken, ensure_ascii=False, allow_nan=False).encode()
        assert taken == value

    def test_the_deepest_is_taken(self) -> None:
        assert parse(_nested(MAX_DEPTH))
        assert parse(b'\xef\xbb\xbf{"a": 9223372036854775807}') == {"a": 2**63 - 1}
        assert parse(b'{"a": 1e308}', any_float=True) == {"a": 1e308}


@pytest.mark.parametrize("value", ["\ud800", float("inf"), float("nan"), "deep"])
def test_what_cannot_be_shown_is_not_stored(tmp_path: Path, value: Any) -> None:
    store = Store(tmp_path / "state.db")
    if value == "deep":
        value = reduce(lambda inner, _: [inner], range(100_000), [value])
    with pytest.raises(ApiError):
        store.put("kind", "key", {"value": value})
    assert store.get("kind", "key") is None
    assert store.list("kind") == []
    store.close()


class TestTheEventLoop:
    """Others are answered meanwhile: processor time of each turn of the loop, which a busy machine does not change."""

    MOST_SECONDS = 0.05

    def _longest(self, app: tuple[Any, str], requests: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> float:
        application, token = app
        turns = []
        run = asyncio.events.Handle._run

        def timed(handle: asyncio.events.Handle) -> None:
            began = time.thread_time()
            run(handle)
            turns.append(time.thread_time() - began)

        async def ask() -> None:
            headers = {"Authorization": f"Bearer {token}"}
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                await client.get("/api/2.0/sql/warehouses")  # what is imported or built once
                turns.clear()
                for request in requests:
                    answer = await client.request(**request)
                    assert answer.status_code < 500

        monkeypatch.setattr(asyncio.events.Handle, "_run", timed)
        asyncio.run(ask())
        return max(turns)

    @pytest.mark.parametrize(
        "body",
        [
            b"[" + b"[],".ljust(3) * (MIB // 3 - 2) + b"[]]",
            b"{" + b",".join(b'"%x":1' % n for n in range(90000)) + b"}",
        ],
        ids=["lists", "fields"],
    )
    def test_a_large_json_is_read_beside_it(
        self, app: tuple[Any, str], body: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request = {"method": "POST", "url": "/api/2.0/secrets/scopes/create", "content": body}
        assert self._longest(app, [request], monkeypatch) < self.MOST_SECONDS

    @pytest.mark.parametrize("path", ["/login", "/oidc/v1/token", "/login/as", "/logout"])
    def test_forms_are_small(self, app: tuple[Any, str], path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        form = {"content-type": "application/x-www-form-urlencoded"}
        sizes = (11 * MIB, 16 << 10)
        requests = [
            {"method": "POST", "url": path, "content": b"a=1&" * (size // 4), "headers": form} for size in sizes
        ]
        assert self._longest(app, requests, monkeypatch) < self.MOST_SECONDS


class TestMLmodel:
    def _file(self, folder: Path, text: str) -> Path:
        (folder / "MLmodel").write_text(text, "utf-8")
        return folder

    def test_it_is_read(self, tmp_path: Path) -> None:
        assert mlmodel.read(self._file(tmp_path, "a: [1, {b: ü}]\n")) == {"a": [1, {"b": "ü"}]}

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("[" * 100_000, "levels deep"),
            ("- " * 100_000 + "x", "levels deep"),
            ("a: &a [x]\n" + "".join(f"b{n}: *a\n" for n in range(50)), "aliases"),
            ("x: " + "y" * MAX_BYTES, "bytes"),
            ("a: [", "cannot be read"),
            ("!!python/object/apply:os.getcwd []", "cannot be read"),
            ("- a", "mapping"),
            ("\x00", "cannot be read"),
        ],
    )
    def test_what_would_take_long_or_end_the_process_is_refused(self, tmp_path: Path, text: str, told: str) -> None:
        with pytest.raises(ApiError, match=told):
            mlmodel.read(self._file(tmp_path, text))

    def test_another_thread_goes_on_while_a_large_one_is_read(self, tmp_path: Path) -> None:
        text = "a:\n" + "".join(f"- k{n}: v\n" for n in range(20_000))
        folder, steps = self._file(tmp_path, text[:MAX_BYTES]), 0
        reading = threading.Thread(target=mlmodel.read, args=(folder,))
        reading.start()
        while reading.is_alive():
            steps += 1
            reading.join(0.001)
        assert steps > 10
