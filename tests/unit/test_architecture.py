"""docs/architecture.md says which folder imports from which; the imports are as it says, and go downwards."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "agent_deploy"
_ROW = re.compile(r"^\| `([\w/]+)` \| [^|]+ \|([^|]*)\|$", re.MULTILINE)


def told() -> dict[str, set[str]]:
    """Folder → those that it may import from, as the page has it."""
    rows = _ROW.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    return {folder: set(re.findall(r"`([\w/]+)`", cell)) for folder, cell in rows}


IN_ROOMS = ("policies", "provider")  # folders whose own folders are rows


def folder_of(parts: tuple[str, ...]) -> str:
    """``provider/plugin`` for a module of that room; empty for the package's own files."""
    inner = parts[1:]
    if len(inner) > 1 and (PACKAGE / inner[0] / inner[1]).is_dir() and inner[0] in IN_ROOMS:
        return "/".join(inner[:2])
    return inner[0] if inner and (PACKAGE / inner[0]).is_dir() else ""


def imports() -> Iterator[tuple[str, str, str]]:
    """File, its folder, and another folder that it imports from, wherever in the file."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        own = folder_of(parts[:-1] if parts[-1] == "__init__" else parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "agent_deploy":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names if alias.name.split(".")[0] == "agent_deploy"]
            else:
                continue
            for name in names:
                if own and (other := folder_of(tuple(name.split(".")))) and other != own:
                    yield str(path.relative_to(ROOT)), own, other


def test_every_folder_is_on_the_page() -> None:
    there = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    rooms = {f"{of}/{path.parent.name}" for of in IN_ROOMS for path in PACKAGE.glob(f"{of}/*/__init__.py")}
    assert set(told()) == there | rooms


def test_nothing_is_imported_that_the_page_does_not_allow() -> None:
    allowed = told()
    wrong = [f"{file} imports from {other}" for file, own, other in imports() if other not in allowed[own]]
    assert wrong == []


def test_the_page_allows_nothing_that_nobody_imports() -> None:
    found = {(own, other) for _, own, other in imports()}
    assert [(own, other) for own, others in told().items() for other in others if (own, other) not in found] == []


def test_imports_go_downwards() -> None:
    order = list(told())
    upwards = [
        (own, other) for own, others in told().items() for other in others if order.index(other) < order.index(own)
    ]
    assert upwards == []
