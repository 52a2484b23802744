"""What `import` and `init` write as YAML is what Pulumi's engine reads."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

from agent_deploy.importing.stack_file import with_agent
from agent_deploy.projects.answers import Answers
from agent_deploy.projects.rendering import files
from agent_deploy.rules.stack_configuration import of_both
from tests.engine import vault
from tests.engine.support import Stack
from tests.yaml_values import SPELLED

# Every character that quotes may have to escape, alone and between others, besides what is spelled like something else.
CHARACTERS = [chr(code) for code in (*range(1, 0x100), 0x2027, 0x2028, 0x2029, 0x202A, 0xFEFF, 0xFFFC, 0x1F600)]
NUMBERS = [
    "".join(parts)
    for parts in itertools.product(("", "-", "+"), ("1", "0", "7831", "1_0"), ("e12", "E+3", "e-3", ".5", "."))
]
# Pulumi writes what it has read once more before it uses it. However it stands in the file, it loses a line feed at the
# beginning there, and the quotes of a key <<.
TEXTS = [
    text
    for text in (*SPELLED, *CHARACTERS, *(f"a{each}b" for each in CHARACTERS), *NUMBERS)
    if not text.startswith("\n")
]


def test_pulumi_reads_an_entry_as_it_was_meant(open_stack: Callable[..., Stack]) -> None:
    stack = open_stack("", plugins={}, warm=False)
    file = stack.folder / "Pulumi.test.yaml"
    args = {
        "model_name": "main.default.qa",
        "versions": [{"version": "1", "environment": {f"V{number}": text for number, text in enumerate(TEXTS)}}],
        "tags": {text: "key" for text in TEXTS if text != "<<"},
        "scale_to_zero": True,
    }
    file.write_bytes(with_agent(file.read_text(), "project:agents", "7831e12", args).encode())
    read = json.loads(stack.run("config", "--json").output)["project:agents"]["objectValue"]
    assert read == {"7831e12": args}


def test_pulumi_reads_a_projects_answers_as_they_were_given(open_stack: Callable[..., Stack]) -> None:
    stack = open_stack("", plugins={}, warm=False)
    answers = Answers(name="7831e12", model="main.default.m", language="python", group="1e3", description="0o17")
    project = files(answers)
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (stack.folder / name).write_text(project[name])
    stack.run("stack", "init", "dev", "--secrets-provider", vault.PROVIDER)
    read = json.loads(stack.run("config", "--stack", "dev", "--json").output)
    assert {key: each["value"] for key, each in read.items()} == {
        "7831e12:model": "main.default.m", "7831e12:group": "1e3", "7831e12:alias": "candidate",
        "7831e12:scaleToZero": "true",
    }  # fmt: skip


DOCS, QA = "{docs: {model_name: a.b.docs}}", "{qa: {model_name: a.b.qa}}"
# What stands below `config` in the stack's file, and in Pulumi.yaml.
CONFIGURED = {
    "short": (f"{{agents: {DOCS}}}", "{}"),
    "long": (f"{{project:config:agents: {DOCS}}}", "{}"),
    "a value of the project": ("{}", f"{{project:agents: {{value: {DOCS}}}}}"),
    "a default of the project": ("{}", f"{{agents: {{default: {DOCS}}}}}"),
    "both": (f"{{project:agents: {DOCS}}}", f"{{agents: {{value: {QA}}}}}"),
    "nothing before the project's": ("{agents: null}", f"{{agents: {{value: {QA}}}}}"),
}


def test_configuration_is_joined_as_pulumi_joins_it(open_stack: Callable[..., Stack]) -> None:
    stack = open_stack("", plugins={}, warm=False)
    own, project = stack.folder / "Pulumi.test.yaml", stack.folder / "Pulumi.yaml"
    before = own.read_text(), project.read_text()
    for named, (of_stack, of_project) in CONFIGURED.items():
        own.write_text(f"{before[0]}config: {of_stack}\n")
        project.write_text(f"{before[1]}config: {of_project}\n")
        said = stack.run("config", "--json").output
        read = json.loads(said[said.index("{") :])["project:agents"].get("objectValue")
        assert read == of_both(own.read_text(), project.read_text(), "project:agents", own.name), named
