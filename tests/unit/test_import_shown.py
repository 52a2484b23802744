"""What `agent-deploy import` shows: nothing that a workspace's texts or names could forge or run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.cli.imported import _printable, tell_next
from agent_deploy.importing.children import PERMISSIONS, Child
from agent_deploy.importing.differences import permission_changes
from agent_deploy.importing.entry import Entry, entry_of
from agent_deploy.importing.existing import Existing


class _Found:
    """As much of a take-over as the next commands name."""

    is_there, differences, problems = True, (), ()

    def __init__(self, secrets: dict[str, str]) -> None:
        self.entry = Entry({}, secrets)


@given(st.text())
def test_a_text_stays_on_its_line(text: str) -> None:
    shown = _printable(text)
    assert shown.isprintable()
    assert text != shown or text.isprintable()


def test_names_of_others_are_no_commands(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "$(touch pwn)"
    tell_next([], cast(Any, [_Found({"KEY": evil})]), f"dev;{evil}", Path(f"{evil}.json"))
    for line in capsys.readouterr().out.splitlines()[1:]:
        # Unquoted it would be several words, and a shell would run it.
        assert all(evil in word for word in shlex.split(line) if "$(" in word)


def test_a_secrets_key_is_made_of_plain_characters() -> None:
    entity = {"name": "x", "entity_name": "main.default.$(x)", "entity_version": "1",
              "environment_vars": {"OPENAI_API_KEY": "hunter2hunter2"}}  # fmt: skip
    remote = {"name": "e", "id": "1", "config": {"served_entities": [entity]}}
    entry = entry_of(Existing(remote), "$(x)", {})
    assert entry.secrets == {"OPENAI_API_KEY": "--x--OPENAI_API_KEY"}


def test_who_would_lose_a_permission_is_told() -> None:
    controls = [{"groupName": "readers", "permissionLevel": "CAN_QUERY"}]
    child = Child("p", PERMISSIONS, "p", inputs={"accessControls": controls}, id="/serving-endpoints/1")
    readers = {"group_name": "readers", "level": "CAN_QUERY"}
    assert list(permission_changes([child], [readers])) == []
    [told] = permission_changes([child], [readers, {"group_name": "writers", "level": "CAN_MANAGE"}])
    assert str(told).startswith("p, accessControls: readers CAN_QUERY, writers CAN_MANAGE → readers CAN_QUERY")
