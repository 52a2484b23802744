"""What `agent-deploy init` writes in TypeScript and Go compiles with the generated SDKs, as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from agent_deploy.projects.answers import Answers
from agent_deploy.projects.rendering import files
from tests.languages.compiled import Go, TypeScript


def written(language: str) -> dict[str, str]:
    return files(Answers("clerk", "main.default.clerk", language=language))


def test_tsc_takes_the_program(typescript: TypeScript, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(typescript.folder / "node_modules")
    (tmp_path / "index.ts").write_text(written("typescript")["index.ts"])
    done = TypeScript(tmp_path).compile()
    assert done.returncode == 0, done.stdout


def test_go_builds_the_program(go_program: Go, tmp_path: Path) -> None:
    folder = shutil.copytree(go_program.folder, tmp_path / "module")
    (folder / "automation.go").unlink()
    (folder / "main.go").write_text(written("go")["main.go"])
    done = Go(folder).build()
    assert done.returncode == 0, done.stdout
