"""A workspace set as `databricks:*` in the stack reaches our own plugin: by one provider, unless the user gave one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pulumi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pulumi.runtime import mocks, rpc

from agent_deploy.resources import functions
from agent_deploy.resources.own_provider import Provider
from agent_deploy.resources.provider import in_workspace
from agent_deploy.resources.secret import Secret
from agent_deploy.rules.verifiable import WantedDeployment, WantedVersion
from tests.components.mocked import in_use


class Recorder(mocks.Mocks):
    """Keeps the registered resources and by which provider they were registered."""

    def __init__(self) -> None:
        self.providers: dict[str, dict[str, Any]] = {}
        self.own: dict[str, dict[str, Any]] = {}
        self.hidden: dict[str, set[str]] = {}
        self.declared: list[str] = []
        self.chosen: dict[str, str] = {}

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        return {}, []

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith("pulumi:providers:"):
            self.providers[args.name] = args.inputs
            package = args.typ.rpartition(":")[2]
            self.declared.append(f"{package} {args.name}")
            if package == "agent-deploy":
                self.own[args.name] = {name: rpc.unwrap_rpc_secret(value) for name, value in args.inputs.items()}
                self.hidden[args.name] = {name for name, value in args.inputs.items() if rpc.is_rpc_secret(value)}
        elif args.provider:
            self.chosen[args.name] = args.provider.rpartition("::")[0].rpartition("::")[2]
        return args.name, args.inputs


@pytest.fixture
def engine() -> Iterator[Recorder]:
    recorder = in_use(Recorder())
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


GIVEN: dict[str, Any] = {
    "host": "https://two.example.com",
    "token": "hush-token",
    "clientId": "an-id",
    "clientSecret": "hush-secret",
    "profile": "team",
    "accountId": "an-account",
    "authType": "pat",
}
WAYS: dict[str, Callable[[pulumi.ProviderResource], pulumi.ResourceOptions]] = {
    "provider": lambda ws: pulumi.ResourceOptions(provider=ws),
    "list of providers": lambda ws: pulumi.ResourceOptions(providers=[ws]),
    "map of providers": lambda ws: pulumi.ResourceOptions(providers={"databricks": ws}),
    "parent": lambda ws: pulumi.ResourceOptions(
        parent=pulumi.ComponentResource("x:y:Z", "parent", {}, pulumi.ResourceOptions(providers=[ws]))
    ),
}


class Agent(pulumi.ComponentResource):
    """A component of ours, with a child of each package."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agent-deploy:index:Agent", name, {}, in_workspace(name, opts))
        own = pulumi.ResourceOptions(parent=self)
        secret(f"{name}-secret", own)
        pulumi.CustomResource("databricks:index/secretScope:SecretScope", f"{name}-scope", {}, own)


def databricks(name: str, **inputs: Any) -> pulumi.ProviderResource:
    return pulumi.ProviderResource("databricks", name, inputs)


@pytest.mark.parametrize("config", [{}, CONFIG, {"agent-deploy:host": "https://three.example.com"}])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_databricks_provider_decides_for_ours(engine: Recorder, way: str, config: dict[str, str]) -> None:
    def program() -> None:
        ws = databricks("ws", **GIVEN, rateLimit=5)
        Agent("agent", WAYS[way](ws))
        secret("alone", WAYS[way](databricks("other", host="https://four.example.com")) if way != "parent" else None)

    declared(engine, {} if way == "parent" else config, program)
    assert engine.own["ws"] == GIVEN
    assert engine.hidden["ws"] == {"token", "clientSecret"}
    assert engine.chosen["agent-secret"] == engine.chosen["agent-scope"] == "ws"
    assert way == "parent" or engine.own["other"] == {"host": "https://four.example.com"}


@settings(max_examples=25)
@given(names=st.sets(st.sampled_from(sorted(GIVEN))), hidden=st.sets(st.sampled_from(sorted(GIVEN))))
def test_what_is_given_is_handed_on_and_what_is_secret_stays_so(names: set[str], hidden: set[str]) -> None:
    given_ = {name: GIVEN[name] for name in names}

    def program() -> None:
        inputs = {name: pulumi.Output.secret(value) if name in hidden else value for name, value in given_.items()}
        secret("first", pulumi.ResourceOptions(provider=databricks("ws", **inputs)))

    recorder = declared(in_use(Recorder()), {}, program)
    assert recorder.own["ws"] == given_
    assert recorder.hidden["ws"] == names & (hidden | {"token", "clientSecret"})


