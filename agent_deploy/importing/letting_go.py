"""How whoever has declared an endpoint lets it go without deleting it: out of a state, Pulumi's or Terraform's."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.importing.children import ENDPOINT, PERMISSIONS
from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.review import ENDPOINTS

_ENDPOINTS = ("databricks:index/modelServing:ModelServing", ENDPOINT)
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
    ]
    leaving = {str(each["urn"]) for each in ours}
    # Dependents come later in a state, and have to leave first.
    ordered = sorted(ours, key=lambda each: -urns.index(each["urn"]))
    stack = stack or named
    steps = [_state_delete(stack, each) for each in ordered]
    return LettingGo(steps, list(_notes(resources, leaving)), f"{project}/{named}" if urns else "")


def _state_delete(stack: str, resource: Mapping[str, Any]) -> str:
    force = " --force" if resource.get("protect") else ""
    return f"pulumi state delete --stack {shlex.quote(stack)} --yes{force} {shlex.quote(resource['urn'])}"


def _notes(resources: Sequence[Mapping[str, Any]], leaving: set[str]) -> Iterator[str]:
    if leaving:
        yield "then take these resources out of that program, or its next `up` makes them anew"
    for each in resources:
        others = {*(each.get("dependencies") or ()), each.get("parent")} & leaving
        if others and each["urn"] not in leaving:
            yield (
                f"{each['urn']} depends on what leaves, and `pulumi state delete` refuses that: give what leaves the "
                "option retain_on_delete=True and run `pulumi up`, then take it out of the program and run it again"
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
