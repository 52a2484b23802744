"""What a stack's configuration says at a key: in the stack's file, or else in Pulumi.yaml, as Pulumi joins them."""

from __future__ import annotations

from typing import Any

from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.yaml_text import loaded

# What makes a mapping below Pulumi.yaml's `config` a declaration, and no value.
_DECLARATION = frozenset({"type", "items", "description", "secret", "default", "value"})


def spellings(key: str) -> tuple[str, str, str]:
    """``agents:defaults`` as Pulumi takes it in the files of the project ``agents``: it may be left out there."""
    project, _, name = key.partition(":")
    return key, name, f"{project}:config:{name}"


def configuration(text: str, label: str) -> dict[str, Any]:
    """What stands below `config` in a file; empty where nothing does."""
    document = loaded(text, label)
    config = document.get("config") if isinstance(document, dict) else None
    return config if isinstance(config, dict) else {}


def spelled(config: dict[str, Any], key: str, label: str) -> str | None:
    """How ``config`` spells a key; None where it does not say it. Raises InvalidInput where it does so twice."""
    found = [each for each in spellings(key) if each in config]
    if len(found) > 1:
        both = " and ".join(found)
        raise InvalidInput([Problem(f"config in {label}", None, f"one of {both}, which are the same key to Pulumi")])
    return found[0] if found else None


def of_stack(text: str, key: str, label: str) -> Any:
    """What a stack's own file says; None where it says nothing."""
    config = configuration(text, label)
    there = spelled(config, key, label)
    return None if there is None else config[there]


def of_project(text: str, key: str, label: str = "Pulumi.yaml") -> Any:
    """What Pulumi.yaml says for every stack whose own file does not say otherwise: as a value, or a default."""
    config = configuration(text, label)
    there = spelled(config, key, label)
    found = None if there is None else config[there]
    if isinstance(found, dict) and found.keys() <= _DECLARATION:
        return found["value"] if found.get("value") is not None else found.get("default")
    return found


def of_both(stack: str, project: str, key: str, label: str) -> Any:
    """As a program reads it, of the texts of both files; ``label`` is the stack's file."""
    if spelled(configuration(stack, label), key, label) is None:
        return of_project(project, key)
    return of_stack(stack, key, label)
