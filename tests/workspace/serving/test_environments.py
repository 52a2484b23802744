"""The environment of a served model: the workspace's where that will do, else one of its own, built by uv."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import sysconfig
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import mlflow.pyfunc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local.serving import environments
from agent_deploy.local.serving.environments import environment_of, index_settings
from agent_deploy.local.serving.process import BuildFailed
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
    """One that needs a wheel, a package, both of code_paths, and what its constraints name."""
    folder = tmp_path_factory.mktemp("demanding")
    (folder / "agent.py").write_text(AGENT)
    (folder / "helper").mkdir()
    (folder / "helper" / "__init__.py").write_text("NAME = 'helper of code_paths'\n")
    tiny = wheel(folder, "tiny", "NAME = 'tiny of a wheel'\n")
    (folder / "bounds.txt").write_text("tabulate==0.9.0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.syspath_prepend(str(tiny))
        mlflow.pyfunc.save_model(
            folder / "model",
            python_model="agent.py",
            code_paths=["helper", tiny.name],
            pip_requirements=[f"mlflow=={mlflow.__version__}", "tabulate", f"code/{tiny.name}", "-c bounds.txt"],
        )
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
    assert "code/tiny-1.0-py3-none-any.whl lies beside the model" in logs


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
    "-c met.txt": True,
    "-c unmet.txt": False,
    "--requirement=unmet.txt": False,
    "--extra-index-url http://127.0.0.1:1/simple": True,
    "code/tiny.whl": False,
    "./tiny.whl": False,
    "tiny @ file:///tmp/tiny.whl": False,
    "git+https://127.0.0.1/x.git": False,
    "": True,
    "wheels/tiny-1.0-py3-none-any.whl": False,
    "pandas; " + " or ".join(["platform_machine == 'AMD64'"] * 40): True,  # as uv writes markers; no name of a file
}


def files(folder: Path, **texts: str) -> Path:
    """A model's folder with these texts."""
    for name, text in {"met": "nobody-has-this==1\npandas", "unmet": "pandas==0.0.1", **texts}.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@given(lines=st.lists(st.sampled_from(sorted(LINES)), max_size=5))
def test_which_lines_the_workspace_meets(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder = files(tmp_path_factory.mktemp("lines"), requirements="\n".join(lines))
    (folder / "code").mkdir()
    (folder / "code" / "tiny.whl").touch()
    found = asked(folder)
    assert (not found.unmet) is all(LINES[line] for line in lines), found
    assert asked(folder) == found


def test_models_of_other_constraints_share_nothing(tmp_path: Path) -> None:
    digests = set()
    for text in ("pandas==2.0.0", "pandas==2.0.1"):
        digests.add(asked(files(tmp_path, requirements="pandas\n-c met.txt", met=text)).digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    "line",
    [
        *("--index-url http://127.0.0.1:1/${HOME}", "${HOME}/x.whl", "-r /etc/hostname", "-c ../outside.txt"),
        *("-r http://127.0.0.1:1/r.txt", "-r nothing.txt", "-r met.txt --no-binary pandas", "-e ."),
        *("--no-binary pandas", "--no-binary=:all:", "--no-index --no-binary pandas", "\ufeff--no-binary pandas"),
        "--only-binary :none: --no-binary pandas",
    ],
)
def test_what_would_run_or_tell_what_is_not_the_models_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "outside.txt").touch()
    (tmp_path / "model").mkdir()
    model = files(tmp_path / "model", requirements=line)
    with pytest.raises(BuildFailed, match=r"could not be built: requirements.txt"):
        asyncio.run(environment_of(model, lambda _: None))
    included = files(model, requirements="-r met.txt", met=line)
    with pytest.raises(BuildFailed, match=r"could not be built: met.txt"):
        asyncio.run(environment_of(included, lambda _: None))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of environments; what uv has downloaded is found where it is."""
    uv = subprocess.run(
        [Path(sysconfig.get_path("scripts"), "uv"), "cache", "dir"], capture_output=True, text=True, check=True
    )
    monkeypatch.setenv("UV_CACHE_DIR", uv.stdout.strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("own_cache")
def test_it_is_built_once_in_its_place_and_anew_where_it_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    model = files(tmp_path / "model", requirements=f"{wheel(tmp_path / 'model', 'tiny', '').name}\n")
    (model / "uv.toml").write_text(f'[pip]\ntarget = "{tmp_path}/elsewhere"\n')
    (model / "python_env.yaml").write_text("python: 3.9.18\n")
    said: list[str] = []

    async def both() -> list[Path | None]:
        return list(await asyncio.gather(*(environment_of(model, said.append) for _ in range(2))))

    [folder, same] = asyncio.run(both())
    assert folder is not None
    assert same == folder
    assert list(folder.glob("lib/python*/site-packages/tiny.py"))
    assert not (tmp_path / "elsewhere").exists()
    counted = Counter(said)
    assert counted["Waiting for another deployment that builds the same environment.\n"] == 1
    assert counted[" + tiny==1.0 (from file://" + str(model) + "/tiny-1.0-py3-none-any.whl)\n"] == 1
    assert "Logged with Python 3.9, which is older than this package takes: served with" in said[0]
    # A workspace that starts anew finds it; one whose build was cut off is not used.
    said.clear()
    assert asyncio.run(environment_of(model, said.append)) == folder
    assert not [line for line in said if "tiny" in line]
    (folder / ".made").unlink()
    (folder / "half").touch()
    assert asyncio.run(environment_of(model, said.append)) == folder
    assert not (folder / "half").exists()


@pytest.mark.parametrize("has_pip", [True, False])
def test_uvs_own_settings_win_over_pips(monkeypatch: pytest.MonkeyPatch, has_pip: bool) -> None:
    if not has_pip:
        monkeypatch.setattr(environments, "find_spec", lambda _: None)
    for name in [name for name in os.environ if name.startswith("UV_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/a")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://127.0.0.1:1/b\nhttp://127.0.0.1:1/c")
    monkeypatch.setenv("PIP_FIND_LINKS", "/x /y")
    found = asyncio.run(index_settings())
    assert found["UV_DEFAULT_INDEX"] == "http://127.0.0.1:1/a"
    assert found["UV_INDEX"] == "http://127.0.0.1:1/b http://127.0.0.1:1/c"
    assert found["UV_FIND_LINKS"] == "/x,/y"
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:1/uv")
    monkeypatch.setenv("UV_INDEX", "http://127.0.0.1:1/uv")
    assert not {"UV_DEFAULT_INDEX", "UV_INDEX"} & asyncio.run(index_settings()).keys()
