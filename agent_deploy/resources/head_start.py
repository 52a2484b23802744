"""Plugins start while the program is still declaring: the engine starts one when it is first asked for something of it.

Otherwise they start one after the other: ours when the program's module has ended, the vendor's when all is verified.
"""

from __future__ import annotations

import threading
from weakref import WeakKeyDictionary

import grpc
import pulumi
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub
from pulumi.runtime.settings import get_monitor

from agent_deploy.resources.provider import PACKAGE, provider_of

# How an engine fails to answer; a channel that is closed is a ValueError.
_GONE = (grpc.RpcError, ValueError)


class _Start:
    """A package whose plugin is asked for beside the program; ``is_up`` once it has answered."""

    def __init__(
        self, engine: ResourceMonitorStub, request: resource_pb2.ResourceInvokeRequest, after: _Start | None = None
    ) -> None:
        """``after`` another one has answered, and only if it has."""
        self.is_up = False
        self._thread = threading.Thread(target=self._ask, args=(engine, request, after), daemon=True)
        self._thread.start()

    def _ask(
        self, engine: ResourceMonitorStub, request: resource_pb2.ResourceInvokeRequest, after: _Start | None
    ) -> None:
        if after is not None:
            after._thread.join()
            if not after.is_up:
                return
        try:
            engine.Invoke(request)
            self.is_up = True
        except _GONE as error:
            # Not its text, which is another plugin's.
            what = error.code().name if isinstance(error, grpc.Call) else type(error).__name__
            _note(f"asked for {request.tok}, so that its plugin starts: {what}")


def _note(text: str) -> None:
    """Tells the engine, for its debug log. A program that failed may outlive it: then nobody is left to be told."""
    try:
        pulumi.log.debug(text)
    except _GONE:
        return


# The programs, by their engines: what was started for each, by package.
_STARTED: WeakKeyDictionary[ResourceMonitorStub, dict[str, _Start]] = WeakKeyDictionary()


def start_provider(component: pulumi.Resource) -> None:
    """Has our default provider started beside the program; the SDK's own calls wait until the program's module ends.

    It is asked to verify nothing, for which it finds out who deploys, and no more. What goes wrong goes wrong again
    when it is asked for something, and is told then.
    """
    engine = get_monitor()
    if isinstance(engine, ResourceMonitorStub) and engine not in _STARTED and provider_of(component) is None:
        request = resource_pb2.ResourceInvokeRequest(tok=f"{PACKAGE}:index:verifyDeployments")
        request.args.update({"deployments": []})
        _STARTED[engine] = {PACKAGE: _Start(engine, request)}


def start_vendor(token: str, opts: pulumi.ResourceOptions) -> None:
    """Has the default provider of a vendor's resource started that is being declared, while it is verified.

    It is asked for a function that it does not have: it says so at once, and has asked nobody. Only when ours has
    reached the workspace: one that cannot be configured ends the program before our error says why.
    """
    engine, package = get_monitor(), token.partition(":")[0]
    if not isinstance(engine, ResourceMonitorStub):
        return
    started = _STARTED.get(engine, {})
    if PACKAGE not in started or package in started:
        return
    if opts.provider is None and (opts.parent is None or opts.parent.get_provider(token) is None):
        request = resource_pb2.ResourceInvokeRequest(tok=f"{package}:index/nothing:nothing", version=opts.version or "")
        started[package] = _Start(engine, request, after=started[PACKAGE])
