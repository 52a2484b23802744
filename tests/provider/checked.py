"""The verification of resources and requirements alone, as the tests read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.verify_deployment import verify
from agent_deploy.rules.credentials import MANUAL
from agent_deploy.rules.records import read, wire
from agent_deploy.rules.verifiable import WantedDeployment
from agent_deploy.rules.verification import Failure


def checked(
    context: Context,
    resources: Sequence[Mapping[str, Any]] = (),
    requirements: Mapping[str, Any] | None = None,
    principal: str | None = None,
) -> dict[str, Any]:
    """``problem`` is what was found besides missing privileges."""
    asked = {"auth": MANUAL, "resources": resources, "requirements": requirements or {}, "principal": principal}
    found = verify(context, read(WantedDeployment, asked))
    return {
        "principal": found.principal,
        "problem": "\n".join(str(each) for each in found.problems if not isinstance(each, Failure)),
        "failures": [each.shown() for each in found.problems if isinstance(each, Failure)],
        "unverified": [each.shown() for each in found.verdict.unverified],
        "openToAll": wire(found.answer.open_to_all),
        "checked": len(found.verdict.checks),
    }
