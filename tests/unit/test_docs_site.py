"""The pages as a site: it builds, its reference is of what is there, and a link that leads nowhere is an error."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.version_info < (3, 11), reason="there is no Material for MkDocs for Python 3.10"),
]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What the site is made of."""
    for name in ("mkdocs.yml", "schema.json", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "docs_site.py", tmp_path / "tools")
    return tmp_path


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "mkdocs"), "build"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=180, check=False)


def test_it_builds_with_a_reference(copy: Path) -> None:
    done = build(copy)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in (copy / "site").glob("*.html")}
    assert pages >= {path.stem for path in (copy / "docs").glob("*.md")}
    components = (copy / "site" / "reference" / "components.html").read_text("utf-8")
    assert "Registered model in Unity Catalog: catalog.schema.model. Required." in components
    assert 'id="servingendpoint"' in (copy / "site" / "reference" / "resources.html").read_text("utf-8")
    assert "agent-deploy local start" in (copy / "site" / "reference" / "commands.html").read_text("utf-8")
    # Nothing is fetched from elsewhere by who reads it.
    loaded = re.compile(r"<(?:script|img|link (?=[^>]*(?:stylesheet|preload|icon)))[^>]*(?:src|href)=.?https?://")
    for page in (copy / "site").rglob("*.html"):
        assert loaded.findall(page.read_text("utf-8")) == [], page
    # What a component hands out, also where an argument has the same name.
    assert "endpointName" in components.partition('id="inferencetables"')[0].rpartition("Outputs")[2]


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[gone](policies.md#gone)", "#gone"),
        ("[gone](../README.md)", "README.md"),
        ("[gone](reference/components.md#gone)", "#gone"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error(copy: Path, link: str, told: str) -> None:
    with (copy / "docs" / "teardown.md").open("a") as page:
        page.write(f"\n{link}\n")
    done = build(copy)
    assert done.returncode != 0
    assert told in done.stderr


def test_a_page_that_no_menu_has_is_an_error(copy: Path) -> None:
    (copy / "docs" / "lost.md").write_text("# Lost\n")
    done = build(copy)
    assert done.returncode != 0
    assert "lost.md" in done.stderr
