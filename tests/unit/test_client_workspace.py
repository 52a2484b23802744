"""The client of the REST API: which workspace, how it signs in, what it tries again, what its errors say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from agent_deploy.client import credentials
from agent_deploy.client.configuration import OAUTH_M2M, PAT, Settings, resolve
from agent_deploy.client.errors import (
    ApiError,
    ConfigurationError,
    ConnectionLost,
    Interrupted,
    Unreachable,
    WorkspaceError,
    parse_error,
)
from agent_deploy.client.retries import Tries
from agent_deploy.client.workspace import Workspace, is_missing, segment

HOST = "https://one.example.com"
TOKEN = "dapi-0123456789abcdef"
Handler = Callable[[httpx.Request], httpx.Response]


def workspace(handler: Handler, **settings: str) -> Workspace:
    given = settings or {"method": PAT, "token": TOKEN, "origin": "the environment variable DATABRICKS_TOKEN"}
    return Workspace(Settings(host=HOST, **given), httpx.MockTransport(handler))


def answers(*responses: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """One response after the other; the last one for ever."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        response = responses[min(len(seen), len(responses)) - 1]
        if isinstance(response, Exception):
            raise response
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    return handler, seen


def error(status: int, code: str = "", message: str = "no", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error_code": code, "message": message}, headers=headers)


OK = httpx.Response(200, json={"fine": True})


# ---- which workspace, and as whom


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"DATABRICKS_CONFIG_FILE": str(tmp_path / "databrickscfg")}


def profile(environ: dict[str, str], text: str) -> None:
    Path(environ["DATABRICKS_CONFIG_FILE"]).write_text(text)


def test_inputs_come_before_stack_before_environment_before_profile(environ: dict[str, str]) -> None:
    profile(environ, f"[DEFAULT]\nhost = {HOST}\ntoken = from-profile\n")
    assert resolve({}, environ).token == "from-profile"
    environ |= {"DATABRICKS_HOST": HOST, "DATABRICKS_TOKEN": "from-environment"}
    assert resolve({}, environ).token == "from-environment"
    environ["PULUMI_CONFIG"] = json.dumps({"databricks:host": HOST, "databricks:token": "from-stack", "other:x": "y"})
    assert resolve({}, environ).token == "from-stack"
    settings = resolve({"host": HOST, "token": "from-input"}, environ)
    assert (settings.token, settings.method) == ("from-input", PAT)
    assert settings.origin == "the provider's input token"


def test_a_token_never_goes_to_another_workspace_than_its_own(environ: dict[str, str]) -> None:
    environ |= {"DATABRICKS_HOST": "https://two.example.com", "DATABRICKS_TOKEN": "of-two"}
    assert resolve({"host": HOST}, environ).token == ""
    assert resolve({"host": "two.example.com/?o=123"}, environ).token == "of-two"


def test_a_named_profile_is_read_and_a_missing_one_is_told(environ: dict[str, str]) -> None:
    profile(environ, f"[staging]\nhost = {HOST}\nclient_id = id\nclient_secret = hush\n")
    settings = resolve({"profile": "staging"}, environ)
    assert (settings.host, settings.method, settings.client_id) == (HOST, OAUTH_M2M, "id")
    with pytest.raises(ConfigurationError, match=r"no profile 'prod'.*there: staging"):
        resolve({"profile": "prod"}, environ)


def test_a_broken_profile_file_does_not_show_what_is_in_it(environ: dict[str, str]) -> None:
    profile(environ, "token = dapi-hush\n[x]\n")
    with pytest.raises(ConfigurationError) as raised:
        resolve({}, environ)
    assert "dapi-hush" not in str(raised.value)


def test_nothing_configured_says_what_to_set(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="DATABRICKS_HOST and DATABRICKS_TOKEN"):
        resolve({}, environ)
    with pytest.raises(ConfigurationError, match="databricks:host"):
        resolve({}, {**environ, "DATABRICKS_TOKEN": "x"})


def test_two_ways_to_sign_in_are_an_error_unless_one_is_chosen(environ: dict[str, str]) -> None:
    both = {
        **environ, "DATABRICKS_HOST": HOST, "DATABRICKS_TOKEN": "t",
        "DATABRICKS_CLIENT_ID": "i", "DATABRICKS_CLIENT_SECRET": "s",
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match=r"DATABRICKS_TOKEN and .*DATABRICKS_CLIENT_SECRET"):
        resolve({}, both)
    assert resolve({"authType": "oauth-m2m"}, both).method == OAUTH_M2M
    assert resolve({"token": "nearer"}, both).token == "nearer"
    assert resolve({}, {**environ, "DATABRICKS_HOST": HOST, "DATABRICKS_AUTH_TYPE": "azure-cli"}).method == "sdk"


def test_settings_do_not_show_secrets() -> None:
    shown = repr(Settings(host=HOST, token=TOKEN, client_secret="hush"))
    assert TOKEN not in shown
    assert "hush" not in shown


