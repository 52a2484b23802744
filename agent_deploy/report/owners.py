"""Which agent a resource of a preview belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent_deploy.report.preview import Preview, PreviewError, Step, urn_parts

DEPLOYMENT = "agent-deploy:index:AgentDeployment"
IDENTITY = "agent-deploy:index:AgentServicePrincipal"
_OWN = ("agent-deploy:index:",)
# What the components inside an AgentDeployment are called after it.
_PART = re.compile(r"(?P<agent>.+)-(?:inference-tables|principal|feedback|v[^-]+)", re.DOTALL)


def agents_of(preview: Preview) -> dict[str, list[Step]]:
    """Agent's name → its steps, ordered by name; under the empty name what is nobody's."""
    found: dict[str, list[Step]] = {}
    by_urn = {step.urn: step for step in preview.steps}
    for step in preview.steps:
        if not step.type.startswith("pulumi:"):
            found.setdefault(_agent_of(step, by_urn), []).append(step)
    return found


def _agent_of(step: Step, by_urn: Mapping[str, Step]) -> str:
    """The AgentDeployment that it is in; else the outermost component of ours, or the endpoint itself."""
    chain = [step.urn, *_parents(step, by_urn)]
    parts = [urn_parts(urn) for urn in chain]
    for part in parts:
        if part["type"].split("$")[-1] == DEPLOYMENT:
            return part["name"]
    outermost = parts[-1]
    if DEPLOYMENT in outermost["type"].split("$"):
        # The preview leaves out what stays as it is, also a component between the two.
        match = _PART.fullmatch(outermost["name"])
        return match["agent"] if match else outermost["name"]
    return outermost["name"] if outermost["type"].startswith(_OWN) else ""


def _parents(step: Step, by_urn: Mapping[str, Step]) -> list[str]:
    """The URNs around it, the nearest first, without the stack's."""
    found: list[str] = []
    current: Step | None = step
    while current is not None:
        parent = current.state.get("parent")
        if not isinstance(parent, str) or parent in found or "pulumi:pulumi:Stack::" in parent:
            break
        try:
            urn_parts(parent)
        except PreviewError:
            break
        found.append(parent)
        current = by_urn.get(parent)
    return found


def is_of_identity(step: Step) -> bool:
    """Whether it belongs to a service principal of an agent's own."""
    return IDENTITY in step.types[:-1]
