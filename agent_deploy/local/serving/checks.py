"""What a client sends about an endpoint, checked and completed with the platform's defaults. No I/O.

Source of limits and words: Databricks, serving endpoints API reference; databricks-sdk-py#1496 (15 entities).
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.core.store import Document
from agent_deploy.rules.names import check_endpoint_name, check_model_name, check_own_endpoint_name, split_model_name
from agent_deploy.rules.secrets import looks_like_reference, parse_reference
from agent_deploy.rules.traffic import MAX_SERVED_ENTITIES
from agent_deploy.rules.workload import check_workload

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Changing one of these needs a new container; the rest of an entity changes while it serves.
_OF_THE_CONTAINER = (
    "name", "entity_name", "entity_version", "workload_size", "workload_type", "environment_vars",
    "instance_profile_arn", "min_provisioned_concurrency", "max_provisioned_concurrency",
)  # fmt: skip
_CONCURRENCY = ("min_provisioned_concurrency", "max_provisioned_concurrency")
_OPTIONAL = ("instance_profile_arn", *_CONCURRENCY)
_UNSUPPORTED = ("external_model", "foundation_model", "provisioned_model_units", "min_provisioned_throughput")


def check_name(field: str, name: object) -> str:
    """The name of an endpoint or served entity; raises 400."""
    if problems := check_endpoint_name(field, name):
        raise invalid(str(problems[0]))
    return str(name)


def check_own_name(field: str, name: object) -> str:
    """The name of an endpoint that a user makes; raises 400."""
    if problems := check_own_endpoint_name(field, name):
        raise invalid(str(problems[0]))
    return str(name)


def new_config(body: Document, creator: str, known: Iterable[Document]) -> Document:
    """``served_entities`` (or the older ``served_models``) and ``traffic_config`` as the endpoint keeps them.

    Those of ``known`` that need no new container keep their id, and with it their process.
    """
    if body.get("auto_capture_config"):
        message = (
            "auto_capture_config: legacy inference tables cannot be enabled since 2026-02-20; use"
            " ai_gateway.inference_table_config instead."
        )
        raise invalid(message)
    given = _entities_of(body)
    if len(given) > MAX_SERVED_ENTITIES:
        raise invalid(f"served_models cannot contain more than {MAX_SERVED_ENTITIES} elements, but got {len(given)}.")
    by_name = {entity["name"]: entity for entity in known}
    entities = [_keep(_entity(index, entity), by_name, creator) for index, entity in enumerate(given)]
    _no_duplicates(entities)
    routes = _routes(body.get("traffic_config") or {}, [entity["name"] for entity in entities])
    return {"served_entities": entities, "routes": routes}


def _entities_of(body: Document) -> list[Document]:
    if body.get("served_entities") and body.get("served_models"):
        raise invalid("Only one of served_entities and served_models may be given.")
    if models := body.get("served_models"):
        renamed = {"model_name": "entity_name", "model_version": "entity_version"}
        given = [{renamed.get(key, key): value for key, value in model.items()} for model in models]
    else:
        given = body.get("served_entities") or []
    if not isinstance(given, list) or not all(isinstance(entity, dict) for entity in given):
        raise invalid("served_entities: expected a list of objects.")
    return given


def _entity(index: int, given: Document) -> Document:
    where = f"served_entities[{index}]"
    if unsupported := [field for field in _UNSUPPORTED if given.get(field)]:
        raise ApiError(
            501, "NOT_IMPLEMENTED", f"{where}.{unsupported[0]}: the local workspace serves MLflow models only."
        )
    model = given.get("entity_name")
    if problems := check_model_name(f"{where}.entity_name", model):
        raise invalid(str(problems[0]))
    version = str(given.get("entity_version") or "")
    if not is_whole(version):
        raise invalid(f"{where}.entity_version {version!r}: expected the number of a version of {model}.")
    size, kind = given.get("workload_size") or "Small", given.get("workload_type") or "CPU"
    if problems := check_workload(f"{where}.", size, kind):
        raise invalid(str(problems[0]))
    name = check_name(f"{where}.name", given.get("name") or f"{split_model_name(str(model))[2]}-{version}")
    entity = {"name": name, "entity_name": model, "entity_version": version, "workload_size": size}
    entity |= {"workload_type": kind, "scale_to_zero_enabled": bool(given.get("scale_to_zero_enabled"))}
    if environment := _environment(f"{where}.environment_vars", given.get("environment_vars") or {}):
        entity["environment_vars"] = environment
    optional = {field: given[field] for field in _OPTIONAL if given.get(field)}
    for field in _CONCURRENCY:
        if field in optional:
            _check_whole(f"{where}.{field}", optional[field])
    return entity | optional


def _check_whole(field: str, given: object) -> None:
    if isinstance(given, bool) or not isinstance(given, (int, float)) or given % 1 or given < 0:
        raise invalid(f"{field} {given!r}: expected a whole number, 1 or more.")


def _environment(field: str, given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise invalid(f"{field}: expected an object of strings.")
    for name, value in given.items():
        if not _VARIABLE.fullmatch(name):
            raise invalid(f"{field} key {name!r}: expected letters, digits and '_', no digit first.")
        if not isinstance(value, str) or "\x00" in value:
            raise invalid(f"{field}[{name!r}]: expected a string.")
        if looks_like_reference(value) and parse_reference(value) is None:
            raise invalid(f"{field}[{name!r}]: expected a secret reference of the form {{{{secrets/scope/key}}}}.")
    return dict(given)


def _keep(entity: Document, known: dict[str, Document], creator: str) -> Document:
    old = known.get(entity["name"])
    if old is not None and all(old.get(field) == entity.get(field) for field in _OF_THE_CONTAINER):
        return {**old, "scale_to_zero_enabled": entity["scale_to_zero_enabled"]}
    born = {"id": secrets.token_hex(16), "creator": creator, "creation_timestamp": now()}
    return entity | born | {"state": {"deployment": "DEPLOYMENT_CREATING", "deployment_state_message": "Creating"}}


def _no_duplicates(entities: list[Document]) -> None:
    names = Counter(entity["name"] for entity in entities)
    if twice := [name for name, count in names.items() if count > 1]:
        raise invalid(f"Served entity names must be unique; more than one is called '{twice[0]}'.")
    versions = Counter((entity["entity_name"].lower(), entity["entity_version"]) for entity in entities)
    if again := [key for key, count in versions.items() if count > 1]:
        model, version = again[0]
        message = f"Cannot create 2+ served entities with the same entity name and version: {model}, version {version}."
        raise ApiError(400, "BAD_REQUEST", message)


def _routes(traffic: Document, names: list[str]) -> list[Document]:
    given = traffic.get("routes") or []
    if not given:
        if len(names) > 1:
            raise invalid("traffic_config is required when an endpoint has more than one served entity.")
        return [{"name": name, "traffic_percentage": 100} for name in names]
    routes = []
    for route in given:
        name = route.get("served_entity_name") or route.get("served_model_name")
        percentage = route.get("traffic_percentage") or 0
        if name not in names:
            raise invalid(f"traffic_config: the route '{name}' names no served entity; there are: {', '.join(names)}.")
        if isinstance(percentage, bool) or not isinstance(percentage, int) or not 0 <= percentage <= 100:
            raise invalid(f"traffic_config: traffic_percentage of '{name}' must be a whole number from 0 to 100.")
        routes.append({"name": name, "traffic_percentage": percentage})
    if twice := [name for name, count in Counter(route["name"] for route in routes).items() if count > 1]:
        raise invalid(f"traffic_config: more than one route for '{twice[0]}'.")
    if (total := sum(route["traffic_percentage"] for route in routes)) != 100:
        raise invalid(f"traffic_config: the percentages of all routes must sum to 100, but they sum to {total}.")
    return routes


def check_tags(field: str, given: Any) -> list[Document]:
    """``[{key, value}]``; raises 400 for a tag without key, or a key twice."""
    if not isinstance(given, list) or not all(isinstance(tag, dict) and tag.get("key") for tag in given):
        raise invalid(f"{field}: expected a list of {{key, value}}.")
    tags = [{"key": str(tag["key"]), "value": str(tag.get("value") or "")} for tag in given]
    if twice := [key for key, count in Counter(tag["key"] for tag in tags).items() if count > 1]:
        raise invalid(f"{field}: the key '{twice[0]}' is given more than once.")
    return tags


def now() -> int:
    """Milliseconds, as the API tells times."""
    return int(time.time() * 1000)
