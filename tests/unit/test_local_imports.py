"""The local workspace's modules import each other downwards only: nothing of it needs itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from agent_deploy import local

_FOLDER = Path(local.__file__).parent
# Kept below what they serve: an API is built from these, and they know none.
_FOUNDATION = ("agent_deploy.local.core.", "agent_deploy.local.private", "agent_deploy.local.running")
_ROOTS = ("agent_deploy.local.app", "agent_deploy.local.services")


def _modules() -> dict[str, Path]:
    found = {}
    for path in _FOLDER.rglob("*.py"):
        parts = path.relative_to(_FOLDER).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join((local.__name__, *parts))] = path
    return found


def _imported(path: Path) -> Iterator[str]:
    """Wherever in the file an import stands: in a function, or for the type checker alone, it is a need as well."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports() -> dict[str, set[str]]:
    """Module → those of the local workspace that it imports; a package's own file is not what a module of it needs."""
    modules = _modules()
    return {
        name: {other for other in _imported(path) if other in modules and not name.startswith(f"{other}.")} - {name}
        for name, path in modules.items()
    }


def test_no_module_needs_itself() -> None:
    imports = _imports()
    assert len(imports) > 150
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        raise AssertionError(" imports ".join(reversed(error.args[1]))) from error


def test_the_foundation_knows_no_api() -> None:
    for name, needed in _imports().items():
        if name.startswith(_FOUNDATION):
            assert {
                other for other in needed if not other.startswith((*_FOUNDATION, "agent_deploy.local.core"))
            } == set()


def test_only_the_application_and_the_server_know_all_services() -> None:
    users = {name for name, needed in _imports().items() if needed & set(_ROOTS)}
    assert users == {"agent_deploy.local.app", "agent_deploy.local.server"}


def test_nothing_is_imported_by_a_name_that_is_put_together() -> None:
    for name, path in _modules().items():
        assert {"import_module", "__import__"}.isdisjoint(path.read_text().replace("(", " ").split()), name


def test_a_route_is_found_by_its_files_name() -> None:
    apis = {path.parent for path in _modules().values() if path.name.endswith("routes.py")}
    assert len(apis) > 20
    for path in _modules().values():
        if "APIRouter(" in path.read_text():
            assert path.name == "routes.py" or path.name.endswith("_routes.py"), path
    assert [folder for folder in apis if "def install(" not in (folder / "routes.py").read_text()] == []
