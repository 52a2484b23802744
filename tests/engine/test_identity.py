"""Who a served agent is, in each of the three modes: what is asked before, what it may call, what it may not, its end.

Everything is real but the platform: the engine deploys the toolbox agent, which calls its resources with
databricks-sdk under whatever identity its process has.
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_deploy.client.errors import ApiError
from agent_deploy.components.agent_service_principal import TODAY_VARIABLE
from tests.engine.support import Stack, both_plugins, eventually
from tests.engine.test_agent_deployment import PROGRAM, nothing_to_do, writes
from tests.engine.toolbox import ALL_KINDS, REFUSALS, SCIM, TOOLBOX, Toolbox

ALLOWED = dict.fromkeys(ALL_KINDS, "200")
# As the failures name them, by kind.
LACKING = {
    "sql_warehouse": "CAN_USE",
    "serving_endpoint": "CAN_QUERY",
    "genie_space": "CAN_RUN",
    "function": "EXECUTE",
    "table": "SELECT",
    "vector_search_index": "SELECT",
}
TITLES = {
    "sql_warehouse": "SQL warehouse",
    "serving_endpoint": "Serving endpoint",
    "genie_space": "Genie space",
    "function": "Function",
    "table": "Table",
    "vector_search_index": "Vector search index",
}


@pytest.fixture(scope="module")
def site(toolbox: Toolbox) -> Toolbox:
    """The one that all share."""
    return toolbox


@pytest.fixture
def deploy(site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``deploy(endpoint, deployer=…, **args)`` is a stack with one AgentDeployment of the toolbox, not yet up."""
    plugins = both_plugins(tmp_path / "plugins")

    def make(endpoint: str, deployer: dict[str, str] | None = None, **args: Any) -> Stack:
        return open_stack(program(endpoint, **args), environment=deployer or site.environment, plugins=plugins)

    return make


def program(endpoint: str, **args: Any) -> str:
    """A program with one AgentDeployment of the toolbox."""
    tables = {"prefix": endpoint.replace("-", "_"), "derive": False}
    declared = {"model_name": TOOLBOX, "endpoint_name": endpoint, "inference_tables": tables, "feedback_model": False}
    declared |= args
    return PROGRAM.replace("ARGS", repr(json.dumps(declared)))


def variables(site: Toolbox, endpoint: str, version: str = "1") -> dict[str, str]:
    """The environment in the endpoint's configuration."""
    entities = site.endpoint(endpoint)["config"]["served_entities"]
    return next(dict(entity["environment_vars"]) for entity in entities if entity["entity_version"] == version)


def secret(site: Toolbox, reference: str) -> str:
    """What a reference stands for, as its scope's manager reads it."""
    _, scope, key = reference.strip("{}").split("/")
    found = site.workspace.get("/api/2.0/secrets/get", {"scope": scope, "key": key})
    return base64.b64decode(found["value"]).decode()


def signs_in(site: Toolbox, client_id: str, client_secret: str) -> httpx.Response:
    """The answer to a service principal that asks for a token."""
    form = {"grant_type": "client_credentials", "scope": "all-apis"}
    return httpx.post(f"{site.host}/oidc/v1/token", data=form, auth=(client_id, client_secret))


def tokens(site: Toolbox) -> dict[str, str]:
    """The tokens that the platform has given to served processes, by what their principal says of itself."""
    found = {}
    for file in (site.folder / "serving" / "credentials").rglob("model-dependencies-oauth-token"):
        token = str(json.loads(file.read_text())["OAUTH_TOKEN"][0]["oauthTokenValue"])
        found[str(site.as_bearer(token).get(f"{SCIM}/Me")["displayName"])] = token
    return found


def logged(site: Toolbox) -> str:
    """All that the workspace and the served processes wrote."""
    files = [path for path in (site.folder / "logs").rglob("*") if path.is_file()]
    assert files
    return "\n".join(path.read_text(errors="replace") for path in files)


