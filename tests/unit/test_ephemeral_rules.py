"""What an ephemeral stack's names are, what its agents become, and what cannot be said in its stack file."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.ephemeral.records import Record
from agent_deploy.rules import names
from agent_deploy.rules.argument_checks import check_arguments
from agent_deploy.rules.declaration import declared
from agent_deploy.rules.ephemeral import EPHEMERAL_TAG, Ephemeral, adapted, check_suffix, read, stack_name
from agent_deploy.rules.problems import InvalidInput

SUFFIXES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?", fullmatch=True)
LEVELS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,80}[A-Za-z0-9]", fullmatch=True)
REVIEWERS = ({"group_name": "reviewers"},)


def lift(function: Any, value: Any) -> Any:
    return function(value)


@given(LEVELS, LEVELS, LEVELS, SUFFIXES)
def test_names_fit_and_are_the_stacks_own(catalog: str, schema: str, model: str, suffix: str) -> None:
    assert not check_suffix("suffix", suffix)
    found = adapted({"model_name": f"{catalog}.{schema}.{model}"}, Ephemeral(suffix), lift)
    name, prefix = found["endpoint_name"], found["inference_tables"]["prefix"]
    assert not names.check_endpoint_name("endpoint_name", name)
    assert name.endswith(f"-{suffix}")
    assert prefix.endswith(f"-{suffix}")
    assert not [each for each in check_arguments({**found, "versions": [{"version": "1"}]}) if "prefix" in each.field]
    assert len(stack_name(f"organization/{model}", suffix).partition("/")[2]) <= 100


@given(
    st.fixed_dictionaries(
        {"model_name": st.just("main.default.qa")},
        optional={
            "endpoint_name": st.just("mine"),
            "scale_to_zero": st.booleans(),
            "versions": st.just([{"version": "3", "scale_to_zero": False, "workload_size": "Large"}]),
            "permissions": st.just([{"group_name": "users", "level": "CAN_MANAGE"}]),
            "review_app": st.sampled_from([{"reviewers": [{"group_name": "all"}]}, {"enabled": False}, {}]),
            "inference_tables": st.sampled_from(
                [
                    {"enabled": False},
                    {"readers": ["everybody"], "run_as": "shared", "delete_on_destroy": False, "prefix": "p"},
                    {},
                ]
            ),
            "feedback_model": st.booleans(),
            "tags": st.just({"team": "search"}),
        },
    ),
    st.booleans(),
)
def test_only_the_reviewers_may_ask_and_all_of_it_sleeps_and_goes(tree: dict[str, Any], feedback: bool) -> None:
    found = adapted(tree, Ephemeral("pr-1", REVIEWERS, feedback), lift)
    assert not check_arguments(found)
    deployment = declared(found)
    able = {each.named for each in (*deployment.permissions, *deployment.review.reviewers)}
    assert able == {("group_name", "reviewers")}
    assert deployment.scale_to_zero is True
    assert all(version.scale_to_zero is True for version in deployment.versions)
    assert [v.workload_size for v in deployment.versions] == [v["workload_size"] for v in tree.get("versions", [])]
    assert not deployment.tables.enabled or deployment.tables.delete_on_destroy is True
    assert not {"readers", "run_as"} & set(deployment.tables.derivation)
    assert deployment.feedback is (feedback and tree.get("feedback_model", True))
    assert found["tags"] == {**tree.get("tags", {}), EPHEMERAL_TAG: "pr-1"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("pr-12", "agents:ephemeral 'pr-12': expected a mapping"),
        ({}, "agents:ephemeral.suffix: expected 1 to 20"),
        ({"suffix": 12}, "agents:ephemeral.suffix 12"),
        ({"suffix": "-a"}, "agents:ephemeral.suffix '-a'"),
        ({"suffix": "a", "reviewer": []}, "Did you mean 'reviewers'?"),
        ({"suffix": "a", "reviewers": "g"}, "agents:ephemeral.reviewers 'g': expected a list"),
        ({"suffix": "a", "reviewers": ["g"]}, "agents:ephemeral.reviewers[0] 'g': expected one principal"),
        ({"suffix": "a", "reviewers": [{"group": "g"}]}, "agents:ephemeral.reviewers[0]"),
        ({"suffix": "a", "feedback": "yes"}, "agents:ephemeral.feedback 'yes': expected true or false"),
    ],
)
def test_what_the_stack_file_must_not_say_is_told(given: Any, told: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(given)
    assert told in str(error.value)


def test_life_is_counted_from_the_last_request_too() -> None:
    made = Record("p", "s", commit="c1", active_at=100.0)
    assert made.asked(0, now=200.0).active_at == 100.0
    asked = made.asked(3, now=200.0)
    assert asked.active_at == 200.0
    assert asked.asked(3, now=300.0).active_at == 200.0
    assert asked.asked(0, now=300.0).active_at == 200.0  # the counter began anew, and nobody asked
    assert asked.asked(1, now=300.0).active_at == 300.0  # and somebody did


@given(LEVELS, st.text("ab", min_size=1, max_size=3), st.text("ab", min_size=1, max_size=3))
def test_names_that_differ_at_their_end_stay_apart(base: str, one: str, other: str) -> None:
    long = base * 60
    names_ = {Ephemeral("pr-1").name(f"{long[:60]}{end}") for end in (one, other)}
    assert len(names_) == len({one, other})
    assert all(len(name) <= 63 for name in names_)
