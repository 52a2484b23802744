"""Full-text search over Markdown files: passages under their headings, in SQLite's FTS5 in memory."""

from __future__ import annotations

import math
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

_WORD = re.compile(r"[A-Za-z0-9]+")
# Words that say what kind of answer is wanted, not about what.
_STOPWORDS = frozenset(
    _WORD.findall(
        "a about after all am an and any are as at be been before but by can could did do does for from get give go "
        "has have how i if in into is it its let like make many may me mean means might more most much must my need no "
        "not of on once one only or other our out over please s shall should show so some such t take tell than that "
        "the their them then there these they this those to under up us use used using very want was we were what "
        "when where which while who why will with without would you your happen happens work works thing things "
        "between two three every each own"
    )
)
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
_RULE = re.compile(r"\s*\|?[\s:|-]+\|[\s:|-]*$")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`*\"(])")

_HOW_TO = re.compile(r"\s*(?:how (?:do|can|to|would|should)\b|.*\b(?:command|example|code)\b)", re.IGNORECASE)
_EMPHASIS = re.compile(r"\*\*(.+?)\*\*")

_HEADING_WEIGHT, _CODE_WEIGHT = 2.0, 0.5  # of a hit there, against one in the text
_PHRASE_WEIGHT = 0.6  # two words of the question side by side, as a share of what both are worth
_ALONE_WEIGHT = 0.5  # of a code block that no sentence introduces: it mentions much, and explains little
_COMMAND_WEIGHT = 1.5  # of a passage with the commands, when the question is how to do it
_DEFINITION_WEIGHT = 1.5  # of a passage that sets the very words of the question in bold
_CONTEXT_WEIGHT = 0.3  # what was said before counts, but less than the question


@dataclass(frozen=True)
class Passage:
    """A paragraph, list item or table row (``kind``: text, item, row) with the code block that it introduces.

    ``heading`` is the path of headings above it; ``coverage`` how much of what was asked about it mentions, 0 to 1.
    """

    file: str
    heading: str
    text: str
    code: str = ""
    kind: str = "text"
    score: float = 0.0
    coverage: float = 0.0

    @property
    def source(self) -> str:
        """``README.md › Test your own Pulumi program``."""
        return f"{self.file} › {self.heading}" if self.heading else self.file


class DocsIndex:
    """Thread-safe; built in a few milliseconds from the Markdown files below a folder."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages = list(passages)
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "CREATE VIRTUAL TABLE passages USING fts5(heading, text, code, tokenize='porter unicode61')"
        )
        rows = ((number, p.heading, p.text, p.code) for number, p in enumerate(self._passages))
        self._database.executemany("INSERT INTO passages(rowid, heading, text, code) VALUES (?, ?, ?, ?)", rows)

    @classmethod
    def of_folder(cls, folder: Path) -> DocsIndex:
        """The Markdown files below ``folder``; raises ValueError when there is none."""
        files = sorted(folder.rglob("*.md"))
        if not files:
            raise ValueError(f"{folder} has no Markdown file to answer from.")
        return cls(
            passage for file in files for passage in passages(str(file.relative_to(folder)), file.read_text("utf-8"))
        )

    def search(self, question: str, limit: int, context: str = "") -> list[Passage]:
        """The best passages first; words of ``context`` (what was said before) count for little."""
        weights = {term: _CONTEXT_WEIGHT * self._rarity(term) for term in _terms(context)}
        weights |= {term: self._rarity(term) for term in _terms(question)}
        asked, phrases = _terms(question), self._phrases(question, weights)
        total = sum(weights.values())
        found: dict[int, Passage] = {}
        for term, weight in (weights | phrases).items():
            for number, column_weight in self._hits(term).items():
                passage = found.get(number, self._passages[number])
                gain = weight * column_weight
                covered = 0.0 if term in phrases else weight / total
                found[number] = replace(passage, score=passage.score + gain, coverage=passage.coverage + covered)
        relevance = self._bm25(list(weights))

        def rank(number: int) -> tuple[float, int]:
            passage = found[number]
            worth = passage.score * (0.25 + passage.coverage**2) * (1 + relevance.get(number, 0.0) / 2)
            if not passage.text:
                worth *= _ALONE_WEIGHT
            if passage.code and _HOW_TO.match(question):
                worth *= _COMMAND_WEIGHT
            if any(_terms(bold) == asked for bold in _EMPHASIS.findall(passage.text)):
                worth *= _DEFINITION_WEIGHT
            return -worth, number

        return [found[number] for number in sorted(found, key=rank)[:limit]]

    def headings(self) -> list[str]:
        """All that can be asked about, in the order of the files."""
        return list(dict.fromkeys(passage.heading.split(" › ")[-1] for passage in self._passages if passage.heading))

    def weight(self, question: str, sentence: str) -> float:
        """How much of the question's rarer words a sentence has."""
        words = {word.lower() for word in _WORD.findall(sentence)}
        return sum(self._rarity(term) for term in _terms(question) if any(_same(term, word) for word in words))

    def _rarity(self, term: str) -> float:
        count = len(self._hits(term))
        # A word that the documentation does not have says less than a rare one that it has: it may be a synonym.
        return math.log(1 + len(self._passages) / count) if count else math.log(1 + len(self._passages)) / 2

    def _phrases(self, question: str, weights: dict[str, float]) -> dict[str, float]:
        words = [word.lower() for word in _WORD.findall(question)]
        pairs = [f"{a} {b}" for a, b in pairwise(words) if a in weights and b in weights]
        return {pair: _PHRASE_WEIGHT * sum(weights[word] for word in pair.split()) for pair in pairs}

    def _hits(self, term: str) -> dict[int, float]:
        """The passages that mention the term, and what the best place of it is worth."""
        found: dict[int, float] = {}
        # Best place last: it overrides.
        for column, weight in (("code", _CODE_WEIGHT), ("text", 1.0), ("heading", _HEADING_WEIGHT)):
            statement = "SELECT rowid FROM passages WHERE passages MATCH ?"
            with self._lock:
                rows = self._database.execute(statement, (f'{column}:"{term}"',)).fetchall()
            found |= {row[0]: weight for row in rows}
        return found

    def _bm25(self, terms: list[str]) -> dict[int, float]:
        """Relevance from 0 to 1: long passages mention more words, and are worth less for each."""
        if not terms:
            return {}
        query = " OR ".join(f'"{term}"' for term in terms)
        statement = (
            f"SELECT rowid, bm25(passages, {_HEADING_WEIGHT}, 1.0, {_CODE_WEIGHT}) FROM passages WHERE passages MATCH ?"
        )
        with self._lock:
            ranks = dict(self._database.execute(statement, (query,)))
        best = max((-rank for rank in ranks.values()), default=0.0)
        return {number: -rank / best for number, rank in ranks.items()} if best > 0 else {}


def passages(file: str, markdown: str) -> Iterator[Passage]:
    """The passages of one Markdown file, in its order; all that it says is in exactly one."""
    headings: list[str] = []
    waiting: Passage | None = None  # for the code block that may follow
    for block in _blocks(markdown):
        first = block[0]
        if _FENCE.match(first):
            code = "\n".join(line for line in block if not _FENCE.match(line))
            if waiting and waiting.text.endswith(":"):
                yield replace(waiting, code=code)
            else:
                yield from [waiting] if waiting else []
                yield Passage(file, _path(headings), "", code)
            waiting = None
            continue
        if waiting:
            yield waiting
            waiting = None
        if match := _HEADING.match(first):
            del headings[len(match[1]) - 1 :]
            headings += [""] * (len(match[1]) - 1 - len(headings)) + [plain(match[2])]
        elif _is_table(block):
            yield from (Passage(file, _path(headings), row, kind="row") for row in _rows(block))
        else:
            text = plain(" ".join(line.strip() for line in block))
            kind = "item" if _ITEM.match(first) else "text"
            waiting = Passage(file, _path(headings), _ITEM.sub("", text), kind=kind)
    if waiting:
        yield waiting


def _path(headings: list[str]) -> str:
    # The title of the file says nothing about a part of it.
    return " › ".join(heading for heading in headings[1:] if heading) or (headings[0] if headings else "")


def sentences(text: str) -> list[str]:
    """The sentences of a passage."""
    return [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]


def plain(text: str) -> str:
    """Without links' addresses and HTML comments; code and emphasis stay as they are."""
    return _LINK.sub(r"\1", re.sub(r"<!--.*?-->", "", text)).strip()


def _blocks(markdown: str) -> Iterator[list[str]]:
    block: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        fence = bool(_FENCE.match(line))
        starts = fence or _HEADING.match(line) or _ITEM.match(line) or (line.lstrip()[:1] == "|") != _is_table(block)
        if not fenced and block and (not line.strip() or starts or _HEADING.match(block[0])):
            yield block
            block = []
        if fence:
            fenced = not fenced
        if line.strip() or fenced:
            block.append(line)
        if fence and not fenced:
            yield block
            block = []
    if block:
        yield block


def _is_table(block: list[str]) -> bool:
    return bool(block) and block[0].lstrip()[:1] == "|"


def _rows(table: list[str]) -> Iterator[str]:
    cells = [
        [plain(cell.strip()).replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        for line in table
        if not _RULE.match(line)
    ]
    header, *rows = cells
    for row in rows or [header]:
        named = [f"{name}: {cell}" if name and rows else cell for name, cell in zip(header[1:], row[1:], strict=False)]
        yield " — ".join([row[0], "; ".join(part for part in named if not part.endswith(": "))]).rstrip(" —")


def _terms(text: str) -> list[str]:
    words = [word.lower() for word in _WORD.findall(text)]
    return list(dict.fromkeys(word for word in words if word not in _STOPWORDS and len(word) > 1))


def _same(term: str, word: str) -> bool:
    # What a stemmer would take for one: secret, secrets; deploy, deployed.
    short, long = sorted((term, word), key=len)
    return term == word or (long.startswith(short) and len(short) > 2 and len(long) - len(short) <= 3)
