"""Of this machine: Python, Pulumi and its plugins, Java, the loopback address. Nothing of a workspace is asked."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from agent_deploy.doctor.line import ERROR, OK, WARNING, Line
from agent_deploy.engine.program import INSTALL, MISSING, pulumi

_WITH_PACKS: Final = (3, 256)  # starts a policy pack that is an executable
_SECONDS = 30.0
_PLUGIN: Final = "pulumi-resource-agent-deploy"
_VENDOR: Final = "pulumi-resource-databricks"


def lines() -> Iterator[Line]:
    """All of them, in the order in which a deployment needs them."""
    for look in (_python, _pulumi, _own_plugin, _vendors_plugin, _java, _loopback):
        yield look()


def _python() -> Line:
    own = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.prefix == sys.base_prefix:
        return Line("Python", WARNING, f"{own}, no virtual environment", "python -m venv .venv, and activate it")
    return Line("Python", OK, own)


def _pulumi() -> Line:
    program = pulumi()
    if program is None:
        return Line("Pulumi", ERROR, MISSING, f"Install it: {INSTALL}")
    told = _said(program, "version")
    if told is None or (match := re.match(r"v?(\d+)\.(\d+)", told)) is None:
        return Line("Pulumi", ERROR, f"{program} does not say its version", f"Install it anew: {INSTALL}")
    found = f"{told.strip()} at {program}"
    number = (int(match[1]), int(match[2]))
    if number < (oldest := _oldest()):
        return Line("Pulumi", ERROR, found, f"3.{oldest[1]} or newer is needed: {INSTALL}")
    if number < _WITH_PACKS:
        remedy = (
            f"From 3.{_WITH_PACKS[1]} on it takes --policy-pack agent-deploy-policies; agents:policies works anyhow"
        )
        return Line("Pulumi", WARNING, found, remedy)
    return Line("Pulumi", OK, found)


def _oldest() -> tuple[int, int]:
    """The engine that goes with the oldest SDK which this package takes."""
    [needed] = (each for each in requires("agent-deploy") or () if re.match(r"pulumi\b(?!-)", each))
    found = re.search(r">=(\d+)\.(\d+)", needed)
    assert found is not None
    return int(found[1]), int(found[2])


def _own_plugin() -> Line:
    found, own = shutil.which(_PLUGIN), Path(sys.executable).parent / _PLUGIN
    if found is None:
        remedy = f"Activate the environment that holds it ({own.parent}), or name that folder in Pulumi.yaml"
        return Line(_PLUGIN, ERROR, "not on PATH", f"{remedy}: plugins: providers: [{{name: agent-deploy, path: …}}]")
    if own.exists() and Path(found).resolve() != own.resolve():
        return Line(_PLUGIN, WARNING, f"{found}, of another environment than this command", f"Put {own.parent} first")
    return Line(_PLUGIN, OK, found)


def _vendors_plugin() -> Line:
    # Here, not at the top: it is looked for where the local workspace's own code looks for it.
    from agent_deploy.rules.problems import InvalidInput
    from agent_deploy.stand_in.selection import VARIABLE, Plugin, select

    try:
        selection = select(os.environ)
    except InvalidInput as error:
        return Line(_VENDOR, ERROR, str(error), f"Unset {VARIABLE}")
    on_path = shutil.which(_VENDOR)
    if selection.plugin is Plugin.VENDOR:
        return Line(_VENDOR, OK, f"the vendor's: {selection.why}")
    if on_path:
        return Line(_VENDOR, OK, f"the stand-in of agent-deploy: {on_path}")
    remedy = 'Pulumi downloads it in the first run; without a network: eval "$(agent-deploy local plugin)"'
    return Line(_VENDOR, WARNING, "not installed yet", remedy)


def _java() -> Line:
    from agent_deploy.tables.jars import INSTALL as INSTALL_SPARK
    from agent_deploy.tables.java import JavaMissing, find_java

    about = "Java (derives tables in a local workspace)"
    try:
        found = str(find_java())
        if find_spec("pyspark") is None:
            return Line(about, WARNING, f"{found}, but Apache Spark is not installed", INSTALL_SPARK)
        return Line(about, OK, found)
    except JavaMissing as error:
        return Line(about, WARNING, "none that Apache Spark runs on", str(error))


def _loopback() -> Line:
    about = "ports of 127.0.0.1"
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return Line(about, OK, f"can be listened on ({server.getsockname()[1]} was free)")
    except OSError as error:
        return Line(about, ERROR, f"cannot be listened on: {error.strerror}", "Plugins of Pulumi talk over them")


def _said(program: str, *arguments: str) -> str | None:
    quiet = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=_SECONDS, check=True, env=quiet
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
