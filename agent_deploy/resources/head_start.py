"""The provider starts while the program is still declaring: the engine starts it when it is first asked."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakSet

import grpc
import pulumi
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub
from pulumi.runtime.settings import get_monitor

from agent_deploy.resources.provider import PACKAGE, provider_of

# The programs (by their engines) whose provider was started.
_STARTED: WeakSet[Any] = WeakSet()


def start_provider(component: pulumi.Resource) -> None:
    """Has the default provider started beside the program; the SDK's own calls wait until the program's module ends.

    It is asked to verify nothing. What goes wrong goes wrong again when it is asked for something, and is told then.
    """
    engine = get_monitor()
    if not isinstance(engine, ResourceMonitorStub) or engine in _STARTED:
        return
    if provider_of(component) is None:
        _STARTED.add(engine)
        threading.Thread(target=_ask, args=(engine,), daemon=True).start()


def _ask(engine: ResourceMonitorStub) -> None:
    request = resource_pb2.ResourceInvokeRequest(tok=f"{PACKAGE}:index:verifyDeployments")
    request.args.update({"deployments": []})
    try:
        engine.Invoke(request)
    except grpc.RpcError as error:
        pulumi.log.debug(f"{PACKAGE} could not be started ahead: {error}")