def passes(site: Toolbox, token: str) -> bool:
    """Whether the workspace still knows the bearer."""
    headers = {"Authorization": f"Bearer {token}"}
    status = httpx.get(f"{site.host}{SCIM}/Me", headers=headers).status_code
    assert status in (200, 401)
    return status == 200


def _nobody_else_reads(site: Toolbox, reference: str) -> None:
    """A user of the workspace is refused the value, and the list of the scope's keys."""
    _, scope, key = reference.strip("{}").split("/")
    other, _ = site.as_user(f"curious-{scope}@example.com")
    for path, query in (("get", {"scope": scope, "key": key}), ("list", {"scope": scope})):
        with pytest.raises(ApiError) as refused:
            other.get(f"/api/2.0/secrets/{path}", query)
        assert refused.value.status == 403


def test_passthrough(site: Toolbox, deploy: Callable[..., Stack]) -> None:
    user, environment = site.as_user("ann@example.com")
    for kind, name, privilege in (
        ("catalog", "main", "USE_CATALOG"),
        ("schema", "main.default", "USE_SCHEMA"),
        ("schema", "main.default", "CREATE_TABLE"),
        ("function", TOOLBOX, "EXECUTE"),
    ):
        site.grant(kind, name, privilege, "ann@example.com")
    stack = deploy("passthrough", environment, model_version="1")
    before = site.standing()
    site.forget_requests()
    refused = stack.preview(check=False)
    assert refused.code != 0
    for kind, privilege in LACKING.items():
        line = rf"{TITLES[kind]} {re.escape(site.objects['a'][kind])}: [^\n]*ann@example.com[^\n]*{privilege}"
        assert re.search(line, refused.output), f"{kind}: {refused.output}"
    assert "Traceback" not in refused.output
    assert writes(site) == []

    site.allow("ann@example.com", "user_name", "a")
    allowed = site.standing()
    stack.up()
    nothing_to_do(stack)
    assert site.standing() == allowed > before  # the version's own principal is in no listing
    assert site.ask_all("passthrough", "1", "a") == ALLOWED
    assert site.ask_all("passthrough", "1", "b") == REFUSALS
    token = tokens(site)[f"Serving of {TOOLBOX}/1"]
    assert passes(site, token)
    assert token not in stack.state_text() + json.dumps(site.endpoint("passthrough")) + logged(site)

    site.allow("ann@example.com", "user_name", "b")
    stack.write(program("passthrough", model_version="2"))
    stack.up()
    # The version's identity lives until its process has ended, which may still be answering requests.
    eventually(lambda: not passes(site, token))
    assert site.ask_all("passthrough", "2", "b") == ALLOWED
    stack.destroy()
    assert not any(TOOLBOX in name for name in tokens(site))
    assert user.get(f"{SCIM}/Me")["userName"] == "ann@example.com"


def test_service_principal_per_version(site: Toolbox, deploy: Callable[..., Stack]) -> None:
    both = {"versions": [{"version": "1"}, {"version": "2"}], "traffic": {"1": 50, "2": 50}}
    before = site.standing()
    stack = deploy("principals", auth="SERVICE_PRINCIPAL", **both)
    up = stack.up()
    nothing_to_do(stack)
    with ThreadPoolExecutor(2) as together:
        own = [together.submit(site.ask_all, "principals", v, letter) for v, letter in (("1", "a"), ("2", "b"))]
        others = [together.submit(site.ask_all, "principals", v, letter) for v, letter in (("1", "b"), ("2", "a"))]
    assert [asked.result() for asked in own] == [ALLOWED, ALLOWED]
    assert [asked.result() for asked in others] == [REFUSALS, REFUSALS]
    kept = variables(site, "principals")
    value = secret(site, kept["DATABRICKS_CLIENT_SECRET"])
    answer = signs_in(site, kept["DATABRICKS_CLIENT_ID"], value)
    token = answer.json()["access_token"]
    assert passes(site, token)
    _nobody_else_reads(site, kept["DATABRICKS_CLIENT_SECRET"])
    everything = stack.state_text() + up.output + json.dumps(up.events) + json.dumps(site.endpoint("principals"))
    assert value not in everything + logged(site)
    assert token not in everything + logged(site)

    stack.write(program("principals", model_version="2", auth="SERVICE_PRINCIPAL"))
    stack.up()
    assert not passes(site, token)
    assert signs_in(site, kept["DATABRICKS_CLIENT_ID"], value).status_code == 401
    assert site.ask("principals", "2", "table")["status"] == "200"
    stack.destroy()
    assert site.standing() == before


