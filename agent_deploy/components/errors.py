"""How a program that cannot be deployed ends: with what is wrong, without a stack trace."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi

from agent_deploy.rules.problems import Problem


class DeploymentError(pulumi.RunError):
    """The program cannot be deployed as it stands; the message lists why."""

    @classmethod
    def of(cls, component: str, name: str, problems: Sequence[Problem | str]) -> DeploymentError:
        """``AgentDeployment 'qa' cannot be deployed:`` and each problem once: one cause can show at several places."""
        lines = dict.fromkeys(str(problem).replace("\n", "\n    ") for problem in problems)
        return cls("\n".join([f"{component} {name!r} cannot be deployed:", *(f"  - {line}" for line in lines)]))


class ArgumentsError(TypeError, pulumi.RunError):
    """A component is called with arguments of a wrong kind: Python's own error for it, which Pulumi tells plainly."""
