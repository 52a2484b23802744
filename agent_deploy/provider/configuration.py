"""The provider's own inputs: which workspace, and as whom."""

from __future__ import annotations

from agent_deploy.client.configuration import SECRETS, VARIABLES, resolve
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import UNKNOWN, Failure, Values
from agent_deploy.rules.connection_settings import check_setting, trimmed

INPUTS = tuple(VARIABLES)
SECRET_INPUTS = SECRETS
# What the engine adds to every provider's inputs.
_ENGINE = frozenset({"version", "pluginDownloadURL", "parameterization", "__internal"})


def check_configuration(inputs: Values) -> list[Failure]:
    """Only the form; nothing is looked up, and what the inputs leave out may come from elsewhere."""
    failures = [
        Failure(name, f"this input does not exist; there are {', '.join(INPUTS)}")
        for name in inputs
        if name not in INPUTS and name not in _ENGINE
    ]
    for name in INPUTS:
        value = inputs.get(name)
        if isinstance(value, str):
            failures += [Failure("", str(problem)) for problem in check_setting(name, name, trimmed(value))]
    return failures


def configure(inputs: Values) -> Workspace:
    """The workspace; settings are looked up at the first call, so that an unused provider needs none."""
    explicit = {name: value for name, value in inputs.items() if value is not UNKNOWN}
    return Workspace(lambda: resolve(explicit))
