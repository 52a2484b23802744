"""Components of their own in an ephemeral stack."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pulumi
import pytest
from pulumi.runtime.config import set_all_config

from agent_deploy import AgentDeployment, AgentServicePrincipal, InferenceTables
from tests.components.mocked import RUNNER, Workspace, in_use


@pytest.fixture(autouse=True)
def _ephemeral() -> Iterator[None]:
    set_all_config({"agents:ephemeral": json.dumps({"suffix": "pr-3"})})
    yield
    set_all_config({})


def test_tables_of_an_endpoint_of_others_are_refused() -> None:
    in_use(Workspace())

    def program() -> None:
        InferenceTables("logs", endpoint_name="production")

    with pytest.raises(pulumi.RunError, match="endpoint_name: expected an AgentDeployment"):
        pulumi.runtime.test(program)()


def test_a_principal_and_its_scope_have_the_stacks_suffix() -> None:
    mocks = in_use(Workspace())

    def program() -> None:
        args: Any = {"display_name": pulumi.Output.from_input("agent"), "secret_scope": "agent-scope"}
        AgentServicePrincipal("me", args)

    pulumi.runtime.test(program)()
    by_kind = {kind.rpartition(":")[2]: inputs for (kind, _), inputs in mocks.resources.items()}
    assert by_kind["ServicePrincipal"]["displayName"] == "agent-pr-3"
    assert by_kind["SecretScope"]["name"] == "agent-scope-pr-3"


def test_an_endpoint_whose_model_only_up_knows_has_its_name_then() -> None:
    mocks = in_use(Workspace())

    def program() -> None:
        AgentDeployment("qa", model_name=pulumi.Output.from_input("main.default.qa"), model_version="3")

    pulumi.runtime.test(program)()
    names = [inputs["name"] for (kind, _), inputs in mocks.resources.items() if kind.endswith(":ServingEndpoint")]
    assert names == ["agents_main-default-qa-pr-3"]


@pytest.mark.parametrize("ephemeral", [True, False])
def test_a_principal_of_others_is_given_nothing_that_it_would_lose_with_the_stack(ephemeral: bool) -> None:
    if not ephemeral:
        set_all_config({})
    mocks = in_use(Workspace())

    def program() -> None:
        args: Any = {
            "display_name": "agent",
            "resources": [{"kind": "table", "name": "main.default.docs"}],
            "existing": {"application_id": RUNNER, "client_secret": "{{secrets/team/key}}"},
            "experiment_id": "7",
        }
        AgentServicePrincipal("me", args)

    pulumi.runtime.test(program)()
    given = {kind.rpartition(":")[2] for kind, _ in mocks.resources} & {"SecurableGrant", "ObjectPermission"}
    assert given == (set() if ephemeral else {"SecurableGrant", "ObjectPermission"})
