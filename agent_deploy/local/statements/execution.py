"""Statements on their way: submitted, waited for, canceled; finished ones are kept, restarts included."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_deploy.local.catalog.metastore import DEFAULT_CATALOG, DEFAULT_SCHEMA
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, not_found
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.lazy import Lazy
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.supervision import Escaped, contained, explained
from agent_deploy.local.sql.warehouses import Warehouses
from agent_deploy.local.statements.limits import Limits

if TYPE_CHECKING:
    from agent_deploy.local.statements.engine import Engine
    from agent_deploy.local.statements.session import Session

PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED = "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELED"
WAREHOUSE = "sql/warehouses"
CAN_USE = "CAN_USE"
# How long a finished statement can be asked for. Source: the Statement Execution API's reference, getStatement.
_KEPT_SECONDS = 12 * 3600
_SWEEP_SECONDS = 60.0  # how often old ones are looked for
_INLINE_BYTES = 25 * 1024 * 1024  # source: the same, `disposition`
_AT_ONCE = 8  # statements that run at the same time
_log = logging.getLogger(__name__)


@dataclass
class Submission:
    """What a request asks for; ``parameters`` as in the API. ``reads_only`` when another than the caller wrote it."""

    statement: str
    warehouse_id: str
    catalog: str = ""
    schema: str = ""
    parameters: list[Document] = field(default_factory=list)
    row_limit: int | None = None
    byte_limit: int | None = None
    reads_only: bool = False


class _Running:
    """A statement that has not ended: whose it is, how to stop it, and the task that runs it."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.canceled = threading.Event()
        self.has_turn = False
        self.task: asyncio.Task[None] | None = None


