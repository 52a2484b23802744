"""An agent's entry is put into a stack's file, and nothing else of the file changes."""

from __future__ import annotations

import pytest
import yaml

from agent_deploy.importing.stack_file import configured, with_agent
from agent_deploy.rules.problems import InvalidInput

ENTRY = {"model_name": "main.default.qa", "versions": [{"version": "1"}]}
FILES = {
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
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_the_rest_of_the_file_stays(text: str) -> None:
    before = yaml.safe_load(text) or {}
    after = with_agent(text, "p:agents", "qa", ENTRY)
    agents = configured(after, "p:agents")
    assert agents.pop("qa") == ENTRY
    assert agents == configured(text, "p:agents")
    assert with_agent(after, "p:agents", "qa", ENTRY) == after
    read = yaml.safe_load(after)
    assert {k: v for k, v in read.items() if k != "config"} == {k: v for k, v in before.items() if k != "config"}
    others = {k: v for k, v in (before.get("config") or {}).items() if k != "p:agents"}
    assert {k: v for k, v in read["config"].items() if k != "p:agents"} == others
    for line in text.splitlines():
        assert line in after or line.rstrip().endswith(("{}", "null"))


def test_a_name_that_is_taken_and_a_file_in_braces_are_refused() -> None:
    with pytest.raises(InvalidInput, match="--name 'docs'"):
        with_agent(FILES["an agent"], "p:agents", "docs", ENTRY)
    with pytest.raises(InvalidInput, match="without braces"):
        with_agent("config: {p:agents: {docs: {}}}", "p:agents", "qa", ENTRY)
    with pytest.raises(InvalidInput, match="a mapping"):
        with_agent("config:\n  p:agents: [1]\n", "p:agents", "qa", ENTRY)
