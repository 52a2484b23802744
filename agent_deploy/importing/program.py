"""The entry as a program of one's own has it: Python, or Pulumi's YAML."""

from __future__ import annotations

from collections.abc import Mapping
from pprint import pformat
from typing import Any

from agent_deploy.rules.records import camel_case
from agent_deploy.rules.yaml_text import dumped

# Keys below these are names of the user's own.
_KEYED = frozenset({"environment", "tags"})
_PYTHON = """import pulumi
from agent_deploy import AgentDeployment

config = pulumi.Config()
AgentDeployment(
    {name!r},
    {args},
)
"""


def python_program(name: str, args: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    """A program; secrets are read from the stack's configuration."""
    stand_ins = {variable: f"@@{index}@@" for index, variable in enumerate(secrets)}
    lines = pformat(_with_environment(args, stand_ins), width=100, sort_dicts=False).splitlines()
    text = _PYTHON.format(name=name, args="\n    ".join(lines))
    for variable, key in secrets.items():
        text = text.replace(repr(stand_ins[variable]), f"config.require_secret({key!r})")
    return text if secrets else text.replace("config = pulumi.Config()\n", "").replace("import pulumi\n", "")


def yaml_program(project: str, name: str, args: Mapping[str, Any], secrets: Mapping[str, str]) -> str:
    """A Pulumi.yaml; secrets are read from the stack's configuration."""
    references = {variable: f"${{{key}}}" for variable, key in secrets.items()}
    properties = _camel_cased(_escaped(_with_environment(args, {})))
    if references:
        properties["environment"] = {**properties.get("environment", {}), **references}
    document = {
        "name": project,
        "runtime": "yaml",
        **({"config": {key: {"type": "string", "secret": True} for key in secrets.values()}} if secrets else {}),
        "resources": {name: {"type": "agent-deploy:AgentDeployment", "properties": properties}},
    }
    return dumped(document)


def _with_environment(args: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, Any]:
    given = {key: value for key, value in args.items() if key != "secrets"}
    return {**given, "environment": {**given.get("environment", {}), **secrets}} if secrets else given


def _camel_cased(value: Any, keyed: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {k if keyed else camel_case(k): _camel_cased(v, k in _KEYED) for k, v in value.items()}
    return [_camel_cased(each) for each in value] if isinstance(value, list) else value


def _escaped(value: Any) -> Any:
    """Pulumi's YAML reads ${…} as a reference."""
    if isinstance(value, Mapping):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
