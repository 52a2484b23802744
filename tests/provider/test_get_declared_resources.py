"""getDeclaredResources over HTTP: the MLmodel's resources, or a text that says what is wrong."""

from __future__ import annotations

import httpx
import pytest

from agent_deploy.provider.get_declared_resources import get_declared_resources
from agent_deploy.rules.mlmodel import MAX_BYTES
from tests.provider.permission_double import Double

PATH = "/api/2.0/fs/files/Models/main/default/agent/3/MLmodel"
ARGUMENTS = {"modelName": "main.default.agent", "version": "3"}
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


def asked(text: str) -> dict[str, object]:
    double = Double()
    double.answers[PATH] = httpx.Response(200, text=text)
    return get_declared_resources(double.context, ARGUMENTS)


def test_the_resources_of_a_version() -> None:
    assert asked(MLMODEL) == {
        "resources": [
            {"kind": "table", "name": "main.default.docs", "onBehalfOfUser": False},
            {"kind": "genie_space", "name": "01ef", "onBehalfOfUser": True},
        ],
        "userScopes": ["sql"],
        "unknownKinds": ["teapot"],
        "problem": "",
    }


def test_a_model_without_resources_declares_none() -> None:
    result = asked("flavors: {}\n")
    assert (result["resources"], result["problem"]) == ([], "")


def test_malformed_names_are_told_with_the_version() -> None:
    result = asked("resources: {api_version: '1', databricks: {table: [{name: docs}]}}")
    assert "main.default.agent version 3, MLmodel: resources.table[0].name 'docs'" in str(result["problem"])


@pytest.mark.parametrize(
    "text", ["{", "- 1", "\t", "", "[" * 100_000, "a: &a [x]\n" + "b: *a\n" * 50, "x: " + "y" * MAX_BYTES]
)
def test_what_is_no_mlmodel_is_told(text: str) -> None:
    assert "Log the model again" in str(asked(text)["problem"])


@pytest.mark.parametrize(
    ("status", "told"), [(404, "has no MLmodel file"), (403, "GRANT EXECUTE ON FUNCTION"), (400, "resources=")]
)
def test_a_file_that_cannot_be_read_is_told_with_the_way_out(status: int, told: str) -> None:
    double = Double()
    double.answers[PATH] = status
    problem = get_declared_resources(double.context, ARGUMENTS)["problem"]
    assert "main.default.agent version 3" in problem
    assert told in problem


@pytest.mark.parametrize("arguments", [{"modelName": "agent", "version": "3"}, {**ARGUMENTS, "version": "x"}, {}])
def test_bad_arguments_are_problems_and_nothing_is_asked(arguments: dict[str, str]) -> None:
    double = Double()
    assert "expected" in get_declared_resources(double.context, arguments)["problem"]
    assert double.calls == []
