"""Credentials of an agent: complete, of one kind, never in plain text; and when they are renewed."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.rules.credentials import check_auth, check_credentials
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