class Statements:
    """Documents ``statement`` by id; rows in ``statements/<id>/<chunk>.json``."""

    def __init__(self, workspace: Workspace, warehouses: Warehouses, engine: Lazy[Engine]) -> None:
        self._warehouses = warehouses
        self._access = workspace.authorization
        self._engine = engine
        self._store = workspace.store
        self._folder = workspace.folder / "statements"
        self._running: dict[str, _Running] = {}
        self._limits = Limits.of(workspace.options)
        self._next_sweep = 0.0
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sql")

    @property
    def engine(self) -> Engine:
        """Made when it is first needed: its libraries take a second to load."""
        return self._engine()

    def recover(self) -> None:
        """After a restart: what ran then runs no more."""
        for document in self._store.list("statement"):
            if document["status"]["state"] in (PENDING, RUNNING):
                error = {"error_code": "ABORTED", "message": "The workspace stopped while the statement ran."}
                self._put({**document, "status": {"state": FAILED, "error": error}})
        self._forget_old()

    async def close(self) -> None:
        """Cancel what runs."""
        for running in list(self._running.values()):
            running.canceled.set()
        tasks = [running.task for running in self._running.values() if running.task]
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown()

    def submit(self, asked: Submission, caller: Principal) -> str:
        """Start it; returns its id. Raises 404 and 403 for the warehouse. To be called in the event loop."""
        warehouse = self._warehouse(asked.warehouse_id, caller)
        self._forget_old()
        self._require_room(caller)
        statement_id, running = str(uuid.uuid4()), _Running(caller.name)
        document = {"statement_id": statement_id, "owner": caller.name, "submitted": time.time()}
        self._put({**document, "warehouse_id": warehouse["id"], "status": {"state": PENDING}})
        self._running[statement_id] = running
        running.task = asyncio.get_running_loop().create_task(self._run(statement_id, asked, caller, running))
        return statement_id

    async def wait(self, statement_id: str, seconds: float) -> Document:
        """The statement when it has ended, or after so many seconds."""
        running = self._running.get(statement_id)
        if running is not None and running.task is not None and seconds > 0:
            await asyncio.wait({running.task}, timeout=seconds)
        return self._document(statement_id)

    async def cancel(self, statement_id: str) -> None:
        """Stop it; one that has ended stays as it is."""
        running = self._running.get(statement_id)
        if running is not None and running.task is not None:
            running.canceled.set()
            await asyncio.wait({running.task}, timeout=5)

    def require_cancel(self, statement_id: str, caller: Principal) -> None:
        """Pass for the statement's owner and for administrators; else raise 403, and 404 for an unknown one."""
        if not caller.is_admin:
            self.get(statement_id, caller)
        self._document(statement_id)

    def unfinished(self) -> list[Document]:
        """What runs or waits, oldest first: id, owner, seconds since it was submitted, state."""
        found = [self._store.get("statement", statement_id) for statement_id in list(self._running)]
        return [
            {"statement_id": document["statement_id"], "owner": document["owner"], "state": document["status"]["state"]}
            | {"seconds": round(time.time() - document["submitted"], 1)}
            for document in found
            if document is not None
        ]

    def get(self, statement_id: str, caller: Principal) -> Document:
        """The caller's own statement; raises 404, and 403 for somebody else's."""
        document = self._document(statement_id)
        if document["owner"] != caller.name:
            message = f"User {caller.name} did not submit statement {statement_id}, and may not see it."
            raise ApiError(403, "PERMISSION_DENIED", message)
        return document

    def response(self, statement_id: str, caller: Principal) -> Document:
        """The caller's own statement as the API shows it; raises 404 and 403."""
        return self.shown(self.get(statement_id, caller))

    def shown(self, document: Document) -> Document:
        """With its manifest and the first rows when it has succeeded."""
        answer: Document = {name: document[name] for name in ("statement_id", "status", "manifest") if name in document}
        if document["status"]["state"] == SUCCEEDED:
            empty: Document = {"chunk_index": 0, "row_offset": 0, "row_count": 0, "data_array": []}
            answer["result"] = self.chunk(document, 0) if document["manifest"]["chunks"] else empty
        return answer

    def chunk(self, document: Document, index: int) -> Document:
        """One chunk of the rows of a statement that succeeded; raises 404 for another."""
        statement_id = document["statement_id"]
        held = (document.get("manifest") or {}).get("chunks", [])
        if not 0 <= index < len(held):
            raise not_found(f"Statement {statement_id} has no chunk {index}; it has {len(held)}.")
        rows = json.loads(self._chunk_file(statement_id, index).read_text())
        result = {**held[index], "data_array": rows}
        if index + 1 < len(held):
            link = f"/api/2.0/sql/statements/{statement_id}/result/chunks/{index + 1}"
            result |= {"next_chunk_index": index + 1, "next_chunk_internal_link": link}
        return result

    async def _run(self, statement_id: str, asked: Submission, caller: Principal, running: _Running) -> None:
        document = self._document(statement_id)
        try:
            await self._turn(running)
            await self._started(asked.warehouse_id, running)
            self._put({**document, "status": {"state": RUNNING}})
            loop = asyncio.get_running_loop()
            outcome = await loop.run_in_executor(self._threads, self._execute, statement_id, asked, caller, running)
        except ApiError as error:  # its warehouse is gone
            outcome = _failed("BAD_REQUEST", error.message)
        except Exception as error:  # noqa: BLE001 - a statement that nobody ends would be waited for for ever
            outcome = _unexpected(statement_id, error)
        finally:
            self._running.pop(statement_id, None)
        self._put({**document, **outcome})

    def _require_room(self, caller: Principal) -> None:
        waiting = sum(running.owner == caller.name and not running.has_turn for running in self._running.values())
        if waiting >= self._limits.sql_waiting_per_user:
            message = f"{waiting} statements of {caller.name} wait for their turn. Try again when some have ended."
            raise ApiError(429, "REQUEST_LIMIT_EXCEEDED", message)

    async def _turn(self, running: _Running) -> None:
        """One user's statements leave room for the others'."""
        while not running.canceled.is_set():
            busy = sum(other.owner == running.owner and other.has_turn for other in self._running.values())
            if busy < self._limits.sql_per_user:
                break
            await asyncio.sleep(0.02)
        running.has_turn = True

    async def _started(self, warehouse_id: str, running: _Running) -> None:
        # A stopped warehouse starts when it is asked; the statement waits meanwhile.
        self._warehouses.move(warehouse_id, "STARTING", "RUNNING")
        while not running.canceled.is_set():
            if (self._store.get("warehouse", warehouse_id) or {}).get("state") in (None, "RUNNING"):
                return
            await asyncio.sleep(0.02)

    def _execute(self, statement_id: str, asked: Submission, caller: Principal, running: _Running) -> Document:
        """In a thread; returns what is to be added to the statement's document."""
        from agent_deploy.local.statements import parsing
        from agent_deploy.local.statements.errors import Canceled, SqlError

        try:
            session = self._session(asked, caller, running, parsing.parameters(asked.parameters))
            run, succeeded = contained(self.engine.run), contained(self._succeeded)
            rows = run(asked.statement, session, asked.row_limit)
            return succeeded(statement_id, asked, rows)
        except Canceled:
            return {"status": {"state": CANCELED}}
        except SqlError as error:
            return _failed("BAD_REQUEST", str(error), error.sql_state)
        except Exception as error:  # noqa: BLE001 - the caller is told, the log has the trace
            if isinstance(error, Escaped) and running.canceled.is_set():
                return {"status": {"state": CANCELED}}
            return _unexpected(statement_id, error)

    def _session(self, asked: Submission, caller: Principal, running: _Running, parameters: Any) -> Session:
        from agent_deploy.local.statements.session import Session

        catalog, schema = asked.catalog or DEFAULT_CATALOG, asked.schema or DEFAULT_SCHEMA
        return Session(caller, caller, catalog, schema, parameters, running.canceled, reads_only=asked.reads_only)

    def _succeeded(self, statement_id: str, asked: Submission, rows: Any) -> Document:
        from agent_deploy.local.statements import results

        rows, truncated = results.limited(rows, asked.row_limit, asked.byte_limit)
        if rows.nbytes > _INLINE_BYTES:
            message = f"The result is larger than the {_INLINE_BYTES} bytes of an inline result"
            return _failed("BAD_REQUEST", f"{message}: narrow the query, or set row_limit.")
        make(self._folder / statement_id)
        for index, chunk in enumerate(results.chunks(rows)):
            self._chunk_file(statement_id, index).write_text(json.dumps(chunk))
        return {"status": {"state": SUCCEEDED}, "manifest": results.manifest(rows, truncated)}

    def _warehouse(self, warehouse_id: str, caller: Principal) -> Document:
        self._access.require_object(caller, WAREHOUSE, warehouse_id, CAN_USE)
        return self._warehouses.get(warehouse_id)

    def _document(self, statement_id: str) -> Document:
        document = self._store.get("statement", statement_id)
        if document is None:
            raise not_found(f"The statement {statement_id} was not found.")
        return document

    def _put(self, document: Document) -> None:
        self._store.put("statement", document["statement_id"], document)

    def _chunk_file(self, statement_id: str, index: int) -> Path:
        return self._folder / statement_id / f"{index}.json"

    def _forget_old(self) -> None:
        if time.monotonic() < self._next_sweep:
            return
        self._next_sweep = time.monotonic() + _SWEEP_SECONDS
        oldest = time.time() - _KEPT_SECONDS
        for document in self._store.list("statement"):
            if document["submitted"] > oldest:
                return
            self._store.delete("statement", document["statement_id"])
            shutil.rmtree(self._folder / document["statement_id"], ignore_errors=True)


def _unexpected(statement_id: str, error: Exception) -> Document:
    _log.error("Statement %s", statement_id, exc_info=error)
    return _failed("INTERNAL_ERROR", explained(error))


def _failed(code: str, message: str, sql_state: str | None = None) -> Document:
    status: Document = {"state": FAILED, "error": {"error_code": code, "message": message}}
    return {"status": status | ({"sql_state": sql_state} if sql_state else {})}
