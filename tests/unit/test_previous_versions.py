"""Versions kept for a rollback: the newest that left, never more than asked for, never another model's."""

from typing import Any

from agent_deploy.rules.declaration import declared
from agent_deploy.rules.kept_versions import check_keep_previous, kept
from agent_deploy.rules.kept_versions import lost_secrets as lost_of
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.values import Secret

MODEL = "main.default.qa"


def served(*versions: int, model: str = MODEL) -> dict[str, dict[str, str]]:
    return {f"qa_{version}": {"entityName": model, "entityVersion": str(version)} for version in versions}


def test_the_version_that_had_the_traffic_is_kept_first() -> None:
    before = served(3, 4, 10)
    assert list(kept(before, {"qa_4": 100}, MODEL, ["qa_11"], 1)) == ["qa_4"]
    assert list(kept(before, {"qa_4": 100}, MODEL, ["qa_11"], 2)) == ["qa_4", "qa_10"]
    assert list(kept(before, {}, MODEL, ["qa_11"], 1)) == ["qa_10"]


def test_running_again_keeps_the_same() -> None:
    assert list(kept(served(4, 5), {"qa_5": 100, "qa_4": 0}, MODEL, ["qa_5"], 1)) == ["qa_4"]


def test_a_rollback_keeps_the_version_that_it_leaves() -> None:
    assert list(kept(served(4, 5), {"qa_5": 100}, MODEL, ["qa_4"], 1)) == ["qa_5"]


def test_nothing_is_kept_unasked_nor_of_other_models_nor_beyond_the_platforms_limit() -> None:
    assert kept(served(4), {}, MODEL, ["qa_5"], 0) == {}
    assert kept(served(1, model="main.default.feedback"), {}, MODEL, ["qa_5"], 3) == {}
    declared = [f"qa_{version}" for version in range(1, 16)]
    assert kept(served(99), {}, MODEL, declared, 5) == {}


def test_what_is_no_number_of_versions_is_told() -> None:
    assert check_keep_previous(None) == check_keep_previous(2.0) == []
    assert all(check_keep_previous(value) for value in (-1, 15, 1.5, True, "1"))


SECRETS = {
    "SHARED": "{{secrets/agents_main-default-qa/SHARED-0a1b2c3}}",
    "DATABRICKS_CLIENT_SECRET": "{{secrets/agents_main-default-qa_4/client-secret-0a1b2c3}}",
    "THEIRS": "{{secrets/agents_main-default-qa/theirs}}",  # put there by hand
    "ELSEWHERE": "{{secrets/team/ELSEWHERE-0a1b2c3}}",
}
KEPT = {"qa_4": {"entityName": MODEL, "entityVersion": "4", "environmentVars": SECRETS}}


def lost_secrets(kept: dict[str, Any], args: dict[str, Any]) -> list[Problem]:
    return lost_of(kept, declared(args))


def test_what_a_kept_version_reads_must_not_leave_before_it() -> None:
    args = {"model_name": MODEL, "keep_previous": 1, "auth": "SERVICE_PRINCIPAL"}
    assert lost_secrets(KEPT, {**args, "environment": {"SHARED": Secret()}}) == []
    [gone] = lost_secrets(KEPT, {**args, "environment": {"OTHER": Secret()}})
    assert (gone.field, gone.value) == ("keep_previous", 1)
    assert "SHARED as a secret in environment, as version 4, which is kept, reads it" in str(gone)
    assert "lower keep_previous" in str(gone)
    both = lost_secrets(KEPT, {**args, "auth": None, "environment": {"SHARED": "x"}})
    plain, auth = sorted(both, key=lambda problem: problem.field, reverse=True)
    assert plain.field == "keep_previous"
    assert (auth.field, auth.value) == ("auth", "PASSTHROUGH")
    assert "SERVICE_PRINCIPAL as long as version 4 is kept" in str(auth)
    own = {"environmentVars": {"SHARED": "{{secrets/agents_main-default-qa/SHARED-own-0a1b2c3}}"}}
    [own_gone] = lost_secrets({"qa_4": {**KEPT["qa_4"], **own}}, {**args, "environment": {"SHARED": Secret()}})
    assert "keep_previous 1: expected version 4 in versions, as SHARED is a secret of its own there" in str(own_gone)
    # Another endpoint's scope of the same form is none of ours.
    assert lost_secrets(KEPT, {**args, "endpoint_name": "other", "auth": None}) == []
