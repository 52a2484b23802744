"""`agent-deploy init`: what it writes, that it is what `pulumi new` writes, and what it refuses before it writes."""

from __future__ import annotations

import json
import os
import pty
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from agent_deploy.cli.app import app
from agent_deploy.cli.init import _next
from agent_deploy.projects import writing
from agent_deploy.projects.answers import FORGES, LANGUAGES, Answers, defaults
from agent_deploy.projects.rendering import TEMPLATES

PROJECTS = TEMPLATES / "project"
AGENT_DEPLOY = Path(sys.executable).parent / "agent-deploy"


def init(*arguments: str | Path) -> Result:
    """In this process, which is no terminal."""
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def refusal(*arguments: str | Path) -> str:
    done = init(*arguments)
    assert done.exit_code == 1
    assert str(done.exception).startswith("nothing was written")
    return str(done.exception)


def everything(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("ci", FORGES)
def test_every_answer_arrives_and_no_placeholder_stays(tmp_path: Path, language: str, ci: str) -> None:
    options = ["--language", language, "--ci", ci, "--model", "cat.sch.mod", "--group", "askers: all"]
    assert init(tmp_path, "--name", "clerk", "--description", 'Says "who"', *options).exit_code == 0
    found = everything(tmp_path)
    assert [path for path, text in found.items() if "${PROJECT}" in text or "${DESCRIPTION}" in text] == []
    project = yaml.safe_load(found["Pulumi.yaml"])
    assert (project["name"], project["description"]) == ("clerk", 'Says "who"')
    assert "template" not in project
    assert {key: value["default"] for key, value in project["config"].items()} == {
        "model": "cat.sch.mod", "alias": "candidate", "group": "askers: all", "scaleToZero": True,
    }  # fmt: skip
    stacks = {stage: yaml.safe_load(found[f"Pulumi.{stage}.yaml"])["config"] for stage in ("dev", "staging", "prod")}
    models = {stage: config["model"] for stage, config in stacks.items()}
    assert models == {"dev": "cat.sch.mod", "staging": "staging.sch.mod", "prod": "prod.sch.mod"}
    assert '"cat.sch.mod"' in found["log.py"]
    workflows = {path for path in found if "workflows" in path or path == ".gitlab-ci.yml"}
    assert len(workflows) == {"github": 5, "gitlab": 1, "none": 0}[ci]
    assert ("policies.json" in found) == bool(workflows)
    jobs = [found[path] for path in workflows]
    assert all(yaml.safe_load(text) for text in jobs)
    installs = [line for text in jobs for line in text.splitlines() if "pip install -r" in line]
    assert all(("pulumi package add" in line) == (language in ("typescript", "go")) for line in installs)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".agent-deploy")]


def test_a_name_that_is_a_number_stays_text(tmp_path: Path) -> None:
    assert init(tmp_path, "--yes", "--name", "123", "--language", "yaml").exit_code == 0
    project = yaml.safe_load((tmp_path / "Pulumi.yaml").read_text())
    assert (project["name"], project["resources"]["agent"]["name"]) == ("123", "123")


def test_defaults_are_taken_when_they_are_agreed_to(tmp_path: Path) -> None:
    folder = tmp_path / "My agents!"
    assert init(folder, "--yes").exit_code == 0
    project = yaml.safe_load((folder / "Pulumi.yaml").read_text())
    assert project["name"] == "My-agents"
    assert project["config"]["model"]["default"] == "main.default.My-agents"


def test_the_defaults_of_any_folder_can_be_taken() -> None:
    @given(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=120))
    def each(name: str) -> None:
        Answers(**defaults(Path("/") / name)).check()

    each()


def test_without_a_terminal_and_without_flags_nothing_is_guessed(tmp_path: Path) -> None:
    told = refusal(tmp_path / "clerk", "--language", "yaml")
    assert "--name clerk" in told
    assert "--model main.default.clerk" in told
    assert "or --yes" in told
    assert "--language" not in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--name", "a b"], "--name 'a b': expected 1 to 100 letters"),
        (["--name", ""], "--name '': expected 1 to 100 letters"),
        (["--model", "clerk"], "--model 'clerk': expected a Unity Catalog name of three levels"),
        (["--model", "a.b.c d"], "--model 'a.b.c d': expected"),
        (["--model", 'a.b.c"'], "--model 'a.b.c\"': expected letters, digits"),
        (["--language", "pyhton"], "Did you mean 'python'?"),
        (["--ci", "jenkins"], "--ci 'jenkins': expected one of github, gitlab, none"),
        (["--group", " "], "--group ' ': expected one line that is not empty"),
        (["--description", "a\nb"], "--description 'a\\nb': expected one line"),
    ],
)
def test_an_answer_that_cannot_be_is_named_and_nothing_written(tmp_path: Path, options: list[str], told: str) -> None:
    assert told in refusal(tmp_path / "clerk", "--yes", *options)
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    told = refusal(tmp_path, "--yes", "--name", "a b", "--model", "x")
    assert "--name" in told
    assert "--model" in told


