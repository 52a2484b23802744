"""The form of what tells a workspace and how to sign in there; what is wrong is told without the value.

Any of these settings may hold a credential by mistake, as by an environment variable that was given to the wrong name.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from agent_deploy.rules.credentials import looks_like_credential
from agent_deploy.rules.problems import Problem

# What editors, secret stores and copying from a page leave around a value; the last two are no whitespace to Python.
_AROUND = " \t\r\n\f\v\0\u00a0\u2028\u2029\ufeff\u200b"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]+(%[\w.-]+)?", re.ASCII)
# Setting → its form, and how that is told. A header takes visible ASCII; a colon ends the client id in one.
_FORMS = {
    "token": (re.compile(r"[!-~]+"), "a token: visible ASCII characters, without spaces or line breaks"),
    "clientId": (re.compile(r"[!-9;-~]+"), "the application id of a service principal, such as a UUID"),
    "clientSecret": (re.compile(r"[!-~]+"), "an OAuth secret: visible ASCII characters, without spaces or line breaks"),
    "profile": (re.compile(r"[^\x00-\x1f\x7f\]]+"), "the name of a profile, on one line"),
    "accountId": (re.compile(r"[\w.-]+", re.ASCII), "the id of a Databricks account, such as a UUID"),
    "authType": (re.compile(r"[\w-]+", re.ASCII), "a way to sign in as Databricks' SDKs name it, such as pat"),
}
_ADDRESS = (
    "the address of a workspace such as https://example.cloud.databricks.com, with http or https and without a user's "
    "name or password"
)
_SECRET = frozenset({"token", "clientSecret"})
_REMEDY = "Its value is not shown: look at it where it is set, and copy it anew"


def trimmed(value: str) -> str:
    """The value without what may stand around it unnoticed, such as the line break at the end of a file."""
    return value.strip(_AROUND)


def check_setting(name: str, where: str, value: str) -> list[Problem]:
    """Problems of one trimmed value; ``where`` says in words where it was set."""
    if not value:
        return []
    if name == "host":
        expected = "" if _is_address(value) else _ADDRESS
    else:
        form, words = _FORMS[name]
        expected = "" if form.fullmatch(value) else words
    if not expected and name not in _SECRET and looks_like_credential("", value):
        expected = "no credential, which it seems to hold"
    return [Problem(where, None, expected, _REMEDY)] if expected else []


def normal_host(host: str) -> str:
    """``https://example.cloud.databricks.com``: with a scheme, without path or query; as it is where it has no form."""
    host = trimmed(host)
    if not host:
        return ""
    try:
        url = urlsplit(host if "://" in host else f"https://{host}")
    except ValueError:
        return host
    return f"{url.scheme}://{url.netloc}"


def _is_address(value: str) -> bool:
    try:
        url = urlsplit(value if "://" in value else f"https://{value}")
        named = bool(_HOST.fullmatch(url.hostname or "")) and url.port != 0
    except ValueError:  # brackets or a port that are none
        return False
    # An @ is what comes before it, even when that is empty. What urlsplit drops unseen (line breaks) is no address.
    plain = value.isascii() and value.isprintable() and " " not in value
    return named and plain and url.scheme in ("http", "https") and "@" not in url.netloc
