"""Brings an endpoint's derived tables up to date with Apache Spark on this machine."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from agent_deploy.rules import tables
from agent_deploy.tables.folders import CHECKPOINTS, folder_name, is_full_name, joined_name, table_folder
from agent_deploy.tables.source import FILE_NAME, configuration, pipeline_source
from agent_deploy.tables.spark import SparkProcess

_CATALOG = "spark_catalog"
_ENTITIES_FILE = "served_entities.json"
_PAYLOAD_ID_FILE = "payload_id"  # Delta's id of the payload table that the checkpoints are about
_LONGEST_NAME = 200  # bytes; file systems take 255
_NO_IDENTIFIER = re.compile(r"\W")


class RefreshFailed(Exception):
    """The tables can't be brought up to date; the message has the way out."""


@dataclass(frozen=True)
class Target:
    """One payload table of a workspace's folder and what is derived from it."""

    folder: Path
    payload: str
    """Full name, ``catalog.schema.prefix_payload``."""

    @property
    def storage(self) -> Path:
        """Where the pipeline keeps its checkpoints."""
        return self.folder / CHECKPOINTS / joined_name(self.payload)

    def path(self, key: str = "payload") -> Path:
        """Folder of the payload table, or of the derived table ``key``."""
        name = self.payload if key == "payload" else tables.derived_tables(self.payload)[key]
        return table_folder(self.folder, name)


def refresh(
    folder: Path,
    payload: str,
    endpoint_name: str,
    served_entities: Mapping[str, Mapping[str, str]] | None = None,
    spark: SparkProcess | None = None,
    start_over: bool = False,
    source: str = "",
) -> dict[str, int]:
    """Derives what is new in table ``payload`` of the workspace in ``folder``; returns rows added, by table's key.

    ``served_entities`` maps a served entity's id to ``model_name`` and ``model_version``; what earlier runs were told
    is remembered. ``start_over`` drops what was derived first. ``source`` is the pipeline's text, by default this
    package's. May be killed at any time and run again. Raises RefreshFailed, SparkFailed, JavaMissing and JarsMissing.
    """
    target = Target(folder.absolute(), payload)
    if not is_full_name(payload) or not _is_delta(target.path()):
        raise RefreshFailed(
            f"There is no payload table {payload} in {folder}: does the endpoint have inference tables enabled?"
        )
    target.storage.mkdir(parents=True, exist_ok=True)
    with _alone(target.storage):
        if start_over:
            _drop(target)
        _mend(target)
        _same_payload(target, endpoint_name)
        before = counts(target)
        file = target.storage / FILE_NAME
        file.write_text(source or pipeline_source(), encoding="utf-8")
        database = _database(payload)
        known = _remember(target.storage / _ENTITIES_FILE, served_entities or {})
        job = {
            "tables": _spark_tables(target),
            "database": database,
            "source": str(file),
            "storage": str(target.storage / "storage"),
            "configuration": configuration(
                f"{_CATALOG}.{database}.{_spark_name(target)}", endpoint_name, known, cluster_by_date=False
            ),
        }
        with nullcontext(spark) if spark is not None else SparkProcess(rows=_new_rows(target, before)) as process:
            process.run(job)
        after = counts(target)
    return {key: after[key] - before[key] for key in after}


def counts(target: Target) -> dict[str, int]:
    """Rows of each derived table, by key; none of a table that is not there yet."""
    from deltalake import DeltaTable

    found = {}
    for table in tables.DERIVED:
        path = target.path(table.key)
        found[table.key] = DeltaTable(path).count() if _is_delta(path) else 0
    return found


def _new_rows(target: Target, before: Mapping[str, int]) -> int:
    """About how many rows are to be read: duplicates and what was deleted since are not told apart."""
    from deltalake import DeltaTable

    return int(DeltaTable(target.path()).count()) - before["requests"] - before["quarantine"]


def _database(payload: str) -> str:
    """Spark's name for catalog and schema. Checkpoints lie under it, so it's the same wherever the folder is."""
    return _identifier("__".join(payload.lower().split(".")[:2]))


