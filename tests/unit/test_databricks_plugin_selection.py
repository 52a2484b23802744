"""Which databricks plugin a run uses: the vendor's wherever the engine finds it, the stand-in else, or as forced."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from agent_deploy.rules.problems import InvalidInput
from agent_deploy.stand_in.launcher import EXECUTABLE, plugin_folder
from agent_deploy.stand_in.selection import VARIABLE, Plugin, select, select_plugin


def executable(folder: Path) -> Path:
    folder.mkdir(parents=True)
    path = folder / EXECUTABLE
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine with no plugin at all."""
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}


def test_nothing_installed_is_the_stand_in_and_says_why(environ: dict[str, str]) -> None:
    selection = select(environ)
    assert selection.plugin is Plugin.STAND_IN
    assert version("pulumi-databricks") in selection.why
    assert str(selection).startswith("stand-in (the vendor's pulumi-resource-databricks")


@pytest.mark.parametrize("home_variable", ["HOME", "PULUMI_HOME"])
def test_the_vendors_in_pulumis_folder(environ: dict[str, str], tmp_path: Path, home_variable: str) -> None:
    home = tmp_path / "elsewhere"
    environ[home_variable] = str(home)
    root = home / ".pulumi" if home_variable == "HOME" else home
    found = executable(root / "plugins" / f"resource-databricks-v{version('pulumi-databricks')}")
    assert select(environ).plugin is Plugin.VENDOR
    assert select(environ).folder == found.parent
    assert str(found) in select(environ).why


def test_another_version_of_the_vendors_is_not_what_the_engine_would_take(
    environ: dict[str, str], tmp_path: Path
) -> None:
    executable(tmp_path / "home" / ".pulumi" / "plugins" / "resource-databricks-v1.0.0")
    assert select(environ).plugin is Plugin.STAND_IN


def test_the_vendors_on_path_also_behind_the_stand_in(environ: dict[str, str], tmp_path: Path) -> None:
    ours = plugin_folder(tmp_path / "ours")
    environ["PATH"] = f"{ours}{os.pathsep}{environ['PATH']}"
    assert select(environ).plugin is Plugin.STAND_IN
    found = executable(tmp_path / "vendors")
    environ["PATH"] += f"{os.pathsep}{found.parent}"
    assert select(environ).plugin is Plugin.VENDOR
    assert str(found) in select(environ).why


@pytest.mark.parametrize("forced", list(Plugin))
def test_forced(environ: dict[str, str], forced: Plugin) -> None:
    assert select({**environ, VARIABLE: forced.value}).plugin is forced
    assert VARIABLE in select({**environ, VARIABLE: forced.value}).why


def test_the_stand_in_is_put_where_the_engine_looks_first(environ: dict[str, str], tmp_path: Path) -> None:
    selection = select_plugin(tmp_path / "private", environ)
    path = selection.environment(environ)["PATH"].split(os.pathsep)
    assert path == [str(tmp_path / "private"), environ["PATH"]]
    assert os.access(Path(path[0]) / EXECUTABLE, os.X_OK)


def test_the_vendors_is_left_where_the_engine_finds_it(environ: dict[str, str], tmp_path: Path) -> None:
    selection = select_plugin(tmp_path / "private", {**environ, VARIABLE: "vendor"})
    assert selection.environment(environ) == {}
    assert not (tmp_path / "private").exists()


def test_forced_to_something_else(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=f"{VARIABLE} 'both': expected vendor or stand-in"):
        select({**environ, VARIABLE: "both"})


def test_the_launcher_runs_the_plugin_of_this_interpreter(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "a folder with spaces")
    assert folder == plugin_folder(folder)
    assert [path.name for path in folder.iterdir()] == [EXECUTABLE]
    # A project's own modules must not come in place of those that the plugin imports.
    (tmp_path / "agent_deploy.py").write_text("raise SystemExit('the wrong one')")
    ran = subprocess.run([folder / EXECUTABLE], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert "databricks" in ran.stderr
    assert "`pulumi` starts by itself" in ran.stderr


def test_the_stand_in_is_no_console_script() -> None:
    from importlib.metadata import distribution

    names = {entry.name for entry in distribution("agent-deploy").entry_points if entry.group == "console_scripts"}
    assert "pulumi-resource-agent-deploy" in names
    assert EXECUTABLE not in names
