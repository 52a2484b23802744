"""Environment variables: what deploy() adds and rejects, and secret references."""

import pytest

from agent_deploy.rules.environment import agent_environment, check_environment, references
from agent_deploy.rules.secrets import SecretReference, parse_reference
from agent_deploy.rules.values import Secret, Unknown


def test_the_agents_variables_are_added_and_the_users_experiment_wins() -> None:
    merged = agent_environment({"A": "1", "MLFLOW_EXPERIMENT_ID": "9"}, experiment_id="7")
    assert merged == {
        "A": "1",
        "MLFLOW_EXPERIMENT_ID": "9",
        "ENABLE_LANGCHAIN_STREAMING": "true",
        "ENABLE_MLFLOW_TRACING": "true",
        "RETURN_REQUEST_ID_IN_RESPONSE": "true",
    }
    assert "MLFLOW_EXPERIMENT_ID" not in agent_environment({}, experiment_id=None)


@pytest.mark.parametrize("key", ["lower", "1A", "A-B", "", "A B"])
def test_a_key_that_deploy_rejects_is_told(key: str) -> None:
    [problem] = check_environment("environment", {key: "x"})
    assert repr(key) in str(problem)


def test_a_value_that_is_no_string_is_told_with_the_remedy() -> None:
    [problem] = check_environment("environment", {"TOP_K": 3})
    assert "environment['TOP_K'] 3" in str(problem)
    assert "Write '3'" in str(problem)


@pytest.mark.parametrize(
    ("key", "value"), [("SEARCH_KEY", 8675309867), ("SEARCH", {"key": "hush-hush"}), ("A", ["hush"])]
)
def test_a_value_that_is_no_string_and_may_be_a_credential_is_not_shown(key: str, value: object) -> None:
    [problem] = check_environment("environment", {key: value})
    assert str(problem) == f"environment[{key!r}]: expected a string"


def test_a_fixed_variable_may_only_be_true() -> None:
    [problem] = check_environment("environment", {"ENABLE_MLFLOW_TRACING": "false"})
    assert "expected 'true'" in str(problem)
    assert check_environment("environment", {"ENABLE_MLFLOW_TRACING": "true"}) == []


@pytest.mark.parametrize("value", ["{{secrets/scope}}", "{{secret/a/b}}", "{{secrets/a/b}", "x{{secrets/a/b}}"])
def test_a_reference_that_does_not_parse_is_told_without_its_text(value: str) -> None:
    [problem] = check_environment("environment", {"KEY": value})
    assert "{{secrets/scope/key}}" in str(problem)
    assert value not in str(problem).replace("{{secrets/scope/key}}", "")


def test_secret_values_are_passed_over() -> None:
    assert check_environment("environment", {"KEY": Secret(), "LATE": Unknown()}) == []


def test_references_are_found() -> None:
    found = references({"A": "{{secrets/my-scope/key.1}}", "B": "plain", "C": None})
    assert found == {"A": SecretReference("my-scope", "key.1")}
    assert str(found["A"]) == "{{secrets/my-scope/key.1}}"
    assert parse_reference("{{secrets/team/shared/key}}") == SecretReference("team/shared", "key")
