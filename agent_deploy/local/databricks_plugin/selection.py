"""Which databricks plugin a run uses, and why: the vendor's wherever the engine finds it, else the stand-in."""

from __future__ import annotations

import enum
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from agent_deploy.local.databricks_plugin.launcher import EXECUTABLE, MARK
from agent_deploy.rules.problems import InvalidInput, Problem

VARIABLE = "AGENT_DEPLOY_DATABRICKS_PLUGIN"


class Plugin(enum.Enum):
    """The two that there are; the values are what the environment variable takes."""

    VENDOR = "vendor"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class Selection:
    """Which plugin, and the reason; as text, the line that each run prints."""

    plugin: Plugin
    why: str

    def __str__(self) -> str:
        return f"databricks plugin: {self.plugin.value} ({self.why})"


def select(environ: Mapping[str, str] | None = None) -> Selection:
    """The plugin for a run with this environment; raises InvalidInput when the variable has another value."""
    environ = os.environ if environ is None else environ
    forced = environ.get(VARIABLE, "")
    if forced:
        try:
            return Selection(Plugin(forced), f"forced by {VARIABLE}")
        except ValueError:
            allowed = " or ".join(plugin.value for plugin in Plugin)
            raise InvalidInput([Problem(VARIABLE, forced, allowed, "Unset it to let the run choose")]) from None
    if (found := _vendors(environ)) is not None:
        return Selection(Plugin.VENDOR, f"found: {found}")
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