# ---- signing in


def test_a_personal_access_token_signs_every_request() -> None:
    handler, seen = answers(OK)
    assert workspace(handler).get("/api/2.0/x", {"a": "b c"}) == {"fine": True}
    assert seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert seen[0].headers["User-Agent"].startswith("agent-deploy/")
    assert str(seen[0].url) == f"{HOST}/api/2.0/x?a=b+c"


def oauth(expires_in: int, refuse: str = "") -> tuple[Workspace, list[str]]:
    log: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/oidc/v1/token":
            assert request.headers["Authorization"].startswith("Basic ")
            assert request.content == b"grant_type=client_credentials&scope=all-apis"
            log.append("token")
            number = log.count("token")
            return httpx.Response(200, json={"access_token": f"at{number}", "expires_in": expires_in})
        log.append(request.headers["Authorization"])
        return error(401, "UNAUTHENTICATED") if refuse and refuse in log[-1] else OK

    return workspace(handler, method=OAUTH_M2M, client_id="id", client_secret="hush"), log


def test_an_oauth_token_is_fetched_once_for_all_threads() -> None:
    client, log = oauth(3600)
    threads = [threading.Thread(target=client.get, args=("/api/2.0/x",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.count("token") == 1
    assert log.count("Bearer at1") == 8


def test_a_token_that_is_not_to_be_had_is_waited_for_once_by_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Semaphore(0)
    fetches: list[float] = []
    errors: list[ConnectionLost] = []

    def now() -> float:
        waiting.release()
        return time.monotonic()

    def fetch() -> dict[str, str]:
        fetches.append(time.monotonic())
        if len(fetches) == 1:  # each thread looks at the clock, the first one twice
            assert all(waiting.acquire(timeout=5) for _ in range(9))
        raise ConnectionLost("silence")

    def sign() -> None:
        try:
            principal.headers()
        except ConnectionLost as error:
            errors.append(error)

    monkeypatch.setattr(credentials, "time", SimpleNamespace(monotonic=now))
    principal = credentials.ServicePrincipal(fetch)
    threads = [threading.Thread(target=sign) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(fetches), len(errors)) == (1, 8)
    with pytest.raises(ConnectionLost):
        principal.headers()
    assert len(fetches) == 2


def test_an_oauth_token_is_renewed_before_it_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    client, log = oauth(3600)
    client.get("/api/2.0/x")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 3500)  # 100 s before its end
    client.get("/api/2.0/x")
    assert log == ["token", "Bearer at1", "token", "Bearer at2"]


def test_a_refused_oauth_token_is_fetched_anew_once() -> None:
    client, log = oauth(3600, refuse="at1")
    assert client.get("/api/2.0/x") == {"fine": True}
    assert log == ["token", "Bearer at1", "token", "Bearer at2"]


# ---- what is tried again


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tries, "sleep", lambda self, seconds: None)


@pytest.mark.parametrize("status", [429, 503])
def test_every_method_waits_for_a_workspace_that_says_later(status: int) -> None:
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        handler, seen = answers(error(status), error(status), OK)
        assert workspace(handler).request(method, "/api/2.0/x", body={}) == {"fine": True}
        assert len(seen) == 3


def test_retry_after_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(Tries, "sleep", lambda self, seconds: slept.append(seconds))
    handler, _ = answers(error(429, **{"Retry-After": "7"}), OK)
    workspace(handler).post("/api/2.0/x", {})
    assert slept == [7.0]


@pytest.mark.parametrize(("method", "sent"), [("GET", 3), ("PUT", 3), ("DELETE", 3), ("POST", 1)])
def test_a_broken_connection_is_tried_again_where_that_is_safe(method: str, sent: int) -> None:
    handler, seen = answers(httpx.ReadError("reset"), httpx.ReadError("reset"), OK)
    client = workspace(handler)
    if sent == 1:
        with pytest.raises(ConnectionLost, match=r"POST /api/2\.0/x"):
            client.request(method, "/api/2.0/x")
    else:
        assert client.request(method, "/api/2.0/x") == {"fine": True}
    assert len(seen) == sent


def test_a_read_that_gets_no_answer_is_tried_again_unless_it_was_silence_for_long_enough() -> None:
    handler, seen = answers(httpx.ReadTimeout("silence"), OK)
    workspace(handler).get("/api/2.0/x")
    assert [request.extensions["timeout"]["read"] for request in seen] == [75.0, 75.0]
    for patience, silence in ((0.0, 0.0), (60.0, 1e-9)):
        handler, seen = answers(httpx.ReadTimeout("silence"), OK)
        with pytest.raises(ConnectionLost, match=r"did not answer GET /api/2\.0/x within"):
            workspace(handler).during(None, patience, silence).get("/api/2.0/x")
        assert len(seen) == 1
    handler, _ = answers(httpx.ReadTimeout("silence"))
    with pytest.raises(ConnectionLost, match=r"did not answer POST /oidc/v1/token within 15 s"):
        workspace(handler, method=OAUTH_M2M, client_id="id", client_secret="hush").post("/api/2.0/x", {})


def test_silence_of_a_workspace_that_has_answered_is_slowness() -> None:
    handler, seen = answers(OK, httpx.ReadTimeout("silence"), OK)
    bound = workspace(handler).during(None, 60.0, 15.0)
    bound.get("/api/2.0/x")
    assert bound.get("/api/2.0/x") == {"fine": True}
    assert [request.extensions["timeout"]["read"] for request in seen] == [15.0, 75.0, 75.0]


def test_a_post_that_may_be_repeated_is() -> None:
    handler, seen = answers(httpx.ReadError("reset"), OK)
    workspace(handler).post("/api/2.0/x", {}, repeatable=True)
    assert len(seen) == 2


@pytest.mark.parametrize("status", [400, 403, 409, 500, 504])
def test_other_errors_of_a_change_are_told_at_once(status: int) -> None:
    handler, seen = answers(error(status, "CODE", "why"))
    with pytest.raises(ApiError, match=r"why \[CODE, HTTP"):
        workspace(handler).put("/api/2.0/x", {})
    assert len(seen) == 1


def test_reads_survive_a_moment_of_500() -> None:
    handler, seen = answers(error(500), error(502), OK)
    workspace(handler).get("/api/2.0/x")
    assert len(seen) == 3


def test_no_workspace_at_the_address_is_told_within_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    client = Workspace(Settings(host="http://127.0.0.1:9", method=PAT, token=TOKEN))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"No Databricks workspace answers at http://127.0.0.1:9"):
        client.get("/api/2.0/x")
    assert time.monotonic() - began < 6


