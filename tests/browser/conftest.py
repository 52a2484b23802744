"""One workspace, one served agent and one Chromium for all tests here; each test has users and contexts of its own."""

from __future__ import annotations

import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import mlflow.pyfunc
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Playwright, expect, sync_playwright

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.pages.links import sign_in_link
from agent_deploy.rules import feedback, feedback_model
from tests.workspace.serving.conftest import Endpoint, ok, register, served

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import browser as chromium  # noqa: E402

# Chromium refuses to run as root inside its sandbox; the rest keeps it from calling home.
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
WAIT_MS = 30_000
HERE = Path(__file__).parent
USER_QUERY = "CAN_QUERY"

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="session")
def local_workspace(local_workspace_factory: Callable[..., LocalWorkspace]) -> LocalWorkspace:
    """In place of the plugin's: what may scale to zero does so at once."""
    return local_workspace_factory(scale_to_zero_seconds=1)


@pytest.fixture(scope="session")
def admin_http(local_workspace: LocalWorkspace) -> Iterator[httpx.Client]:
    """The administrator."""
    headers = {"Authorization": f"Bearer {local_workspace.token}"}
    with httpx.Client(base_url=local_workspace.host, headers=headers, timeout=60) as http:
        yield http


@dataclass
class User:
    """A user of the workspace with his own token."""

    name: str
    token: str
    http: httpx.Client


@pytest.fixture(scope="session")
def new_user(local_workspace: LocalWorkspace, admin_http: httpx.Client) -> Iterator[Callable[..., User]]:
    """``new_user("ann")`` makes a user; ``endpoint`` gives him CAN_QUERY on it."""
    clients: list[httpx.Client] = []

    def make(first: str = "reviewer", endpoint: str | None = None, level: str = USER_QUERY) -> User:
        name = f"{first}-{uuid.uuid4().hex[:6]}@example.com"
        body = {"userName": name, "displayName": first.title()}
        assert admin_http.post("/api/2.0/preview/scim/v2/Users", json=body).status_code == 201
        token = ok(admin_http.post("/_local/tokens", json={"principal": name}))["token_value"]
        headers = {"Authorization": f"Bearer {token}"}
        clients.append(httpx.Client(base_url=local_workspace.host, headers=headers, timeout=60))
        if endpoint:
            grant(admin_http, endpoint, name, level)
        return User(name, token, clients[-1])

    yield make
    for client in clients:
        client.close()


def grant(http: httpx.Client, endpoint: str, user: str, level: str) -> None:
    """Give a user a level on an endpoint."""
    endpoint_id = ok(http.get(f"/api/2.0/serving-endpoints/{endpoint}"))["id"]
    entry = {"access_control_list": [{"user_name": user, "permission_level": level}]}
    ok(http.patch(f"/api/2.0/permissions/serving-endpoints/{endpoint_id}", json=entry))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of models: the handbook agent, and the feedback model as FeedbackModel registers it."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        code = str(HERE / "agent.py")
        mlflow.pyfunc.save_model(folder / "handbook", python_model=code, pip_requirements=["mlflow"])
    code = Path(feedback.__file__).read_text()
    files = feedback_model.files(code, platform.python_version(), uuid.uuid4().hex, "2026-01-01 00:00:00.000000")
    for path, content in files.items():
        (folder / "feedback" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "feedback" / path).write_text(content)
    return folder


@dataclass
class Agent:
    """A served agent: its endpoint, and the experiment that holds its traces."""

    endpoint: Endpoint
    model: str
    experiment_id: str

    @property
    def name(self) -> str:
        """The endpoint's."""
        return self.endpoint.name

    @property
    def chat(self) -> str:
        """The address of its chat page."""
        return f"/ml/review-v2/chat?endpoint={quote(self.name)}"


