"""Levels of object ACLs: which includes which."""

from __future__ import annotations

import pytest

from agent_deploy.rules.object_permissions import CAN_MANAGE, IS_OWNER, OBJECT_TYPES


@pytest.mark.parametrize(
    ("path", "held", "wanted", "expected"),
    [
        ("serving-endpoints", "CAN_MANAGE", "CAN_QUERY", True),
        ("serving-endpoints", "CAN_VIEW", "CAN_QUERY", False),
        ("sql/warehouses", "CAN_VIEW", "CAN_USE", False),
        ("sql/warehouses", "CAN_USE", "CAN_VIEW", False),
        ("sql/warehouses", "CAN_MONITOR", "CAN_USE", True),
        ("genie", "CAN_RUN", "CAN_READ", True),
        ("genie", "CAN_READ", "CAN_RUN", False),
        ("jobs", "IS_OWNER", "CAN_MANAGE", True),
        ("experiments", "CAN_EDIT", "NO_SUCH_LEVEL", False),
    ],
)
def test_levels_include_others(path: str, held: str, wanted: str, expected: bool) -> None:
    assert OBJECT_TYPES[path].allows(held, wanted) is expected


@pytest.mark.parametrize("path", OBJECT_TYPES)
def test_managing_includes_every_level_but_owning(path: str) -> None:
    kind = OBJECT_TYPES[path]
    assert kind.includes[CAN_MANAGE] >= set(kind.levels) - {IS_OWNER}
    assert kind.creator_level in kind.levels


def test_the_highest_level_is_the_one_that_includes_most() -> None:
    kind = OBJECT_TYPES["sql/warehouses"]
    assert kind.highest(["CAN_USE", "IS_OWNER", "CAN_MANAGE"]) == "IS_OWNER"
    assert kind.highest([]) is None
