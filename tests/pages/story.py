"""What a reader of the sample agent's page, and of those that build on it, does: block after block, in one shell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.pages.blocks import Block, commands


class Step(NamedTuple):
    """A block, what its examples are called here, the file that it goes into; or what the shell does besides."""

    block: Block | None
    changes: Mapping[str, str] = {}
    file: str = ""
    besides: str = ""


def _run(page: str, number: int = 0, changes: Mapping[str, str] | None = None, language: str = "console") -> Step:
    return Step(Block(page, language, number), changes or {})


def _write(page: str, language: str, number: int, file: str) -> Step:
    """At the file's end, where it is there already."""
    return Step(Block(page, language, number), {}, file)


def _besides(script: str) -> Step:
    return Step(None, besides=script)


# A request that was answered here takes the place of the example's.
_READ_ANSWER = 'answer = __import__("json").load(open("answer.json"))'
_READ_ID = f'{_READ_ANSWER}; print(answer["databricks_output"]["databricks_request_id"])'
_ASKED = f"""
agent-deploy query agents_main-default-docs_agent "What is a local workspace?" --json > answer.json
ID=$(python -c '{_READ_ID}')
"""
_SAME_REQUEST = {"573d4a61-4adb-41bd-96db-0ec8cebc3744": """'"$ID"'"""}
_SAME_ANSWER = {"573d4a61-…": '"$ID"'}
_ANN = """python - <<'PROGRAM'
from databricks.sdk import WorkspaceClient
WorkspaceClient().users.create(user_name="ann@example.com")
PROGRAM"""
# In the story the agent has one version.
_VERSION = {"docs_agent 3": "docs_agent 1"}
_YAML = "name: own\nruntime: yaml\nconfig: {token: {type: string, secret: true}}"
# No index has the package yet, and the extra is installed where the tests run.
_INSTALLED = {"pip install 'agent-deploy[pull-requests]'": "python -c 'import github, gitlab'"}

STORY = (
    _run("sample-agent", 0),
    _run("sample-agent", 1),
    _run("local-workspace", 0),
    _run("sample-agent", 2),
    _run("sample-agent", 3, {
        # In the test's home and not in the user's, which Pulumi finds by the user's name.
        "pulumi login --local": 'pulumi login "file://$HOME"',
        # What follows is asked before it is torn down.
        "pulumi destroy": "true",
        "pulumi stack rm --preserve-config dev": "true",
    }),
    _run("deployments", 0, _VERSION),
    _run("deployments", 0, language="python"),
    _run("identity", 0, {
        **_VERSION,
        # The group lacks something, and the exit code says so.
        "--principal release@example.com --json": "--principal admins --json || [ $? -eq 1 ]",
    }),
    _besides(_ASKED),
    _run("feedback", 0, _SAME_REQUEST),
    _run("feedback", 2, {"from agent_deploy": f"{_READ_ANSWER}\nfrom agent_deploy"}, language="python"),
    _run("feedback", 1, _SAME_ANSWER),
    _run("local-workspace", 1),
    _besides("agent-deploy local faults clear"),
    _besides(_ANN),
    _run("review-app", 0),
    _write("policies", "json", 0, "policies.json"),
    # The development stack lets everybody ask, which the pack refuses.
    _run("policies", 0, {"policies.json": "policies.json > judged.txt && exit 1 || grep AGD012 judged.txt"}),
    _run("report", 1, _INSTALLED),
    _besides("export PULUMI_DEBUG_COMMANDS=true; pulumi preview --event-log events.json"),
    _run("report", 0),
    _run("stack-file", 0),
    _run("sample-agent", 0, language="python"),
    _run("sample-agent", 4),
    _run("versions-and-traffic", 0),
    _besides("pulumi stack init staging; pulumi stack select dev"),
    _run("ephemeral", 0),
    _run("feedback", 1, language="python"),
    _run("workspaces", 0),
    _run("teardown", 0),
    _run("teardown", 1),
    _besides("mkdir own; ln -s ../.venv own/.venv; echo > own/__main__.py"),
    _besides("printf 'name: own\\nruntime: python\\n' > own/Pulumi.yaml"),
    _write("installation", "yaml", 0, "own/Pulumi.yaml"),
    _write("testing", "python", 0, "own/test_my_stack.py"),
    _besides("(cd own && python -m pytest -p no:cacheprovider test_my_stack.py)"),
    _besides(f"mkdir yaml; echo '{_YAML}' > yaml/Pulumi.yaml"),
    _write("workspaces", "yaml", 0, "yaml/Pulumi.yaml"),
    _besides('sed -i "s#https://b.example.com#$DATABRICKS_HOST#" yaml/Pulumi.yaml; cd yaml; pulumi stack init yaml'),
    _besides('echo "$DATABRICKS_TOKEN" | pulumi config set --secret token; pulumi preview'),
)  # fmt: skip


def script(blocks: Mapping[Block, str]) -> Iterator[str]:
    """The story for bash; each block announces itself."""
    for step in STORY:
        if step.block is None:
            yield step.besides
            continue
        text = blocks[step.block]
        yield f"echo '==== {step.block.page}, {step.block.language} {step.block.number}'"
        for example, here in step.changes.items():
            assert example in text, f"{step.block}: {example!r} is not there any more"
            text = text.replace(example, here)
        if step.file:
            yield f"cat >> {step.file} <<'FILE'\n{text}FILE"
        elif step.block.language == "console":
            yield from commands(text)
        else:
            yield f"python - <<'PROGRAM'\n{text}PROGRAM"