@pytest.fixture(scope="session")
def deploy(admin_http: httpx.Client, models: Path) -> Callable[..., Agent]:
    """``deploy("docs", takes_feedback=True, scale_to_zero_enabled=False)`` serves the handbook agent, and logs it."""

    def make(name: str, takes_feedback: bool = True, **entity: Any) -> Agent:
        schema = f"t{uuid.uuid4().hex[:8]}"
        ok(admin_http.post("/api/2.1/unity-catalog/schemas", json={"name": schema, "catalog_name": "main"}))
        model = f"main.{schema}.{name}"
        register(admin_http, model, models / "handbook")
        experiment = ok(admin_http.post("/api/2.0/mlflow/experiments/create", json={"name": f"/Shared/{schema}"}))
        variables = {"MLFLOW_EXPERIMENT_ID": experiment["experiment_id"]}
        entities = [served(model, name=f"{name}_1", environment_vars=variables, workload_size="Small", **entity)]
        routes = [{"served_model_name": f"{name}_1", "traffic_percentage": 100}]
        if takes_feedback:
            register(admin_http, f"main.{schema}.feedback", models / "feedback")
            entities.append({"entity_name": f"main.{schema}.feedback", "entity_version": "1", "name": "feedback"})
            entities[-1] |= {"workload_size": "Small", "scale_to_zero_enabled": False}
            routes.append({"served_model_name": "feedback", "traffic_percentage": 0})
        table = {"catalog_name": "main", "schema_name": schema, "table_name_prefix": name, "enabled": True}
        endpoint = Endpoint(admin_http, f"agents_{schema}-{name}")
        body = {
            "name": endpoint.name,
            "config": {"served_entities": entities, "traffic_config": {"routes": routes}},
            "ai_gateway": {"inference_table_config": table},
        }
        ok(admin_http.post("/api/2.0/serving-endpoints", json=body))
        assert endpoint.settled()["state"]["ready"] == "READY"
        return Agent(endpoint, model, experiment["experiment_id"])

    return make


@pytest.fixture(scope="session")
def agent(deploy: Callable[..., Agent]) -> Agent:
    """The agent that most tests talk with."""
    return deploy("handbook")


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright, for one Chromium; gone with these tests, as its event loop is in the way of every other one."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """Chromium; without one the tests fail and say how to get it."""
    executable = chromium.found_or_installed()
    assert executable, chromium.REMEDY
    sandbox = os.geteuid() != 0
    running = playwright.chromium.launch(executable_path=executable, args=FLAGS, chromium_sandbox=sandbox)
    yield running
    running.close()


@dataclass
class Visitor:
    """A browser of its own, with everything that it asked for and everything that went wrong in its pages."""

    context: BrowserContext
    host: str
    requests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def page(self, path: str) -> Page:
        """A new tab."""
        page = self.context.new_page()
        page.goto(self.host + path)
        return page

    def check(self) -> None:
        """No request left the workspace, no script failed, nothing was refused by the content security policy."""
        foreign = [url for url in self.requests if urlsplit(url).netloc != urlsplit(self.host).netloc]
        assert not foreign, f"requests that left the workspace: {foreign}"
        assert not self.problems, self.problems


@pytest.fixture
def visit(browser: Browser, local_workspace: LocalWorkspace) -> Iterator[Callable[..., Visitor]]:
    """``visit(user)`` is a browser in which the user is signed in; ``visit()`` one in which nobody is."""
    visitors: list[Visitor] = []

    def make(user: User | None = None, **options: Any) -> Visitor:
        context = browser.new_context(base_url=local_workspace.host, **options)
        context.set_default_timeout(WAIT_MS)
        visitor = Visitor(context, local_workspace.host)
        context.on("request", lambda request: visitor.requests.append(request.url))
        context.on("weberror", lambda error: visitor.problems.append(str(error.error)))
        context.on("console", lambda message: _note(visitor, message))
        # What an attack would call.
        context.expose_function("attacked", lambda *said: visitor.problems.append(f"a script ran: {said}"))
        visitors.append(visitor)
        if user:
            page = context.new_page()
            page.goto(sign_in_link(local_workspace.host, user.token))
            page.wait_for_url("**/ml/**")
            page.close()
        return visitor

    yield make
    for visitor in visitors:
        visitor.context.close()
        visitor.check()


def _note(visitor: Visitor, message: Any) -> None:
    text = message.text
    # Chromium logs each answer that is no success; the tests look at what the page makes of it.
    if message.type == "error" and not text.startswith("Failed to load resource"):
        visitor.problems.append(text)


def ask(page: Page, question: str) -> Locator:
    """Type a question, send it; the turn that it begins."""
    turns = page.get_by_role("article")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_enabled()
    before = turns.count()
    page.get_by_label("Your question").fill(question)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(turns).to_have_count(before + 1)
    return turns.nth(before)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that an answer waits for; it comes at the end of the test at the latest."""
    path = tmp_path / "go"
    yield path
    path.touch()


def eventually(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for a state; what was looked at."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def picture(page: Page, name: str) -> None:
    """A screenshot for the docs, when `make screenshots` asks for them."""
    if folder := os.environ.get("AGENT_DEPLOY_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png")
