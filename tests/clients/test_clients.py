"""The vendor's clients as they are, at their newest version and at the oldest that we name: each program in scripts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from agent_deploy.local import LocalWorkspace
from tests.clients.environments import NAMES, python_of, variables_of
from tests.workspace.conftest import Caller

pytestmark = [pytest.mark.processes, pytest.mark.long]
SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.py"))
_SECONDS = 240


@pytest.mark.parametrize("environment", NAMES)
@pytest.mark.parametrize("script", SCRIPTS, ids=[script.stem for script in SCRIPTS])
def test_a_program_works_as_it_is(
    local_workspace: LocalWorkspace, admin: Caller, warehouse_id: str, tmp_path: Path, script: Path, environment: str
) -> None:
    done = subprocess.run(
        [python_of(environment), script],
        cwd=tmp_path,
        env=variables_of(local_workspace, tmp_path, warehouse_id),
        text=True,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.strip().splitlines()[-1]), done.stdout
