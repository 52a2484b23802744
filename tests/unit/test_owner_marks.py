"""By what a component knows its endpoint again: its own mark, and those of before it was renamed."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from agent_deploy.components import owner_marks as marks

URN = "urn:pulumi:prod::agents::agent-deploy:index:AgentDeployment::old"


@pytest.mark.parametrize(
    ("aliases", "former"),
    [
        (None, []),
        ([pulumi.Alias(name="old")], ["agents/dev/old"]),
        ([pulumi.Alias(stack="prod")], ["agents/prod/qa"]),
        ([pulumi.Alias(project="team", stack="prod", name="old")], ["team/prod/old"]),
        ([URN, "no urn"], ["agents/prod/old"]),
        ([pulumi.Alias(name="qa")], []),
        ([pulumi.Alias(type_="other:index:Type")], []),
    ],
)
def test_its_own_mark_comes_first(monkeypatch: pytest.MonkeyPatch, aliases: Any, former: list[str]) -> None:
    monkeypatch.setattr(marks.pulumi, "get_project", lambda: "agents")
    monkeypatch.setattr(marks.pulumi, "get_stack", lambda: "dev")
    found = marks.owner_marks("qa", pulumi.ResourceOptions(aliases=aliases))
    assert found == ["agents/dev/qa", *former]
    assert marks.owner_marks("qa", None) == ["agents/dev/qa"]
