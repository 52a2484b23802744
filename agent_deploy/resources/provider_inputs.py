"""What a provider was made with, as its program reads it back from the engine: an object here, or a mere reference."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import grpc
import pulumi
from pulumi.runtime import rpc
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.settings import get_monitor

# The engine's own function: the state of a resource of this run. Source: pulumi/pkg/resource/deploy/builtins.go.
_GET_RESOURCE = "pulumi:pulumi:getResource"


class ProviderInputs:
    """The inputs of one provider; asked for once, when the engine has it.

    A component for a program in another language gets a provider as a reference without inputs, so the engine is asked
    for those of any provider. What is secret or unknown there, is so here.
    """

    def __init__(self, provider: pulumi.ProviderResource) -> None:
        self._urn = provider.urn
        self._read = asyncio.ensure_future(_state(provider))

    async def name(self) -> str:
        """The provider's, as its program gives it."""
        return str(await self._urn.future()).rpartition("::")[2]

    async def values(self) -> dict[str, Any]:
        """Name → plain value, or pulumi's Unknown; only what is set."""
        state = await self._read
        return {name: rpc.unwrap_rpc_secret(value) for name, value in state.items()}

    def outputs(self, names: Iterable[str], secret: Collection[str]) -> dict[str, pulumi.Output[Any]]:
        """Each of the names as an Output; None in it where it was left out. ``secret`` ones are secret anyhow."""
        return {name: pulumi.Output.from_input(self._value(name, name in secret)) for name in names}

    async def _value(self, name: str, secret: bool) -> Any:
        value = (await self._read).get(name)
        if rpc.is_rpc_secret(value) or (secret and value is not None):
            return pulumi.Output.secret(rpc.unwrap_rpc_secret(value))
        return value


async def _state(provider: pulumi.ProviderResource) -> Mapping[str, Any]:
    engine: Any = get_monitor()
    request = resource_pb2.ResourceInvokeRequest(tok=_GET_RESOURCE, acceptResources=True)
    request.args.update({"urn": await provider.urn.future()})
    try:
        answer = await asyncio.get_running_loop().run_in_executor(None, engine.Invoke, request)
    except grpc.RpcError as error:
        what = error.details() if isinstance(error, grpc.Call) else error
        raise pulumi.RunError(f"The engine did not tell how a provider is configured: {what}") from None
    state: Mapping[str, Any] = rpc.deserialize_properties(getattr(answer, "return")["state"])
    return state
