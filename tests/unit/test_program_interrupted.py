"""A program whose engine ends tells what is to be told, and no traceback of its interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import asyncio, os, signal, sys
import pulumi
from agent_deploy.resources import functions

async def ends(*_):
    raise Exception("invoke failed: the client connection is closing")

pulumi.runtime.invoke_async = ends
sys.argv = ["/somewhere/__main__.py"]  # as Pulumi's script does
try:
    asyncio.run(functions._call("verifyDeployments", {}, pulumi.InvokeOptions()))
except pulumi.RunError as error:
    print(error, flush=True)
os.kill(os.getpid(), signal.SIGINT)
"""


@pytest.mark.parametrize(("script", "told"), [("pulumi-language-python-exec", False), ("python-of-somebody.py", True)])
def test_an_interruption_after_the_engine_ended_is_silent_in_its_own_programs(
    tmp_path: Path, script: str, told: bool
) -> None:
    (tmp_path / script).write_text(_PROGRAM)
    done = subprocess.run([sys.executable, tmp_path / script], capture_output=True, text=True, timeout=60, check=False)
    assert "Pulumi ended before verifyDeployments was answered" in done.stdout
    assert ("KeyboardInterrupt" in done.stderr) is told
    assert done.returncode == -signal.SIGINT
