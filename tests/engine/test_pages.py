"""README.md and docs/ taken literally: their commands, in order, by the engine and against a local workspace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_deploy.local.core.process_tree import kill_process_tree
from tests.engine.support import BIN, ROOT, clean_environment, toolchain
from tests.pages.blocks import blocks
from tests.pages.story import script

SECONDS = 900.0  # two cores may be shared by several engines


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A copy of what a clone has and the pages name."""
    folder = tmp_path / "clone"
    for name in ("docs", "stacks", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "Pulumi.yaml", "README.md", "constraints.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder)  # with its age, by which `make setup` sees that all is installed
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "pinecone.txt").write_text("pc-1")
    yield folder
    subprocess.run([BIN / "agent-deploy", "local", "stop"], cwd=folder, env=clean_environment(), check=False)


def test_the_commands_of_the_pages_work_one_after_the_other(clone: Path, tmp_path: Path) -> None:
    environment = {
        **clean_environment(),
        "HOME": str(tmp_path / "home"),
        "PULUMI_HOME": str(tmp_path / "home" / ".pulumi"),
        "PATH": os.pathsep.join([str(toolchain()), os.environ.get("PATH", "")]),
        "DATABRICKS_CONFIG_FILE": str(tmp_path / "no-databrickscfg"),
        # There is no terminal on which to say yes.
        "PULUMI_SKIP_CONFIRMATIONS": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    (tmp_path / "home").mkdir()
    told = tmp_path / "told.txt"
    with told.open("w") as output, subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", "\n".join(script(blocks()))],
        cwd=clone, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            code = process.wait(SECONDS)
        finally:
            if process.poll() is None:
                kill_process_tree(process.pid)
    assert code == 0, told.read_text()[-8000:]
