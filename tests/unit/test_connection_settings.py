"""What tells a workspace and how to sign in there: trimmed, judged, and never shown when it is wrong."""

from __future__ import annotations

import base64
import json
import string
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_deploy.client.configuration import PROFILE_KEYS, VARIABLES, resolve
from agent_deploy.client.errors import ConfigurationError, WorkspaceError
from agent_deploy.client.masking import MASK, cause, hide, masked, without
from agent_deploy.provider.configuration import check_configuration
from agent_deploy.provider.plugin.resource import Failure
from agent_deploy.rules.connection_settings import check_setting, normal_host, trimmed

GOOD = {
    "host": "https://hunter.quux-zorp.net",
    "token": "dapi-0123456789abcdef",
    "clientId": "c0ffee00-aaaa-bbbb-cccc-000000000001",
    "clientSecret": "dose0123456789abcdef",
    "profile": "staging",
    "accountId": "11111111-aaaa-bbbb-cccc-000000000001",
    "authType": "pat",
}
AROUND = st.text("\n\r\t \u00a0\ufeff\u200b\0", max_size=4)
# What no header and no address takes, wherever it stands inside the value.
NEVER = "\n\r\t\0\x1b\x7f" + "é€\u2028\u0660\U0001f511"
SOURCES = ("provider", "stack", "environment", "profile")
NAMED = {"provider": "provider's input", "stack": "databricks:", "environment": "DATABRICKS_", "profile": "profile"}


def set_in(source: str, values: dict[str, str], folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The provider's inputs and the environment in which ``source`` says these values."""
    file = folder / "databrickscfg"
    environ = {"DATABRICKS_CONFIG_FILE": str(file)}
    file.write_text("")
    if source == "stack":
        environ["PULUMI_CONFIG"] = json.dumps({f"databricks:{name}": value for name, value in values.items()})
    if source == "environment":
        environ |= {VARIABLES[name]: value for name, value in values.items()}
    if source == "profile":
        lines = [f"{PROFILE_KEYS[name]} = {value}" for name, value in values.items()]
        file.write_text("\n".join(["[DEFAULT]", *lines]), encoding="utf-8")
    return (values if source == "provider" else {}), environ


@pytest.mark.parametrize("source", ["provider", "stack", "environment"])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=AROUND, after=AROUND)
def test_what_stands_around_a_value_unnoticed_is_dropped(source: str, tmp_path: Path, before: str, after: str) -> None:
    values = {name: f"{before}{GOOD[name]}{after}" for name in ("host", "token", "authType", "accountId")}
    found = resolve(*set_in(source, values, tmp_path))
    assert (found.host, found.token, found.auth_type) == (GOOD["host"], GOOD["token"], "pat")
    assert found.account_id == GOOD["accountId"]


@pytest.mark.parametrize("blank", ["", " ", "\n", "\t\ufeff"])
def test_a_blank_value_is_none(blank: str, tmp_path: Path) -> None:
    environ = set_in("environment", {"host": GOOD["host"], "token": blank, "clientId": blank}, tmp_path)[1]
    assert resolve({}, environ).method == "sdk"


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ["host", "token", "clientSecret", "clientId", "accountId"])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_value_that_can_be_none_is_refused_by_the_name_of_its_setting_alone(
    source: str, name: str, tmp_path: Path, data: st.DataObject
) -> None:
    inside = "\x1b\x7fé€\u0660\U0001f511" if source == "profile" else NEVER  # a profile's file has lines
    at = data.draw(st.integers(9, len(GOOD[name]) - 1))
    bad = GOOD[name][:at] + data.draw(st.sampled_from(inside)) + GOOD[name][at:]
    values = {"host": GOOD["host"], "clientId": GOOD["clientId"], "clientSecret": GOOD["clientSecret"], name: bad}
    if name == "token":
        values = {"host": GOOD["host"], "token": bad}
    with pytest.raises(ConfigurationError) as raised:
        resolve(*set_in(source, values, tmp_path))
    told = "".join(traceback.format_exception(raised.value))
    assert NAMED[source] in str(raised.value)
    assert "expected" in str(raised.value)
    assert GOOD[name][:at] not in told
    assert len(GOOD[name][at:]) < 6 or GOOD[name][at:] not in told


