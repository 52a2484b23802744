"""Which agents a stack has already is read as Pulumi reads it; what would hide them is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from agent_deploy.importing.configured_agents import ConfiguredAgents
from agent_deploy.rules.problems import InvalidInput

ARGS = {"model_name": "a.b.c"}
DOCS = "{docs: {model_name: x.y.z}}"
SPELLINGS = ["p:agents", "agents", "p:config:agents"]


def opened(folder: Path, stack: str | bytes, project: str = "") -> ConfiguredAgents:
    (folder / "Pulumi.yaml").write_text(f"name: p\nruntime: python\n{project}")
    file = folder / "Pulumi.dev.yaml"
    file.write_bytes(stack if isinstance(stack, bytes) else stack.encode())
    return ConfiguredAgents(file, folder / "Pulumi.yaml", "p")


@pytest.mark.parametrize("key", SPELLINGS)
def test_the_stacks_file_keeps_its_own_spelling(key: str, tmp_path: Path) -> None:
    written = (
        f"config:\n  {key}:\n    docs: {{model_name: x.y.z}}\n  {key.replace('agents', 'defaults')}: {{auth: MANUAL}}\n"
    )
    found = opened(tmp_path, written)
    assert (list(found.agents), found.defaults) == (["docs"], {"auth": "MANUAL"})
    found.add("qa", ARGS)
    found.write()
    read = yaml.safe_load(found.path.read_text())["config"]
    assert len(read) == 2
    assert read[key] == {"docs": {"model_name": "x.y.z"}, "qa": ARGS}
    with pytest.raises(InvalidInput, match="--name 'docs'"):
        opened(tmp_path, written).add("docs", ARGS)


@pytest.mark.parametrize("key", SPELLINGS)
@pytest.mark.parametrize("form", [DOCS, f"{{value: {DOCS}}}", f"{{type: object, default: {DOCS}}}"])
def test_agents_of_the_project_would_be_hidden(key: str, form: str, tmp_path: Path) -> None:
    defaults = f"{key.replace('agents', 'defaults')}: {{value: {{auth: MANUAL}}}}"
    found = opened(tmp_path, "config: {}\n", f"config:\n  {key}: {form}\n  {defaults}\n")
    assert (list(found.agents), found.defaults) == (["docs"], {"auth": "MANUAL"})
    found.add("docs", {"model_name": "x.y.z"})  # is there
    with pytest.raises(InvalidInput, match=r"p:agents in Pulumi\.yaml: expected the agents in Pulumi\.dev\.yaml"):
        found.add("qa", ARGS)
    assert found.path.read_text() == "config: {}\n"


@pytest.mark.parametrize("nothing", ["{}", "null", ""])
def test_the_stacks_file_goes_before_the_projects(nothing: str, tmp_path: Path) -> None:
    project = f"config:\n  p:agents: {{value: {DOCS}}}\n  defaults: {{value: {{auth: MANUAL}}}}\n"
    found = opened(tmp_path, f"config:\n  agents: {nothing}\n  p:defaults: {{keep_previous: 1}}\n", project)
    assert (found.agents, found.defaults) == ({}, {"keep_previous": 1})
    found.add("qa", ARGS)
    assert yaml.safe_load(found.text)["config"] == {"agents": {"qa": ARGS}, "p:defaults": {"keep_previous": 1}}


@pytest.mark.parametrize("project", ["", "config: deeper\n", "config:\n  model:\n    type: string\n", "config:\n"])
def test_a_project_that_says_nothing_of_agents(project: str, tmp_path: Path) -> None:
    found = opened(tmp_path, "{}\n", project)
    found.add("qa", ARGS)
    assert yaml.safe_load(found.text) == {"config": {"p:agents": {"qa": ARGS}}}


def test_line_ends_stay(tmp_path: Path) -> None:
    found = opened(tmp_path, b"config:\r\n  p:x: 1\r\n")
    found.add("qa", ARGS)
    found.write()
    assert found.path.read_bytes() == (b"config:\r\n  p:x: 1\r\n  p:agents:\r\n    qa:\r\n      model_name: a.b.c\r\n")


@pytest.mark.parametrize(
    ("stack", "told"),
    [
        ("config: [", "Pulumi.dev.yaml: expected one document in YAML"),
        (b"\xff\xfe", "Pulumi.dev.yaml: expected a file in UTF-8"),
        (f"config:\n  agents: {DOCS}\n  p:agents: {DOCS}\n", "one of p:agents and agents, which are the same key"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_error(stack: str | bytes, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        opened(tmp_path, stack)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
