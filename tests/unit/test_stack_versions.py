"""A version's number in a stack file is changed, and nothing else of the text."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.problems import InvalidInput
from agent_deploy.rules.stack_versions import with_version

QUOTES = st.sampled_from(["", '"', "'"])
NUMBERS = st.integers(1, 99).map(str)


# How a project's keys begin; a project need not be named in its own file.
PROJECTS = st.sampled_from(["agents:", "help-desk:", "help-desk:config:", ""])
SPELLINGS = ["agents:", "agents:config:", ""]


@given(st.lists(st.tuples(st.booleans(), NUMBERS, QUOTES, st.booleans()), max_size=6), NUMBERS, NUMBERS, PROJECTS)
def test_only_the_numbers_of_that_model_change(
    agents: list[tuple[bool, str, str, bool]], before: str, after: str, project: str
) -> None:
    lines, expected = ["config:", "  a:b: 1 # äöü", f"  {project}agents:"], []
    for number, (is_it, version, quote, listed) in enumerate(agents):
        lines += [f"    a{number}:", f"      model_name: {'m.s.It' if is_it else 'm.s.other'}  # {before}"]
        written = f"{quote}{version}{quote}"
        lines.append(f"      versions: [{{version: {written}}}]" if listed else f"      model_version: {written} # x")
        expected.append(after if is_it and version == before else version)
    text = "\n".join(lines) + "\n"
    changed, named = with_version(text, "m.s.it", before, after)
    read = yaml.safe_load(changed)["config"][f"{project}agents"] or {}
    found = [a["versions"][0]["version"] if "versions" in a else a["model_version"] for a in read.values()]
    assert [str(each) for each in found] == expected
    assert named == [f"a{n}" for n, (is_it, version, _, _) in enumerate(agents) if is_it and version == before]
    assert [line.split("#")[1:] for line in changed.splitlines()] == [line.split("#")[1:] for line in text.splitlines()]


def test_a_file_without_agents_is_left_alone() -> None:
    for text in ("", "config: {}\n", "encryptionsalt: v1\n", "config:\n  agents:agents:\n"):
        assert with_version(text, "m.s.it", "1", "2") == (text, [])


@pytest.mark.parametrize("agents", SPELLINGS)
@pytest.mark.parametrize("defaults", SPELLINGS)
def test_a_model_of_the_defaults_counts(agents: str, defaults: str) -> None:
    text = f'config:\n  {defaults}defaults: {{model_name: m.s.it}}\n  {agents}agents:\n    a: {{model_version: "1"}}\n'
    assert with_version(text, "m.s.it", "1", "2") == (text.replace('"1"', '"2"'), ["a"])


def test_defaults_of_another_project_do_not_count() -> None:
    text = 'config:\n  other:defaults: {model_name: m.s.it}\n  p:agents:\n    a: {model_version: "1"}\n'
    assert with_version(text, "m.s.it", "1", "2") == (text, [])


def test_what_is_no_yaml_is_one_clear_error() -> None:
    with pytest.raises(InvalidInput, match=r"^Pulumi\.prod\.yaml: expected one document in YAML"):
        with_version("config: [", "m.s.it", "1", "2", "Pulumi.prod.yaml")
