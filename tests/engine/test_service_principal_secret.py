"""Service principals, their OAuth secrets and scopes on the real engine: not shown, taken over, found after a kill."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.engine.support import Stack, both_plugins, end_session

PROGRAM = """
import pulumi
from agent_deploy.resources.{principals} import ServicePrincipal
from agent_deploy.resources.{secrets} import ServicePrincipalSecret
from agent_deploy.resources.{scopes} import SecretScope
principal = ServicePrincipal("agent", display_name={name!r})
secret = ServicePrincipalSecret("agent-oauth-secret", service_principal_id=principal.id, {more})
SecretScope("agent-scope", name={name!r})
pulumi.export("application", principal.application_id)
pulumi.export("secret", secret.secret)
pulumi.export("id", secret.id)
"""
SCIM = "/api/2.0/preview/scim/v2/ServicePrincipals"
SECRETS = "/api/2.0/accounts/servicePrincipals/{}/credentials/secrets"
ANY_SECRETS = SECRETS.format("*")


OURS = {"principals": "service_principal", "secrets": "service_principal_secret", "scopes": "secret_scope"}
VENDORS = dict.fromkeys(OURS, "databricks")


def program(name: str, more: str = "", modules: dict[str, str] = OURS) -> str:
    return PROGRAM.format(name=name, more=more, **modules)


class Place:
    """A workspace, and what its service principals hold."""

    def __init__(self, local: Any) -> None:
        self.host, self.environment = local.host, local.env()
        self.http = httpx.Client(base_url=local.host, headers={"Authorization": f"Bearer {local.token}"}, timeout=60)

    def principals(self, name: str) -> list[str]:
        listed = self.http.get(SCIM).json()["Resources"]
        return [each["id"] for each in listed if each["displayName"] == name]

    def secrets(self, name: str) -> list[str]:
        held = [self.http.get(SECRETS.format(each)).json().get("secrets", []) for each in self.principals(name)]
        return [secret["id"] for each in held for secret in each]

    def signs_in(self, outputs: dict[str, Any]) -> bool:
        form = {"grant_type": "client_credentials", "scope": "all-apis"}
        auth = (outputs["application"], outputs["secret"])
        return httpx.post(f"{self.host}/oidc/v1/token", data=form, auth=auth).status_code == 200


class Between(ThreadingHTTPServer):
    """Stands before the workspace; holds back the answer of the next POST to ``held_path``, which was done."""

    daemon_threads = True

    def __init__(self, place: Place) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.place, self.held_path = place, ""
        self.is_held, self.release = threading.Event(), threading.Event()
        self.host = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Passing(BaseHTTPRequestHandler):
    server: Between
    protocol_version = "HTTP/1.1"

    def _pass(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wanted = {name: self.headers[name] for name in ("Content-Type", "Authorization") if name in self.headers}
        answer = self.server.place.http.request(self.command, self.path, content=content, headers=wanted)
        if self.command == "POST" and self.server.held_path and fnmatch(self.path, self.server.held_path):
            self.server.held_path = ""
            self.server.is_held.set()
            self.server.release.wait(120)
        with contextlib.suppress(OSError):  # who asked may be dead by now
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def killed_at(place: Place, open_stack: Callable[..., Stack], tmp_path: Path) -> Iterator[Callable[..., Stack]]:
    """A stack, and a run of it that is killed when the workspace has done a POST whose answer did not come yet."""
    between = Between(place)
    plugins = both_plugins(tmp_path / "plugins")

    def run(path: str, text: str, before: str = "") -> Stack:
        stack = open_stack(before, environment={**place.environment, "DATABRICKS_HOST": between.host}, plugins=plugins)
        if before:
            stack.up()
        stack.write(text)
        between.held_path = path
        begun = stack.start("up", "--yes", "--skip-preview")
        assert between.is_held.wait(120), stack.started_output
        end_session(begun)
        between.release.set()
        stack.run("cancel", "--yes", check=False)
        return stack

    yield run
    between.release.set()
    between.shutdown()
    between.server_close()


@pytest.fixture(scope="module")
def place(local_workspace_factory: Callable[..., Any]) -> Place:
    return Place(local_workspace_factory(serving_start="on_request"))


@pytest.fixture
def made(place: Place, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[[str], Stack]:
    plugins = both_plugins(tmp_path / "plugins")
    return lambda text: open_stack(text, environment=place.environment, plugins=plugins)


@pytest.mark.parametrize("configured", [False, True], ids=["by the environment", "by the stack"])
def test_what_the_vendors_resource_made_is_taken_over_as_it_is(
    place: Place, open_stack: Callable[..., Stack], tmp_path: Path, configured: bool
) -> None:
    name = f"taken-over-{configured}".lower()
    stack = open_stack(
        program(name, "lifetime='86400s', time_rotating='a'", VENDORS),
        environment={} if configured else place.environment,
        config={"databricks:host": place.host} if configured else None,
        plugins=both_plugins(tmp_path / "plugins"),
    )
    if configured:
        stack.set_secret("databricks:token", place.environment["DATABRICKS_TOKEN"])
    stack.up()
    before, held = stack.outputs("--show-secrets"), place.secrets(name)
    stack.write(program(name, "lifetime='86400s', time_rotating='a'"))
    done = stack.up()
    after = stack.outputs("--show-secrets")
    assert (after, place.secrets(name)) == (before, held)
    assert set(done.operations) <= {"databricks-configuration"}  # our provider, which the vendor's types did not need
    types = {name: resource["type"] for name, resource in stack.resources().items()}
    assert types["agent"] == "agent-deploy:index:ServicePrincipal"
    assert types["agent-scope"] == "agent-deploy:index:SecretScope"
    assert types["agent-oauth-secret"] == "agent-deploy:index:ServicePrincipalSecret"
    assert place.signs_in(after)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.destroy()
    assert place.principals(name) == []


def test_no_output_of_the_engine_has_the_secret(place: Place, made: Callable[[str], Stack]) -> None:
    stack = made(program("unseen"))
    told = [stack.up("--debug")]
    told += [stack.run("up", "--yes", "--skip-preview", "--json", "--debug")]
    values = [stack.outputs("--show-secrets")["secret"]]
    stack.write(program("unseen", more="time_rotating='b'"))
    told += [stack.run("preview", "--json", "--diff", "--debug"), stack.up("--debug")]
    values += [stack.outputs("--show-secrets")["secret"]]
    told += [stack.refresh("--debug"), stack.run("stack", "export"), stack.destroy("--debug")]
    assert len(set(values)) == 2
    text = "\n".join([each.output + json.dumps(each.events) for each in told] + [stack.state_text()])
    assert [value for value in values if value in text] == []


def test_a_rotated_secret_is_there_before_the_old_one_goes(place: Place, made: Callable[[str], Stack]) -> None:
    stack = made(program("rotated", more="time_rotating='a'"))
    stack.up()
    (first,) = place.secrets("rotated")
    place.http.delete("/_local/requests")
    stack.write(program("rotated", more="time_rotating='b'"))
    stack.up()
    (second,) = place.secrets("rotated")
    assert first != second
    asked = place.http.get("/_local/requests").json()["requests"]
    assert [each["method"] for each in asked if "/credentials/secrets" in each["path"] and each["method"] != "GET"] == [
        "POST",
        "DELETE",
    ]


@pytest.mark.parametrize("rotates", [False, True], ids=["the first one", "a rotation"])
def test_what_a_killed_run_left_goes_and_what_is_in_use_stays(
    place: Place, killed_at: Callable[..., Stack], rotates: bool
) -> None:
    name = f"killed-{rotates}".lower()
    text = program(name, "time_rotating='b'")
    stack = killed_at(ANY_SECRETS, text, before=program(name) if rotates else "")
    left = place.secrets(name)
    assert len(left) == 1 + rotates
    stack.up()
    made = stack.outputs()["id"]
    assert place.secrets(name) == [made]
    assert made not in left
    assert place.signs_in(stack.outputs("--show-secrets"))
    stack.destroy()
    assert place.principals(name) == []


def test_a_principal_that_a_killed_run_made_is_gone_on_with(place: Place, killed_at: Callable[..., Stack]) -> None:
    stack = killed_at(SCIM, program("begun"))
    (begun,) = place.principals("begun")
    assert "agent" not in stack.resources()
    stack.up()
    assert place.principals("begun") == [begun] == [stack.resources()["agent"]["id"]]
    assert place.signs_in(stack.outputs("--show-secrets"))
    stack.destroy()
    assert place.principals("begun") == []


def test_a_scope_that_a_killed_run_made_is_gone_on_with(place: Place, killed_at: Callable[..., Stack]) -> None:
    stack = killed_at("/api/2.0/secrets/scopes/create", program("begun-scope"))
    assert "agent-scope" not in stack.resources()
    stack.up()
    assert stack.resources()["agent-scope"]["id"] == "begun-scope"
    stack.destroy()
    scopes = place.http.get("/api/2.0/secrets/scopes/list").json().get("scopes", [])
    assert "begun-scope" not in {scope["name"] for scope in scopes}


def test_a_principal_of_the_same_name_that_is_anothers_is_left_alone(
    place: Place, made: Callable[[str], Stack]
) -> None:
    by_hand = place.http.post(SCIM, json={"displayName": "same", "externalId": "another's"}).json()["id"]
    stack = made(program("same"))
    stack.up()
    assert len(place.principals("same")) == 2
    stack.destroy()
    assert place.principals("same") == [by_hand]
