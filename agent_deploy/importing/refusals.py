"""Endpoints that cannot become an AgentDeployment, and why."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator

from agent_deploy.importing.existing import Existing
from agent_deploy.provider.endpoint.state import is_updating
from agent_deploy.rules.names import FEEDBACK_ENTITY, check_model_name
from agent_deploy.rules.problems import Problem

_OTHERWISE = "Leave it as it is, or take it over as a ServingEndpoint: `pulumi import`, docs/coming-from.md"


def is_feedback(entity_name: str, of: str) -> bool:
    """Whether a served entity is the one that takes feedback, by its own name and its model's."""
    return entity_name == FEEDBACK_ENTITY and of.rpartition(".")[2] == FEEDBACK_ENTITY


def refusals(found: Existing, owner_mark: str, released_by: str = "") -> Iterator[Problem]:
    """Why the endpoint cannot be taken over by the stack with this mark; nothing where it can.

    ``released_by``: the project/stack that lets it go.
    """
    project, stack, _ = owner_mark.split("/", 2)
    # By another name, it is of an import that was begun.
    owners = tuple(f"{each}/" for each in (f"{project}/{stack}", released_by) if each)
    if found.owner and not found.owner.startswith(owners):
        named, of_stack = shlex.quote(found.name), shlex.quote([*found.owner.split("/"), ""][1])
        command = f"agent-deploy import {named} --stack"
        remedy = (
            f"Let that stack let go first: `{command} {shlex.quote(stack)} --from-stack STACK` says how. If it has "
            f"only begun to import it: `{command} {of_stack} --undo` in the folder of that project"
        )
        yield Problem("ENDPOINT", found.name, f"one that no other stack owns, and {found.owner} does", remedy)
    if not found.entities:
        yield Problem("ENDPOINT", found.name, "one that serves a version of a model, and this serves nothing")
    kinds = [is_feedback(str(each.get("name")), str(each.get("entity_name") or "")) for each in found.entities]
    if kinds and all(kinds):
        yield Problem(
            "ENDPOINT", found.name, "one that serves an agent, and this serves the feedback model alone", _OTHERWISE
        )
    models: dict[str, None] = {}
    for entity in found.entities:
        name, model = str(entity.get("name")), str(entity.get("entity_name") or "")
        if other := _other_kind(entity):
            yield Problem(f"ENDPOINT {found.name}, {name}", other, "a registered model: an agent is one", _OTHERWISE)
        elif problems := check_model_name("", model):
            expected = f"a model of Unity Catalog ({problems[0].expected})"
            yield Problem(f"ENDPOINT {found.name}, {name}", model, expected, _OTHERWISE)
        elif not str(entity.get("entity_version") or "").isdecimal():
            expected = "the number of a version, such as 3"
            yield Problem(f"ENDPOINT {found.name}, {name}", entity.get("entity_version"), expected, "Say which")
        elif not is_feedback(name, model):
            models[model] = None
    if len(models) > 1:
        expected = "one that serves a single model, and the feedback model at most besides"
        yield Problem(f"ENDPOINT {found.name}", ", ".join(models), expected, _OTHERWISE)
    versions = Counter(str(each.get("entity_version")) for each in found.entities if each.get("entity_name") in models)
    for version, count in versions.items():
        if count > 1 and len(models) == 1:
            expected = f"each version once, and {count} served entities have this one"
            yield Problem(f"ENDPOINT {found.name}, version", version, expected, _OTHERWISE)
    if is_updating(found.remote):
        yield Problem("ENDPOINT", found.name, "one that is at rest, and this is being updated", "Wait until it is done")


def _other_kind(entity: object) -> str:
    for kind in ("external_model", "foundation_model"):
        if isinstance(entity, dict) and entity.get(kind):
            return f"{kind} {entity[kind].get('name') or ''}".strip()
    return ""
