"""What `pip install` brings: every file of the package, its console scripts; and what works without the extras."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.distributions import brought_by

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[2]
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel alone is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    built = pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT))
    assert built.returncode == 0, built.stderr
    [wheel] = folder.glob("*.whl")
    done = pip("install", "--no-deps", "--target", str(folder / "installed"), str(wheel))
    assert done.returncode == 0, done.stderr
    return folder / "installed"


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "pip", "--quiet", *arguments)


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # Not in the repository, whose modules would be found there first.
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=ROOT.root,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_wheel_has_every_file_and_the_console_scripts(installed: Path) -> None:
    files = {path.relative_to(installed) for path in installed.rglob("*")}
    package = (ROOT / "agent_deploy").rglob("*")
    wanted = {path.relative_to(ROOT) for path in package if path.is_file() and "__pycache__" not in path.parts}
    assert {path.suffix for path in wanted} >= {".py", ".html", ".js", ".css"}
    assert sorted(map(str, wanted - files)) == []
    scripts = {"agent-deploy", "agent-deploy-policies", "pulumi-resource-agent-deploy"}
    assert {path.name for path in (installed / "bin").iterdir()} == scripts
    told = run(str(installed / "bin" / "agent-deploy"), "--help", PYTHONPATH=str(installed))
    assert (told.returncode, "query" in told.stdout) == (0, True), told.stderr


def test_without_the_extras_agents_are_declared_and_the_local_workspace_names_its_own(
    installed: Path, tmp_path: Path
) -> None:
    without = WITHOUT.replace("MODULES", repr(set(modules_of_extras(installed))))

    def python(*lines: str) -> subprocess.CompletedProcess[str]:
        return run(sys.executable, "-c", "\n".join((without, *lines)), PYTHONPATH=str(installed))

    package = "from agent_deploy.provider.package import package; package()"
    done = python("import agent_deploy; print(agent_deploy.AgentDeployment.__name__, agent_deploy.__file__)", package)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["AgentDeployment", str(installed / "agent_deploy" / "__init__.py")]
    start = f"sys.argv[1:] = ['local', 'start', '--folder', {str(tmp_path / 'state')!r}]"
    refused = python(start, "from agent_deploy.cli import main; main()")
    told = "agent-deploy: the local workspace needs the extra 'local' (fastapi is missing): pip install"
    assert refused.returncode == 1
    assert refused.stderr.startswith(told)
    assert not (tmp_path / "state").exists()


def modules_of_extras(installed: Path) -> Iterator[str]:
    """Top-level modules of the distributions that only the extras bring."""
    [own] = metadata.distributions(name="agent-deploy", path=[str(installed)])
    required = [Requirement(text) for text in own.requires or ()]
    core = [requirement for requirement in required if "extra" not in str(requirement.marker)]
    extras = {canonicalize_name(requirement.name) for requirement in required} - brought_by(core)
    for module, distributions in metadata.packages_distributions().items():
        if set(map(canonicalize_name, distributions)) <= extras:
            yield module
