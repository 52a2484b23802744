"""Which databricks plugin a run uses, and why: the vendor's wherever the engine finds it, else the stand-in."""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.stand_in.launcher import EXECUTABLE, MARK, plugin_folder

VARIABLE = "AGENT_DEPLOY_DATABRICKS_PLUGIN"


class Plugin(enum.Enum):
    """The two that there are; the values are what the environment variable takes."""

    VENDOR = "vendor"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class Selection:
    """Which plugin, and the reason; as text, what each run prints.

    ``folder`` holds the executable, to be named in a project's ``plugins: providers:``; None when it is not there yet:
    the vendor's was forced and the engine fetches it, or the stand-in was not written.
    """

    plugin: Plugin
    why: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"{self.plugin.value} ({self.why})"

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables to set so that the engine finds the plugin: for the stand-in, its folder first on PATH."""
        if self.plugin is Plugin.VENDOR or self.folder is None:
            return {}
        return {"PATH": os.pathsep.join(part for part in (str(self.folder), environ.get("PATH", "")) if part)}


def select_plugin(folder: str | os.PathLike[str], environ: Mapping[str, str] | None = None) -> Selection:
    """As `select`; the stand-in, where it is that, is written into ``folder``."""
    selection = select(environ)
    if selection.plugin is Plugin.VENDOR:
        return selection
    return replace(selection, folder=plugin_folder(folder))


def select(environ: Mapping[str, str] | None = None) -> Selection:
    """The plugin for a run with this environment; raises InvalidInput when the variable has another value."""
    environ = os.environ if environ is None else environ
    forced = environ.get(VARIABLE, "")
    if forced and forced not in [plugin.value for plugin in Plugin]:
        allowed = " or ".join(plugin.value for plugin in Plugin)
        raise InvalidInput([Problem(VARIABLE, forced, allowed, "Unset it to let the run choose")])
    found = None if forced == Plugin.STAND_IN.value else _vendors(environ)
    if forced:
        return Selection(Plugin(forced), f"forced by {VARIABLE}", found and found.parent)
    if found is not None:
        return Selection(Plugin.VENDOR, f"found: {found}", found.parent)
    wanted = f"{EXECUTABLE} {_wanted_version() or ''}".strip()
    return Selection(Plugin.STAND_IN, f"the vendor's {wanted} is neither among Pulumi's plugins nor on PATH")


def _vendors(environ: Mapping[str, str]) -> Path | None:
    """The vendor's executable: on PATH, which the engine asks first, or installed in the SDK's version."""
    for folder in environ.get("PATH", "").split(os.pathsep):
        on_path = shutil.which(EXECUTABLE, path=folder) if folder else None
        if on_path is not None and not _is_stand_in(Path(on_path)):
            return Path(on_path)
    wanted = _wanted_version()
    home = Path(environ.get("PULUMI_HOME") or Path(environ.get("HOME") or Path.home()) / ".pulumi")
    installed = home / "plugins" / f"resource-databricks-v{wanted}" / EXECUTABLE
    return installed if wanted and os.access(installed, os.X_OK) else None


def _is_stand_in(executable: Path) -> bool:
    with executable.open("rb") as file:
        return MARK.encode() in file.read(1024)


def _wanted_version() -> str | None:
    try:
        return version("pulumi-databricks")
    except PackageNotFoundError:
        return None
