"""The process that runs pipelines with Apache Spark: a job a line on standard input, an answer a line on its output.

Spark's start costs seconds, so one process may do several jobs. It is a process of its own because Spark Connect brings
gRPC status types that collide with Pulumi's, and because a JVM belongs to nobody's event loop.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CATALOG = "spark_catalog"
# The least and the greatest of long texts help no reader to skip a file, and cost the writer.
_PROPERTIES = "TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'timestamp')"
_LINES, _LINE = 12, 400  # of a message that is passed on


def main() -> None:
    """Starts Spark with the settings of the first line, then does a job a line until there are no more."""
    # Spark and its JVM print to standard output: they get standard error, and the answers a descriptor of their own.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session = None
    try:
        for line in sys.stdin:
            try:
                job = json.loads(line)
                if session is None:
                    session = _start(job["settings"])
                answer: dict[str, Any] = {"result": _refresh(session, job)}
            except Exception as error:  # noqa: BLE001 - every failure is told to who asked, and the next job is done
                answer = {"error": _told(error)}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()
    finally:
        answers.close()
        # Python's exit hooks would wait for threads of the session; the JVM ends when its standard input closes.
        os._exit(0)


def _start(settings: dict[str, str]) -> Any:
    """A Spark Connect session with a server of its own. `remote("local")` would listen on one port for all."""
    import uuid
    import warnings

    from pyspark import SparkConf, SparkContext
    from pyspark.sql.connect.session import SparkSession

    # Told of pandas, which nothing here uses.
    warnings.filterwarnings("ignore", category=FutureWarning)
    token = os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = str(uuid.uuid4())
    conf = SparkConf().setAll(list(settings.items())).set("spark.connect.grpc.binding.port", "0")
    context = SparkContext(conf=conf.set("spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin"))
    context.setLogLevel("ERROR")
    service = getattr(context._jvm, "org.apache.spark.sql.connect.service.SparkConnectService$")
    port = getattr(service, "MODULE$").localPort()
    # From here on, pyspark's functions and sessions are those of Spark Connect.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    return SparkSession.builder.remote(f"sc://localhost:{port}/;token={token}").create()


def _refresh(session: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Brings derived tables up to date. The folders tell what there is: Spark's catalog is in memory."""
    database = job["database"]
    session.sql(f"CREATE DATABASE IF NOT EXISTS {database}")
    for table in job["tables"]:
        # Created here and not by the pipeline: Spark's own catalog takes fewer names than Unity Catalog.
        name, columns = f"{database}.`{table['name']}`", table["columns"]
        new = columns and not Path(table["path"], "_delta_log").is_dir()
        session.sql(f"DROP TABLE IF EXISTS {name}")
        session.sql(
            f"CREATE TABLE {name} {f'({columns})' if new else ''} USING delta "
            f"{_quoted('COMMENT', table['comment']) if new else ''} {_quoted('LOCATION', table['path'])} "
            f"{_PROPERTIES if new else ''}"
        )
    for key, value in job["configuration"].items():
        session.conf.set(key, value)
    return {"events": _run(session, job)}


def _run(session: Any, job: dict[str, Any]) -> list[str]:
    """What `spark-pipelines run` does, on a session that is there already; returns when every flow has completed."""
    from pyspark.pipelines import cli
    from pyspark.pipelines.spark_connect_graph_element_registry import SparkConnectGraphElementRegistry
    from pyspark.pipelines.spark_connect_pipeline import create_dataflow_graph, start_run

    source = Path(job["source"])
    spec = cli.unpack_pipeline_spec(
        {
            "name": source.stem,
            "storage": f"file://{_plainly_named(Path(job['storage']))}",
            "libraries": [{"glob": {"include": source.name}}],
        }
    )
    graph = create_dataflow_graph(
        session, default_catalog=CATALOG, default_database=job["database"], sql_conf=job["configuration"]
    )
    registry = SparkConnectGraphElementRegistry(session, graph)
    cli.register_definitions(source.parent / "spark-pipeline.yml", registry, spec, session, graph)
    events: list[str] = []
    run = start_run(
        session, graph, full_refresh=[], full_refresh_all=False, refresh=[], dry=False, storage=spec.storage
    )
    try:
        for result in run:
            if "pipeline_event_result" in result:
                events.append(result["pipeline_event_result"].event.message)
            if _all_completed(events):
                # All is committed. The engine looks once a second whether it is, and once more: nobody waits for that.
                threading.Thread(target=_drain, args=(run,), daemon=True).start()
                break
    except Exception as error:
        # The engine's exception says that a flow failed; only the events say why.
        failed = [event for event in events if "FAILED" in event or "Failed" in event]
        raise RuntimeError("\n".join(_brief(text) for text in [*failed[-3:], str(error)])) from error
    return events


def _plainly_named(folder: Path) -> Path:
    """A link to the folder: of a name with a blank or a comma in it, Spark escapes some of its mentions only."""
    folder.mkdir(parents=True, exist_ok=True)
    link = Path(tempfile.mkdtemp(dir=Path.cwd()), "storage")
    link.symlink_to(folder)
    return link


def _all_completed(events: list[str]) -> bool:
    """Whether each flow has; all are queued before the first is started. The run's own event reads otherwise."""
    queued, completed = (
        sum(event.startswith("Flow ") and event.endswith(state) for event in events)
        for state in (" is QUEUED.", " has COMPLETED.")
    )
    return 0 < queued == completed


def _drain(run: Iterator[Any]) -> None:
    for _ in run:
        pass


def _brief(text: str) -> str:
    """Without the plans that Spark adds to its messages."""
    return "\n".join(line[:_LINE] for line in text.splitlines()[:_LINES])


def _quoted(keyword: str, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"{keyword} '{escaped}'"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {_brief(str(error))}"


if __name__ == "__main__":
    main()