@pytest.mark.parametrize(
    "host",
    [
        "https://me:hunter2@one.example.com",
        "https://hunter2@one.example.com",
        "ftp://hunter2.example.com",
        "https://[hunter2",
        "https://one.example.com:hunter2",
        "https://one.example.com:99999",
        "https://",
        "hunter2 one.example.com",
        "https://hünter2.example.com",
        "dapi" + "0123456789abcdef" * 2,
    ],
)
def test_what_is_no_address_is_told_without_it_here_and_in_the_providers_check(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="provider's input host: expected") as raised:
        resolve(*set_in("provider", {"host": host, "token": GOOD["token"]}, tmp_path))
    failures: list[Failure] = check_configuration({"host": host})
    assert len(failures) == 1
    for told in (str(raised.value), failures[0].reason):
        assert host == "https://" or host not in told
        assert "hunter2" not in told
        assert "host: expected" in told


@pytest.mark.parametrize(
    "host",
    [
        "one.example.com",
        "HTTPS://one.example.com/?o=123",
        "http://127.0.0.1:8080/",
        "http://[::1]:8080",
        "localhost:5000",
        "https://adb-123.4.azuredatabricks.net/login.html",
    ],
)
def test_an_address_passes_in_each_of_its_forms(host: str) -> None:
    assert check_setting("host", "host", host) == []
    assert normal_host(host).split("://")[0] in ("http", "https")


@given(st.sampled_from(["clientId", "profile", "accountId", "authType"]))
def test_a_token_in_the_place_of_something_else_is_not_shown(name: str) -> None:
    token = "dapi" + "0123456789abcdef" * 2
    (problem,) = check_setting(name, name, token)
    assert token not in str(problem)


@pytest.mark.parametrize("name", GOOD)
def test_good_values_pass(name: str) -> None:
    assert check_setting(name, name, GOOD[name]) == []
    assert trimmed(GOOD[name]) == GOOD[name]


# ---- the one place at which texts are masked

VISIBLE = string.ascii_letters + string.digits + string.punctuation
QUOTATIONS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "JSON": json.dumps,
    "JSON in Unicode": lambda text: json.dumps(text, ensure_ascii=False),
    "URL": lambda text: quote(text, safe=""),
    "path": quote,
    "form": quote_plus,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 in a URL": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
}
CREDENTIALS = st.text(VISIBLE + " é\n\x07€\U0001f511", min_size=9, max_size=60).filter(lambda v: len(v.strip()) >= 9)


ESCAPES = ("repr", "bytes", "JSON", "JSON in Unicode")


@pytest.mark.parametrize(
    ("inner", "outer"), [("as it is", outer) for outer in QUOTATIONS] + [(i, o) for i in ESCAPES for o in ESCAPES]
)
@settings(max_examples=25)
@given(value=CREDENTIALS, around=st.text("ab: '\"\\", max_size=8))
def test_a_credential_is_masked_however_it_is_quoted(inner: str, outer: str, value: str, around: str) -> None:
    text = QUOTATIONS[outer](f"{around}{QUOTATIONS[inner](f'Bearer {value}')}{around}")
    assert MASK in without(value, text)
    assert value.strip() not in without(value, text)


@given(CREDENTIALS, st.binary(max_size=7), st.binary(max_size=7))
def test_a_credential_is_masked_in_the_base64_of_what_it_is_a_part_of(value: str, before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        assert MASK in without(value, encode(before + value.encode() + after).decode())


def test_what_one_connection_took_up_is_masked_in_the_texts_of_all() -> None:
    hide("of-one-connection", None, "")
    assert masked("x of-one-connection y") == str(WorkspaceError("x of-one-connection y")) == f"x {MASK} y"
    assert cause(ValueError("of-one-connection")) == f"ValueError: {MASK}"


def test_what_is_too_short_to_be_a_credential_stays_readable() -> None:
    hide("", "a", "true", None)
    assert masked("a true error") == "a true error"
