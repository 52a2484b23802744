"""The MLflow experiment of an agent's traces, where the program names it: by an argument, or in the environment.

As databricks.agents.deploy() does it, the environment's is also the one of the endpoint's tag and of the Review App.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.rules.environment import EXPERIMENT_VARIABLE
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import looks_like_reference


def named_experiment(args: Mapping[str, Any]) -> dict[str, str] | None:
    """Its ``field`` and ``value``; None where the program names none, or as a secret, which nobody else can read."""
    if given := args.get("experiment_id"):
        return {"field": "experiment_id", "value": str(given)}
    of_environment = _of_environment(args)
    return {"field": f"environment[{EXPERIMENT_VARIABLE!r}]", "value": of_environment} if of_environment else None


def check_experiment(args: Mapping[str, Any]) -> list[Problem]:
    """Two different ones: traces would be written to one, and looked for in the other."""
    given, of_environment = args.get("experiment_id"), _of_environment(args)
    if not given or not of_environment or str(given) == of_environment:
        return []
    remedy = "Take one of them out, or say the variable in a version, for its process alone"
    return [Problem(f"environment[{EXPERIMENT_VARIABLE!r}]", of_environment, f"{given}, as experiment_id says", remedy)]


def _of_environment(args: Mapping[str, Any]) -> str:
    value = (args.get("environment") or {}).get(EXPERIMENT_VARIABLE)
    return value if isinstance(value, str) and not looks_like_reference(value) else ""
