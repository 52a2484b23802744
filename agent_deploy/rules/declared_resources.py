"""What a model version says that it needs, out of its MLmodel document; and what the program adds to that or replaces.

MLflow writes either ``resources`` or ``auth_policy`` (with a system part like it, and a user part of API scopes).
Source: MLflow, `mlflow.models.resources` and `mlflow.models.auth_policy`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resource_kinds import KINDS, Resource, check_resources, without_passthrough

API_VERSION = "1"  # of the resources' notation
TARGET = "databricks"  # where the resources are; MLflow knows no other


@dataclass(frozen=True)
class Declared:
    """``user_scopes`` are for users to consent to: shown, never granted. ``unknown_kinds`` are of a newer MLflow."""

    resources: tuple[Resource, ...] = ()
    user_scopes: tuple[str, ...] = ()
    unknown_kinds: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def parse(mlmodel: object) -> Declared:
    """What an MLmodel document declares; mistakes in it are problems, never exceptions."""
    if not isinstance(mlmodel, Mapping):
        return Declared(problems=(Problem("MLmodel", None, "a document of keys and values", "Log the model again"),))
    policy = mlmodel.get("auth_policy")
    if policy is None:
        return _from_notation("resources", mlmodel.get("resources"))
    if not isinstance(policy, Mapping):
        return Declared(problems=(Problem("auth_policy", policy, "a system_auth_policy and a user_auth_policy"),))
    field = "auth_policy.system_auth_policy.resources"
    declared = _from_notation(field, (_mapping(policy, "system_auth_policy")).get("resources"))
    scopes = _mapping(policy, "user_auth_policy").get("api_scopes") or ()
    return Declared(
        declared.resources,
        tuple(str(scope) for scope in scopes) if isinstance(scopes, Sequence) and not isinstance(scopes, str) else (),
        declared.unknown_kinds,
        declared.problems,
    )


def combine(model: Iterable[Resource], given: Sequence[Resource] | None, replace: bool = False) -> list[Resource]:
    """The resources that count: the program's ``given`` added to the model's, or instead of them; each once.

    A resource that the program gives wins over the model's notion of the same one (on behalf of the user or not).
    """
    if given is None:
        given = ()
        replace = False
    kept = [] if replace else list(model)
    found = {(resource.kind, resource.name.lower()): resource for resource in (*kept, *given)}
    return list(found.values())


def from_program(field: str, values: Sequence[Mapping[str, Any]]) -> tuple[list[Resource], list[Problem]]:
    """Resources as a program gives them, and what is wrong with them."""
    resources = [Resource.of(value) for value in values]
    return resources, check_resources(field, resources)


def beyond_passthrough(version: str, needed: Sequence[Resource], granted: Sequence[Resource]) -> Iterator[str]:
    """What the platform will not grant by itself: kinds that it leaves out, and what only the program declares."""
    remedy = "choose auth = SERVICE_PRINCIPAL"
    unsupported = without_passthrough(needed)
    for resource in unsupported:
        yield f"version {version} needs {resource}, which automatic passthrough does not support: {remedy}"
    declared = {(resource.kind, resource.name.lower()) for resource in granted if not resource.on_behalf_of_user}
    for resource in needed:
        known = resource.on_behalf_of_user or resource in unsupported
        if not known and (resource.kind, resource.name.lower()) not in declared:
            why = "its model does not declare it, and automatic passthrough grants only what a model declares"
            yield f"version {version} needs {resource}, but {why}: log the model with it, or {remedy}"


def _from_notation(field: str, notation: object) -> Declared:
    if notation is None:
        return Declared()
    if not isinstance(notation, Mapping):
        return Declared(problems=(Problem(field, notation, "resources as MLflow writes them", "Log the model again"),))
    version = str(notation.get("api_version", API_VERSION))
    if version != API_VERSION:
        remedy = "Use a newer agent_deploy, or say resources= in the program"
        problem = Problem(f"{field}.api_version", version, f"notation {API_VERSION}", remedy)
        return Declared(problems=(problem,))
    unknown = [f"{name} (not on Databricks)" for name in notation if name not in ("api_version", TARGET)]
    resources: list[Resource] = []
    problems: list[Problem] = []
    for kind, entries in _mapping(notation, TARGET).items():
        if kind not in KINDS:
            unknown.append(str(kind))
            continue
        found = [Resource.of(_document(entry), kind) for entry in entries] if _is_list(entries) else []
        if not _is_list(entries) or any(not resource.name for resource in found):
            problems.append(Problem(f"{field}.{kind}", None, "a list of entries, each with a name"))
        named = [resource for resource in found if resource.name]
        problems += check_resources(f"{field}.{kind}", named)
        resources += named
    return Declared(tuple(dict.fromkeys(resources)), (), tuple(sorted(unknown)), tuple(problems))


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _document(value.get(key))


def _document(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
