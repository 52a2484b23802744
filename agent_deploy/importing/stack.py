"""The stack that is to have endpoints: what it has already, and what an earlier import has begun."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agent_deploy.importing.children import ENDPOINT
from agent_deploy.rules import names
from agent_deploy.rules.problems import Problem


@dataclass(frozen=True)
class Stack:
    """Whose the endpoint is to be: the project, its stack, what its file says of all agents (``defaults``) and of each
    (``agents``); ``deployed`` are the endpoints of its state, each with its URN.
    """

    project: str
    name: str
    defaults: Mapping[str, Any]
    agents: Mapping[str, Any] = field(default_factory=dict)
    deployed: Mapping[str, str] = field(default_factory=dict)

    def mark(self, deployment: str) -> str:
        """By which the endpoint of a deployment is known as its own (components/owner_marks.py)."""
        return f"{self.project}/{self.name}/{deployment}"

    def owns(self, mark: str) -> bool:
        """Whether a mark is of this stack, by whatever name of a deployment."""
        return mark.startswith(self.mark(""))

    def begun(self, endpoint: str, mark: str) -> str:
        """The deployment's name in an import of the endpoint that was begun before; empty where none was."""
        marked = mark.removeprefix(self.mark("")) if self.owns(mark) else ""
        return self._listed().get(endpoint) or ("" if marked in self.agents else marked)

    def free(self, name: str, endpoint: str) -> str:
        """The name, or the endpoint's own where another deployment of the stack is called so."""
        return endpoint if self._others_of(name, endpoint) else name

    def refusals(self, endpoint: str, name: str, released: bool) -> Iterator[Problem]:
        """Why this stack cannot have the endpoint by that name, whoever else owns it."""
        if endpoint in self.deployed and not released:
            expected = f"one that {self.project}/{self.name} does not have yet, and it has {self.deployed[endpoint]}"
            yield Problem("ENDPOINT", endpoint, expected, "Change its entry; to rename it, give the program an alias")
        for other, urn in self._others_of(name, endpoint).items():
            expected = f"a name that no deployment of {self.project}/{self.name} has, and {other} has it ({urn})"
            yield Problem("--name", name, expected, f"Choose another one, such as --name {name}-2")
        listed = self._listed().get(endpoint, name)
        if listed != name:
            expected = f"{listed!r}, by which {self.project}:agents has the endpoint {endpoint} already"
            yield Problem(
                "--name", name, expected, "Leave --name out, or take that entry out of the stack's file first"
            )

    def _others_of(self, name: str, endpoint: str) -> dict[str, str]:
        """Other endpoints of the state whose deployment is called so."""
        others = {other: urn for other, urn in self.deployed.items() if other != endpoint}
        return {other: urn for other, urn in others.items() if urn.rpartition("::")[2] == name}

    def _listed(self) -> dict[str, str]:
        """Endpoints of the stack's file, with the names of their entries."""
        entries = {name: {**self.defaults, **each} for name, each in self.agents.items() if isinstance(each, Mapping)}
        return {_endpoint(each): name for name, each in entries.items()}


def deployed(state: Mapping[str, Any]) -> dict[str, str]:
    """The endpoints of a state, as `pulumi stack export` writes it, with their URNs."""
    resources = (state.get("deployment") or {}).get("resources") or []
    return {str(each.get("id")): str(each["urn"]) for each in resources if each["type"] == ENDPOINT}


def _endpoint(args: Mapping[str, Any]) -> str:
    given = args.get("endpoint_name")
    model = args.get("model_name")
    return str(given or (names.endpoint_name(model) if isinstance(model, str) else ""))