def test_what_is_there_is_named_and_stays(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".github").write_text("a file where a folder is needed")
    before = everything(tmp_path)
    told = refusal(tmp_path, "--yes")
    assert "\n  README.md\n" in told
    assert "\n  .github/workflows/agents-deploy.yml\n" in told
    assert "agent.py" not in told
    assert everything(tmp_path) == before
    for path in ("README.md", ".github"):
        (tmp_path / path).unlink()
    assert init(tmp_path, "--yes").exit_code == 0
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failure_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []

    def rename(self: Path, target: Path) -> Path:
        moved.append(target)
        if len(moved) == 12:
            raise OSError(28, "No space left on device", str(target))
        os.rename(self, target)
        return target

    monkeypatch.setattr(writing.Path, "rename", rename)
    (tmp_path / "kept.txt").write_text("mine")
    assert "No space left on device" in refusal(tmp_path, "--yes")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
    moved.clear()
    assert "No space left on device" in refusal(tmp_path / "a" / "b", "--yes")
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


@pytest.mark.processes
def test_on_a_terminal_it_asks_and_asks_again(tmp_path: Path) -> None:
    own, terminal = pty.openpty()
    process = subprocess.Popen(
        [AGENT_DEPLOY, "init", "clerk", "--ci", "none"],
        cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
    )  # fmt: skip
    os.close(terminal)
    os.write(own, b"\n\nyaml\nnot-three-levels\nmain.default.other\n\n")
    said = b"".join(_until_the_end(own)).decode()
    assert process.wait(60) == 0, said
    assert "Language of the program" in said
    assert "--model 'not-three-levels': expected a Unity Catalog name of three levels" in said
    project = yaml.safe_load((tmp_path / "clerk" / "Pulumi.yaml").read_text())
    assert (project["name"], project["runtime"]) == ("clerk", "yaml")
    assert project["config"]["model"]["default"] == "main.default.other"


def _until_the_end(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # how Linux says that the other side has gone
            return
        if not chunk:
            return
        yield chunk


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_what_all_share(language: str) -> None:
    for shared in (PROJECTS / "shared").iterdir():
        assert (PROJECTS / language / shared.name).resolve() == shared.resolve()


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_end_their_lines_in_yaml(language: str) -> None:
    # `pulumi new` writes a whole scalar and the end of its line there.
    for path in (PROJECTS / language).glob("*.yaml"):
        for line in path.read_text().splitlines():
            assert not line.partition("${PROJECT}")[2], line
            assert not line.partition("${DESCRIPTION}")[2], line


def test_all_languages_have_the_same_configuration() -> None:
    found = [yaml.safe_load((PROJECTS / each / "Pulumi.yaml").read_text())["config"] for each in LANGUAGES]
    assert all(config == found[0] for config in found)


def test_the_agent_answers_its_questions_as_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.types.responses import ResponsesAgentRequest

    monkeypatch.setenv("DEFAULT_DEPARTMENT", "the front desk")
    agent = runpy.run_path(str(PROJECTS / "shared" / "agent.py"))["Agent"]()
    lines = (PROJECTS / "shared" / "questions.jsonl").read_text().splitlines()
    assert len(lines) >= 3
    for each in map(json.loads, lines):
        answer = agent.predict(ResponsesAgentRequest(**each["inputs"])).model_dump_json()
        assert [fact for fact in each["expectations"]["expected_facts"] if fact not in answer] == []


@pytest.mark.parametrize(
    ("model", "first"),
    [("main.default.clerk", "Next, on this machine"), ("dev.agents.clerk", "Next, in your workspace of Databricks")],
)
def test_what_comes_next_can_be_done_where_it_is_said(tmp_path: Path, model: str, first: str) -> None:
    answers = Answers(**{**defaults(tmp_path, "clerk"), "model": model})
    told = _next(tmp_path, answers)
    assert told.startswith(first)
    # A new local workspace has the catalog `main` alone.
    assert ("local start" in told) == model.startswith("main.")


@pytest.mark.parametrize(("group", "level"), [("users", "advisory"), ("agent-users", "mandatory")])
def test_the_policies_do_not_refuse_what_was_answered(tmp_path: Path, group: str, level: str) -> None:
    assert init(tmp_path, "--yes", "--ci", "github", "--group", group).exit_code == 0
    assert json.loads((tmp_path / "policies.json").read_text())["AGD012"] == level
