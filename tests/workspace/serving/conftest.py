"""Models saved once, registered where a test wants them, and endpoints that are gone after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.models import infer_signature

from tests.workspace.conftest import Caller

HERE = Path(__file__).parent
AGENT_ENVIRONMENT = {"ENABLE_MLFLOW_TRACING": "true", "RETURN_REQUEST_ID_IN_RESPONSE": "true"}
API = "/api/2.0/serving-endpoints"
BUILD_SECONDS = 90.0


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of saved models: agent, doubler, broken, slow, evil."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)  # where MLflow puts the traces of what it tries
        _save(folder)
    return folder


def _save(folder: Path) -> None:
    signature = infer_signature(pd.DataFrame({"x": [1.0]}), pd.DataFrame({"y": [2.0]}))
    for name, more in (
        ("agent", {"pip_requirements": ["mlflow"]}),
        ("doubler", {"pip_requirements": ["mlflow", "pandas"], "signature": signature}),
        ("broken", {"pip_requirements": ["mlflow"]}),
        ("slow", {"pip_requirements": ["mlflow"]}),
        ("evil", {"pip_requirements": ["mlflow"], "input_example": ["print()"]}),
    ):
        mlflow.pyfunc.save_model(folder / name, python_model=str(HERE / f"{name}.py"), **more)


class Endpoint:
    """One endpoint, seen by one caller over plain HTTP."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self.http, self.name = http, name
        self.url = f"{API}/{name}"

    def get(self) -> dict[str, Any]:
        """As the API shows it."""
        return ok(self.http.get(self.url))

    def settled(self, seconds: float = BUILD_SECONDS) -> dict[str, Any]:
        """Wait until it is not being updated."""
        return wait(self.get, lambda seen: seen["state"]["config_update"] != "IN_PROGRESS", seconds)

    def put(self, *entities: dict[str, Any], routes: list[dict[str, Any]] | None = None) -> httpx.Response:
        """Send a new config."""
        traffic = {} if routes is None else {"traffic_config": {"routes": routes}}
        return self.http.put(f"{self.url}/config", json={"served_entities": list(entities), **traffic})

    def post(self, body: dict[str, Any], entity: str | None = None) -> httpx.Response:
        """Ask, and return whatever comes."""
        middle = f"served-models/{entity}/" if entity else ""
        return self.http.post(f"/serving-endpoints/{self.name}/{middle}invocations", json=body, timeout=60)

    def say(self, text: str, entity: str | None = None, **more: Any) -> str:
        """Ask the agent; its text."""
        return text_of(ok(self.post(question(text, **more), entity)))

    def processes(self) -> dict[str, dict[str, Any]]:
        """What runs, by entity; for the administrator."""
        running = ok(self.http.get("/_local/serving/processes"))["processes"]
        return {process["entity"]: process for process in running if process["endpoint"] == self.name}

    def log(self, entity: str, kind: str = "logs") -> str:
        """``logs`` or ``build-logs``."""
        return str(ok(self.http.get(f"{self.url}/served-models/{entity}/{kind}"))["logs"])


def question(text: str, **more: Any) -> dict[str, Any]:
    """The body that asks an agent."""
    return {"input": [{"role": "user", "content": text}], **more}


def text_of(answer: dict[str, Any]) -> str:
    """What an agent answered."""
    return str(answer["output"][0]["content"][0]["text"])


def ok(response: httpx.Response) -> dict[str, Any]:
    """The body of a success."""
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def wait(look: Callable[[], Any], until: Callable[[Any], bool], seconds: float = 60.0) -> Any:
    """Look until what is seen is as wanted; fails with what was seen last."""
    deadline = time.monotonic() + seconds
    while not until(seen := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {seen}"
        time.sleep(0.05)
    return seen


def register(http: httpx.Client, full_name: str, model: Path) -> str:
    """A new version of a model, made when it is not there; returns the version."""
    base = "/api/2.0/mlflow/unity-catalog"
    http.post(f"{base}/registered-models/create", json={"name": full_name})
    created = ok(http.post(f"{base}/model-versions/create", json={"name": full_name, "source": "tests"}))
    version = str(created["model_version"]["version"])
    for file in (path for path in model.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        path = f"/Models/{full_name.replace('.', '/')}/{version}/{file.relative_to(model).as_posix()}"
        response = http.put(f"/api/2.0/fs/files{path}", params={"overwrite": "true"}, content=file.read_bytes())
        assert response.is_success, response.text
    ok(http.post(f"{base}/model-versions/finalize", json={"name": full_name, "version": version}))
    return version


def served(model: str, version: str = "1", name: str = "first", **more: Any) -> dict[str, Any]:
    """A served entity as a request names it."""
    environment = {**AGENT_ENVIRONMENT, **more.pop("environment_vars", {})}
    return {"entity_name": model, "entity_version": version, "name": name, "environment_vars": environment, **more}


@pytest.fixture
def agent(admin: Caller, schema: str, models: Path) -> str:
    """A registered agent with versions 1 and 2, in a schema of the test's own."""
    full_name = f"{schema}.agent"
    for _ in range(2):
        register(admin.http, full_name, models / "agent")
    return full_name


@pytest.fixture
def create(admin: Caller, name: str) -> Iterator[Callable[..., Endpoint]]:
    """``create(entity, …, **fields)`` makes an endpoint and waits for it; all are deleted after the test."""
    made: list[Endpoint] = []

    def make(*entities: dict[str, Any], **fields: Any) -> Endpoint:
        endpoint = Endpoint(admin.http, fields.pop("name", f"{name}-{len(made)}"))
        made.append(endpoint)
        routes = fields.pop("routes", None)
        config: dict[str, Any] = {"served_entities": list(entities)}
        config |= {} if routes is None else {"traffic_config": {"routes": routes}}
        ok(admin.http.post(API, json={"name": endpoint.name, "config": config, **fields}))
        endpoint.settled()
        return endpoint

    yield make
    for endpoint in made:
        admin.http.delete(endpoint.url)


@pytest.fixture
def endpoint(create: Callable[..., Endpoint], agent: str) -> Endpoint:
    """An endpoint that serves version 1 of the agent as `first`."""
    made = create(served(agent))
    assert made.get()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    return made