def test_an_interruption_ends_the_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    handler, seen = answers(error(503))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Interrupted):
        workspace(handler).during(cancelled).get("/api/2.0/x")
    assert len(seen) == 1


def test_patience_ends_the_tries() -> None:
    handler, seen = answers(error(503, "", "away"))
    with pytest.raises(ApiError, match="away"):
        workspace(handler).during(None, patience=0.0).get("/api/2.0/x")
    assert len(seen) == 1


# ---- what errors say


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"error_code": "X", "message": "m"}', ("X", "m")),
        ('{"error": "old"}', ("", "old")),
        ('{"detail": "d", "status": "404", "scimType": "t"}', ("SCIM_404", "t d")),
        ("RESOURCE_DOES_NOT_EXIST: gone", ("RESOURCE_DOES_NOT_EXIST", "gone")),
        ("<html><pre> page </pre></html>", ("", "page")),
        ("", ("", "Bad Request")),
        ("what", ("UNKNOWN", "what")),
    ],
)
def test_every_form_of_error_is_read(body: str, expected: tuple[str, str]) -> None:
    assert parse_error(400, "Bad Request", body) == expected


@pytest.mark.parametrize(
    ("status", "code", "missing"),
    [
        (404, "", True),
        (404, "RESOURCE_DOES_NOT_EXIST", True),
        (404, "NOT_FOUND", True),
        (400, "RESOURCE_DOES_NOT_EXIST", True),
        (404, "INVALID_PARAMETER_VALUE", False),
        (404, "ENDPOINT_NOT_FOUND", False),
        (400, "INVALID_PARAMETER_VALUE", False),
        (403, "PERMISSION_DENIED", False),
    ],
)
def test_what_counts_as_missing(status: int, code: str, missing: bool) -> None:
    assert is_missing(ApiError(status, code, "m")) is missing


def test_conflict_and_taken_name_are_told_apart() -> None:
    assert ApiError(409, "RESOURCE_CONFLICT", "m").is_conflict
    assert not ApiError(409, "RESOURCE_ALREADY_EXISTS", "m").is_conflict
    assert ApiError(409, "RESOURCE_ALREADY_EXISTS", "m").already_exists
    assert ApiError(400, "RESOURCE_ALREADY_EXISTS", "m").already_exists


def test_a_refused_token_says_where_it_comes_from_and_is_not_shown() -> None:
    handler, _ = answers(error(401, "UNAUTHENTICATED", f"bad token {TOKEN}"))
    with pytest.raises(ApiError) as raised:
        workspace(handler).get("/api/2.0/x")
    assert "the environment variable DATABRICKS_TOKEN" in str(raised.value)
    assert TOKEN not in str(raised.value)


def test_a_page_instead_of_json_is_told() -> None:
    handler, _ = answers(httpx.Response(200, text="<html>sign in</html>"))
    with pytest.raises(WorkspaceError, match="not JSON"):
        workspace(handler).get("/api/2.0/x")


def test_a_part_of_a_path_cannot_leave_it() -> None:
    assert segment("a/../b c") == "a%2F..%2Fb%20c"
