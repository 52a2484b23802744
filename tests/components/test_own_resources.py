"""Every attribute of our resources' classes can be read, whatever was given and whatever the provider answers."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import handed_out
from agent_deploy.resources.serving_endpoint import ServingEndpoint
from tests.components.mocked import Workspace, in_use


@pytest.mark.parametrize("kind", OwnResource.__subclasses__())
def test_what_has_an_attribute_is_handed_out_and_what_was_not_given_costs_nothing(kind: type) -> None:
    members: list[Any] = [member for member in vars(kind).values() if isinstance(member, property)]
    attributes = {member.name for member in members}
    assert attributes
    assert set(handed_out(kind, {"given": 1, "notGiven": None})) == {*attributes, "given"}


@pulumi.runtime.test
def test_an_endpoint_without_a_description_has_none() -> pulumi.Output[None]:
    in_use(Workspace())
    endpoint = ServingEndpoint("qa", name="qa")

    def check(described: list[str | None]) -> None:
        assert described == ["qa", None]

    return pulumi.Output.all(endpoint.name, endpoint.description).apply(check)
