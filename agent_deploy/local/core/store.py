"""The workspace's state: JSON documents by kind and key in one SQLite file, which survives `kill -9`.

One process owns the file, so what it has read it keeps in memory until it writes that kind again.
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from agent_deploy.local.core.errors import invalid

_METADATA = sa.MetaData()
_DOCUMENTS = sa.Table(
    "documents",
    _METADATA,
    sa.Column("kind", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("parent", sa.String, nullable=False, index=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)
_COUNTERS = sa.Table(
    "counters", _METADATA, sa.Column("name", sa.String, primary_key=True), sa.Column("value", sa.Integer)
)

Document = dict[str, Any]
Documents = list[Document]
_Bodies = list[str]

# Entries kept in memory for each kind; beyond it reads go to the file.
_CACHED_PER_KIND = 20_000


class Store:
    """Reads and writes are thread-safe; each write is durable when the call returns."""

    def __init__(self, path: Path) -> None:
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"check_same_thread": False, "timeout": 30})
        sa.event.listen(self._engine, "connect", _configure)
        _METADATA.create_all(self._engine)
        self._lock = threading.Lock()
        self._read: dict[str, dict[tuple[str, str | None], Any]] = defaultdict(dict)
        self._generations: dict[str, int] = defaultdict(int)

    def get(self, kind: str, key: str) -> Document | None:
        """The document, or None."""
        body = self._cached(kind, "get", key)
        return json.loads(body[0]) if body else None

    def list(self, kind: str, parent: str | None = None) -> Documents:
        """Documents in the order of their creation; ``parent`` narrows to the children of one object."""
        return [json.loads(body) for body in self._cached(kind, "list", parent)]

    def put(self, kind: str, key: str, body: Document, parent: str = "") -> Document:
        """Create or replace a document (its place in the order stays); returns it."""
        with self.transaction() as transaction:
            transaction.put(kind, key, body, parent)
        return body

    def delete(self, kind: str, key: str) -> bool:
        """Whether there was such a document."""
        with self.transaction() as transaction:
            return transaction.delete(kind, key)

    def next_number(self, name: str, first: int = 1) -> int:
        """A number never given before under this name, restarts included."""
        with self.transaction() as transaction:
            return transaction.next_number(name, first)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Several writes that happen together or not at all; one writer at a time."""
        with self._engine.begin() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            transaction = Transaction(connection)
            yield transaction
        self._forget(transaction.written)

    def generation(self, *kinds: str) -> tuple[int, ...]:
        """Changes when a document of one of the kinds was written: what was derived from them is stale then."""
        return tuple(self._generations[kind] for kind in kinds)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _cached(self, kind: str, how: str, which: str | None) -> _Bodies:
        key = (how, which)
        found = self._read[kind].get(key)
        if found is None:
            generation = self._generations[kind]
            # Built only here: making a query costs more than answering from memory.
            query = sa.select(_DOCUMENTS.c.body).where(_DOCUMENTS.c.kind == kind).order_by(_DOCUMENTS.c.sequence)
            if which is not None:
                query = query.where((_DOCUMENTS.c.key if how == "get" else _DOCUMENTS.c.parent) == which)
            with self._engine.connect() as connection:
                found = list(connection.execute(query).scalars())
            with self._lock:
                # A write in between made it stale: the next reader asks again.
                if generation == self._generations[kind] and len(self._read[kind]) < _CACHED_PER_KIND:
                    self._read[kind][key] = found
        return found

    def _forget(self, kinds: set[str]) -> None:
        with self._lock:
            for kind in kinds:
                self._generations[kind] += 1
                self._read[kind] = {}


class Transaction:
    """The writes of one transaction, and reads that see them."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self.written: set[str] = set()

    def get(self, kind: str, key: str) -> Document | None:
        """The document, or None."""
        query = sa.select(_DOCUMENTS.c.body).where(_DOCUMENTS.c.kind == kind, _DOCUMENTS.c.key == key)
        body = self._connection.execute(query).scalar_one_or_none()
        return None if body is None else json.loads(body)

    def list(self, kind: str, parent: str | None = None) -> Documents:
        """Documents in the order of their creation."""
        query = sa.select(_DOCUMENTS.c.body).where(_DOCUMENTS.c.kind == kind).order_by(_DOCUMENTS.c.sequence)
        if parent is not None:
            query = query.where(_DOCUMENTS.c.parent == parent)
        return [json.loads(body) for body in self._connection.execute(query).scalars()]

    def put(self, kind: str, key: str, body: Document, parent: str = "") -> None:
        """Create or replace a document."""
        self.written.add(kind)
        same = (_DOCUMENTS.c.kind == kind) & (_DOCUMENTS.c.key == key)
        values = {"body": _written(body), "parent": parent}
        if not self._connection.execute(sa.update(_DOCUMENTS).where(same).values(**values)).rowcount:
            sequence = self.next_number("document")
            self._connection.execute(sa.insert(_DOCUMENTS).values(kind=kind, key=key, sequence=sequence, **values))

    def delete(self, kind: str, key: str) -> bool:
        """Whether there was such a document."""
        self.written.add(kind)
        same = (_DOCUMENTS.c.kind == kind) & (_DOCUMENTS.c.key == key)
        return bool(self._connection.execute(sa.delete(_DOCUMENTS).where(same)).rowcount)

    def revise(self, kind: str, change: Callable[[Document], Document]) -> None:
        """Replace each document of a kind by what ``change`` makes of it; what it leaves as it is, is not written."""
        query = sa.select(_DOCUMENTS.c.key, _DOCUMENTS.c.body).where(_DOCUMENTS.c.kind == kind)
        for key, body in self._connection.execute(query).all():
            document = json.loads(body)
            if (changed := change(document)) != document:
                self.written.add(kind)
                same = (_DOCUMENTS.c.kind == kind) & (_DOCUMENTS.c.key == key)
                self._connection.execute(sa.update(_DOCUMENTS).where(same).values(body=_written(changed)))

    def next_number(self, name: str, first: int = 1) -> int:
        """A number never given before under this name."""
        same = _COUNTERS.c.name == name
        value = self._connection.execute(sa.select(_COUNTERS.c.value).where(same)).scalar_one_or_none()
        following = first if value is None else value + 1
        statement = sa.insert(_COUNTERS).values(name=name, value=following)
        if value is not None:
            statement = sa.update(_COUNTERS).where(same).values(value=following)  # type: ignore[assignment]
        self._connection.execute(statement)
        return following


def _written(body: Document) -> str:
    """A document as text. Raises 400 for what no answer could show again: it must not get into any list."""
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise invalid(f"A value can be neither stored nor shown: {error}.") from error
    return text


def _configure(connection: Any, _record: object) -> None:
    # Autocommit mode of the driver, so that BEGIN IMMEDIATE is ours; WAL survives a killed process.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")
