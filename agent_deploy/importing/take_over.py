"""One endpoint taken over: looked at, declared, compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent_deploy.client.model_registry import ModelRegistry
from agent_deploy.client.serving import PATH
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.importing.bundle import Declared
from agent_deploy.importing.children import Child, Looked, children
from agent_deploy.importing.differences import REFUSED, Difference, differences, permission_changes
from agent_deploy.importing.entry import Entry, Note, entry_of, joined
from agent_deploy.importing.existing import Existing, existing
from agent_deploy.importing.refusals import refusals
from agent_deploy.importing.stack import Stack
from agent_deploy.provider.feedback.feedback_look_up import NoFeedbackModel, feedback_model
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.verify_deployment import verify
from agent_deploy.rules.argument_checks import check_arguments
from agent_deploy.rules.declaration import declared
from agent_deploy.rules.problems import InvalidInput
from agent_deploy.rules.values import Secret
from agent_deploy.rules.verifiable import look_ups


@dataclass(frozen=True)
class TakeOver:
    """What it comes to. ``problems`` are what the next preview refuses, ``differences`` what it would change."""

    name: str
    mark: str
    found: Existing
    entry: Entry
    children: Sequence[Child]
    differences: Sequence[Difference]
    problems: Sequence[str]

    @property
    def is_there(self) -> bool:
        """Whether there is an endpoint; one that a bundle declares may still have to be made."""
        return bool(self.found.remote.get("id"))

    @property
    def refused(self) -> list[str]:
        """What keeps the next preview from being made at all."""
        return [*self.problems, *(str(each) for each in self.differences if each.declared == REFUSED)]

    @property
    def is_begun_under_another_name(self) -> bool:
        """Whether the stack's own mark is there, and of another deployment."""
        owner = self.found.owner
        return owner != self.mark and owner.split("/")[:2] == self.mark.split("/")[:2]


def take_over(
    context: Context,
    endpoint: str,
    stack: Stack,
    name: str = "",
    released_by: str = "",
    bundled: Declared | None = None,
) -> TakeOver:
    """Looks at the endpoint and changes nothing; raises InvalidInput where it can be no AgentDeployment.

    ``released_by``: the project/stack that lets it go. ``bundled``: what a bundle says it should be, which the entry is
    made of then, whether the endpoint is there or not.
    """
    workspace: Workspace = context.configuration
    found = existing(workspace, endpoint) if bundled is None else _existing_or(workspace, bundled.endpoint)
    source = (
        found if bundled is None else replace(found, remote=bundled.endpoint.remote, access=bundled.endpoint.access)
    )
    name = name or stack.begun(found.name, found.owner) or stack.free(deployment_name(source), found.name)
    mark = stack.mark(name)
    refused = [
        *refusals(found, mark, released_by),
        *(refusals(source, mark) if bundled else ()),
        *stack.refusals(found.name, name, bool(released_by)),
    ]
    if refused:
        raise InvalidInput({str(each): each for each in refused}.values())
    entry = entry_of(source, name, stack.defaults)
    if bundled:
        entry = replace(entry, notes=[*(Note(*each) for each in bundled.notes), *entry.notes])
    tree = _tree(joined(entry.args, stack.defaults))
    deployment = declared(tree)
    verified = verify(context, look_ups(deployment, (mark,)))
    numbers = [each.number if isinstance(each.number, str) else "" for each in deployment.versions]
    experiment = str(deployment.experiment.value) if deployment.experiment else verified.answer.experiment_id
    looked = Looked(numbers, experiment, _feedback_version(workspace, str(deployment.feedback_model)))
    is_there = bool(found.remote.get("id"))
    parts = list(children(name, deployment, looked, found, mark)) if is_there else []
    problems = [*map(str, check_arguments(tree)), *map(str, verified.problems)]
    changes = [*differences(context, parts), *permission_changes(parts, found.access)]
    return TakeOver(name, mark, found, entry, parts, changes, list(dict.fromkeys(problems)))


def _existing_or(workspace: Workspace, bundled: Existing) -> Existing:
    """The endpoint, or where there is none yet, what is declared of it."""
    there = workspace.find(f"{PATH}/{segment(bundled.name)}")
    return existing(workspace, bundled.name) if there else bundled


def deployment_name(found: Existing) -> str:
    """What the deployment is called unless the user says it: as its model is."""
    model = next((str(each.get("entity_name") or "") for each in found.entities), "")
    return model.rpartition(".")[2] or found.name


def _tree(args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as the program will give them: where a secret's value would stand, something that hides it."""
    tree = {key: value for key, value in args.items() if key != "secrets"}
    secrets = {key: Secret() for key in args.get("secrets") or {}}
    tree["environment"] = {**(args.get("environment") or {}), **secrets}
    return tree


def _feedback_version(workspace: Workspace, model: str) -> str:
    """Empty where there is none yet; what is wrong with one that is there, the verification says."""
    if not model:
        return ""
    try:
        return feedback_model(ModelRegistry(workspace, model), model).version
    except NoFeedbackModel:
        return ""
