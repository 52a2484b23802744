"""What a release is made of: built, tried in empty environments on two Pythons, with the oldest and the newest Pulumi
SDK, and refused where tag, version and changelog do not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import release  # noqa: E402

pytestmark = pytest.mark.processes


def other_python() -> str:
    """Another supported Python of this machine, the oldest that pyenv has; else this one."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    here = f"{sys.version_info.major}.{sys.version_info.minor}."
    for minor in range(10, 15):
        for folder in sorted(versions.glob(f"3.{minor}.*")):
            if not folder.name.startswith(here):
                return str(folder / "bin" / "python")
    return sys.executable


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools" / "release.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_it_is_built_and_tried_with_the_newest_pulumi(tmp_path: Path) -> None:
    done = run("--to", str(tmp_path / "dist"))
    assert done.returncode == 0, done.stderr
    version = release.version()
    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == [
        f"agent_deploy-{version}-py3-none-any.whl",
        f"agent_deploy-{version}.tar.gz",
        "notes.md",
        *sorted(f"pulumi-resource-agent-deploy-v{version}-{platform}.tar.gz" for platform in release.PLATFORMS),
        "sbom.cdx.json",
    ]
    listed = json.loads((tmp_path / "dist" / "sbom.cdx.json").read_text())["components"]
    names = {component["name"].replace("_", "-") for component in listed}
    assert {"agent-deploy", "pulumi", "pulumi-databricks", "databricks-sdk"} <= names
    assert not {"fastapi", "mlflow", "pytest"} & names


def test_another_python_runs_it_with_the_oldest_pulumi(tmp_path: Path) -> None:
    done = run("--to", str(tmp_path / "dist"), "--python", other_python(), "--pulumi", "oldest", "--without-workspace")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changelog", "tag", "told"),
    [
        ("## {version} (2026-12-01)\n\n- All.\n", "v9.9.9", "tag v9.9.9: expected v{version}"),
        ("## {version} (unreleased)\n\n- All.\n", "v{version}", "calls {version} unreleased"),
        ("## {version} (Unreleased)\n\n- All.\n", "v{version}", "calls {version} unreleased"),
        ("## 0.0.1\n\n- All.\n", "v{version}", "no section '## {version}'"),
        ("## {version}rc1\n\n- All.\n", "v{version}", "no section '## {version}'"),
        ("## {version}1\n\n- All.\n", "v{version}", "no section '## {version}'"),
        ("## {version} (2026-12-01)\n\n## 0.0.1\n", "v{version}", "no section '## {version}' with a text"),
    ],
)
def test_tag_version_and_changelog_fit_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changelog: str, tag: str, told: str
) -> None:
    version = release.version()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n" + changelog.format(version=version))
    monkeypatch.setattr(release, "ROOT", tmp_path)
    with pytest.raises(release.ReleaseError, match=told.format(version=version).replace("(", r"\(")):
        release.notes(tag.format(version=version))


def test_the_notes_are_the_versions_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = release.version()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## 99.0.0\n\n- Later.\n\n## {version} (2026-12-01)\n\n- This.\n\n## 0.0.1\n\n- Before.\n"
    )
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes(f"v{version}") == "- This.\n"


def test_the_last_line_of_the_notes_needs_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {release.version()} (2026-12-01)\n- This.\n- That.")
    monkeypatch.setattr(release, "ROOT", tmp_path)
    assert release.notes(None) == "- This.\n- That.\n"


def test_a_folder_with_something_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    done = run("--to", str(tmp_path))
    assert (done.returncode, "expected a folder that is not there yet" in done.stderr) == (1, True)
    assert (tmp_path / "thesis.txt").read_text() == "precious"
