"""Outputs made of one Output: what each depends on is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from agent_deploy.components.outputs import of_its_own


@pytest.mark.parametrize("first", ["holds", "plain"])
def test_what_a_value_holds_is_no_dependency_of_its_siblings(first: str) -> None:
    async def dependencies() -> dict[str, int]:
        inner: Any = pulumi.Output({object()}, _known(1), _known(True))  # type: ignore[arg-type]
        shared = pulumi.Output.from_input("shared")
        inputs = {"holds": of_its_own(shared, lambda _: {"reference": inner}), "plain": shared.apply(str)}
        found: dict[str, int] = {}
        for name in sorted(inputs, key=lambda each: each != first):
            into: list[Any] = []
            await rpc.serialize_property(inputs[name], into, name, None)
            found[name] = len(set(into))
        return found

    assert asyncio.run(dependencies()) == {"holds": 1, "plain": 0}


async def _known(value: Any) -> Any:
    return value
