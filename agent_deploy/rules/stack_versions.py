"""Versions of a model where a stack file says them as numbers: the text of the file with another number, no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agent_deploy.rules.stack_configuration import spellings
from agent_deploy.rules.yaml_text import composed

if TYPE_CHECKING:
    import yaml

# Behind the project's name, or without it.
_AGENTS, _DEFAULTS = "agents", "defaults"


def with_version(
    text: str, model: str, before: str, after: str, label: str = "the stack's file"
) -> tuple[str, list[str]]:
    """The file's text with ``after`` in place of ``before``, and the agents whose version that is.

    Raises InvalidInput with ``label``, the file, where it is no YAML.
    Comments, quotes and order stay as they are. Versions that are aliases are left alone: they move by themselves.
    """
    document = composed(text, label)
    if document is None:
        return text, []
    places: list[tuple[str, Any]] = []
    config = _entry(document, "config")
    for key, agents in _entries(config):
        if key != _AGENTS and not key.endswith(f":{_AGENTS}"):
            continue
        default = _scalar(_entry(_defaults(config, key), "model_name"))
        for name, agent in _entries(agents):
            named = _scalar(_entry(agent, "model_name")) or default
            if named and named.lower() == model:
                places += [(name, node) for node in _versions(agent) if node.value == before]
    # From the end, so that the places before keep theirs.
    for _, node in sorted(places, key=lambda place: -place[1].start_mark.index):
        quote = node.style or ""
        text = text[: node.start_mark.index] + f"{quote}{after}{quote}" + text[node.end_mark.index :]
    return text, [name for name, _ in places]


def _defaults(config: Any, agents: str) -> Any:
    """Those that belong to a key of agents; beside one without a project, that of whatever project."""
    if agents == _AGENTS:
        named = [key for key, _ in _entries(config) if key == _DEFAULTS or key.endswith(f":{_DEFAULTS}")]
    else:
        project = agents.removesuffix(f":{_AGENTS}").removesuffix(":config")
        named = list(spellings(f"{project}:{_DEFAULTS}"))
    return next((found for key in named if (found := _entry(config, key)) is not None), None)


def _versions(agent: Any) -> Iterator[yaml.ScalarNode]:
    import yaml

    found = [_entry(agent, "model_version")]
    listed = _entry(agent, "versions")
    found += [_entry(each, "version") for each in (listed.value if isinstance(listed, yaml.SequenceNode) else ())]
    yield from (node for node in found if isinstance(node, yaml.ScalarNode))


def _entries(node: Any) -> list[tuple[str, Any]]:
    import yaml

    return [(str(key.value), value) for key, value in node.value] if isinstance(node, yaml.MappingNode) else []


def _entry(node: Any, name: str) -> Any:
    return next((value for key, value in _entries(node) if key == name), None)


def _scalar(node: Any) -> str:
    import yaml

    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""
