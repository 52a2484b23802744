"""Folders are derived from names: none leads elsewhere, and no two names share one."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.tables.folders import folder_name, is_derived, joined_name, securable_folder, table_folder
from agent_deploy.tables.refresh import RefreshFailed, Target, refresh

ROOT = Path("/state")
# What some library or file system takes for more than a letter, in all mixtures.
SPECIAL = st.text(st.sampled_from("%2eEfF5cC\\/~$*?[]{}#'\";:|&=+@-_ aAüÜéſıİ\u0301\u200b\ud800\x00"), min_size=1)
LEVEL = st.one_of(SPECIAL, st.text(min_size=1), st.from_regex(r"[a-z0-9_-]{1,300}", fullmatch=True)).map(str.lower)


@given(LEVEL)
def test_a_folders_name_means_itself_everywhere(name: str) -> None:
    found = folder_name(name)
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    assert found[0] != "-"
    assert len(found) <= 128
    assert found == unicodedata.normalize("NFD", found).casefold()


@given(LEVEL, LEVEL)
def test_two_names_have_two_folders(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


@given(LEVEL)
def test_a_name_that_looks_like_anothers_folder_has_one_of_its_own(name: str) -> None:
    taken = folder_name(name)
    assert folder_name(taken) == taken if not is_derived(taken) else folder_name(taken) != taken


@given(st.tuples(LEVEL, LEVEL, LEVEL).filter(lambda levels: not any("." in level for level in levels)))
def test_a_securable_lies_three_levels_below_its_root(levels: tuple[str, str, str]) -> None:
    found = securable_folder(ROOT, ".".join(levels))
    assert found.parents[2] == ROOT
    assert found.relative_to(ROOT).parts == tuple(folder_name(level) for level in levels)


@given(*[st.tuples(LEVEL, LEVEL, LEVEL).filter(lambda levels: not any("." in level for level in levels))] * 2)
def test_two_full_names_have_two_checkpoints(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    found = [joined_name(".".join(levels)) for levels in (one, other)]
    assert (found[0] == found[1]) == (one == other)
    assert all(len(name) <= 255 and "/" not in name and name not in (".", "..") for name in found)


@pytest.mark.parametrize("name", ["", "a", "a.b", "a.b.c.d", "a..c", ".."])
def test_what_is_no_full_name_has_no_folder(name: str) -> None:
    with pytest.raises(ValueError, match="three levels"):
        securable_folder(ROOT, name)
    with pytest.raises(RefreshFailed, match="no payload table"):
        refresh(ROOT, name, "endpoint")


def test_ordinary_names_are_their_own_folders() -> None:
    """Workspaces of earlier versions lie so."""
    assert table_folder(ROOT, "Main.default.qa-1_payload") == Path("/state/tables/main/default/qa-1_payload")
    assert Target(ROOT, "main.default.QA_payload").storage == Path("/state/pipelines/main.default.qa_payload")
