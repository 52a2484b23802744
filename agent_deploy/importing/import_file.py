"""The file that `pulumi import` reads: what it has, and what comes to it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent_deploy.importing.children import MODEL, Child
from agent_deploy.rules.problems import InvalidInput, Problem

_EXPECTED = "a file for `pulumi import`, as this command or `pulumi preview --import-file` writes it"
_REMEDY = "Name another file"
# The id of what is not known, as the engine writes it.
_PLACEHOLDER = "<PLACEHOLDER>"


def read(path: Path) -> dict[str, Any]:
    """What the file has, nothing where there is none; raises InvalidInput where it is no such file or cannot be
    written.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidInput([Problem("--file", str(path), "a file in a folder that is there", _REMEDY)])
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text("utf-8"))
        path.open("a").close()
    except (OSError, ValueError) as error:
        raise InvalidInput([Problem("--file", str(path), f"{_EXPECTED} ({error})", _REMEDY)]) from error
    listed = document.get("resources") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not all(
        isinstance(each, dict) and {"type", "name"} <= set(each) for each in listed
    ):
        raise InvalidInput([Problem("--file", str(path), _EXPECTED, _REMEDY)])
    return dict(document)


def completed(document: Mapping[str, Any], given: Sequence[Child], former: Collection[str] = ()) -> dict[str, Any]:
    """With these resources, in place of those of the same names; without what is below the ``former`` components.

    Raises InvalidInput where a name is another resource's.
    """
    if _PLACEHOLDER in json.dumps(document):
        return _filled(document, given)
    # What is not there yet is left to the next update.
    new = [_resource(child) for child in given if child.is_component or child.id]
    types = {each["name"]: each["type"] for each in new}
    kept = []
    gone = set(former)
    for each in document.get("resources") or []:
        name = each["name"]
        if name in former or each.get("parent") in gone:
            gone.add(name)
        elif types.get(name, each["type"]) != each["type"]:
            raise InvalidInput([Problem("--file", name, f"a name that {each['type']} does not have there", _REMEDY)])
        elif name not in types:
            kept.append(each)
    return {**document, "resources": [*kept, *new]}


def _filled(document: Mapping[str, Any], given: Sequence[Child]) -> dict[str, Any]:
    """What `pulumi preview --import-file` wrote, with the ids of these resources, wherever in the program they are.

    What else the program makes is left to the next update.
    """
    known = {(child.type, child.name): child for child in given if child.id}
    resources = []
    for listed in document.get("resources") or []:
        child = known.get((listed["type"], listed.get("logicalName") or listed["name"]))
        if listed.get("component"):
            resources.append(listed)
        elif child is not None:
            said = _resource(child)
            resources.append({**listed, **{key: said[key] for key in ("id", "inputs") if key in said}})
    return {**document, "resources": resources}


def _resource(child: Child) -> dict[str, Any]:
    inputs = child.inputs or {}
    return {
        "type": child.type,
        "name": child.key,
        "logicalName": child.name,
        **({"parent": child.parent} if child.parent else {}),
        **({"component": True} if child.is_component else {"id": child.id}),
        # No registry knows whose mark it will be.
        **({"inputs": {"ownerMark": inputs["ownerMark"]}} if child.type == MODEL else {}),
    }
