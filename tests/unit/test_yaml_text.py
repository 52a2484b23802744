"""What is written as YAML is read as it was meant, by YAML 1.1 and by 1.2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.engine.commands import Engine
from agent_deploy.importing.program import yaml_program
from agent_deploy.importing.stack_file import with_agent
from agent_deploy.projects.answers import LANGUAGES, Answers
from agent_deploy.projects.rendering import files
from agent_deploy.rules.ephemeral import FULL_KEY
from agent_deploy.rules.problems import InvalidInput
from agent_deploy.rules.yaml_text import dumped, loaded, scalar
from tests.yaml_values import SPELLED, TEXTS

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
LABEL = "Pulumi.dev.yaml"


def read_alike(text: str) -> Any:
    """By PyYAML and as YAML 1.2."""
    old, new = yaml.safe_load(text), loaded(text, LABEL)
    assert old == new, text
    return new


@given(VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert read_alike(dumped(value)) == value


@given(TEXTS)
def test_a_text_is_one_line_that_stays_a_text(text: str) -> None:
    written = scalar(text)
    assert len(f"a: {written}".splitlines()) == 1
    assert read_alike(f"a: {written} # why\nb: 1\n") == {"a": text, "b": 1}
    # Unquoted is only what begins like a word: no number of any YAML does.
    assert written.startswith('"') or re.match("[A-Za-z_]", written)


@given(st.dictionaries(TEXTS, TEXTS), TEXTS)
def test_an_entry_of_a_stack_file_keeps_its_texts(environment: dict[str, str], name: str) -> None:
    args = {"model_name": "a.b.c", "environment": environment}
    after = with_agent("config:\n  p:x: 1\n", "p:agents", name, args)
    assert read_alike(after) == {"config": {"p:x": 1, "p:agents": {name: args}}}


@given(st.dictionaries(TEXTS, TEXTS), TEXTS)
def test_a_yaml_program_keeps_its_texts(tags: dict[str, str], name: str) -> None:
    document = read_alike(yaml_program("7831e12", name, {"tags": tags}, {}))
    assert document["name"] == "7831e12"
    escaped = {key: value.replace("${", "$${") for key, value in tags.items()}
    assert document["resources"][name]["properties"] == {"tags": escaped}


ONE_LINE = TEXTS.filter(lambda text: bool(text.strip()) and text.isprintable())


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_project_keeps_its_answers(language: str) -> None:
    @given(st.from_regex(r"[0-9A-Za-z_.-]{1,12}", fullmatch=True) | st.just("7831e12"), ONE_LINE, ONE_LINE)
    def each(name: str, description: str, group: str) -> None:
        answers = Answers(name=name, model="1e3.2e3.m", language=language, description=description, group=group)
        written = files(answers)
        project = read_alike(written["Pulumi.yaml"])
        assert (project["name"], project["description"]) == (name, description)
        assert project["config"]["group"]["default"] == group
        assert project["config"]["model"]["default"] == read_alike(written["Pulumi.dev.yaml"])["config"]["model"]

    each()


def test_the_file_of_an_ephemeral_stack_keeps_its_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Pulumi.yaml").write_text("name: p\nruntime: python\n")
    pulumi = tmp_path / "pulumi"
    pulumi.write_text("#!/bin/sh\ncp base.yaml Pulumi.pr-1.yaml\n")  # what `config cp` does
    pulumi.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    file = tmp_path / "Pulumi.pr-1.yaml"
    settings: dict[str, Any] = {"secretsprovider": "x", "config": {"p:texts": list(SPELLED)}}
    file.write_text("secretsprovider: x\n")
    (tmp_path / "base.yaml").write_text(dumped(settings))
    Engine(tmp_path).configure("pr-1", "dev", {"sha": "7831e12"})
    assert read_alike(file.read_text()) == {**settings, "config": {**settings["config"], FULL_KEY: {"sha": "7831e12"}}}


def test_plain_words_stay_plain() -> None:
    assert (
        dumped({"model_name": "main.default.docs", "size": "Small"}) == "model_name: main.default.docs\nsize: Small\n"
    )


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "a: \x00", "--- a\n--- b\n", "a: !!int b", "a: *b", "{a: 1}: 2"])
def test_what_is_no_yaml_is_one_clear_error(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"^Pulumi\.dev\.yaml: expected one document in YAML\. Correct it") as raised:
        loaded(text, LABEL)
    assert "\n" not in str(raised.value)


def test_plain_values_are_read_as_yaml_1_2_has_them() -> None:
    written = "a: 0o17\nb: 1e3\nc: -.INF\nd: 2020-13-45\ne:\nf: yes\ng: 017\nh: 0x1F\ni: [~, null, True]\nj: 1:20\n"
    assert loaded(written, LABEL) == {
        "a": 15, "b": 1000.0, "c": float("-inf"), "d": "2020-13-45", "e": None, "f": "yes", "g": 17, "h": 31,
        "i": [None, None, True], "j": "1:20",
    }  # fmt: skip
    assert len(SPELLED) == len(set(SPELLED))
