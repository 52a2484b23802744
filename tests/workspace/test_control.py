"""Faults, recording and transitions: what tests steer the local workspace by."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from databricks.sdk.service.catalog import VolumeType
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local.core.recording import Recorder, Recording
from tests.workspace.conftest import Caller

CATALOGS = "/api/2.1/unity-catalog/catalogs"


@pytest.fixture(autouse=True)
def _no_faults_left(admin: Caller) -> Iterator[None]:
    yield
    admin.http.delete("/_local/faults").raise_for_status()
    admin.http.put("/_local/transitions", json={"mode": "immediate"}).raise_for_status()


@pytest.fixture
def path(name: str) -> str:
    """A path that no other test asks."""
    return f"{CATALOGS}/{name}"


def fault(admin: Caller, **rule: object) -> str:
    return str(admin.http.post("/_local/faults", json=rule).raise_for_status().json()["id"])


def happened(admin: Caller, rule_id: str) -> int:
    rules = admin.http.get("/_local/faults").json()["faults"]
    return next(int(rule["fired"]) for rule in rules if rule["id"] == rule_id)


class TestFaults:
    @pytest.mark.parametrize(
        ("status", "code"),
        [(429, "REQUEST_LIMIT_EXCEEDED"), (500, "INTERNAL_ERROR"), (503, "TEMPORARILY_UNAVAILABLE")],
    )
    def test_a_status_is_answered_so_often(self, admin: Caller, path: str, status: int, code: str) -> None:
        rule_id = fault(admin, path=path, status=status, times=2, retry_after=7)
        answers = [admin.http.get(path) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [status, status, 404]
        assert answers[0].json()["error_code"] == code
        assert answers[0].headers["retry-after"] == "7"
        assert happened(admin, rule_id) == 2

    def test_from_the_nth_matching_call_on(self, admin: Caller, path: str) -> None:
        fault(admin, path=path, method="GET", status=503, nth=2, times=1)
        admin.http.patch(path, json={})
        assert [admin.http.get(path).status_code for _ in range(3)] == [404, 503, 404]

    def test_a_probability_hits_some(self, admin: Caller, path: str) -> None:
        rule_id = fault(admin, path=path, status=503, probability=0.5)
        statuses = [admin.http.get(path).status_code for _ in range(60)]
        assert 10 < statuses.count(503) < 50
        assert happened(admin, rule_id) == statuses.count(503)

    def test_a_reset_comes_before_anything_is_done(self, admin: Caller, name: str) -> None:
        fault(admin, path=CATALOGS, method="POST", reset=True, times=1)
        with pytest.raises(httpx.ReadError):
            admin.http.post(CATALOGS, json={"name": name})
        assert admin.http.get(f"{CATALOGS}/{name}").status_code == 404

    def test_a_lost_answer_comes_after_the_change(self, admin: Caller, name: str) -> None:
        fault(admin, path=CATALOGS, method="POST", lose_answer=True, times=1)
        with pytest.raises(httpx.ReadError):
            admin.http.post(CATALOGS, json={"name": name})
        assert admin.http.get(f"{CATALOGS}/{name}").status_code == 200
        admin.sdk.catalogs.delete(name, force=True)

    def test_a_delay_is_waited(self, admin: Caller, path: str) -> None:
        fault(admin, path=path, delay=0.3, times=1)
        started = time.monotonic()
        admin.http.get(path)
        assert time.monotonic() - started >= 0.3

    def test_one_fault_is_taken_back(self, admin: Caller, path: str) -> None:
        rule_id = fault(admin, path=path, status=503)
        assert admin.http.get(path).status_code == 503
        assert admin.http.delete(f"/_local/faults/{rule_id}").json() == {"cleared": 1}
        assert admin.http.get(path).status_code == 404
        assert admin.http.delete(f"/_local/faults/{rule_id}").status_code == 404

    @pytest.mark.parametrize(
        "rule",
        [
            {"path": "*"},
            {"match": "build", "entity": "x"},
            {"match": "moon", "status": 503},
            {"status": 503, "colour": "red"},
            {"status": "many"},
            {"status": 503, "nth": 0},
        ],
    )
    def test_a_rule_that_says_nothing_is_refused(self, admin: Caller, rule: dict[str, object]) -> None:
        assert admin.http.post("/_local/faults", json=rule).status_code == 400

    def test_steering_is_the_administrators(self, stranger: Caller) -> None:
        for where in ("/_local/faults", "/_local/requests", "/_local/transitions"):
            assert stranger.http.get(where).status_code == 403


class TestRecording:
    def test_requests_are_recorded_in_order_with_their_bodies(self, admin: Caller, name: str) -> None:
        since = _last(admin)
        admin.http.post(CATALOGS, json={"name": name})
        admin.http.delete(f"{CATALOGS}/{name}", params={"force": "true"})
        recorded = admin.http.get("/_local/requests", params={"since": since, "path": f"{CATALOGS}*"}).json()[
            "requests"
        ]
        assert [(r["method"], r["path"], r["query"], r["body"], r["status"], r["caller"]) for r in recorded] == [
            ("POST", CATALOGS, "", {"name": name}, 200, "admin@local"),
            ("DELETE", f"{CATALOGS}/{name}", "force=true", None, 200, "admin@local"),
        ]

    def test_refused_requests_and_faults_are_recorded(self, admin: Caller, path: str) -> None:
        rule_id = fault(admin, path=path, reset=True)
        with pytest.raises(httpx.HTTPError):
            admin.http.get(path)
        httpx.get(f"{admin.http.base_url}{path}")
        recorded = admin.http.get("/_local/requests", params={"path": path}).json()["requests"]
        assert [(r["status"], r["fault"], r["caller"]) for r in recorded] == [
            (0, rule_id, "admin@local"),
            (401, None, None),
        ]

    def test_secrets_are_masked(self, admin: Caller, name: str) -> None:
        value = f"hush-{name}"
        admin.sdk.secrets.create_scope(name)
        admin.sdk.secrets.put_secret(name, "key", string_value=value)
        token = admin.sdk.tokens.create(comment=name, lifetime_seconds=60).token_value
        text = admin.http.get("/_local/requests").text
        assert name in text
        assert value not in text
        assert str(token) not in text

    def test_credentials_of_connections_and_of_signed_urls_are_masked(self, admin: Caller, name: str) -> None:
        value, connections = f"hush-{name}", "/api/2.1/unity-catalog/connections"
        names = ("bearer_token", "private_key", "api_key", "clientSecret", "authorization_code", "pkce_verifier")
        hidden = dict.fromkeys(names, value)
        admin.http.post(connections, json={"name": name, "options": {"host": "h", **hidden}}).raise_for_status()
        admin.http.patch(f"{connections}/{name}", json={"options": hidden}).raise_for_status()
        admin.sdk.connections.delete(name)
        admin.sdk.schemas.create(name, "main")
        admin.sdk.volumes.create("main", name, "v", VolumeType.MANAGED)
        path = {"path": f"/Volumes/main/{name}/v/f"}
        url = admin.http.post("/api/2.0/fs/create-upload-url", json=path).json()["url"]
        assert httpx.put(url, content=b"x").is_success
        admin.sdk.schemas.delete(f"main.{name}", force=True)
        text = admin.http.get("/_local/requests").text
        assert '"host":"h"' in text
        assert value not in text
        assert url.rpartition("/")[2] not in text
        assert "/_signed/[secret]" in text

    def test_credentials_in_the_body_of_an_endpoint_are_masked(self, admin: Caller, name: str) -> None:
        value, since = f"hush-{name}", _last(admin)
        openai = {"openai_api_key_plaintext": value, "openai_api_base": "https://example.com"}
        model = {"provider": "openai", "task": "llm/v1/chat", "openai_config": openai, "odd_plaintext": [{"a": value}]}
        environment = {"API_KEY": value, "password": "{{secrets/a/b}}", "TOKEN_LIMIT": "4000"}
        entities = [{"external_model": model, "environment_vars": environment}]
        for method, path in (("POST", ""), ("PUT", f"/{name}/config")):
            body = {"name": name, "config": {"served_entities": entities}, "served_entities": entities}
            assert not admin.http.request(method, f"/api/2.0/serving-endpoints{path}", json=body).is_success
        recorded = admin.http.get("/_local/requests", params={"since": since, "path": "/api/2.0/serving-endpoints*"})
        assert value not in recorded.text
        assert len(recorded.json()["requests"]) == 2
        for request in recorded.json()["requests"]:
            (entity,) = request["body"]["served_entities"]
            assert entity["external_model"]["openai_config"] == {
                "openai_api_key_plaintext": "[secret]",
                "openai_api_base": "https://example.com",
            }
            assert entity["external_model"]["odd_plaintext"] == [{"a": "[secret]"}]
            assert entity["environment_vars"] == {**environment, "API_KEY": "[secret]"}


@given(
    name=st.sampled_from(["token", "access_token", "client_secret", "code", "code_verifier", "sig", "password", "q"]),
    encode=st.sampled_from([str, quote, lambda text: "".join(f"%{ord(c):02x}" for c in text)]),
    before=st.text("ab=&%", max_size=4),
)
def test_credentials_in_queries_and_headers_are_masked(name: str, encode: Callable[[str], str], before: str) -> None:
    value = f"dapi{'0123456789abcdef' * 2}"
    raw = f"{before}&{encode(name)}={encode(value)}&page=2"
    query = recorded(raw, f"cli/1 {value} {'x' * 9000}")
    assert value not in str(query)
    assert encode(value) not in query["query"]
    assert query["query"].endswith("&page=2")
    assert query["client"].startswith("cli/1 [secret] xxx")
    assert len(query["client"]) < 3000
    plain = "max_results=5&page_token=abc&filter=tags.a%20%3D%20'b'"
    assert recorded(plain, "cli/1")["query"] == plain


def recorded(query: str, client: str) -> dict[str, Any]:
    """What the recording has of one request."""

    async def answers(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ignored(*_: Any) -> Any: ...

    recording = Recording()
    scope = {"type": "http", "method": "GET", "path": "/api/2.0/x", "headers": [(b"user-agent", client.encode())]}
    asyncio.run(Recorder(answers, recording)({**scope, "query_string": query.encode()}, ignored, ignored))
    return recording.entries()[0]


class TestTransitions:
    def test_by_hand_step_by_step(self, admin: Caller, name: str, until: Callable[[Callable[[], bool]], None]) -> None:
        admin.http.put("/_local/transitions", json={"mode": "manual"}).raise_for_status()
        warehouse_id = admin.http.post("/api/2.0/sql/warehouses", json={"name": name}).json()["id"]

        def state() -> str:
            return str(admin.http.get(f"/api/2.0/sql/warehouses/{warehouse_id}").json()["state"])

        waiting = f"warehouses/{warehouse_id}/running"
        until(lambda: waiting in admin.http.get("/_local/transitions").json()["waiting"])
        assert state() == "STARTING"
        assert admin.http.post("/_local/transitions/step", json={"what": "warehouses/other/*"}).json() == {
            "stepped": []
        }
        assert admin.http.post("/_local/transitions/step", json={"what": waiting}).json() == {"stepped": [waiting]}
        until(lambda: state() == "RUNNING")

    def test_leaving_manual_lets_all_go(
        self, admin: Caller, name: str, until: Callable[[Callable[[], bool]], None]
    ) -> None:
        admin.http.put("/_local/transitions", json={"mode": "manual"}).raise_for_status()
        warehouse_id = admin.http.post("/api/2.0/sql/warehouses", json={"name": name}).json()["id"]
        until(lambda: bool(admin.http.get("/_local/transitions").json()["waiting"]))
        admin.http.put("/_local/transitions", json={"mode": "timed", "seconds": 0.05}).raise_for_status()
        until(lambda: admin.http.get(f"/api/2.0/sql/warehouses/{warehouse_id}").json()["state"] == "RUNNING")

    @pytest.mark.parametrize("body", [{"mode": "sometimes"}, {"mode": "timed", "seconds": -1}, {}])
    def test_mistakes_are_told(self, admin: Caller, body: dict[str, object]) -> None:
        assert admin.http.put("/_local/transitions", json=body).status_code == 400


def _last(admin: Caller) -> int:
    return max((int(r["number"]) for r in admin.http.get("/_local/requests").json()["requests"]), default=0)
