"""How whoever has declared an endpoint lets it go without deleting it: out of a state, Pulumi's or Terraform's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.importing.children import COMPONENT, ENDPOINT, MODEL, PERMISSIONS, REGISTRATION
from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.review import ENDPOINTS

_ENDPOINTS = ("databricks:index/modelServing:ModelServing", ENDPOINT)
# What the stack that imports the endpoint owns from then on.
_TAKEN_OVER = (*_ENDPOINTS, PERMISSIONS, REGISTRATION, MODEL)
_TERRAFORM = {"databricks_model_serving": "name", "databricks_permissions": "id"}


@dataclass(frozen=True)
class LettingGo:
    """``steps`` are commands and, for Terraform, blocks; ``notes`` what else is to be seen to. ``owner`` is the
    project/stack that the state is of; empty for Terraform.
    """

    steps: Sequence[str]
    notes: Sequence[str] = ()
    owner: str = ""


def letting_go(state: Mapping[str, Any], endpoint: str, id: str, stack: str = "") -> LettingGo:
    """What a state has of the endpoint, and how it leaves there; none of it is no error.

    ``state``: as `pulumi stack export` or `terraform state pull` writes it. Raises InvalidInput for anything else.
    """
    if "terraform_version" in state:
        return _of_terraform(state, endpoint, id)
    resources = (state.get("deployment") or {}).get("resources")
    if not isinstance(resources, list):
        expected = "a state as `pulumi stack export` or `terraform state pull` writes it"
        raise InvalidInput([Problem("--from-stack", None, expected)])
    return _of_pulumi(resources, endpoint, id, stack)


def _of_pulumi(resources: Sequence[Mapping[str, Any]], endpoint: str, id: str, stack: str) -> LettingGo:
    urns = [str(each["urn"]) for each in resources]
    # urn:pulumi:<stack>::<project>::<types>::<name>
    of_stack, project = urns[0].split("::")[:2] if urns else ("", "")
    named = of_stack.rpartition(":")[2]
    permissions = f"/{ENDPOINTS}/{id}"
    ours = [
        each
        for each in resources
        if (each["type"] in _ENDPOINTS and each.get("id") == endpoint)
        or (each["type"] == PERMISSIONS and each.get("id") == permissions)
        or (each["type"] == REGISTRATION and (each.get("inputs") or {}).get("endpointName") == endpoint)
    ]
    leaving = _with_siblings(resources, {str(each["urn"]) for each in ours})
    # Dependents come later in a state, and have to leave first.
    ordered = [each for each in reversed(resources) if each["urn"] in leaving]
    steps = [_state_delete(stack or named, each) for each in ordered]
    notes = [] if stack or not steps else [f"run the commands of `pulumi state` in the folder of the project {project}"]
    return LettingGo(steps, [*notes, *_notes(resources, leaving)], f"{project}/{named}" if urns else "")


def _with_siblings(resources: Sequence[Mapping[str, Any]], leaving: set[str]) -> set[str]:
    """With all that is below the AgentDeployment of one that leaves, and that itself: nothing may be left behind in
    the state that the next `up` without it in the program would destroy.
    """
    by_urn = {str(each["urn"]): each for each in resources}
    below = set(leaving)
    for urn in leaving:
        while urn in by_urn and by_urn[urn]["type"] != COMPONENT:
            urn = str(by_urn[urn].get("parent") or "")
        below |= {urn} if urn in by_urn else set()
    components = {urn for urn in below if by_urn[urn]["type"] == COMPONENT}
    for each in resources:  # parents stand before their children
        if each.get("parent") in components:
            components.add(str(each["urn"]))
    return below | components


def _state_delete(stack: str, resource: Mapping[str, Any]) -> str:
    force = " --force" if resource.get("protect") else ""
    return f"pulumi state delete --stack {shlex.quote(stack)} --yes{force} {shlex.quote(resource['urn'])}"


def _notes(resources: Sequence[Mapping[str, Any]], leaving: set[str]) -> Iterator[str]:
    if leaving:
        yield "then take these resources out of that program, or its next `up` makes them anew"
    for each in resources:
        if each["urn"] in leaving:
            if each.get("custom") and each["type"] not in _TAKEN_OVER:
                kind = str(each["type"]).rpartition(":")[2]
                yield f"{kind} {each.get('id')} stays as it is, and no stack owns it from then on"
            continue
        depends_on = {*(each.get("dependencies") or ()), each.get("parent"), each.get("deletedWith")}
        depends_on |= {urn for urns in (each.get("propertyDependencies") or {}).values() for urn in urns or ()}
        if depends_on & leaving:
            yield (
                f"{each['urn']} depends on what leaves, and `pulumi state delete` refuses that: write the plain name "
                "in its place in that program, which keeps all it declares, and run `pulumi up` and this command again"
            )


def _of_terraform(state: Mapping[str, Any], endpoint: str, id: str) -> LettingGo:
    wanted = {"name": endpoint, "id": f"/{ENDPOINTS}/{id}"}
    addresses = []
    for resource in state.get("resources") or []:
        field = _TERRAFORM.get(str(resource.get("type")))
        for instance in resource.get("instances") or []:
            if field and (instance.get("attributes") or {}).get(field) == wanted[field]:
                module = f"{resource['module']}." if resource.get("module") else ""
                key = instance.get("index_key")
                index = "" if key is None else f"[{key}]" if isinstance(key, int) else f'["{key}"]'
                addresses.append(f"{module}{resource['type']}.{resource['name']}{index}")
    steps = [f"terraform state rm {shlex.quote(each)}" for each in reversed(addresses)]
    blocks = " ".join(f"removed {{ from = {each} lifecycle {{ destroy = false }} }}" for each in addresses)
    notes = [f"take them out of the configuration; instead of the commands, it may say: {blocks}"] if addresses else []
    return LettingGo(steps, notes)
