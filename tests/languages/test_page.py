"""docs/languages.md taken literally: its program in each language, and how a project gets the SDK."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.engine.serving import Site
from tests.engine.support import BIN, Stack
from tests.languages.compiled import ROOT, Go, TypeScript
from tests.languages.example import write_project

PAGE = (ROOT / "docs" / "languages.md").read_text("utf-8")
CONSOLE, YAML, TYPESCRIPT, GO = (
    re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[0] for language in ("console", "yaml", "typescript", "go")
)


def test_typescript(typescript: TypeScript, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(typescript.folder / "node_modules")
    (tmp_path / "page.ts").write_text(TYPESCRIPT)
    done = TypeScript(tmp_path).compile()
    assert done.returncode == 0, done.stdout


def test_go(go_program: Go, tmp_path: Path) -> None:
    folder = shutil.copytree(go_program.folder, tmp_path / "module")
    (folder / "automation.go").unlink()
    (folder / "main.go").write_text(GO)
    done = Go(folder).build()
    assert done.returncode == 0, done.stdout


def test_yaml(site: Site, open_stack: Callable[[], Stack]) -> None:
    stack = open_stack()
    program = yaml.safe_load(YAML.replace('"3"', '"1"'))  # in the test's workspace there is no third
    write_project(stack, runtime="yaml", config={"searchKey": {"type": "string", "secret": True}}, **program)
    stack.set_secret("searchKey", "hush")
    assert "docs" in stack.preview().operations


def test_a_project_gets_the_sdk_from_the_plugins_executable(site: Site, open_stack: Callable[[], Stack]) -> None:
    assert 'pulumi package add "$(command -v pulumi-resource-agent-deploy)"' in CONSOLE
    stack = open_stack()
    write_project(stack, runtime="yaml")
    stack.run_apart("package", "add", str(BIN / "pulumi-resource-agent-deploy"))
    assert "agent-deploy" in yaml.safe_load((stack.folder / "Pulumi.yaml").read_text())["packages"]
