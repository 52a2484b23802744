"""Serving endpoints as an Asset Bundle declares them: read from its files, as the API would show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_deploy.importing.existing import Existing
from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.review import PRINCIPAL_FIELDS

_REFERENCE = re.compile(r"\$\{([\w.-]+)\}")
_KIND = "model_serving_endpoints"
# What a permission on all of a bundle is on a serving endpoint. Source: Databricks, "permissions" of a bundle.
_OF_ALL = {"CAN_VIEW": "CAN_VIEW", "CAN_RUN": "CAN_QUERY", "CAN_MANAGE": "CAN_MANAGE"}
# How deep variables may refer to variables; a circle is not followed further.
_DEPTH = 10


@dataclass(frozen=True)
class Declared:
    """One endpoint of a bundle: its ``key`` there, the endpoint, and what of it is not understood."""

    key: str
    endpoint: Existing
    notes: Sequence[tuple[str, str]] = field(default_factory=list)


def declared_endpoints(file: Path, target: str = "") -> list[Declared]:
    """Those of the bundle, in a target; without one, in the one that is the default. Raises InvalidInput."""
    bundle = _with_includes(file)
    targets = bundle.get("targets") or {}
    target = target or next((name for name, each in targets.items() if (each or {}).get("default")), "")
    if target and target not in targets:
        expected = f"a target of the bundle: {', '.join(targets) or 'it has none'}"
        raise InvalidInput([Problem("--target", target, expected)])
    chosen = targets.get(target) or {}
    merged = _merged({key: value for key, value in bundle.items() if key != "targets"}, chosen)
    variables = {name: _value(each) for name, each in (bundle.get("variables") or {}).items()}
    variables |= {name: _value(each) for name, each in (chosen.get("variables") or {}).items()}
    known = {f"var.{name}": value for name, value in variables.items() if value is not None}
    name = (merged.get("bundle") or {}).get("name")
    known |= {key: value for key, value in (("bundle.target", target), ("bundle.name", name)) if value}
    found = (merged.get("resources") or {}).get(_KIND) or {}
    if not found:
        raise InvalidInput([Problem("--bundle", str(file), f"a bundle with resources.{_KIND}")])
    of_all = [{**each, "level": _OF_ALL.get(each.get("level"), "")} for each in merged.get("permissions") or []]
    with_all = {key: _merged(each or {}, {"permissions": of_all}) for key, each in found.items()}
    return [_declared(key, each, known, chosen) for key, each in with_all.items()]


def _declared(key: str, given: Mapping[str, Any], known: Mapping[str, Any], target: Mapping[str, Any]) -> Declared:
    unresolved: dict[str, None] = {}
    resolved = _resolved(given, known, unresolved)
    where = f"resources.{_KIND}.{key}"
    notes = [(where, f"${{{each}}} stands in no file: give its value in the entry") for each in unresolved]
    if target.get("mode") == "development" or (target.get("presets") or {}).get("name_prefix"):
        notes.append((f"{where}.name", "the target puts a prefix before it, which is not read here: correct the name"))
    access = []
    for index, each in enumerate(resolved.pop("permissions", None) or []):
        principal = next((name for name in PRINCIPAL_FIELDS if each.get(name)), "")
        if principal:
            access.append({principal: str(each[principal]), "level": str(each.get("level"))})
        else:
            notes.append((f"{where}.permissions[{index}]", "names no principal that is known here"))
    if "lifecycle" in resolved:
        notes.append((f"{where}.lifecycle", f"{resolved.pop('lifecycle')}: Pulumi's option `protect` does as much"))
    config = dict(resolved.get("config") or {})
    config["served_entities"] = [_named(each) for each in config.get("served_entities") or []]
    remote = {"id": "", "name": key, **resolved, "config": _with_route(config)}
    return Declared(key, Existing(remote, access), notes)


def _named(entity: Mapping[str, Any]) -> dict[str, Any]:
    """With the name that the platform gives one without."""
    model = str(entity.get("entity_name") or "").rpartition(".")[2]
    version = str(entity.get("entity_version") or "")
    return {"name": f"{model}-{version}", **entity, "entity_version": version}


def _with_route(config: Mapping[str, Any]) -> dict[str, Any]:
    """With the route that the platform makes for a single entity."""
    entities = config["served_entities"]
    if config.get("traffic_config") or len(entities) != 1:
        return dict(config)
    route = {"served_model_name": entities[0]["name"], "traffic_percentage": 100}
    return {**config, "traffic_config": {"routes": [route]}}


def _with_includes(file: Path) -> dict[str, Any]:
    bundle = _read(file)
    for pattern in bundle.get("include") or []:
        for each in sorted(file.parent.glob(str(pattern))):
            bundle = _merged(bundle, _read(each))
    return bundle


def _read(file: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput([Problem("--bundle", str(file), "a bundle's file in YAML", str(error))]) from error
    if not isinstance(found, dict):
        raise InvalidInput([Problem("--bundle", str(file), "a mapping: bundle, resources, targets")])
    return found


def _merged(below: Any, above: Any) -> Any:
    """As bundles join them: mappings key by key, lists one behind the other, anything else is replaced."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        return {**below, **{key: _merged(below[key], each) if key in below else each for key, each in above.items()}}
    return [*below, *above] if isinstance(below, list) and isinstance(above, list) else above


def _value(variable: Any) -> Any:
    """A variable's own value; a mapping describes one, whose default that may be."""
    return variable.get("default") if isinstance(variable, Mapping) else variable


def _resolved(value: Any, known: Mapping[str, Any], unresolved: dict[str, None], depth: int = 0) -> Any:
    if isinstance(value, Mapping):
        return {key: _resolved(each, known, unresolved, depth) for key, each in value.items()}
    if isinstance(value, list):
        return [_resolved(each, known, unresolved, depth) for each in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and whole[1] in known and depth < _DEPTH:
        return _resolved(known[whole[1]], known, unresolved, depth + 1)

    def one(match: re.Match[str]) -> str:
        if match[1] in known and depth < _DEPTH:
            return str(_resolved(known[match[1]], known, unresolved, depth + 1))
        unresolved[match[1]] = None
        return match[0]

    return _REFERENCE.sub(one, value)
