"""The process that runs updates of one pipeline with Apache Spark: a line in, a line out; it ends with its server."""

from __future__ import annotations

import json
import os
import queue
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_deploy.local.core import privacy
from agent_deploy.local.core.supervision import Escaped, contained
from agent_deploy.local.pipelines import confined
from agent_deploy.tables.jars import JarsMissing
from agent_deploy.tables.java import JavaMissing
from agent_deploy.tables.refresh import RefreshFailed, refresh
from agent_deploy.tables.spark import COMMAND, SparkFailed, SparkProcess

CORES, MEMORY = "2", "1500m"


def main() -> None:
    """Answers ``{"added": {table: rows}}`` or ``{"failed": text}`` to each line, until there are no more."""
    privacy.close_to_others()
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    running: list[SparkProcess] = []
    threading.Thread(target=_listen, args=(jobs, running), daemon=True).start()
    while True:
        job = jobs.get()
        try:
            # Started once: a continuous pipeline does not pay for it with every batch.
            running[:] = running or [_started(job["isolation"])]
            added = contained(refresh)(
                Path(job["folder"]),
                job["payload"],
                job["endpoint"],
                job["served_entities"],
                spark=running[0],
                source=job["source"],
            )
            answer: dict[str, Any] = {"added": added}
        except (RefreshFailed, SparkFailed, JavaMissing, JarsMissing, Escaped) as error:
            answer = {"failed": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _started(wanted: Mapping[str, Any] | None) -> SparkProcess:
    """Its source is the pipeline's: it gets an environment of its own, and is shut off where that is wanted."""
    command = COMMAND if wanted is None else confined.command(wanted)
    environment = confined.environment(Path(tempfile.gettempdir()))
    return SparkProcess(cores=CORES, memory=MEMORY, command=command, environment=environment)


def _listen(jobs: queue.Queue[dict[str, Any]], running: list[SparkProcess]) -> None:
    """When the server closes our input, or is killed, nothing goes on: the next update mends what was half done."""
    for line in sys.stdin:
        jobs.put(json.loads(line))
    for spark in running:
        spark.kill()
    os._exit(0)


if __name__ == "__main__":
    main()
