"""Writes logged requests to their tables, in batches from one thread, so that no request waits for a disk."""

from __future__ import annotations

import asyncio
import datetime
import logging
import tempfile
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_deploy.local.core.supervision import contained
from agent_deploy.local.serving.streams import whole_answer

if TYPE_CHECKING:
    import pyarrow as pa

    from agent_deploy.local.serving.payload_table import PayloadTable

MAX_BYTES = 1 << 20  # of a request, and of a response; source: Databricks, inference tables of agents
# Between a row's arrival and its commit. A commit takes the same however many rows it has, so the fewer the better; but
# `kill -9` is to lose less than the last second.
SECONDS = 0.8
_LEAST_SECONDS = 0.1  # between two commits, so that a table that refuses its rows slowly is not asked all the time
_MAX_KEPT = 10_000  # rows of a table that cannot be written
# How often that is tried when the workspace stops, and seconds between.
_LAST_TRIES, _BETWEEN_TRIES = 5, 0.2
_LOOK_SECONDS = 0.01
_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Exchange:
    """A request and its answer, raw: what costs time is done by the writer. ``events`` are those of a stream."""

    folder: Path
    request_id: str
    client_request_id: str | None
    time: float
    duration_ms: int
    status: int
    request: bytes
    response: bytes
    events: list[bytes] | None
    trace: bytes
    entity_id: str
    requester: str

    def row(self) -> dict[str, Any]:
        """As the table has it."""
        moment = datetime.datetime.fromtimestamp(self.time, datetime.timezone.utc)
        response = self.response if self.events is None else whole_answer(self.events, self.trace, self.request_id)
        request, too_long_request = _cut(self.request)
        answer, too_long_response = _cut(response)
        flags = (
            ("MAX_REQUEST_SIZE_EXCEEDED", too_long_request),
            ("MAX_RESPONSE_SIZE_EXCEEDED", too_long_response),
        )
        return {
            "databricks_request_id": self.request_id,
            "request_date": moment.date(),
            "client_request_id": self.client_request_id,
            "request_time": moment,
            "status_code": self.status,
            "sampling_fraction": 1.0,
            "execution_duration_ms": self.duration_ms,
            "request": request,
            "response": answer,
            "logging_error_codes": [code for code, happened in flags if happened],
            "served_entity_id": self.entity_id,
            "requester": self.requester,
        }


class Payloads:
    """`loaded` and `add` from the event loop; one thread does the rest."""

    def __init__(self) -> None:
        self._waiting: deque[Exchange] = deque()
        self._tables: dict[Path, PayloadTable] = {}
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._loaded = threading.Event()

    def start(self) -> None:
        """Load what writes, beside what else happens: it takes a second or more."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="payloads", daemon=True)
            self._thread.start()

    async def loaded(self) -> None:
        """Return when rows are written as they come: no request that is logged is answered before."""
        self.start()
        while not self._loaded.is_set():
            await asyncio.sleep(_LOOK_SECONDS)

    def add(self, exchange: Exchange) -> None:
        """To be written within a second, once it is `loaded`."""
        self.start()
        self._waiting.append(exchange)
        self._wake.set()

    def stop(self) -> None:
        """Return when all is written, or a table has refused its rows too often."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        for attempt in range(_LAST_TRIES):
            if attempt:
                time.sleep(_BETWEEN_TRIES)  # what else writes to the table is done in a moment
            self._write()
            if not self._waiting:
                return
        _logger.error("%d rows are lost", len(self._waiting))

    def _run(self) -> None:
        try:
            contained(_load)()
        except Exception:
            _logger.exception("What writes logged requests could not be loaded")
        self._loaded.set()
        waited = 0.0
        while not self._stopping.is_set():
            self._wake.wait()
            # What comes meanwhile goes into the same commit.
            self._stopping.wait(max(SECONDS - waited, _LEAST_SECONDS))
            self._wake.clear()
            began = time.monotonic()
            self._write()
            # A row that came during this commit has waited for it.
            waited = time.monotonic() - began if self._wake.is_set() else 0.0

    def _write(self) -> None:
        by_table: dict[Path, list[Exchange]] = defaultdict(list)
        while self._waiting:
            exchange = self._waiting.popleft()
            by_table[exchange.folder].append(exchange)
        for folder, exchanges in by_table.items():
            try:
                contained(self._append)(folder, exchanges)
            except Exception:
                # Whatever a table refuses must not end the thread: other tables are written by it, too.
                self._tables.pop(folder, None)
                _logger.exception("%d rows could not be written to %s", len(exchanges), folder)
                if folder.exists():
                    self._waiting.extendleft(reversed(exchanges[-_MAX_KEPT:]))
                    self._wake.set()

    def _append(self, folder: Path, exchanges: list[Exchange]) -> None:
        from agent_deploy.local.serving.payload_table import PayloadTable

        if not folder.exists():  # dropped meanwhile: an append would bring back half a table
            self._tables.pop(folder, None)
            return
        table = self._tables.get(folder)
        if table is None:
            table = self._tables[folder] = PayloadTable(folder)
        if (rows := rows_of(exchanges)).num_rows:
            table.append(rows)


def rows_of(exchanges: list[Exchange]) -> pa.Table:
    """Their rows; one that cannot be a row is told in the log, and keeps no other from the table."""
    import pyarrow as pa

    from agent_deploy.local.serving.payload_table import SCHEMA

    try:
        return contained(_table)(exchanges)
    except Exception as error:
        if len(exchanges) != 1:
            return pa.concat_tables([rows_of([exchange]) for exchange in exchanges])
        _logger.exception("Request %s cannot be logged: %s", exchanges[0].request_id, error)
        return SCHEMA.empty_table()


def _table(exchanges: list[Exchange]) -> pa.Table:
    import pyarrow as pa

    from agent_deploy.local.serving.payload_table import SCHEMA

    return pa.Table.from_pylist([exchange.row() for exchange in exchanges], schema=SCHEMA)


def _load() -> None:
    """Import Delta's library, and write a row to nowhere: the first one takes a second more than the others."""
    from agent_deploy.local.serving.payload_table import write_trial

    with tempfile.TemporaryDirectory(prefix="agent-deploy-") as folder:
        write_trial(Path(folder, "trial"))


def _cut(content: bytes) -> tuple[str, bool]:
    if len(content) <= MAX_BYTES:
        return content.decode("utf-8", "replace"), False
    return content[:MAX_BYTES].decode("utf-8", "ignore"), True
