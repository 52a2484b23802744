"""Texts that neither a process nor an API takes are told of every argument that is a text, and of every key."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agent_deploy import AgentDeploymentArgs, AgentServicePrincipalArgs, FeedbackModelArgs, InferenceTablesArgs
from agent_deploy.components.parsing import Shape, parse, shape_of
from agent_deploy.rules.argument_checks import check_arguments
from agent_deploy.rules.environment import MAX_VARIABLE_BYTES

NUL = "sec\0ret"
COMPONENTS = {
    "AgentDeployment": AgentDeploymentArgs,
    "InferenceTables": InferenceTablesArgs,
    "FeedbackModel": FeedbackModelArgs,
    "AgentServicePrincipal": AgentServicePrincipalArgs,
}


def texts(shape: Shape, path: str) -> Iterator[tuple[str, Any]]:
    """Every place where a text may stand: its path, and a value that has a NUL character just there."""
    if shape.fields is not None:
        for name, inner in shape.fields.items():
            for field, value in texts(inner, f"{path}.{name}" if path else name):
                yield field, {name: value}
    elif shape.inner is not None and shape.kind is list:
        yield from ((field, [value]) for field, value in texts(shape.inner, f"{path}[0]"))
    elif shape.inner is not None:
        yield f"{path} key", {NUL: 1 if shape.inner.kind is int else "x"}
        yield from ((field, {"K": value}) for field, value in texts(shape.inner, f"{path}['K']"))
    elif shape.kind is str:
        yield path, NUL


@pytest.mark.parametrize(
    ("component", "field", "args"),
    [
        pytest.param(component, field, args, id=f"{component}.{field}".encode("unicode_escape").decode())
        for component, type_ in COMPONENTS.items()
        for field, args in texts(shape_of(type_), "")
    ],
)
def test_a_nul_character_is_told_wherever_it_stands(component: str, field: str, args: dict[str, Any]) -> None:
    resolved = asyncio.run(parse(component, COMPONENTS[component], args).resolved())
    told = [str(problem) for problem in resolved.last_problems()]
    [found] = [each for each in told if each.startswith(field)]
    assert "NUL" in found
    # A key is no secret; a value may be one.
    assert ("ret" in found.removeprefix(field)) == field.endswith(" key")


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({"environment": {"K": "x" * MAX_VARIABLE_BYTES}}, "environment['K']: expected at most 131,071 bytes"),
        (
            {"versions": [{"version": "1", "environment": {"K": "ü" * 70_000}}]},
            "versions[0].environment['K']: expected",
        ),
        ({"versions": [{"alias": "x/../y"}]}, "versions[0].alias 'x/../y': expected 1 to 255 letters"),
        ({"versions": [{"alias": "v1"}]}, "versions[0].alias 'v1': expected"),
    ],
)
def test_what_up_would_refuse_the_preview_says(args: dict[str, Any], told: str) -> None:
    found = [str(problem) for problem in check_arguments({"model_name": "main.default.qa", **args})]
    assert any(each.startswith(told) for each in found), found


def test_the_longest_variable_passes() -> None:
    args = {"model_name": "main.default.qa", "environment": {"K": "x" * (MAX_VARIABLE_BYTES - 2)}}
    assert check_arguments(args) == []


@pytest.mark.parametrize("key", [1, True, "", None])
def test_a_key_that_is_no_name_is_told(key: Any) -> None:
    resolved = asyncio.run(parse("AgentDeployment", AgentDeploymentArgs, {"tags": {key: "x"}}).resolved())
    assert any(str(each).startswith("tags key") for each in resolved.last_problems())
