"""A stack's file with one agent more: the text as it was, comments and order included, and the entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.yaml_text import dumped

if TYPE_CHECKING:
    import yaml

_STEP = 2  # columns, where the file itself does not show how it is indented


def configured(text: str, key: str) -> dict[str, Any]:
    """What the file says at a key of its configuration, such as agents:defaults; empty where it says nothing."""
    import yaml

    document = yaml.safe_load(text)
    config = document.get("config") if isinstance(document, dict) else None
    found = config.get(key) if isinstance(config, dict) else None
    return found if isinstance(found, dict) else {}


def with_agent(text: str, key: str, name: str, args: Mapping[str, Any]) -> str:
    """The text with ``args`` below ``key`` of the configuration, as it is where they stand there already.

    Raises InvalidInput where the name is taken, or the place is none that text can be put into.
    """
    import yaml

    if (agents := configured(text, key)).get(name) == args:
        return text  # written by an earlier run
    if name in agents:
        raise InvalidInput([Problem("--name", name, f"a name that {key} does not have yet", "Choose another one")])
    node, column, missing = yaml.compose(text), 0, ["config", key]
    at = len(text)
    while missing and isinstance(node, yaml.MappingNode):
        below = next((each for each in node.value if each[0].value == missing[0]), None)
        if below is None:
            break
        place = f"{missing.pop(0)} in the stack's file"
        first, inner = below
        column, at, node = first.start_mark.column + _STEP, _line_end(text, _end(inner)), inner
        if isinstance(inner, yaml.MappingNode) and inner.value:
            if inner.flow_style:
                raise InvalidInput([Problem(place, None, "one entry a line", "Write it without braces")])
            column = inner.value[0][0].start_mark.column
        elif _is_empty(inner):
            # Such as {} or null.
            text, at = text[: inner.start_mark.index].rstrip(" ") + text[inner.end_mark.index :], inner.start_mark.index
            at = _line_end(text, min(at, len(text)) - 1)
        else:
            raise InvalidInput([Problem(place, None, "a mapping, with an entry for each name", "Correct the file")])
    lines = [f"{' ' * (column + _STEP * depth)}{each}:" for depth, each in enumerate(missing)]
    column += _STEP * len(missing)
    lines += [f"{' ' * column}{line}" for line in dumped({name: dict(args)}).removesuffix("\n").split("\n")]
    before = text[:at]
    break_ = "" if not before or before.endswith("\n") else "\n"
    return f"{before}{break_}" + "\n".join(lines) + "\n" + text[at:].removeprefix("\n")


def _is_empty(node: yaml.Node) -> bool:
    return node.value in ([], "", "~", "null")


def _end(node: yaml.Node) -> int:
    """Where its own text ends: a block's mark is only behind the comments that follow it."""
    import yaml

    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        return max(_end(inner) for pair in node.value for inner in pair)
    if isinstance(node, yaml.SequenceNode) and node.value and not node.flow_style:
        return max(map(_end, node.value))
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    """Behind the line break of the line that the index is in; a block scalar's mark is behind its break already."""
    if 0 < index <= len(text) and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1
