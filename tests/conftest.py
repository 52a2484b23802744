"""What holds for the tests of every tier."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections import defaultdict

import pytest
from hypothesis import HealthCheck, settings

from agent_deploy.stand_in.selection import select

# How long an example takes says more of the machine than of the code: other work may run beside the tests.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure() -> None:
    """In the background of a script, Ctrl-C is ignored, and so it would be by what the tests start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """A program that a test saw refused leaves Outputs that nobody awaits; Python would tell of each when it ends."""
    logging.getLogger("asyncio").disabled = True


@pytest.fixture(autouse=True, scope="module")
def _no_experiment_of_other_tests() -> None:
    """MLflow keeps the experiment that was set last in the process and its environment; each file starts without."""
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    if (fluent := sys.modules.get("mlflow.tracking.fluent")) is not None:
        fluent._active_experiment_id = None  # type: ignore[attr-defined]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test leaves running in this thread would let others fail that come after it in the same process."""
    if "browser" not in item.path.parts and asyncio._get_running_loop() is not None:
        pytest.fail("an earlier test of this process has left its event loop running")
    try:
        asyncio.get_event_loop()
    except RuntimeError:  # asyncio.run of an earlier test took it away, and Pulumi's mocks want one
        asyncio.set_event_loop(asyncio.new_event_loop())


# Tier (folder below tests) → seconds of its tests, fixtures included.
_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Names a test that failed at once: a run that is cut off tells nothing at its end."""
    _seconds[report.nodeid.split("/")[1]] += report.duration
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        print(f"\nfailed in {report.when}: {report.nodeid} ({report.duration:.0f} s)", file=sys.__stderr__, flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says with which databricks plugin the run went, the vendor's or the stand-in, and where the time went."""
    terminalreporter.write_line(f"databricks plugin: {select()}")
    tiers = ", ".join(
        f"{tier} {seconds:.0f} s" for tier, seconds in sorted(_seconds.items(), key=lambda each: -each[1])
    )
    terminalreporter.write_line(f"time per tier, all workers together: {tiers}")
