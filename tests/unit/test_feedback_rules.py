"""Feedback: every payload that means something passes, whatever does not is refused by the name of its field."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.feedback import parsed, problems

# The seed's request, field by field.
SEED: dict[str, Any] = {
    "source": {"id": "user@company.com", "type": "human"},
    "request_id": "573d4a61-4adb-41bd-96db-0ec8cebc3744",
    "text_assessments": [
        {
            "ratings": {"answer_correct": {"value": "positive"}, "accurate": {"value": "positive"}},
            "free_text_comment": "The answer used the provided context to talk about Delta Live Tables",
        }
    ],
    "retrieval_assessments": [{"ratings": {"groundedness": {"value": "positive"}}}],
}


def test_the_seeds_request_passes_nested_and_json_encoded() -> None:
    assert problems(SEED) == []
    encoded = {name: value if name == "request_id" else json.dumps(value) for name, value in SEED.items()}
    assert parsed(encoded) == SEED


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"request_id": None}, "request_id: expected the databricks_request_id"),
        ({"request_id": " "}, "request_id: expected the databricks_request_id"),
        ({"source": "me"}, "source: expected an object"),
        ({"source": {"type": "human"}}, "source.id: expected who gives the feedback"),
        ({"source": {"id": "a", "type": "robot"}}, "source.type: expected one of human"),
        ({"text_assessments": {"a": 1}}, "text_assessments: expected a list"),
        ({"text_assessments": ["good"]}, "text_assessments[0]: expected an object"),
        ({"text_assessments": [{"stars": 5}]}, "text_assessments[0].stars: unknown field"),
        ({"text_assessments": [{}]}, "text_assessments[0]: expected a rating"),
        ({"text_assessments": [{"ratings": {"x": {}}}]}, "text_assessments[0].ratings.x.value: expected a string"),
        ({"text_assessments": [{"ratings": {"x": "good"}}]}, "text_assessments[0].ratings.x: expected an object"),
        ({"retrieval_assessments": [{"position": -1}]}, "retrieval_assessments[0].position: expected the document's"),
        ({"text_assessments": None, "retrieval_assessments": []}, "expected at least one assessment"),
    ],
)
def test_what_means_nothing_is_refused_by_its_field(change: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in problems({**SEED, **change}))


@given(st.dictionaries(st.text(min_size=1), st.sampled_from(["positive", True, False, 0, 3.5]), min_size=1))
def test_any_name_of_a_rating_passes(ratings: dict[str, Any]) -> None:
    assessments = [{"ratings": {name: {"value": value} for name, value in ratings.items()}}]
    assert problems({**SEED, "text_assessments": assessments}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*SEED]), JSON))
def test_anything_at_all_is_answered_and_never_fails(record: dict[str, Any]) -> None:
    assert all(isinstance(problem, str) for problem in problems(parsed(record)))
