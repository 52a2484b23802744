"""Apache Spark on this machine: its settings, and the process that pipelines run in."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from agent_deploy.tables.jars import INSTALL, delta_jars
from agent_deploy.tables.java import find_java
from agent_deploy.tables.scratch import remove_scratch

DRIVER_MEMORY: Final = "2g"
MODULE: Final = "agent_deploy.tables.spark_process"
COMMAND: Final = (sys.executable, "-m", MODULE)
_LOG_TAIL_LINES = 15
# Spark compiles each plan to code: in the room that Java gives to it without the second compiler, it would be compiled
# again and again.
_JAVA_OPTIONS: Final = "-XX:+UseParallelGC -XX:-UsePerfData -XX:ReservedCodeCacheSize=256m"
# A run lives for seconds: the second compiler spends more than it saves, until there are this many rows.
_ONE_COMPILER: Final = "-XX:TieredStopAtLevel=1"
_MANY_ROWS: Final = 300_000
# Spark reckons with a cluster; a laptop's tables are small, and each partition costs a task and a file.
_SETTINGS: Final = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.sources.default": "delta",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "1",
    # Keeps what was seen on disk: a run's cost hardly grows with the rows before it. Without a log of changes, which
    # the next run would replay from its beginning: it is cut short by the minute, and a run does not last one.
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
    ),
    "spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled": "false",
    # Counting the keys would cost one more look-up for each.
    "spark.sql.streaming.stateStore.rocksdb.trackTotalNumberOfRows": "false",
    "spark.sql.streaming.metricsEnabled": "false",
    # Its owner's alone, as all of the workspace's state: Hadoop does not ask the process.
    "spark.hadoop.fs.permissions.umask-mode": "077",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.connect.serverStacktrace.enabled": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    # The working folder: as an absolute path, a folder with a comma in its name would be read as two.
    "spark.local.dir": ".",
}


class SparkFailed(Exception):
    """Spark is not installed, did not start, or a pipeline failed; the message has Spark's own words."""


def settings(
    jars: list[Path], scratch: Path, cores: str = "*", memory: str = DRIVER_MEMORY, rows: int = 0
) -> dict[str, str]:
    """Spark's configuration for pipelines on this machine; ``rows``: how many are to be read, if that is known.

    ``scratch`` must be the process's working folder: all that Spark and Java write on the way is left in it.
    """
    options = (_JAVA_OPTIONS,) if rows >= _MANY_ROWS else (_ONE_COMPILER, _JAVA_OPTIONS)
    temporary = shlex.quote(f"-Djava.io.tmpdir={scratch}")
    return {
        **_SETTINGS,
        "spark.master": f"local[{cores}]",
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.memory": memory,
        "spark.sql.warehouse.dir": str(scratch),
        "spark.driver.extraJavaOptions": " ".join((*options, temporary)),
    }


class SparkProcess:
    """``with SparkProcess() as spark:``; one after the other, `run` does jobs in it. Safe to kill at any time.

    ``command`` starts it, by default as it is; ``environment`` is what it has besides Spark's own variables.
    """

    def __init__(
        self,
        cores: str = "*",
        memory: str = DRIVER_MEMORY,
        rows: int = 0,
        command: Sequence[str] = COMMAND,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        try:
            version("pyspark")
        except PackageNotFoundError:
            raise SparkFailed(f"Apache Spark is not installed: {INSTALL}") from None
        java = find_java()
        jars = delta_jars(java)
        self._scratch = Path(tempfile.mkdtemp(prefix="agent-deploy-spark-"))
        self._log_path = self._scratch / "spark.log"
        self._settings = settings(jars, self._scratch, cores, memory, rows)
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=self._scratch,
                env=_environment(java, self._scratch, environment),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Leader of the process group that Python and the JVM are in."""
        return self._process.pid

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """One job's result; raises SparkFailed."""
        if self._process.stdin is None or self._process.stdout is None:
            raise SparkFailed("Spark's process was closed.")
        try:
            self._process.stdin.write(json.dumps({**job, "settings": self._settings}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            raise SparkFailed(f"Spark's process ended.\n{self._log_tail()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SparkFailed(str(answer["error"]))
        return dict(answer["result"])

    def close(self) -> None:
        """Ends the process and its JVM, and removes what they wrote outside of tables and checkpoints."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self.kill()

    def kill(self) -> None:
        """The end at once, while another thread may still wait in `run`."""
        # Python has ended or has not; its JVM may outlive it for seconds, and would write on.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        remove_scratch(self._scratch)

    def __enter__(self) -> SparkProcess:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _log_tail(self) -> str:
        lines = self._log_path.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_TAIL_LINES:])


def _environment(java: Path, scratch: Path, given: Mapping[str, str]) -> dict[str, str]:
    # Nothing of another Spark, and the package importable wherever it was started from.
    kept = {name: value for name, value in given.items() if not name.startswith(("SPARK_", "PYSPARK_"))}
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), given.get("PYTHONPATH"))))
    ours = {"JAVA_HOME": str(java), "PYTHONPATH": path, "SPARK_LOCAL_IP": "127.0.0.1", "TMPDIR": str(scratch)}
    return {**kept, **ours}
