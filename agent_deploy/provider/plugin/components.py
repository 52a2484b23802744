"""Components for programs in other languages: the engine's calls for them go to Pulumi's own SDK.

Loaded only when such a program asks: the SDK takes as long to load as all else that a plugin starts with. The base,
`pulumi.provider.server.ProviderServicer`, is not promised to stay as it is: the tests run it against the oldest and the
newest supported pulumi.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from typing import Any

import pulumi
import pulumi.runtime
from pulumi.provider import server as classic

from agent_deploy.provider.plugin.inferred_schema import Schema, completed
from agent_deploy.provider.plugin.resource import Package, UserError

# Where the protocol was loaded without the SDK around it, nobody has named it there; the SDK asks for it by this name.
pulumi.runtime.proto = sys.modules["pulumi.runtime.proto"]


class Components(classic.ProviderServicer):
    """Makes the package's components; what is wrong with their inputs is a UserError."""

    def __init__(self, package: Package, components: list[type], engine_address: str) -> None:
        # Infers their schema.
        from pulumi.provider.experimental.component import ComponentProvider

        provider = ComponentProvider(components, package.name, None, package.version)
        super().__init__(provider, [], engine_address)
        self._inferred, self._analyzer = str(provider.schema), provider.analyzer
        self._classes, self._marks = components, package.marks

    @property
    def schema(self) -> Schema:
        """Their part of the package's schema."""
        return completed(self._inferred, self._analyzer, self._classes, self._marks)

    async def construct(self, request: Any, context: Any) -> Any:
        """Makes one."""
        return await _told(self._construct(request, context))

    async def call(self, request: Any, context: Any) -> Any:
        """A method of one."""
        return await _told(self._call(request, context))

    @staticmethod
    def _construct_options(request: Any) -> pulumi.ResourceOptions:
        options = classic.ProviderServicer._construct_options(request)
        given = request.customTimeouts
        if given.create or given.update or given.delete:
            # The base class reads the timeouts and drops them.
            options.custom_timeouts = pulumi.CustomTimeouts(given.create, given.update, given.delete)
        return options


async def _told(work: Awaitable[Any]) -> Any:
    try:
        return await work
    except classic.ComponentInitError as failure:
        error: Exception = failure.inner
    except Exception as failure:  # noqa: BLE001 - raised again below
        error = failure
    if isinstance(error, pulumi.InputPropertiesError):
        lines = [f"{each['property_path']}: {each['reason']}" for each in error.errors or []]
        raise UserError("\n".join([error.message, *lines]).strip()) from error
    if isinstance(error, pulumi.InputPropertyError):
        raise UserError(f"{error.property_path}: {error.reason}") from error
    if isinstance(error, pulumi.RunError):
        raise UserError(str(error)) from error
    raise error
