"""README.md and docs/: each block that a reader is to run is run by a test; the programs and stack files by these, with
mocks, the commands by tests/engine/test_pages.py or by the test that is named for them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

import pulumi
import pytest
import yaml
from pulumi.runtime.config import set_all_config

import agent_deploy
from agent_deploy import testing
from tests.components.mocked import in_use
from tests.pages.blocks import ROOT, Block, blocks, commands
from tests.pages.story import STORY

BLOCKS = blocks()
# Pages whose blocks of a language a test reads and takes literally.
READ = {
    ("testing", "python"): "tests/components/test_unit_tests_of_users.py",
    ("your-own-agent", "python"): "tests/engine/test_your_own_agent.py",
    ("your-own-agent", "console"): "tests/engine/test_your_own_agent.py",
    ("first-day", "console"): "tests/engine/test_first_day.py",
    ("coming-from", "console"): "tests/engine/test_workspaces.py",
    **{("languages", each): "tests/languages/test_page.py" for each in ("console", "yaml", "typescript", "go")},
}
# Commands that a test runs among other things: the demo and Spark are not run twice. File → what it runs them by.
ELSEWHERE = {
    "make demo": ("tests/engine/test_demo.py", "tools/demo.py"),
    "make test": (".ci/run", "make test"),
    "agent-deploy tables refresh agents_main-default-docs_agent": (
        "tests/tables/test_cli.py",
        '"refresh", "agents_qa"',
    ),
    "agent-deploy tables show agents_main-default-docs_agent requests": ("tests/tables/test_cli.py", '"show"'),
    "agent-deploy tables refresh agents_main-default-docs_agent --start-over": (
        "tests/tables/test_cli.py",
        '"--start-over"',
    ),
}
PROGRAMS = [
    block
    for block, text in BLOCKS.items()
    if block.language == "python"
    and (block.page, "python") not in READ
    and re.search(
        r"^ *(\w+ = )?(AgentDeployment|InferenceTables|FeedbackModel|AgentServicePrincipal)\(", text, re.MULTILINE
    )
]
# Arguments that a page shows by themselves.
ARGUMENTS = [block for block, text in BLOCKS.items() if block.language == "python" and text.startswith("{")]
STACK_FILES = [block for block, text in BLOCKS.items() if block.language == "yaml" and text.startswith("config:")]


# What the programs read of a stack's configuration.
CONFIGURED = {
    "agents:pinecone": "pc-1",
    **{f"{stage}:{key}": f"https://{stage}.example.com" for stage in ("dev", "prod") for key in ("host", "token")},
    **{f"databricks-azure:{key}": f"https://{key}.example.com" for key in ("host", "client", "secret", "tenant")},
}


@pytest.fixture(autouse=True)
def mocks() -> Iterator[testing.Mocks]:
    given = in_use(testing.Mocks(versions={"champion": "3", "candidate": "4"}))
    set_all_config(CONFIGURED)
    yield given
    set_all_config({})


def run(program: str) -> None:
    """As the engine would, but for the engine."""

    @pulumi.runtime.test
    def declared() -> None:
        exec(compile(program, "__main__.py", "exec"), {"pulumi": pulumi, **COMPONENTS})

    declared()


COMPONENTS = {name: getattr(agent_deploy, name) for name in agent_deploy.__all__}


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_program_declares_what_it_says(block: Block, mocks: testing.Mocks) -> None:
    run(BLOCKS[block])
    assert mocks.resources


@pytest.mark.parametrize("block", ARGUMENTS, ids=str)
def test_arguments_are_those_of_an_agent(block: Block, mocks: testing.Mocks) -> None:
    given = ast.literal_eval(BLOCKS[block])
    version = {} if "versions" in given else {"model_version": "3"}
    run(f"AgentDeployment('docs', { ({'model_name': 'main.default.docs', **version, **given})!r})")
    assert ("agent-deploy:index:ServingEndpoint", "docs") in mocks.resources


@pytest.mark.parametrize("block", STACK_FILES, ids=str)
def test_a_stack_file_is_what_the_program_reads(block: Block, mocks: testing.Mocks) -> None:
    configured = yaml.safe_load(BLOCKS[block])["config"]
    agents = configured.setdefault("agents:agents", {"docs": {"model_name": "main.default.docs", "model_version": "3"}})
    # A deployment that policies are to refuse is not what their page is about.
    for agent in agents.values():
        agent.setdefault("permissions", [{"group_name": "agent-users", "level": "CAN_QUERY"}])
    set_all_config({"agents:pinecone": "pc-1", **{key: json.dumps(value) for key, value in configured.items()}})
    run(
        "from agent_deploy import declared_agents\n"
        "for name, args in declared_agents(pulumi.Config('agents')).items(): AgentDeployment(name, args)"
    )
    assert ("agent-deploy:index:ServingEndpoint", "docs") in mocks.resources


def test_every_block_has_its_test() -> None:
    said = {block for block, text in BLOCKS.items() if block.language == "console" and _is_run_elsewhere(text)}
    here = {*PROGRAMS, *ARGUMENTS, *STACK_FILES, *(step.block for step in STORY if step.block)}
    read = {block for block in BLOCKS if (block.page, block.language) in READ}
    assert sorted(set(BLOCKS) - here - read - said) == []
    assert sorted(here - set(BLOCKS)) == []
    for (page, _), file in READ.items():
        assert f"{page}.md" in (ROOT / file).read_text("utf-8"), file


def _is_run_elsewhere(text: str) -> bool:
    return all(re.sub(r"\s+#.*", "", command) in ELSEWHERE for command in commands(text))


@pytest.mark.parametrize(("file", "words"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_command_that_is_run_elsewhere_is_run_there(file: str, words: str) -> None:
    is_there = words in (ROOT / file).read_text("utf-8")
    assert is_there, f"{file} does not run {words}"
