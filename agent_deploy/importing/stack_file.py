"""A stack's file with one agent more: the text as it was, comments and order included, and the entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.stack_configuration import configuration, of_stack, spelled
from agent_deploy.rules.yaml_text import composed, dumped, loaded

if TYPE_CHECKING:
    import yaml

_STEP = 2  # columns, where the file itself does not show how it is indented
_FILE = "the stack's file"
# Nothing yet, spelled out, behind an anchor or a tag.
_NOTHING = re.compile(r"(?:\{[ \t]*\}|~|null|Null|NULL)\Z")


def configured(text: str, key: str, label: str = _FILE) -> dict[str, Any]:
    """What the file says at a key of its configuration, such as agents:defaults; empty where it says nothing."""
    found = of_stack(text, key, label)
    return found if isinstance(found, dict) else {}


def with_agent(text: str, key: str, name: str, args: Mapping[str, Any], label: str = _FILE) -> str:
    """The text with ``args`` below ``key`` of the configuration, as it is where they stand there already.

    Raises InvalidInput where the name is taken, or the place is none that text can be put into. ``label`` is the file.
    """
    if (agents := configured(text, key, label)).get(name) == args:
        return text  # written by an earlier run
    if name in agents:
        raise InvalidInput([Problem("--name", name, f"a name that {key} does not have yet", "Choose another one")])
    path = ["config", spelled(configuration(text, label), key, label) or key]
    try:
        after = _inserted(text, path, {name: dict(args)}, label)
        as_wanted = _read(after, label) == _with(_tree(loaded(text, label)), [*path, name], _tree(dict(args)))
    except RecursionError:  # an alias below its own anchor
        as_wanted = False
    if not as_wanted:
        raise InvalidInput([Problem(label, None, f"{path[1]} as a block of lines", f"Put {name} there by hand")])
    return after


def _read(text: str, label: str) -> Any:
    """To be compared; None where it is no YAML any more."""
    try:
        return _tree(loaded(text, label))
    except InvalidInput:
        return None


def _inserted(text: str, path: list[str], entry: Mapping[str, Any], label: str) -> str:
    """The text with an entry at the end of the mapping at ``path``; whether it is read as that is to be seen."""
    missing, place = list(path), label
    node = composed(text, label)
    column, at = 0, len(text)
    break_ = "\r\n" if "\r\n" in text else "\n"
    before: yaml.Node | None = None  # the key
    while node is not None:
        if before is not None and node.start_mark.index < before.end_mark.index:
            raise InvalidInput(
                [Problem(_named(place, label), None, "a mapping of its own", "Write it out, for the alias")]
            )
        if not _is_mapping(node) or not node.value:
            if not _is_nothing(node):
                expected = "a mapping, with an entry for each name"
                raise InvalidInput([Problem(_named(place, label), None, expected, "Correct the file")])
            text, at = _emptied(text, node)
            break
        if node.flow_style:
            raise InvalidInput([Problem(_named(place, label), None, "one entry a line", "Write it without braces")])
        column = _column(text, node.value[0][0])
        last = _line_end(text, _end(node))
        # The file's own last comments stay in front of what is new, but for what ends a document.
        at = last if before is not None or re.search(r"^\.\.\.", text[last:], re.MULTILINE) else len(text)
        below = next((each for each in node.value if missing and each[0].value == missing[0]), None)
        if below is None:
            break
        place = missing.pop(0)
        before, node = below
        column = _column(text, before) + _STEP
    for key in reversed(missing):
        entry = {key: entry}
    lines = [f"{' ' * column}{line}" for line in dumped(entry).removesuffix("\n").split("\n")]
    start, rest = text[:at], text[at:]
    ended = "" if not start or start.endswith("\n") else break_
    return start + ended + break_.join(lines) + break_ + rest


def _is_mapping(node: yaml.Node) -> bool:
    return node.id == "mapping"


def _is_nothing(node: yaml.Node) -> bool:
    return node.tag == "tag:yaml.org,2002:null" or (_is_mapping(node) and not node.value)


def _named(place: str, label: str) -> str:
    return label if place == label else f"{place} in {label}"


def _emptied(text: str, node: yaml.Node) -> tuple[str, int]:
    """The text without a value that stands for nothing, and where the line behind it begins."""
    start, end = node.start_mark.index, node.end_mark.index
    if found := _NOTHING.search(text, start, end):
        kept = text[: found.start()].rstrip(" \t")
        rest = text[end:]
        line = kept.rpartition("\n")[2]
        if not line.strip() and not rest.partition("\n")[0].strip():
            # It had a line of its own.
            kept, rest = kept.removesuffix(line), rest.partition("\n")[2]
            return kept + rest, len(kept)
        text, end = kept + rest, len(kept)
    return text, _line_end(text, end)


def _column(text: str, key: yaml.Node) -> int:
    """Of the entry that a key opens, which may begin with a question mark."""
    index = key.start_mark.index
    line = text[text.rfind("\n", 0, index) + 1 : index].lstrip("\ufeff")
    return len(line) - len(line.lstrip(" "))


def _end(node: yaml.Node) -> int:
    """Where its own text ends: a block's mark is only behind the comments that follow it."""
    if node.id != "scalar" and node.value and not node.flow_style:
        inner = [each for pair in node.value for each in pair] if _is_mapping(node) else node.value
        return max(map(_end, inner))
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    """Behind the line break of the line that the index is in; a block scalar's mark is behind its break already."""
    if 0 < index <= len(text) and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _tree(value: Any) -> Any:
    """To be compared: 1 is neither 1.0 nor true, and what is no number equals itself."""
    if isinstance(value, dict):
        return {_tree(key): _tree(each) for key, each in value.items()}
    return [_tree(each) for each in value] if isinstance(value, list) else (type(value).__name__, repr(value))


def _with(tree: Any, path: list[str], entry: Any) -> Any:
    """With an entry at a path, of which there may be nothing yet."""
    if not path:
        return entry
    there = {} if tree in (None, _tree(None)) else tree
    key = _tree(path[0])
    return {**there, key: _with(there.get(key), path[1:], entry)}
