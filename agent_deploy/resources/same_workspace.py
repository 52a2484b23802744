"""Two providers of one component have to be at one workspace: nobody may use ours before their hosts were compared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from agent_deploy.client.configuration import host_of
from agent_deploy.client.errors import ConfigurationError
from agent_deploy.resources.provider_inputs import ProviderInputs

_CHECKED = "_agent_deploy_checked"


@dataclass(frozen=True)
class DefaultProvider:
    """The provider that the engine makes of a stack's configuration ``inputs`` where a program gives none."""

    package: str
    inputs: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As a message calls it."""
        return f"the stack's default provider of {self.package}"


class CheckedProvider(pulumi.ProviderResource):
    """The user's own provider of our package; whoever refers to it waits until it was compared with the other one."""

    def __init__(self, own: pulumi.ProviderResource, other: pulumi.ProviderResource | DefaultProvider) -> None:
        super().__init__(own.package, "", {}, None, dependency=True)
        compared = asyncio.ensure_future(_compare(own, other))

        async def after(value: pulumi.Output[Any]) -> Any:
            await compared
            return await value.future()

        self.__dict__["urn"] = pulumi.Output.from_input(after(own.urn))
        self.__dict__["id"] = pulumi.Output.from_input(after(own.id))


def checked(own: pulumi.ProviderResource, other: pulumi.ProviderResource | DefaultProvider) -> pulumi.ProviderResource:
    """``own`` once it is known to be where ``other`` is; one for all who ask, so that their look-ups stay one call."""
    known: dict[str, tuple[object, CheckedProvider]] = own.__dict__.setdefault(_CHECKED, {})
    key = other.label if isinstance(other, DefaultProvider) else str(id(other))
    if key not in known:
        # The other one is kept as well: its id must not become somebody else's.
        known[key] = (other, CheckedProvider(own, other))
    return known[key][1]


def compare_defaults(own: DefaultProvider, other: DefaultProvider) -> None:
    """Raises RunError where the stack's configuration sends the two packages to different workspaces."""
    _judge(own.label, own.inputs, other.label, other.inputs)


async def _compare(own: pulumi.ProviderResource, other: pulumi.ProviderResource | DefaultProvider) -> None:
    inputs, label = await _described(own)
    others, other_label = (other.inputs, other.label) if isinstance(other, DefaultProvider) else await _described(other)
    _judge(label, inputs, other_label, others)


async def _described(provider: pulumi.ProviderResource) -> tuple[Mapping[str, Any], str]:
    found = ProviderInputs(provider)
    return await found.values(), f"the provider '{await found.name()}' of {provider.package}"


def _judge(label: str, inputs: Mapping[str, Any], other_label: str, other_inputs: Mapping[str, Any]) -> None:
    host, other_host = _host(inputs), _host(other_inputs)
    if host and other_host and host != other_host:
        raise pulumi.RunError(
            f"One component, two workspaces: {label} is at {host}, but {other_label} is at {other_host}. Nothing was "
            "declared. Give both providers the same host, or give a databricks provider alone: it decides for both."
        )


def _host(inputs: Mapping[str, Any]) -> str:
    """Empty where it is not known, be it before `up` only."""
    if any(isinstance(inputs.get(name), pulumi.output.Unknown) for name in ("host", "profile")):
        return ""
    try:
        return host_of(inputs)
    except ConfigurationError:
        # Its own plugin tells what is wrong, better than a comparison could.
        return ""
