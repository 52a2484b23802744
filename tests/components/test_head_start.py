"""Plugins are started ahead: once for a program, for nothing, and without harm when they cannot be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import grpc
import pulumi
import pytest
from google.protobuf import json_format
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.proto.resource_pb2_grpc import ResourceMonitorStub

from agent_deploy.resources import head_start


class Engine(ResourceMonitorStub):
    """What a program asks, kept."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.asked: list[Any] = []
        self.versions: list[str] = []
        self.answered = threading.Event()
        self._failure = failure

    def Invoke(self, request: Any) -> None:
        self.asked.append((request.tok, json_format.MessageToDict(request.args)))
        self.versions.append(request.version)
        self.answered.set()
        if self._failure is not None:
            raise self._failure


class Component:
    """A component, with a provider of its own or without."""

    def __init__(self, provider: object = None) -> None:
        self._provider = provider

    def get_provider(self, member: str) -> object:
        assert member.startswith(("agent-deploy:", "databricks:"))
        return self._provider


SCOPE = "databricks:index/secretScope:SecretScope"
NOTHING: tuple[str, dict[str, Any]] = ("agent-deploy:index:verifyDeployments", {"deployments": []})


def started(
    engine: object, *components: Any, monkeypatch: pytest.MonkeyPatch, vendor: Sequence[pulumi.ResourceOptions] = ()
) -> list[threading.Thread]:
    """The threads that ask, ended. ``vendor``: options of the vendor's resources that are declared then."""
    monkeypatch.setattr(head_start, "get_monitor", lambda: engine)
    before = set(threading.enumerate())
    for component in components:
        head_start.start_provider(component)
    for opts in vendor:
        head_start.start_vendor(SCOPE, opts)
    made = [thread for thread in threading.enumerate() if thread not in before]
    for thread in made:
        thread.join(10)
    return made


def test_it_is_asked_once_and_to_verify_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    started(engine, Component(), Component(), monkeypatch=monkeypatch)
    assert engine.answered.wait(10)
    assert engine.asked == [NOTHING]


def test_the_vendors_is_asked_once_after_ours_in_the_version_of_its_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    opts = pulumi.ResourceOptions(version="1.2.3")
    started(engine, Component(), monkeypatch=monkeypatch, vendor=[opts, opts])
    assert engine.asked == [NOTHING, ("databricks:index/nothing:nothing", {})]
    assert engine.versions == ["", "1.2.3"]


def test_the_vendors_is_left_alone_when_ours_does_not_reach_the_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(grpc.RpcError("no workspace answers"))
    started(engine, Component(), monkeypatch=monkeypatch, vendor=[pulumi.ResourceOptions()])
    assert engine.asked == [NOTHING]


def test_the_vendors_is_left_alone_without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    started(engine, monkeypatch=monkeypatch, vendor=[pulumi.ResourceOptions()])
    assert engine.asked == []


def test_a_vendors_provider_of_the_programs_own_starts_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    engine: Any = Engine()
    chosen, inherited = pulumi.ResourceOptions(), pulumi.ResourceOptions()
    chosen.provider, inherited.parent = cast(Any, "explicit"), cast(Any, Component("explicit"))
    started(engine, Component(), monkeypatch=monkeypatch, vendor=[chosen, inherited])
    assert engine.asked == [NOTHING]


def test_a_provider_of_the_programs_own_starts_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine()
    started(engine, Component("explicit"), monkeypatch=monkeypatch)
    assert engine.asked == []


def test_one_that_does_not_start_is_told_by_who_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, died = Engine(grpc.RpcError("no plugin")), list[Any]()
    monkeypatch.setattr(threading, "excepthook", died.append)
    started(engine, Component(), monkeypatch=monkeypatch)
    assert engine.answered.wait(10)
    assert died == []


def on_a_closed_channel(*_: object, **__: object) -> None:
    channel = grpc.insecure_channel("127.0.0.1:9")
    engine = ResourceMonitorStub(channel)
    channel.close()
    engine.Invoke(resource_pb2.ResourceInvokeRequest())


def failing(failure: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise failure

    return fail


GONE: dict[str, Callable[..., None]] = {
    "refused or cut off": failing(grpc.RpcError("Stream removed (Socket closed)")),
    "cancelled": failing(type("Cancelled", (grpc.RpcError,), {})()),
    "closed here": on_a_closed_channel,
}


@pytest.mark.parametrize("logging", [None, *GONE])
@pytest.mark.parametrize("asking", list(GONE))
def test_an_engine_that_is_gone_ends_the_thread_in_silence(
    monkeypatch: pytest.MonkeyPatch, asking: str, logging: str | None
) -> None:
    engine, died = Engine(), list[Any]()
    monkeypatch.setattr(threading, "excepthook", died.append)
    monkeypatch.setattr(engine, "Invoke", GONE[asking])
    monkeypatch.setattr(pulumi.log, "debug", GONE[logging] if logging else lambda *_: None)
    started(engine, Component(), monkeypatch=monkeypatch)
    assert died == []


def test_mocks_are_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(object(), Component(), monkeypatch=monkeypatch) == []
