"""Which of a space's example questions is meant; there is no language model here, so words must agree."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from agent_deploy.local.core import json_text
from agent_deploy.local.core.errors import invalid

_LIKE_ENOUGH = 0.5  # share of words that two questions must have in common
# A line of a chat that a client sends as its question: `user: how many documents`.
_SAID = re.compile(r"\w+: *(.+)")
_FILLERS = frozenset(
    re.split(" ", "a an the of in on at to for by is are was were be do does did what which who how me us my")
)


@dataclass(frozen=True)
class Example:
    """A question that the space's maker answered with a query."""

    question: str
    sql: str


def parse(serialized_space: object) -> dict[str, Any]:
    """The space's content; raises 400 when it is not a JSON object in a string."""
    content = json_text.parse_field(str(serialized_space), "serialized_space")
    if not isinstance(content, dict):
        raise invalid("serialized_space: expected a JSON object in a string.")
    examples(content)
    return content


def examples(content: dict[str, Any]) -> list[Example]:
    """Its example queries; raises 400 for one without question or SQL."""
    found = []
    for entry in (content.get("instructions") or {}).get("example_question_sqls") or []:
        # Long texts come as a list of lines.
        question, sql = ("".join(entry.get(field) or "").strip() for field in ("question", "sql"))
        if not question or not sql:
            raise invalid("serialized_space: each of instructions.example_question_sqls needs question and sql.")
        found.append(Example(question, sql))
    return found


def best(question: str, known: list[Example]) -> Example | None:
    """The example that is most like the question, or a chat's latest line that is like one; None without any."""
    said = (match[1] for line in reversed(question.splitlines()) if (match := _SAID.fullmatch(line.strip())))
    return next((found for text in (question, *said) if (found := _best(text, known))), None)


def _best(question: str, known: list[Example]) -> Example | None:
    likeness = [(_likeness(question, example.question), -index) for index, example in enumerate(known)]
    top = max(likeness, default=(0.0, 0))
    return known[-top[1]] if top[0] >= _LIKE_ENOUGH else None


def _likeness(one: str, other: str) -> float:
    words, others = _words(one), _words(other)
    either = words | others
    return len(words & others) / len(either) if either else 0.0


def _words(text: str) -> frozenset[str]:
    # A plural is the same word.
    words = re.findall(r"\w+", text.lower())
    return frozenset(word.rstrip("s") or word for word in words if word not in _FILLERS)
