"""A workspace set as `databricks:*` in the stack reaches our own plugin: by one provider, unless the user gave one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks

from agent_deploy.resources.secret import Secret


class Recorder(mocks.Mocks):
    """Keeps the registered resources and by which provider they were registered."""

    def __init__(self) -> None:
        self.providers: dict[str, dict[str, Any]] = {}
        self.chosen: dict[str, str] = {}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith("pulumi:providers:"):
            self.providers[args.name] = args.inputs
        elif args.provider:
            self.chosen[args.name] = args.provider.rpartition("::")[0].rpartition("::")[2]
        return args.name, args.inputs


@pytest.fixture
def engine() -> Iterator[Recorder]:
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder, preview=False)
    yield recorder
    pulumi.runtime.set_all_config({})


def declared(engine: Recorder, config: dict[str, str], program: Any) -> Recorder:
    pulumi.runtime.set_all_config(config)
    pulumi.runtime.test(program)()
    return engine


def secret(name: str, opts: pulumi.ResourceOptions | None = None) -> Secret:
    return Secret(name, scope="s", name="k", value="v", opts=opts)


CONFIG = {"databricks:host": "https://one.example.com", "databricks:token": "hush"}


def test_all_resources_share_one_provider(engine: Recorder) -> None:
    def program() -> None:
        parent = pulumi.ComponentResource("x:y:Z", "parent")
        secret("first")
        secret("second", pulumi.ResourceOptions(parent=parent))

    declared(engine, CONFIG, program)
    assert list(engine.providers) == ["databricks-configuration"]
    assert engine.providers["databricks-configuration"]["host"] == "https://one.example.com"
    assert engine.chosen == {"first": "databricks-configuration", "second": "databricks-configuration"}


def test_the_users_own_provider_wins(engine: Recorder) -> None:
    def program() -> None:
        own = pulumi.ProviderResource("agent-deploy", "own", {"host": "https://two.example.com"})
        secret("first", pulumi.ResourceOptions(provider=own))
        options = pulumi.ResourceOptions(providers={"agent-deploy": own})
        parent = pulumi.ComponentResource("x:y:Z", "parent", {}, options)
        secret("second", pulumi.ResourceOptions(parent=parent))

    declared(engine, CONFIG, program)
    assert list(engine.providers) == ["own"]
    assert set(engine.chosen.values()) == {"own"}


@pytest.mark.parametrize("config", [{}, {**CONFIG, "agent-deploy:host": "https://three.example.com"}])
def test_without_it_or_with_the_packages_own_configuration_the_default_provider_stays(
    engine: Recorder, config: dict[str, str]
) -> None:
    declared(engine, config, lambda: secret("first"))
    assert engine.providers == {}
    assert engine.chosen == {}
