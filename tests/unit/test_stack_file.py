"""An agent's entry is put into a stack's file of any form, or refused: nothing else of the file changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from agent_deploy.importing.stack_file import configured, with_agent
from agent_deploy.rules.problems import InvalidInput
from agent_deploy.rules.yaml_text import loaded

ENTRY: dict[str, Any] = {"model_name": "main.default.qa", "versions": [{"version": "1"}]}
LABEL = "Pulumi.dev.yaml"
NOTHING = ("{}", "null", "~", "{ }")


def wanted(text: str) -> Any:
    """What the file says, and the entry; no object stands in it twice."""
    found = copy.deepcopy(_without_aliases(loaded(text, LABEL))) or {}
    config = found["config"] = found.get("config") or {}
    spelling = next((each for each in ("p:agents", "agents") if each in config), "p:agents")
    config[spelling] = {**(config.get(spelling) or {}), "qa": ENTRY}
    return found


def _without_aliases(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_aliases(each) for key, each in value.items()}
    return [_without_aliases(each) for each in value] if isinstance(value, list) else value


def check(text: str) -> str:
    """Which it was: either exactly the entry more and every line still there, or a refusal of one line."""
    try:
        after = with_agent(text, "p:agents", "qa", ENTRY, LABEL)
    except InvalidInput as error:
        return "refused" if "\n" not in str(error) else str(error)
    assert repr(loaded(after, LABEL)) == repr(wanted(text)), after  # not a number equals nothing
    assert with_agent(after, "p:agents", "qa", ENTRY, LABEL) == after
    lines = iter(after.split("\n"))
    for line in text.split("\n"):
        if line.partition(" #")[0].rstrip().endswith(NOTHING):
            continue  # the one that stood for nothing is gone, where it was the place
        assert any(there.rstrip("\r") == line.rstrip("\r") for there in lines), (line, after)
    if "\r\n" in text and text.count("\r\n") == text.count("\n"):
        assert after.count("\r\n") == after.count("\n")
    assert text.count("\r") or not after.count("\r")
    return "inserted"


WORDS = st.sampled_from(["a", "b", "docs", "x: y", "ä 日本", "p:other", "other:key", "7831e12", "it's", "# no"])
VALUES = st.sampled_from(
    ["1", "x", "{}", "[]", "null", "~", "", '"two words"', "'# no'", "{a: 1, b: [2, 3]}", "{secure: v1:abc}", ".nan",
     "&a {}", "&b x", "*a", "*b", "2020-13-45", "yes",
     "|\n{0}  several\n{0}  lines", ">-\n{0}  folded", "|+\n{0}  kept\n",
     "{a: 1,\n{0}  b: 2}", "\n{0}  {}", "\n{0}  - 1\n{0}  - 2", "\n{0}- 1", "\n{0}  deep: {}", "!!str 1"]
)  # fmt: skip
COMMENTS = st.sampled_from(["", "", "", " # why", " #"])
BETWEEN = st.sampled_from(["", "", "", "\n", "# a remark\n", "      # far in\n", "  # in\n"])


@st.composite
def blocks(draw: st.DrawFn, indent: int, keys: st.SearchStrategy[str], deeper: int) -> str:
    """Lines of a mapping, all as far in."""
    blank, text = " " * indent, ""
    for key in draw(st.lists(keys, max_size=4, unique=True)):
        text += draw(BETWEEN)
        written = f'"{key}"' if draw(st.booleans()) or any(c in key for c in " #'") else key
        opening = draw(st.sampled_from([f"{blank}{written}:", f"{blank}{written}:", f"{blank}? {written}\n{blank}:"]))
        text += opening
        within = deeper and draw(st.booleans())
        if within or (deeper and key in ("config", "p:agents", "agents") and draw(st.booleans())):
            below = st.sampled_from(["p:agents", "agents", "p:defaults", "p:other"]) if key == "config" else WORDS
            step = draw(st.sampled_from([1, 2, 4]))
            anchor = draw(st.sampled_from(["", "", "", " &a", " &b", " !!map"]))
            text += f"{anchor}{draw(COMMENTS)}\n{draw(blocks(indent + step, below, deeper - 1))}"
        else:
            value = draw(VALUES).replace("{0}", blank)
            text += (value if value.startswith("\n") else f" {value}").rstrip(" ")
            text += (draw(COMMENTS) if "\n" not in value else "") + "\n"
    return text + draw(BETWEEN)


@st.composite
def stack_files(draw: st.DrawFn) -> str:
    """Also some that no YAML reads, such as an alias without its anchor."""
    keys = st.sampled_from(["config", "config", "config", "encryptionsalt", "x"])
    text = draw(
        st.one_of(blocks(0, keys, 3), blocks(0, st.just("config"), 3), st.sampled_from(NOTHING).map("{}\n".format))
    )
    text = draw(st.sampled_from(["", "", "", "---\n", "--- # ours\n", "# first\n", "\ufeff"])) + text
    text += draw(st.sampled_from(["", "", "", "...\n", "# the end\n", "\n\n", "...\n# the end"]))
    text = text.removesuffix("\n") if draw(st.booleans()) else text
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


@given(stack_files())
def test_the_entry_and_nothing_else(text: str) -> None:
    outcome = check(text)
    event(outcome)
    assert outcome in ("inserted", "refused")


INSERTED = {
    "none": "",
    "no configuration": "# ours\nencryptionsalt: v1:abc\n",
    "configuration without agents": "config:\n  other:key: 1 # why\n# the end\n",
    "an agent": "config:\n  p:agents:\n    docs: # first\n      model_name: a.b.c\n      versions:\n"
    "        - {version: '1'}\n  # of the rest\n  p:other: x\n",
    "wider": "config:\n    p:agents:\n        docs:\n            model_name: a.b.c\n            description: |\n"
    "                several\n                lines\n# the end\n",
    "an empty mapping": "config:\n  p:agents: {}\n  p:other: x\n",
    "a key without anything": "config:\n  p:agents:\n  p:other: x\n",
    "null at the end": "config:\n  p:agents: null",
    "no break at the end": "config:\n  p:agents:\n    docs: {model_name: a.b.c}",
    "what Pulumi writes for nothing": "{}\n",
    "the same without an end": "{}",
    "nothing in a document": "---\n...\n",
    "an empty document": "--- {}\n...\n",
    "a document without configuration": "---\nencryptionsalt: v1\n...\n",
    "braces on a line of their own": "config:\n  p:agents:\n    {}\n  p:b: 1\n",
    "null on a line of its own": "config:\n  p:agents:\n    null # none yet\n  p:b: 1\n",
    "braces with a comment": "config:\n  p:agents: {} # none yet\n",
    "a configuration in braces": "config: {}\nencryptionsalt: v1\n",
    "an explicit key at the end": "config:\n  p:agents:\n    ? docs\n    : model_name: a.b.c\n",
    "an anchor that nobody uses": "config:\n  p:agents: &a {}\n",
    "CRLF": "config:\r\n  p:agents:\r\n    docs: {}\r\n  p:b: 1\r\n",
    "CRLF, empty": "config:\r\n  p:agents: {}\r\n",
    "an anchored block": "config:\n  p:agents: &a\n    docs: {}\n",
    "a byte order mark": "\ufeffconfig:\n  p:agents:\n    docs: {}\n",
    "dates that are none": "config:\n  p:b: 2020-13-45\n  p:c: .nan\n",
    "without the project": "config:\n  defaults: {}\n  agents:\n    docs: {}\n",
}
REFUSED = {
    "an alias of the empty mapping": "config:\n  p:agents: &a {}\n  p:b: *a\n",
    "an alias of the agents": "config:\n  p:agents: &a\n    docs: {}\n  p:b: *a\n",
    "an alias as the agents": "config:\n  p:b: &a\n    docs: {}\n  p:agents: *a\n",
    "an alias as the configuration": "x: &a {p:b: 1}\nconfig: *a\n",
    "braces around all": "{config: {}}\n",
    "braces over several lines": "config:\n  p:agents: {\n    # why\n  }\n",
    "agents by a merge": "x: &a\n  p:agents:\n    docs: {}\nconfig:\n  <<: *a\n",
    "two spellings": "config:\n  p:agents:\n    docs: {}\n  agents:\n    docs: {}\n",
    "an alias below its own anchor": "config: &a\n  p:agents:\n    docs: *a\n",
    "a text": "config:\n  p:agents: ''\n",
    "two documents": "config: {}\n---\nconfig: {}\n",
    "no YAML": "config: [\n",
    "an alias without its anchor": "config: *a\n",
    "a control character": "config: \x00\n",
}


@pytest.mark.parametrize("text", INSERTED.values(), ids=INSERTED)
def test_forms_that_take_an_entry(text: str) -> None:
    assert check(text) == "inserted"


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_forms_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"Pulumi\.dev\.yaml: expected"):
        with_agent(text, "p:agents", "qa", ENTRY, LABEL)


def test_comments_of_what_was_empty_stay() -> None:
    after = with_agent("config:\n  p:agents: {} # none yet\n", "p:agents", "qa", ENTRY, LABEL)
    assert after.startswith("config:\n  p:agents: # none yet\n    qa:\n")
    assert yaml.safe_load(after)["config"] == {"p:agents": configured(after, "p:agents", LABEL)}


def test_a_name_that_is_taken_and_other_forms_of_the_agents_are_refused() -> None:
    with pytest.raises(InvalidInput, match="--name 'docs'"):
        with_agent(INSERTED["an agent"], "p:agents", "docs", ENTRY)
    with pytest.raises(InvalidInput, match="without braces"):
        with_agent("config: {p:agents: {docs: {}}}", "p:agents", "qa", ENTRY)
    with pytest.raises(InvalidInput, match="a mapping"):
        with_agent("config:\n  p:agents: [1]\n", "p:agents", "qa", ENTRY)
