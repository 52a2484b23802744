"""Takes values that nobody shall read out of texts, in whatever way their characters are written there.

A text is searched as it stands, and again with each way of writing characters undone (as URLs, forms, Python, JSON and
HTML have it), several deep; in each also for the value's base64 and hexadecimal digits. What is found is replaced where
it stands in the text itself. A help against mishaps, not a promise: whoever holds a value can write it in other ways.
"""

from __future__ import annotations

import base64
import functools
import html
import re
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

# Of a value's base64 and hexadecimal digits, so many must be its own: fewer are found in ordinary words.
_LEAST_ENCODED = 6
_DEPTH = 3  # a text in JSON in JSON in a URL
# Of a longer text only one way of writing is undone: each is a pass over all of it.
_LONG = 64 * 1024

Span = tuple[int, int]


def redacted(text: str, values: Iterable[str], mask: str) -> str:
    """The text with ``mask`` in place of each value; what overlaps is one."""
    return replaced(text, places(text, values), mask)


def places(text: str, values: Iterable[str]) -> list[Span]:
    """Where values stand in the text, in their order; what overlaps is one."""
    sought = {form for value in values for form in forms(value)}
    return list(_joined(_found(text, sought, 1 if len(text) > _LONG else _DEPTH))) if sought and text else []


def replaced(text: str, spans: Iterable[Span], mask: str) -> str:
    """The text with ``mask`` at these places."""
    shown, end = [], 0
    for start, stop in spans:
        shown += [text[end:start], mask]
        end = stop
    return "".join([*shown, text[end:]])


@functools.lru_cache(maxsize=1024)
def forms(value: str) -> tuple[str, ...]:
    """What is looked for: the value and its encodings as bytes, whatever stands around it."""
    raw = value.encode("utf-8", "surrogatepass")
    encoded = {text for text in _in_base64(raw) if len(text) >= _LEAST_ENCODED}
    if len(raw) * 2 >= _LEAST_ENCODED:
        encoded |= {raw.hex(), raw.hex().upper()}
    return tuple(form for form in (value, *sorted(encoded)) if form)


def longest(value: str) -> int:
    """Characters that a value takes at most in the usual ways of writing: a text's end may hold the start of one."""
    return len(value.encode("utf-8", "surrogatepass")) * len("\\U00000000")


def _found(text: str, sought: Collection[str], depth: int) -> Iterator[Span]:
    for form in sought:
        at = text.find(form)
        while at >= 0:
            yield at, at + len(form)
            at = text.find(form, at + len(form))
    if depth:
        seen = {text}
        for way in _WAYS:
            plain = _undone(text, way)
            if plain is not None and plain.text not in seen:
                seen.add(plain.text)
                yield from map(plain.original, _found(plain.text, sought, depth - 1))


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """In their order, those that overlap as one."""
    start = end = -1
    for first, last in sorted(spans):
        if first < end:
            end = max(end, last)
            continue
        if end >= 0:
            yield start, end
        start, end = first, last
    if end >= 0:
        yield start, end


# ---- ways of writing characters


@dataclass(frozen=True)
class _Way:
    """``pattern`` finds one written character, ``undo`` tells which; a text without ``sign`` has none."""

    sign: str
    pattern: re.Pattern[str]
    undo: Callable[[re.Match[str]], str]


def _bytes(prefix: str) -> str:
    """One character in UTF-8, or one byte that begins none; each byte in hexadecimal digits after the prefix."""
    more = f"{prefix}[89abAB][0-9a-fA-F]"
    leads = (f"{prefix}[c-dC-D][0-9a-fA-F]{more}", f"{prefix}[eE][0-9a-fA-F](?:{more}){{2}}")
    return "|".join([*leads, f"{prefix}[fF][0-7](?:{more}){{3}}", f"{prefix}[0-9a-fA-F]{{2}}"])


def _of_bytes(written: str) -> str:
    raw = bytes.fromhex(re.sub(r"%|\\x", "", written))
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _from_url(match: re.Match[str]) -> str:
    return " " if match[0] == "+" else _of_bytes(match[0])


_NAMED = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "b": "\b", "v": "\v", "a": "\a", "0": "\0"}


def _escaped(match: re.Match[str]) -> str:
    written = match[0]
    if written.startswith("\\x"):
        return _of_bytes(written)
    if written.startswith(("\\u", "\\U")) and len(written) > 2:
        units = written.replace("\\U", "\\u").split("\\u")[1:]
        if len(units) == 2:
            return bytes.fromhex("".join(units)).decode("utf-16-be", "surrogatepass")
        return chr(int(units[0], 16)) if int(units[0], 16) < 0x110000 else written
    return _NAMED.get(written[1], written[1])


_UNICODE = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\."
_WAYS = (
    _Way("%", re.compile(_bytes("%")), _from_url),
    _Way("+", re.compile(rf"\+|{_bytes('%')}"), _from_url),
    # A text's own escapes and those of bytes: the same two may be two characters or one.
    _Way("\\", re.compile(rf"\\x[0-9a-fA-F]{{2}}|{_UNICODE}"), _escaped),
    _Way("\\", re.compile(_bytes(r"\\x") + "|" + _UNICODE), _escaped),
    _Way("&", re.compile(r"&#?\w{1,32};"), lambda match: html.unescape(match[0])),
)


@dataclass(frozen=True)
class _Plain:
    """A text with one way of writing undone, and where each character that was written so is: here and in the text."""

    text: str
    starts: list[int]
    ends: list[int]
    written: list[Span]

    def original(self, span: Span) -> Span:
        """Where that is in the text as it was."""
        return self._character(span[0])[0], self._character(span[1] - 1)[1]

    def _character(self, place: int) -> Span:
        at = bisect_right(self.starts, place) - 1  # of the written ones, the last that is not behind it
        if at < 0:
            return place, place + 1
        if place < self.ends[at]:
            return self.written[at]
        place += self.written[at][1] - self.ends[at]
        return place, place + 1


def _undone(text: str, way: _Way) -> _Plain | None:
    """None when nothing is written in this way."""
    if way.sign not in text:
        return None
    pieces, starts, ends, written = [], [], [], []
    length = before = 0
    for match in way.pattern.finditer(text):
        between, character = text[before : match.start()], way.undo(match)
        pieces += [between, character]
        starts.append(length + len(between))
        ends.append(starts[-1] + len(character))
        written.append(match.span())
        length, before = ends[-1], match.end()
    return _Plain("".join([*pieces, text[before:]]), starts, ends, written) if pieces else None


# ---- encodings of bytes


def _in_base64(raw: bytes) -> Iterator[str]:
    """The part of its base64 that is the same whatever stands around it, for each of the three places to begin at."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        first = -(-before * 8 // 6)  # the first character that has no bit of what stands before
        after = (before + len(raw)) * 8 // 6  # the first that has a bit of what follows
        yield text[first:after]
        yield text[first:after].translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
