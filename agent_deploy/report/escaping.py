"""Names and texts that others wrote, made harmless where the report quotes them."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 200  # characters of one quoted name or sentence
# What Markdown or HTML gives a meaning to. As a character reference none of it begins anything.
_SPECIAL = re.compile(r"[&<>`*_\[\]|\\~!#@$]|:(?=//)|(?<=www)\.", re.IGNORECASE)
# Behind these two a code forge looks for people and issues, after Markdown is done: a comment between stops it.
_CALLING = ("@", "#")


def one_line(text: str) -> str:
    """Without control characters and marks of writing direction, in one line, and not too long."""
    if not text.isprintable():
        text = "".join(" " if c.isspace() else "" if unicodedata.category(c)[0] == "C" else c for c in text)
    shown = " ".join(text.split())
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def prose(text: str) -> str:
    """For Markdown, in a sentence or a cell of a table."""
    return _SPECIAL.sub(lambda match: _reference(match[0], calling=True), one_line(text))


def code(text: str) -> str:
    """For Markdown, as a name: in code nobody is called by it."""
    return f"<code>{_SPECIAL.sub(lambda match: _reference(match[0], calling=False), one_line(text))}</code>"


def _reference(character: str, calling: bool) -> str:
    return f"&#{ord(character)};{'<!-- -->' if calling and character in _CALLING else ''}"
