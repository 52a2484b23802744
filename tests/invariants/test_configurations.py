"""For every configuration: no drift after up, up twice is up once, destroy twice, deleted by hand and up again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent_deploy.provider.endpoint.state import is_healthy
from tests.engine.serving import MODEL, PATH
from tests.invariants.configurations import CONFIGURATIONS, program
from tests.invariants.conftest import Place
from tests.invariants.engine import Engine

Make = Callable[[], Engine]
Scope = Callable[[], str]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_up_is_all_there_is_to_do(place: Place, engine: Make, scope: Scope, configuration: str) -> None:
    stack, name = engine(), scope()
    wanted = program(name, CONFIGURATIONS[configuration])
    assert stack.up(wanted) == ["create key", "create qa"]
    assert is_healthy(place.endpoints()[name])
    assert stack.preview(wanted) == []
    before = place.endpoints()[name]
    stack.wire.asked.clear()
    assert stack.up(wanted) == []
    versions = f"GET /api/2.1/unity-catalog/models/{MODEL}/versions"
    assert stack.wire.asked <= {versions}, "a run without changes asks only whether the versions are those it deployed"
    stack.refresh()
    assert stack.preview(wanted) == [], "what the workspace defaults, omits and echoes is no drift"
    assert place.endpoints()[name] == before
    # Deleted by hand: seen, and made again.
    place.workspace.delete(f"{PATH}/{name}")
    place.workspace.post("/api/2.0/secrets/delete", {"scope": name, "key": stack.state["key"].properties["key"]})
    stack.refresh()
    assert stack.state == {}
    assert stack.up(wanted) == ["create key", "create qa"]
    assert stack.preview(wanted) == []
    stack.destroy()
    stack.destroy()
    assert name not in place.endpoints()
    assert place.keys(name) == set()


@pytest.mark.parametrize("first", CONFIGURATIONS)
def test_any_configuration_follows_any_other(place: Place, engine: Make, scope: Scope, first: str) -> None:
    for second in CONFIGURATIONS:
        stack, name = engine(), scope()
        stack.up(program(name, CONFIGURATIONS[first]))
        id = place.endpoints()[name]["id"]
        wanted = program(name, CONFIGURATIONS[second], value="second")
        stack.up(wanted)
        assert stack.preview(wanted) == [], second
        stack.refresh()
        assert stack.preview(wanted) == [], second
        replaced = "servedEntities" in CONFIGURATIONS[first] and "servedEntities" not in CONFIGURATIONS[second]
        assert (place.endpoints()[name]["id"] != id) is replaced, second
        assert place.keys(name) == {stack.state["key"].properties["key"]}, "the secret's old key is gone"
        stack.destroy()


def test_destroy_when_everything_is_gone_already(place: Place, engine: Make, scope: Scope) -> None:
    stack, name = engine(), scope()
    stack.up(program(name, CONFIGURATIONS["everything"]))
    place.workspace.delete(f"{PATH}/{name}")
    place.workspace.post("/api/2.0/secrets/scopes/delete", {"scope": name})
    stack.destroy()
    assert stack.state == {}
    place.workspace.post("/api/2.0/secrets/scopes/create", {"scope": name})


def test_a_replaced_endpoint_gets_a_table_of_its_own(place: Place, engine: Make, scope: Scope) -> None:
    stack, name = engine(), scope()
    stack.up(program(name, CONFIGURATIONS["logged"]))
    wanted = program(name, {**CONFIGURATIONS["logged"], "routeOptimized": True})
    assert stack.up(wanted) == ["replace qa"]
    assert stack.state["qa"].properties["payloadTable"] == f"main.default.{name}_1_payload"
    assert any("It is deleted first, and answers nothing" in text for text in stack.told)
    assert stack.preview(wanted) == []
    stack.destroy()
    assert {f"main.default.{name}_payload", f"main.default.{name}_1_payload"} <= place.tables()


@pytest.mark.parametrize("gone_by_hand", [False, True])
def test_payloads_are_kept_and_told_of_or_dropped_as_declared(
    place: Place, engine: Make, scope: Scope, gone_by_hand: bool
) -> None:
    stack, name = engine(), scope()
    kept = f"main.default.{name}_payload"
    stack.up(program(name, CONFIGURATIONS["logged"]))
    stack.destroy()
    assert kept in place.tables()
    assert f"To remove them: DROP TABLE `main`.`default`.`{name}_payload`" in stack.told[-1]

    configuration = {**CONFIGURATIONS["logged"], "aiGateway": {"inferenceTableConfig": {
        "catalogName": "main", "schemaName": "default", "tableNamePrefixHint": name}}}  # fmt: skip
    stack.up(program(name, configuration))
    second = f"main.default.{name}_1_payload"
    assert second in place.tables()
    configuration["aiGateway"]["inferenceTableConfig"]["deleteOnDestroy"] = True
    wanted = program(name, configuration)
    assert stack.preview(wanted) == ["change qa ('aiGateway', 'inferenceTableConfig', 'deleteOnDestroy')"], (
        "what destroy will do is seen in a preview"
    )
    stack.up(wanted)
    stack.refresh()
    assert stack.preview(wanted) == []
    if gone_by_hand:
        place.workspace.delete(f"{PATH}/{name}")
        place.workspace.delete(f"/api/2.1/unity-catalog/tables/{second}")
    stack.destroy()
    assert second not in place.tables()
    assert kept in place.tables()
