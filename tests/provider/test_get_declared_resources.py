"""What a version declares, over HTTP: the MLmodel's resources, or a text that says what is wrong."""

from __future__ import annotations

import httpx
import pytest

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.verification.get_declared_resources import declared_resources, unreadable
from agent_deploy.rules.declared_resources import Declared
from agent_deploy.rules.mlmodel import MAX_BYTES
from agent_deploy.rules.resource_kinds import Resource
from tests.provider.permission_double import Double

PATH = "/api/2.0/fs/files/Models/main/default/agent/3/MLmodel"
VERSION = ("main.default.agent", "3")
MLMODEL = """
flavors: {python_function: {loader_module: mlflow.pyfunc.model}}
auth_policy:
  system_auth_policy:
    resources:
      api_version: '1'
      databricks:
        table: [{name: main.default.docs}]
        genie_space: [{name: 01ef, on_behalf_of_user: true}]
        teapot: [{name: x}]
  user_auth_policy:
    api_scopes: [sql]
"""


def asked(text: str) -> tuple[Declared, list[str]]:
    double = Double()
    double.answers[PATH] = httpx.Response(200, text=text)
    return declared_resources(double.context.configuration, *VERSION)


def test_the_resources_of_a_version() -> None:
    resources = (Resource("table", "main.default.docs"), Resource("genie_space", "01ef", True))
    assert asked(MLMODEL) == (Declared(resources, ("sql",), ("teapot",)), [])


def test_a_model_without_resources_declares_none() -> None:
    assert asked("flavors: {}\n") == (Declared(), [])


def test_malformed_names_are_told_with_the_version() -> None:
    _, [problem] = asked("resources: {api_version: '1', databricks: {table: [{name: docs}]}}")
    assert "main.default.agent version 3, MLmodel: resources.table[0].name 'docs'" in problem


@pytest.mark.parametrize(
    "text", ["{", "- 1", "\t", "", "[" * 100_000, "a: &a [x]\n" + "b: *a\n" * 50, "x: " + "y" * MAX_BYTES]
)
def test_what_is_no_mlmodel_is_told(text: str) -> None:
    _, [problem] = asked(text)
    assert "Log the model again" in problem


@pytest.mark.parametrize(
    ("status", "told"), [(404, "has no MLmodel file"), (403, "GRANT EXECUTE ON FUNCTION"), (400, "resources=")]
)
def test_a_file_that_cannot_be_read_is_told_with_the_way_out(status: int, told: str) -> None:
    double = Double()
    double.answers[PATH] = status
    with pytest.raises(ApiError) as refused:
        declared_resources(double.context.configuration, *VERSION)
    assert told in unreadable(*VERSION, refused.value)
