"""`agent-deploy import` where nothing of a workspace has been asked yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.import_ import import_


@pytest.mark.parametrize("runtime", ["yaml", "{name: nodejs}", "{name: go, options: {}}"])
def test_a_program_that_reads_no_stack_file_is_told_to_have_it_printed(
    runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Pulumi.yaml").write_text(f"name: desk\nruntime: {runtime}\n")
    pulumi = tmp_path / "pulumi"
    pulumi.write_text("#!/bin/sh\nexit 1\n")
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DATABRICKS_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DATABRICKS_TOKEN", "t")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="--program yaml"):
        import_(stack="dev", endpoint="agents_x", bundle=None, target="", from_stack="", name="", program=None,
                every=False, file=Path("import.json"), plan=False, run=False, as_json=False)  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Pulumi.yaml", "pulumi"]
