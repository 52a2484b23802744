"""`make bench`: runs the benchmarks, all or those named in BENCH_ARGS, and prints their tables."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from importlib import import_module

from rich.console import Console

from bench.report import show

# Module of this folder → what it measures. Each has `run(progress) -> list[Row]`.
BENCHMARKS = {
    "preview": "Preview of N agents: ours against hand-written pulumi_databricks, on the same plugin and workspace",
    "serving": "A request through the local workspace, logging on, against MLflow's own scoring server",
    "payload_rows": "Payload rows: processor time for handing over and writing one, of a request's whole time",
    "local_start": "agent-deploy local start in a new folder, until the first call is answered",
    "cold_start": "First answer from zero against a bare load of the same model",
    "version_change": "A version change: seconds added to the workspace's own time, calls against the vendor's",
    "tables": "Derived tables against a plain copy by Spark; a run on 1,000 new rows",
    "reporting": "agent-deploy report on a recorded preview, against reading its JSON alone",
    "verification": "Permissions of N resources: ours against a script that asks by the databricks SDK, one by one",
}


def main() -> int:
    """Prints a table for each benchmark."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="one of " + ", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {', '.join(unknown)}: expected {', '.join(BENCHMARKS)}")
    console = Console(highlight=False)
    console.print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name in names:
        started = time.monotonic()
        with console.status(name) as status:
            rows = import_module(f"bench.{name}").run(lambda text, name=name: status.update(f"{name}: {text}"))
        show(f"{BENCHMARKS[name]} ({time.monotonic() - started:.0f} s)", rows, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
