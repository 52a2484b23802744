"""The rows of an index, ready to be searched: BM25 by SQLite's full-text search, similarity by exact distance."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

Ranked = list[tuple[int, float]]  # row number and score, best first

# Reciprocal rank fusion. Source: Cormack, Clarke, Büttcher 2009, by which hybrid search joins two rankings.
_FUSION = 60


class Searchable:
    """A snapshot of an index."""

    def __init__(self, rows: pa.Table, vector: str | None) -> None:
        self.rows: list[dict[str, Any]] = rows.to_pylist()
        self.schema = rows.schema
        self.texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
        self._vectors = _matrix(self.rows, vector)
        self._lock = threading.Lock()
        self._words = sqlite3.connect(":memory:", check_same_thread=False)
        self._index_words()

    def by_text(self, question: str, columns: Sequence[str] = ()) -> Ranked:
        """Rows in which a word of the question occurs; the best has the score 1."""
        words = re.findall(r"\w+", question)
        if not words or not self.texts:
            return []
        positions = [self.texts.index(name) for name in columns or self.texts]
        match = " OR ".join(f'"{word}"' for word in words)
        if columns:
            match = f"{{{' '.join(f'c{position}' for position in positions)}}} : ({match})"
        query = "SELECT rowid, -bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY score DESC, rowid"
        with self._lock:
            found = self._words.execute(query, (match,)).fetchall()
        top = max((score for _, score in found), default=0.0) or 1.0
        return [(number - 1, score / top) for number, score in found]

    def by_vector(self, wanted: Sequence[float]) -> Ranked:
        """All rows that have a vector; the score is 1 / (1 + squared distance)."""
        if self._vectors is None:
            return []
        numbers, matrix = self._vectors
        distances = ((matrix - np.asarray(wanted, dtype=np.float64)) ** 2).sum(axis=1)
        scores = 1.0 / (1.0 + distances)
        order = np.argsort(-scores, kind="stable")
        return [(int(numbers[position]), float(scores[position])) for position in order]

    def close(self) -> None:
        """Give back the memory of the full-text search."""
        self._words.close()

    def _index_words(self) -> None:
        if not self.texts:
            return
        columns = [f"c{position}" for position in range(len(self.texts))]
        self._words.execute(f"CREATE VIRTUAL TABLE words USING fts5({', '.join(columns)}, tokenize='porter unicode61')")
        markers = ", ".join("?" for _ in columns)
        self._words.executemany(
            f"INSERT INTO words (rowid, {', '.join(columns)}) VALUES (?, {markers})",
            ((number + 1, *(row[name] for name in self.texts)) for number, row in enumerate(self.rows)),
        )


def fused(first: Ranked, second: Ranked) -> Ranked:
    """Two rankings as one; the best possible score is 1."""
    scores: dict[int, float] = {}
    for ranking in (first, second):
        for rank, (number, _) in enumerate(ranking):
            scores[number] = scores.get(number, 0.0) + 1 / (_FUSION + rank + 1)
    best = 2 / (_FUSION + 1)
    return sorted(((number, score / best) for number, score in scores.items()), key=lambda found: (-found[1], found[0]))


def _matrix(rows: list[dict[str, Any]], vector: str | None) -> tuple[np.ndarray, np.ndarray] | None:
    if vector is None:
        return None
    numbers = [number for number, row in enumerate(rows) if row[vector] is not None]
    if not numbers:
        return None
    return np.array(numbers), np.array([rows[number][vector] for number in numbers], dtype=np.float64)