def _spark_name(target: Target) -> str:
    """Spark's name for the payload table: its own catalog takes letters, digits and underscores only."""
    return _identifier(target.payload.lower().rpartition(".")[2])


def _identifier(name: str) -> str:
    """A folder is named after it, with a suffix: what is too long for one is its digest."""
    return _NO_IDENTIFIER.sub("_", name if len(name.encode()) <= _LONGEST_NAME else folder_name(name))


def _spark_tables(target: Target) -> list[dict[str, str]]:
    """Each table's name in Spark, its folder, and what it is created with; the payload table is there already."""
    name = _spark_name(target)
    made = [
        (name + table.suffix, target.path(table.key), tables.ddl(table.columns), table.comment)
        for table in tables.DERIVED
    ]
    listed = [(name, target.path(), "", ""), *made]
    return [{"name": n, "path": str(path), "columns": ddl, "comment": comment} for n, path, ddl, comment in listed]


def _remember(path: Path, served_entities: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """All served entities that were ever told: rows of a version that left may come late."""
    known: dict[str, Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known |= served_entities
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(known, indent=1), encoding="utf-8")
    partial.replace(path)
    return known


@contextmanager
def _alone(storage: Path) -> Iterator[None]:
    """Two runs on the same checkpoints would break them; the lock goes with its process."""
    with (storage / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RefreshFailed(f"Another refresh of {storage.name} is running: wait for it to end.") from None
        yield


def _mend(target: Target) -> None:
    """Brings tables and checkpoints to where a run can go on, whatever was killed or deleted before."""
    for table in tables.DERIVED:
        path, checkpoint = target.path(table.key), _checkpoint(target, table.key)
        if _is_delta(path) and any(checkpoint.glob("*/*/commits/[0-9]*")):
            continue
        if _is_delta(path) and not checkpoint.exists() and _has_rows(path):
            raise RefreshFailed(
                f"{path.name} has rows, but what was read for it is no longer known: {checkpoint} is gone. Start over "
                "with --start-over; rows that were deleted from the payload table since are lost."
            )
        # The table was deleted, or a run was killed in its first batch, whose state Spark refuses to go on with: what
        # that batch wrote goes, and comes again. The checkpoint goes last: without it the rows would be in the way.
        shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(checkpoint, ignore_errors=True)


def _same_payload(target: Target, endpoint_name: str) -> None:
    """Raises RefreshFailed when the payload table was dropped and made anew: Spark's stream cannot go on in another."""
    from deltalake import DeltaTable

    found, file = str(DeltaTable(target.path()).metadata().id), target.storage / _PAYLOAD_ID_FILE
    known = file.read_text(encoding="utf-8") if file.exists() else found
    if known != found and any(_is_delta(target.path(table.key)) for table in tables.DERIVED):
        raise RefreshFailed(
            f"{target.payload} was dropped and made anew since the last refresh; what was derived is of the old one. "
            f"To drop that and derive from the new one: agent-deploy tables refresh {endpoint_name} --start-over"
        )
    file.write_text(found, encoding="utf-8")


def _drop(target: Target) -> None:
    # Tables first: a table without its checkpoint would be refused, a checkpoint without its table begins anew.
    for table in tables.DERIVED:
        shutil.rmtree(target.path(table.key), ignore_errors=True)
    shutil.rmtree(target.storage / "storage", ignore_errors=True)


def _checkpoint(target: Target, key: str) -> Path:
    checkpoints = target.storage / "storage" / "_checkpoints" / _CATALOG / _database(target.payload)
    suffix = next(table.suffix for table in tables.DERIVED if table.key == key)
    return checkpoints / f"{_spark_name(target)}{suffix}"


def _is_delta(path: Path) -> bool:
    from deltalake import DeltaTable

    return path.is_dir() and DeltaTable.is_deltatable(str(path))


def _has_rows(path: Path) -> bool:
    from deltalake import DeltaTable

    return DeltaTable(path).count() > 0
