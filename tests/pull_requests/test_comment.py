"""`agent-deploy comment` against GitHub's and GitLab's APIs (doubles on 127.0.0.1), by their unmodified clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.pull_requests.forge import Change
from agent_deploy.pull_requests.marker import Marker, found_in
from agent_deploy.pull_requests.posting import is_older, put
from agent_deploy.pull_requests.surroundings import Surroundings
from agent_deploy.report.structure import SCHEMA_VERSION
from tests.pull_requests.forges import ELSE, OF_A_WORKFLOW, READ_ONLY, TOKEN, State, github, gitlab, served

PREVIEW = Path(__file__).parents[1] / "unit" / "fixtures" / "report" / "first_deployment.json"
FORGES = ("github", "gitlab")


@pytest.fixture(params=FORGES)
def forge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def state(forge: str) -> Iterator[State]:
    held = State()
    with served({"github": github, "gitlab": gitlab}[forge](held), held):
        yield held


Comment = Callable[..., tuple[int, str]]


@pytest.fixture
def comment(forge: str, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Comment:
    """Runs the command as a job of the forge does, for a commit; returns exit code and what it says."""
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN", "GITLAB_CI", "GITHUB_STEP_SUMMARY", "GITHUB_EVENT_PATH"):
        monkeypatch.delenv(name, raising=False)

    def run(commit: str, *arguments: str, token: str = TOKEN, **environment: str) -> tuple[int, str]:
        told = (
            of_github(state.url, commit, token, tmp_path) if forge == "github" else of_gitlab(state.url, commit, token)
        )
        done = CliRunner().invoke(
            app, ["comment", str(PREVIEW), *arguments], env={**told, **environment}, catch_exceptions=False
        )
        return done.exit_code, done.output

    return run


def of_github(url: str, commit: str, token: str, folder: Path) -> Mapping[str, str]:
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12, "head": {"sha": commit}}}))
    own = {"GITHUB_API_URL": url, "GITHUB_REPOSITORY": "o/r", "GITHUB_SHA": "merge", "GITHUB_EVENT_PATH": str(event)}
    return {**own, "GITHUB_TOKEN": token}


def of_gitlab(url: str, commit: str, token: str) -> Mapping[str, str]:
    own = {"GITLAB_CI": "true", "CI_SERVER_URL": url, "CI_PROJECT_PATH": "g/p", "CI_MERGE_REQUEST_IID": "12"}
    return {**own, "CI_COMMIT_SHA": commit, "GITLAB_TOKEN": token}


def commits_shown(state: State) -> list[str]:
    return [marker.commit for body in state.own() if (marker := found_in(body)) is not None]


def test_one_comment_follows_the_commits_and_an_older_run_gives_way(state: State, comment: Comment) -> None:
    for number in range(300):
        state.add(f"review {number}", ELSE)
    code, said = comment("c1")
    assert (code, said.startswith("Created: https://")) == (0, True), said
    for number in range(150):
        state.add(f"more {number}", ELSE)
    assert comment("c3")[1].startswith("Updated: ")
    assert commits_shown(state) == ["c3"]
    code, said = comment("c2")
    assert (code, "shows the newer commit c3" in said) == (0, True), said
    assert commits_shown(state) == ["c3"]
    state.commits = ["c1", "other"]  # pushed over: what is shown is of no commit that is there
    assert comment("other")[1].startswith("Updated: ")
    assert comment("c3")[1].startswith("Gave way: ")
    assert commits_shown(state) == ["other"]
    assert len(state.comments) == 451


def test_each_stack_has_a_comment_of_its_own(state: State, comment: Comment) -> None:
    state.add(f"{Marker('another', 'test', 'c1')}\nof another project")
    comment("c1")
    comment("c2")
    assert commits_shown(state) == ["c1", "c2"]


def test_what_others_write_is_never_changed(forge: str, state: State, comment: Comment) -> None:
    comment("c1")
    own = state.own()[0]
    state.comments.clear()
    spoofed = [state.add(own, ELSE)["body"], state.add(f"I quote:\n{own}")["body"]]
    assert comment("c2")[1].startswith("Created: ")
    assert [each["body"] for each in state.comments][:2] == spoofed


def test_two_runs_at_once_leave_one_comment(forge: str, state: State) -> None:
    number, repository = 12, {"github": "o/r", "gitlab": "g/p"}[forge]
    for order in (("c2", "c3"), ("c3", "c2"), ("c3", "c3")):
        state.comments.clear()
        state.gate = threading.Barrier(2)  # both have looked, and found nothing, before either writes
        ends: list[str] = []

        def run(commit: str, ends: list[str] = ends) -> None:
            at = Surroundings(forge, state.url, repository, number, commit, TOKEN)
            ends.append(put(at.connect(), Marker("project", "test", commit), "report").done)

        runs = [threading.Thread(target=run, args=(commit,)) for commit in order]
        for each in runs:
            each.start()
        for each in runs:
            each.join(60)
        assert len(ends) == 2
        assert commits_shown(state) == ["c3"], (order, ends)


@pytest.mark.parametrize(
    ("forge", "status", "message", "headers"),
    [
        ("github", 403, "You have exceeded a secondary rate limit", {"Retry-After": "1"}),
        ("github", 409, "Conflict", {}),
        ("github", 502, "Bad gateway", {}),
        ("gitlab", 429, "Too many requests", {"Retry-After": "1"}),
        ("gitlab", 503, "Bad gateway", {}),
    ],
    indirect=["forge"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_bad_moment_of_the_forge_is_waited_for(
    state: State, comment: Comment, method: str, status: int, message: str, headers: dict[str, str]
) -> None:
    state.faults = [(method, status, message, headers, False)] * 2
    code, said = comment("c1")
    assert (code, commits_shown(state)) == (0, ["c1"]), said
    assert state.faults == []


def test_a_comment_whose_answer_was_lost_is_not_made_twice(forge: str, state: State, comment: Comment) -> None:
    state.faults = [("POST", 502, "Bad gateway", {}, True)]
    code, said = comment("c2")
    assert (code, commits_shown(state)) == (0, ["c2"]), said


def test_a_comment_that_is_deleted_meanwhile_is_made_anew(state: State, comment: Comment) -> None:
    comment("c1")
    state.faults = [(method, 404, "Not Found", {}, False) for method in ("PUT", "PATCH")]
    code, said = comment("c2")
    assert code == 0, said
    assert "c2" in commits_shown(state)


@pytest.mark.parametrize(
    ("token", "expected"),
    [("unknown", "does not know the token"), (READ_ONLY, "Expected a")],
)
def test_a_token_that_may_not_is_told_with_the_right_that_it_lacks(
    forge: str, state: State, comment: Comment, token: str, expected: str
) -> None:
    code, said = comment("c1", token=token)
    assert (code, expected in said) == (3, True), said
    right = {"github": "pull-requests: write", "gitlab": "scope `api`"}[forge]
    assert (right in said) == (token == READ_ONLY or forge == "gitlab")
    assert token not in said
    assert state.comments == []


@pytest.mark.parametrize("forge", ["github"], indirect=True)
def test_the_token_of_a_workflow_which_is_nobodys_finds_its_own_comment(state: State, comment: Comment) -> None:
    state.add(str(Marker("project", "test", "c3")), ELSE)
    assert comment("c1", token=OF_A_WORKFLOW)[1].startswith("Created: ")
    assert comment("c2", token=OF_A_WORKFLOW)[1].startswith("Updated: ")
    assert commits_shown(state) == ["c2"]


def test_a_closed_pull_request_is_left_alone(state: State, comment: Comment) -> None:
    state.open = False
    code, said = comment("c1")
    assert (code, "is closed: nothing was written" in said) == (2, True), said
    assert state.comments == []


def test_a_pull_request_that_is_not_there(state: State, comment: Comment) -> None:
    code, said = comment("c1", "--pull-request", "13")
    assert (code, "#13" in said or "!13" in said, "404" in said) == (2, True, True), said


def test_what_is_missing_is_told_before_the_forge_is_asked(forge: str, state: State) -> None:
    name = {"github": "GITHUB_TOKEN", "gitlab": "GITLAB_TOKEN"}[forge]
    empty = dict.fromkeys(
        ("GITHUB_REPOSITORY", "GITHUB_EVENT_PATH", "GITHUB_SHA", "CI_PROJECT_PATH", "CI_COMMIT_SHA"), ""
    )
    done = CliRunner().invoke(app, ["comment", str(PREVIEW), "--forge", forge], env={**empty, name: TOKEN})
    assert done.exit_code == 2
    for field in ("--repository", "--pull-request", "--commit"):
        assert field in done.output
    assert state.asked == []


def test_without_a_token_the_comment_is_printed_and_the_summary_has_it(
    state: State, comment: Comment, tmp_path: Path
) -> None:
    summary, file = tmp_path / "summary.md", tmp_path / "comment.md"
    summary.write_text("before\n")
    code, said = comment("c1", "--output", str(file), token="", GITHUB_STEP_SUMMARY=str(summary))
    assert (code, "the comment is printed" in said) == (0, True), said
    assert file.read_text().startswith("## ")
    assert summary.read_text() == "before\n" + file.read_text()
    assert state.asked == []


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(NAMES, NAMES, NAMES)
def test_any_name_stands_in_a_marker_and_ends_no_comment(project: str, stack: str, commit: str) -> None:
    marker = Marker(project, stack, commit)
    text = str(marker)
    assert found_in(f"{text}\nthe report") == marker
    assert "--" not in text.removeprefix("<!--").removesuffix("-->")
    assert text.count("\n") == 0
    assert marker.schema == SCHEMA_VERSION


@given(
    st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.sampled_from("abcdefx"), st.sampled_from("abcdefx")
)
def test_of_two_commits_one_gives_way_at_most(order: list[str], one: str, other: str) -> None:
    change = Change(True, order[-1], tuple(order))
    assert not (is_older(one, other, change) and is_older(other, one, change))
    assert not is_older(order[-1], one, change)
    assert is_older(one, order[-1], change) == (one != order[-1])
