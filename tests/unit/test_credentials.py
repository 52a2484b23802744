"""Credentials of an agent: complete, of one kind, never in plain text; and when they are renewed."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.credentials import check_auth, check_credentials, exposed_warning, looks_like_credential
from agent_deploy.rules.rotation import period

REFERENCE = "{{secrets/a/b}}"


def credentials(auth: str = "MANUAL", **environment: Any) -> str:
    return "\n".join(map(str, check_credentials("environment", environment, auth)))


def test_complete_sets_pass() -> None:
    assert credentials(DATABRICKS_HOST="https://w", DATABRICKS_TOKEN=REFERENCE) == ""
    assert credentials(DATABRICKS_HOST="h", DATABRICKS_CLIENT_ID="c", DATABRICKS_CLIENT_SECRET=None) == ""
    assert credentials(OTHER="x") == credentials("PASSTHROUGH") == ""


def test_a_plain_text_credential_shows_the_two_ways_and_not_its_value() -> None:
    text = credentials(DATABRICKS_HOST="h", DATABRICKS_TOKEN="dapi123")
    assert "environment['DATABRICKS_TOKEN']: expected a secret, not plain text" in text
    assert "pulumi config set --secret" in text
    assert "{{secrets/scope/key}}" in text
    assert "dapi123" not in text


# No text of this file may look like a token itself.
TOKENS = [
    "dapi" + "0123456789abcdef" * 2,
    "sk-" + "proj-" + "aB3" * 10,
    "ghp_" + "aB3" * 12,
    "github_" + "pat_" + "aB3" * 12,
    "xoxb-" + "1234567890-abc",
    "xoxp-" + "1234567890-abc",
    "AKIA" + "Q3" * 8,
    "-----BEGIN " + "RSA PRIVATE KEY-----\nMII",
    "Bearer sk-" + "aB3" * 10,
    "postgres://u:" + "hunter2pw@h/db",
    "redis://:" + "hunter2pw@h:6379",
    "DefaultEndpointsProtocol=https;AccountKey=" + "abcdefghijk==;EndpointSuffix=x",
    "Server=h;Database=d;" + "Password=hunter2pw",
]


@pytest.mark.parametrize("value", TOKENS)
def test_a_known_token_is_seen_whatever_its_variable_is_called(value: str) -> None:
    assert looks_like_credential("FOO", value)


@pytest.mark.parametrize(
    "key", ["OPENAI_API_KEY", "DB_PASSWORD", "KEY", "GITHUB_TOKEN_2", "AWS_SECRET_ACCESS_KEY", "CREDENTIALS", "APIKEY"]
)
def test_a_credential_is_seen_by_its_variables_name_unless_it_is_a_reference(key: str) -> None:
    assert looks_like_credential(key, "hunter2")
    for harmless in (REFERENCE, None, "", "1024", "false", "/Volumes/main/default/keys/google.json"):
        assert not looks_like_credential(key, harmless)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ANSWER_STYLE", "friendly"),
        ("MONKEY", "chimpanzee"),
        ("KEYBOARD_LAYOUT", "dvorak"),
        ("MAX_TOKENS", "1000000"),
        ("SECRET_SCOPE", "team-secrets"),
        ("TOKEN_URL", "https://login.example.com/token"),
        ("KEY_NAME", "customer"),
        ("LIBRARY", "sk-learn"),
        ("TOPIC", "task-management-for-teams"),
        ("USER", "dapiro"),
        ("DB_URL", "postgres://u@h:5432/db"),
        ("DB_URL", "postgres://u:${DB_PW}@h/db"),
        ("ENDPOINT", "https://h:8443/a@b"),
        ("HINT", "Password=<yours>"),
    ],
)
def test_what_is_no_credential_raises_no_alarm(key: str, value: str) -> None:
    assert not looks_like_credential(key, value)


def test_the_warning_shows_the_two_ways_once_for_all_variables() -> None:
    text = exposed_warning(["environment['A_KEY']", "versions[0].environment['B_KEY']"])
    assert text.startswith("environment['A_KEY'], versions[0].environment['B_KEY']: seem to hold credentials in plain")
    assert text.count("pulumi config set --secret") == text.count("{{secrets/scope/key}}") == 1
    assert "seems to hold a credential in plain text" in exposed_warning(["environment['A_KEY']"])


def test_incomplete_and_contradictory_sets_are_told() -> None:
    assert "expected DATABRICKS_CLIENT_SECRET, DATABRICKS_HOST as well" in credentials(DATABRICKS_CLIENT_ID="c")
    both = {"DATABRICKS_HOST": "h", "DATABRICKS_TOKEN": REFERENCE, "DATABRICKS_CLIENT_ID": "c"}
    both["DATABRICKS_CLIENT_SECRET"] = REFERENCE
    assert "pat and oauth-m2m are both there" in credentials(**both)
    assert credentials(**both, DATABRICKS_AUTH_TYPE="pat") == ""


def test_a_service_principals_variables_are_the_deployments_own() -> None:
    assert "not to be set with auth = SERVICE_PRINCIPAL" in credentials("SERVICE_PRINCIPAL", DATABRICKS_CLIENT_ID="c")
    assert credentials("SERVICE_PRINCIPAL", DATABRICKS_HOST="h") == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"auth": "OAUTH"}, "auth 'OAUTH': expected one of PASSTHROUGH"),
        ({"auth": "MANUAL", "resources": [{}]}, "resources: expected none with auth = MANUAL"),
        ({"rotation_days": 30}, "rotation_days: expected only with auth = SERVICE_PRINCIPAL"),
        ({"auth": "SERVICE_PRINCIPAL", "rotation_days": 0}, "rotation_days 0: expected a whole number of days"),
        (
            {"auth": "SERVICE_PRINCIPAL", "rotation_days": 30, "secret_lifetime_days": 30},
            "secret_lifetime_days 30: expected more than rotation_days (30)",
        ),
    ],
)
def test_what_contradicts_the_way_to_sign_in_is_told(args: dict[str, Any], said: str) -> None:
    assert said in "\n".join(map(str, check_auth(args)))


@given(st.integers(1, 730), st.dates(date(2024, 1, 1), date(2090, 1, 1)))
def test_a_period_is_as_long_as_it_says_and_holds_its_day(days: int, today: date) -> None:
    first = date.fromisoformat(period(days, today).split("/")[0])
    assert first <= today < first + timedelta(days=days)
    assert period(days, first) == period(days, first + timedelta(days=days - 1)) == period(days, today)
    assert period(days, first + timedelta(days=days)) != period(days, today)
