"""What no text of ours may show: credentials, in every form in which a library's message may quote them.

A library quotes what it was given: the header that it refuses, the URL, the line that it cannot parse. Whoever takes up
a credential tells it here, and whatever leaves us (errors, log lines) is masked here.
"""

from __future__ import annotations

import base64
import functools
import re
import threading
from collections.abc import Iterable, Iterator

MASK = "[secret]"
# Nothing shorter is a credential; blotting it out would only make messages unreadable.
LEAST_HIDDEN = 6
# A longer one, such as a file, is looked for as it is: as a pattern it would take seconds.
_LONGEST_PATTERN = 4096

_lock = threading.Lock()
_hidden: frozenset[str] = frozenset()


def hide(*values: str | None) -> None:
    """From now on these values are masked in all texts of this process: one connection may quote another's."""
    global _hidden
    with _lock:
        _hidden = _hidden.union(value for value in values if value)


def masked(text: str, more: Iterable[str] = ()) -> str:
    """The text without any credential that this process has taken up, nor any of ``more``."""
    # The longest first: a credential may be a part of another.
    for value in sorted(_hidden.union(more), key=len, reverse=True):
        text = without(value, text)
    return text


def cause(error: BaseException) -> str:
    """A library's exception for our own message: its class and its masked text."""
    return masked(f"{type(error).__name__}: {error}".rstrip(": "))


def without(value: str, text: str) -> str:
    """The text without one value, in whatever way it is quoted there."""
    if len(value.strip()) < LEAST_HIDDEN:
        return text
    if len(value) > _LONGEST_PATTERN:
        return text.replace(value, MASK).replace(repr(value)[1:-1], MASK)
    return _pattern(value.strip()).sub(MASK, text)


@functools.lru_cache(maxsize=256)
def _pattern(value: str) -> re.Pattern[str]:
    """As it is, escaped as by repr and JSON (more than once), as in URLs, or in base64, whatever it is a part of."""
    written = "".join(map(_written, value))
    encoded = map(re.escape, _in_base64(value.encode("utf-8", "surrogatepass")))
    return re.compile("|".join([written, *encoded]))


def _written(character: str) -> str:
    """A pattern of all the ways to write one character."""
    raw = character.encode("utf-8", "surrogatepass")
    ways = [
        f"{_BACKSLASH}*{re.escape(character)}",
        "".join(rf"%(?:25)*(?i:{byte:02x})" for byte in raw),
        "".join(rf"{_BACKSLASH}+x(?i:{byte:02x})" for byte in raw),
        "".join(rf"{_BACKSLASH}+u(?i:{unit})" for unit in _utf16(character)),
        rf"{_BACKSLASH}+U(?i:{ord(character):08x})",
    ]
    if ord(character) < 256:
        ways.append(rf"{_BACKSLASH}+x(?i:{ord(character):02x})")
    if character in _NAMED:
        ways.append(rf"{_BACKSLASH}+{_NAMED[character]}")
    if character == " ":
        ways.append(r"\+")
    return f"(?:{'|'.join(ways)})"


_BACKSLASH = r"\\"
_NAMED = {"\n": "n", "\r": "r", "\t": "t", "\f": "f", "\b": "b"}


def _utf16(character: str) -> Iterator[str]:
    raw = character.encode("utf-16-be", "surrogatepass")
    return (raw[at : at + 2].hex() for at in range(0, len(raw), 2))


def _in_base64(raw: bytes) -> Iterator[str]:
    """The part of its base64 that is the same whatever stands around it, for each of the three places to begin at."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + raw).decode()
        first = -(-before * 8 // 6)  # the first character that has no bit of what stands before
        after = (before + len(raw)) * 8 // 6  # the first that has a bit of what follows
        if after - first >= LEAST_HIDDEN:
            yield text[first:after]
            yield text[first:after].translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
