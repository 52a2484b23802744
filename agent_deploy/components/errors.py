"""How a program that cannot be deployed ends: with what is wrong, without a stack trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

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


# The first error of each program, by its engine.
_FIRST: WeakKeyDictionary[Any, DeploymentError] = WeakKeyDictionary()


def told(error: DeploymentError) -> DeploymentError:
    """The error to raise where others of the program may fail beside it: the first ends it, further ones are logged.

    Which of several failures the engine sees first is chance: all end with the same error, so that none is lost.
    """
    engine = get_monitor()
    if isinstance(engine, MockMonitor):
        return error  # many programs, one after the other, each with a failure of its own
    first = _FIRST.setdefault(engine, error)
    if first is not error:
        pulumi.log.error(str(error))
    return first