def test_manual_credentials_of_a_principal_that_the_user_made(site: Toolbox, deploy: Callable[..., Stack]) -> None:
    made = site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "made by hand"})
    secrets = f"/api/2.0/accounts/servicePrincipals/{made['id']}/credentials/secrets"
    value = site.workspace.post(secrets, {})["secret"]
    site.allow(made["applicationId"], "service_principal_name", "a")
    before = site.standing()
    signs = {"DATABRICKS_HOST": site.host, "DATABRICKS_CLIENT_ID": made["applicationId"]}
    arguments = {"environment": signs, "secret_variables": ["DATABRICKS_CLIENT_SECRET"]}
    stack = deploy("manual", model_version="1", auth="MANUAL", **arguments)
    stack.set_secret("DATABRICKS_CLIENT_SECRET", value)
    up = stack.up()
    assert site.ask_all("manual", "1", "a") == ALLOWED
    assert site.ask_all("manual", "1", "b") == REFUSALS
    reference = variables(site, "manual")["DATABRICKS_CLIENT_SECRET"]
    _nobody_else_reads(site, reference)
    everything = stack.state_text() + up.output + json.dumps(up.events) + json.dumps(site.endpoint("manual"))
    assert value not in everything + logged(site)
    stack.destroy()
    # The reference is gone with the version; the principal is its maker's, and so are its privileges.
    with pytest.raises(ApiError):
        secret(site, reference)
    assert site.standing() == before
    site.workspace.delete(f"{secrets}/{site.workspace.get(secrets)['secrets'][0]['id']}")
    assert signs_in(site, made["applicationId"], value).status_code == 401


def test_a_rotation_under_load_fails_no_request(site: Toolbox, deploy: Callable[..., Stack]) -> None:
    deployer = {**site.environment, TODAY_VARIABLE: "2027-01-01"}
    stack = deploy("rotating", deployer, model_version="1", auth="SERVICE_PRINCIPAL", rotation_days=30)
    stack.up()
    first = variables(site, "rotating")
    old = secret(site, first["DATABRICKS_CLIENT_SECRET"])
    stack.set_environment({TODAY_VARIABLE: "2027-02-15"})
    with Load(site, "rotating", "table") as load:
        eventually(lambda: load.answers)
        stack.up()
        after = len(load.answers)
        eventually(lambda: len(load.answers) > after + 2)
    assert set(load.answers) == {"200"}, load.answers
    second = variables(site, "rotating")
    assert second["DATABRICKS_CLIENT_ID"] == first["DATABRICKS_CLIENT_ID"]
    assert second["DATABRICKS_CLIENT_SECRET"] != first["DATABRICKS_CLIENT_SECRET"]
    assert signs_in(site, first["DATABRICKS_CLIENT_ID"], old).status_code == 401
    stack.destroy()


class Load:
    """A client without retries that asks one tool all the time; ``answers`` are the statuses that came."""

    def __init__(self, site: Toolbox, endpoint: str, text: str) -> None:
        self.answers: list[str] = []
        self._url = f"{site.host}/serving-endpoints/{endpoint}/invocations"
        self._headers = {"Authorization": f"Bearer {site.environment['DATABRICKS_TOKEN']}"}
        self._body = {"input": [{"role": "user", "content": text}]}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(headers=self._headers, timeout=120) as client:
            while not self._ended.is_set():
                try:
                    answer = client.post(self._url, json=self._body)
                except httpx.HTTPError as error:
                    self.answers.append(repr(error))
                    continue
                self.answers.append(answer.json()["custom_outputs"]["status"] if answer.is_success else answer.text)
