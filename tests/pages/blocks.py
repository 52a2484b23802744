"""The blocks of code in README.md and docs/, for the tests that run them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s# .*$", re.MULTILINE)
# What a reader is to run, or to write into a file; anything else shows what is answered.
RUN = ("console", "python", "yaml", "json", "typescript", "go")


class Block(NamedTuple):
    """One block: its page without `.md`, its language, its number among those of its language there, from 0."""

    page: str
    language: str
    number: int


def blocks() -> dict[Block, str]:
    """Every block that somebody is to run, with its text."""
    found: dict[Block, str] = {}
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        counted: dict[str, int] = {}
        for language, text in _BLOCK.findall(path.read_text("utf-8")):
            if language in RUN:
                number = counted[language] = counted.get(language, -1) + 1
                found[Block(path.stem, language, number)] = text
    return found


def commands(text: str) -> Iterator[str]:
    """The commands of a console block, whole, without what they answer."""
    command = ""
    for line in text.splitlines():
        if line.startswith("$ "):
            command = line[2:]
        elif command:
            command += "\n" + line
        if command and _is_whole(command):
            yield command
            command = ""


def _is_whole(command: str) -> bool:
    said = _COMMENT.sub("", command)
    return not said.endswith("\\") and said.count("'") % 2 == 0