def test_one_provider_of_ours_for_all_that_one_was_given_to(engine: Recorder) -> None:
    def program() -> None:
        ws = databricks("ws", host="https://two.example.com")
        for name in ("a", "b", "c"):
            Agent(name, pulumi.ResourceOptions(providers=[ws]))

    declared(engine, {}, program)
    assert engine.declared.count("agent-deploy ws") == 1


HOST = "https://two.example.com"
SAME = [(HOST, HOST), (HOST, "two.example.com/"), (HOST, "https://TWO.example.com/?o=1"), (HOST, None), (None, HOST)]


@pytest.mark.parametrize(("own", "vendors"), SAME)
def test_both_kinds_at_one_workspace(
    engine: Recorder, monkeypatch: pytest.MonkeyPatch, own: str | None, vendors: str | None
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", HOST)

    def program() -> None:
        given_ = [Provider("own", host=own), databricks("ws", host=vendors)]
        Agent("agent", pulumi.ResourceOptions(providers=given_))

    declared(engine, {}, program)
    assert (engine.chosen["agent-secret"], engine.chosen["agent-scope"]) == ("own", "ws")


@pytest.mark.parametrize("config", [{}, {"databricks:host": HOST}])
@pytest.mark.parametrize("with_vendors", [True, False])
def test_two_workspaces_are_refused_with_both_hosts_and_without_a_child(
    engine: Recorder, with_vendors: bool, config: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", HOST)

    def program() -> None:
        vendors = [databricks("ws", host=HOST)] if with_vendors else []
        Agent("agent", pulumi.ResourceOptions(providers=[Provider("own", host="https://else.example.com"), *vendors]))

    with pytest.raises(pulumi.RunError, match=r"at https://else\.example\.com, but .* at https://two\.example\.com"):
        declared(engine, config, program)
    assert engine.chosen == {}


@pytest.mark.parametrize("way", ["azureClientSecret", "azureUseMsi", "googleCredentials", "password", "configFile"])
def test_a_way_to_sign_in_that_ours_does_not_take_is_told_and_a_token_beside_it_is_enough(
    engine: Recorder, way: str
) -> None:
    inputs = {"host": HOST, way: "x"}
    with pytest.raises(pulumi.RunError, match=rf"'ws' is made with {way}.*agent_deploy\.Provider"):
        declared(engine, {}, lambda: Agent("a", pulumi.ResourceOptions(provider=databricks("ws", **inputs))))
    again = in_use(Recorder())
    declared(again, {}, lambda: Agent("a", pulumi.ResourceOptions(provider=databricks("ws", **inputs, token="t"))))
    assert again.own["ws"] == {"host": HOST, "token": "t"}


def test_a_switch_that_is_off_is_no_way_to_sign_in(engine: Recorder) -> None:
    ws = {"host": HOST, "azureUseMsi": "false"}
    declared(engine, {}, lambda: Agent("a", pulumi.ResourceOptions(provider=databricks("ws", **ws))))
    assert engine.own["ws"] == {"host": HOST}


async def _asked(opts: pulumi.InvokeOptions) -> list[Any]:
    versions = (WantedVersion("versions[0]", "1"), WantedVersion("versions[1]", alias="champion"))
    verified = await functions.verify_deployment(WantedDeployment("main.default.qa", versions), opts)
    return [
        verified.numbers == ("1", "champion") and not verified.problems and verified.unverified,
        "during `up` only" in (await functions.get_endpoint_table("qa", opts))["problem"],
        (await functions.get_payload_table("main.default.qa_payload", opts))["problem"] == "",
    ]


def test_what_nobody_answers_is_no_failure_of_the_program(engine: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    # As the engine does while a provider's inputs are unknown; no unit test, whose mocks are completed.
    monkeypatch.setattr("agent_deploy.resources.unit_tests.get_monitor", object)
    told: list[Any] = []

    def program() -> None:
        asked: Any = _asked(pulumi.InvokeOptions())
        pulumi.Output.from_input(asked).apply(told.extend)

    declared(engine, {}, program)
    assert len(told) == 3
    assert all(told)
