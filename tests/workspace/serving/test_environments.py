"""The environment of a served model: the workspace's where that will do, else one of its own, built by uv."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from agent_deploy.local.serving.requirements import asked
from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import Endpoint, ok, question, register, served, text_of

Create = Callable[..., Endpoint]
AGENT = """
import sys, uuid
from importlib.metadata import PackageNotFoundError, version

import helper
import tiny
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse


try:
    installed = version("tabulate")
except PackageNotFoundError:  # where it is logged
    installed = "?"


class Agent(ResponsesAgent):
    def predict(self, request):
        text = f"{tiny.NAME} {helper.NAME} tabulate {installed} {sys.prefix}"
        try:
            open(sys.prefix + "/written", "w")
            text += " WRITTEN"
        except OSError:
            pass
        return ResponsesAgentResponse(output=[self.create_text_output_item(text, str(uuid.uuid4()))])


set_model(Agent())
"""


def wheel(folder: Path, name: str, text: str) -> Path:
    """A wheel of one module, as a team builds them for itself."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", text)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that needs a wheel beside it, a package of code_paths, and an older release than what is installed here."""
    folder = tmp_path_factory.mktemp("demanding")
    (folder / "agent.py").write_text(AGENT)
    (folder / "helper").mkdir()
    (folder / "helper" / "__init__.py").write_text("NAME = 'helper of code_paths'\n")
    wheel(folder, "tiny", "NAME = 'tiny of a wheel'\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.syspath_prepend(str(folder / "tiny-1.0-py3-none-any.whl"))
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model="agent.py",
            code_paths=["helper"],
            pip_requirements=[f"mlflow=={mlflow.__version__}", "tabulate==0.9.0"],
        )
    wheels = folder / "model" / "wheels"
    wheels.mkdir()
    (folder / "tiny-1.0-py3-none-any.whl").rename(wheels / "tiny-1.0-py3-none-any.whl")
    requirements = folder / "model" / "requirements.txt"
    requirements.write_text(requirements.read_text() + "\nwheels/tiny-1.0-py3-none-any.whl\n")
    return folder / "model"


def test_it_gets_what_it_asks_for_shares_that_and_cannot_write_it(
    create: Create, admin: Caller, schema: str, model: Path
) -> None:
    for _ in range(2):
        register(admin.http, f"{schema}.demanding", model)
    entities = [served(f"{schema}.demanding", version, f"v{version}") for version in ("1", "2")]
    endpoint = create(*entities, routes=[{"served_entity_name": e["name"], "traffic_percentage": 50} for e in entities])
    assert endpoint.get()["state"]["ready"] == "READY", endpoint.log("v1", "build-logs")
    said = [text_of(ok(endpoint.post(question("x"), entity))) for entity in ("v1", "v2")]
    assert said[0] == said[1]
    assert said[0].startswith("tiny of a wheel helper of code_paths tabulate 0.9.0 ")
    assert "WRITTEN" not in said[0]
    assert Path(said[0].split()[-1]) != Path(sys.prefix)
    # Its class has a stream that is not implemented.
    refused = endpoint.post(question("x", stream=True), "v1")
    assert (refused.status_code, "does not stream" in refused.text) == (400, True)
    logs = "".join(endpoint.log(each, "build-logs") for each in ("v1", "v2"))
    assert "wheels/tiny-1.0-py3-none-any.whl lies beside the model" in logs


def test_what_nobody_has_fails_the_build_in_uvs_words(create: Create, admin: Caller, schema: str, models: Path) -> None:
    folder = models / "doubler"
    register(admin.http, f"{schema}.demanding", folder)
    text = (folder / "requirements.txt").read_text() + "a-distribution-that-nobody-has>=2\n"
    path = f"/api/2.0/fs/files/Models/{schema.replace('.', '/')}/demanding/2/requirements.txt"
    base = "/api/2.0/mlflow/unity-catalog/model-versions"
    ok(admin.http.post(f"{base}/create", json={"name": f"{schema}.demanding", "source": "tests"}))
    for file in (each for each in folder.rglob("*") if each.is_file() and "__pycache__" not in each.parts):
        name = file.relative_to(folder).as_posix()
        content = text.encode() if name == "requirements.txt" else file.read_bytes()
        target = path.replace("requirements.txt", name)
        assert admin.http.put(target, params={"overwrite": "true"}, content=content).is_success
    ok(admin.http.post(f"{base}/finalize", json={"name": f"{schema}.demanding", "version": "2"}))
    endpoint = create(served(f"{schema}.demanding", "2"))
    [entity] = endpoint.get()["config"]["served_entities"]
    message = entity["state"]["deployment_state_message"]
    assert "The model's environment could not be built" in message
    assert "a-distribution-that-nobody-has" in message
    assert "a-distribution-that-nobody-has>=2 is not installed" in endpoint.log("first", "build-logs")


def test_one_that_asks_for_nothing_else_runs_in_the_workspaces(endpoint: Endpoint) -> None:
    assert "Environment:" not in endpoint.log("first", "build-logs")


LINES = {
    "pandas": True,
    "# pandas==0.0.1": True,
    "pandas==0.0.1": False,
    "nobody-has-this": False,
    "nobody-has-this; python_version < '3'": True,
    "-c constraints.txt": True,
    "--extra-index-url http://127.0.0.1:1/simple": True,
    "-r other.txt": False,
    "code/": True,
    "./tiny.whl": False,
    "tiny @ file:///tmp/tiny.whl": False,
    "git+https://127.0.0.1/x.git": False,
    "": True,
    "wheels/tiny-1.0-py3-none-any.whl": False,
    "pandas; " + " or ".join(["platform_machine == 'AMD64'"] * 40): True,  # as uv writes markers; no name of a file
}


@given(lines=st.lists(st.sampled_from(sorted(LINES)), max_size=5))
def test_which_lines_the_workspace_meets(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = tmp_path_factory.mktemp("lines")
    (folder / "requirements.txt").write_text("\n".join(lines))
    found: Any = asked(folder)
    assert (not found.unmet) is all(LINES[line] for line in lines), found
    assert asked(folder) == found
    assert Requirement(found.lines[-1]).name == "mlflow"
