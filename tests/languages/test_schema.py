"""The engine on schema.json: its own check, and what it gets when it asks the plugin."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.engine.support import BIN, clean_environment, toolchain

SCHEMA = Path(__file__).parents[2] / "schema.json"


def pulumi(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    folder = toolchain()
    assert folder is not None
    return subprocess.run(
        [folder / "pulumi", *arguments],
        env={**clean_environment(), "PULUMI_HOME": str(home), "PULUMI_SKIP_UPDATE_CHECK": "true"},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_pulumi_finds_nothing_wrong_with_the_schema(tmp_path: Path) -> None:
    done = pulumi(tmp_path, "schema", "check", str(SCHEMA))
    assert (done.returncode, "warning" in done.stderr.lower()) == (0, False), done.stdout + done.stderr


def test_pulumi_finds_what_is_wrong_with_one(tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text())
    schema["types"].pop("agent-deploy:index:AgentAuth")
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(schema))
    assert pulumi(tmp_path, "schema", "check", str(broken)).returncode != 0


def test_the_engine_gets_the_same_from_the_plugin(tmp_path: Path) -> None:
    done = pulumi(tmp_path, "package", "get-schema", str(BIN / "pulumi-resource-agent-deploy"))
    assert done.returncode == 0, done.stderr
    got, written = json.loads(done.stdout), json.loads(SCHEMA.read_text())
    # The engine writes it anew, without what is empty.
    assert {key: each for key, each in written.items() if each} == got
