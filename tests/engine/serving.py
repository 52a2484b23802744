"""A local workspace with registered models, and the programs that engine tests of serving endpoints deploy to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace, is_missing
from tests.engine.support import RUN_SECONDS, clean_environment, eventually

MODEL = "main.default.qa"
PATH = "/api/2.0/serving-endpoints"


def endpoints_of(listing: Mapping[str, Any]) -> list[str]:
    """Their names, without the foundation models', which nobody made."""
    return sorted(each["name"] for each in listing.get("endpoints") or [] if each.get("id"))


_REGISTER = """
import pathlib, sys, tempfile
import mlflow
folder = tempfile.TemporaryDirectory()
code = pathlib.Path(folder.name) / "model.py"
code.write_text('''
import os
import mlflow
class Greeter(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return [os.environ.get("GREETING", "none") + " " + text for text in model_input]
mlflow.models.set_model(Greeter())
''')
mlflow.set_experiment("/Shared/engine-tests")
for _ in range(int(sys.argv[2])):
    with mlflow.start_run():
        mlflow.pyfunc.log_model(
            name="m", python_model=str(code), registered_model_name=sys.argv[1], pip_requirements=["mlflow"]
        )
"""

PROGRAM = """
import json
import pulumi
from agent_deploy import ServingEndpoint
opts = pulumi.ResourceOptions(**OPTS)
endpoint = ServingEndpoint("qa", **json.loads(SPEC), opts=opts)
pulumi.export("table", endpoint.payload_table)
"""


class Site:
    """One local workspace as a test sees it: what it holds, its switches, what it was asked."""

    def __init__(self, local: Any) -> None:
        self.environment: dict[str, str] = local.env()
        self.host: str = local.host
        self.folder: Path = local.folder
        self.workspace = Workspace(Settings(host=local.host, method=PAT, token=local.token))

    def register(self, model: str, versions: int) -> None:
        """Logs and registers versions of a small model, by MLflow's own client."""

        done = subprocess.run(
            [sys.executable, "-c", _REGISTER, model, str(versions)],
            env={**clean_environment(), **self.environment},
            text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def register_bare(self, model: str, versions: int, mlmodel: str = "flavors: {}\n") -> None:
        """Registers versions that nobody will ask, where nothing is built before it is asked for."""
        base = "/api/2.0/mlflow/unity-catalog"
        self.workspace.post(f"{base}/registered-models/create", {"name": model})
        for _ in range(versions):
            made = self.workspace.post(f"{base}/model-versions/create", {"name": model, "source": "tests"})
            version = str(made["model_version"]["version"])
            file = f"{self.host}/api/2.0/fs/files/Models/{model.replace('.', '/')}/{version}/MLmodel"
            headers = {"Authorization": f"Bearer {self.environment['DATABRICKS_TOKEN']}"}
            httpx.put(file, content=mlmodel, headers=headers).raise_for_status()
            self.workspace.post(f"{base}/model-versions/finalize", {"name": model, "version": version})

    def endpoint(self, name: str) -> dict[str, Any]:
        """The endpoint as the API shows it."""
        return self.workspace.get(f"{PATH}/{name}")

    def exists(self, name: str) -> bool:
        """Whether there is such an endpoint."""
        try:
            self.endpoint(name)
        except Exception as error:
            if is_missing(error):
                return False
            raise
        return True

    def asked(self, method: str, path: str) -> list[dict[str, Any]]:
        """The recorded requests; ``path`` is a pattern with ``*``."""
        found = self.workspace.get("/_local/requests", {"method": method, "path": path})["requests"]
        return list(found)

    def forget_requests(self) -> None:
        """Starts the recording anew."""
        self.workspace.delete("/_local/requests")

    @contextmanager
    def fault(self, **rule: Any) -> Iterator[None]:
        """A fault for as long as the block lasts."""
        added = self.workspace.post("/_local/faults", rule)
        try:
            yield
        finally:
            self.workspace.delete(f"/_local/faults/{added['id']}")

    @contextmanager
    def stepped(self) -> Iterator[None]:
        """Updates wait for `step` inside the block, and go on after it."""
        self.workspace.put("/_local/transitions", {"mode": "manual"})
        try:
            yield
        finally:
            self.workspace.put("/_local/transitions", {"mode": "immediate"})

    def step(self) -> None:
        """Lets what waits go on."""
        self.workspace.post("/_local/transitions/step", {})

    def waits_for_step(self, name: str) -> bool:
        """Whether the endpoint's update waits for a step."""
        waiting = self.workspace.get("/_local/transitions")["waiting"]
        return any(f"/{name}/" in what for what in waiting)

    def settled(self, name: str) -> dict[str, Any]:
        """The endpoint once no update is in progress."""
        eventually(lambda: self.endpoint(name)["state"]["config_update"] != "IN_PROGRESS")
        return self.endpoint(name)


def entity(version: int = 1, **more: Any) -> dict[str, Any]:
    """A served entity of MODEL."""
    base = {"entity_name": MODEL, "entity_version": str(version), "workload_size": "Small", "workload_type": "CPU"}
    return {**base, "scale_to_zero_enabled": False, **more}


def spec(name: str, **more: Any) -> dict[str, Any]:
    """Arguments of a ServingEndpoint with version 1 of MODEL."""
    base = {"name": name, "served_entities": {"qa_1": entity()}, "traffic": {"qa_1": 100}}
    return {**base, "owner_mark": f"project/test/{name}", **more}


def program(arguments: Mapping[str, Any], **opts: Any) -> str:
    """A program that declares one endpoint."""
    text = PROGRAM.replace("SPEC", repr(json.dumps(arguments)))
    written = ", ".join(f"{key}={value}" for key, value in opts.items())
    return text.replace("**OPTS", written)


def table(**more: Any) -> dict[str, Any]:
    """An AI gateway with an inference table."""
    return {"inference_table_config": {"catalog_name": "main", "schema_name": "default", **more}}
