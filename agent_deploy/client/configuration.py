"""Which workspace, and as whom: Databricks' unified configuration, in the order in which we look."""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_deploy.client.errors import ConfigurationError
from agent_deploy.client.masking import hide
from agent_deploy.rules.connection_settings import check_setting, normal_host, trimmed
from agent_deploy.rules.credentials import looks_like_credential

# Our names (as in the provider's inputs and in `databricks:*` of a stack) and the environment variables.
VARIABLES = {
    "host": "DATABRICKS_HOST",
    "token": "DATABRICKS_TOKEN",
    "clientId": "DATABRICKS_CLIENT_ID",
    "clientSecret": "DATABRICKS_CLIENT_SECRET",
    "profile": "DATABRICKS_CONFIG_PROFILE",
    "accountId": "DATABRICKS_ACCOUNT_ID",
    "authType": "DATABRICKS_AUTH_TYPE",
}
# The same in a profile of ~/.databrickscfg.
PROFILE_KEYS = {
    "host": "host",
    "token": "token",
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "accountId": "account_id",
    "authType": "auth_type",
}
SECRETS = frozenset({"token", "clientSecret"})
_CREDENTIALS = ("token", "clientId", "clientSecret", "authType")
PAT, OAUTH_M2M = "pat", "oauth-m2m"
# How messages call what Pulumi gave the plugin, be it from the program or from the stack's state.
PROVIDER_INPUT = "the provider's input"
# Only a Python program hands `databricks:*` on to our plugin.
_ELSEWHERE = "`agent-deploy:host` and `agent-deploy:token` for a program that is not in Python"


@dataclass(frozen=True)
class Settings:
    """A workspace and how to sign in there. ``method`` is "pat", "oauth-m2m", or "sdk" for everything else."""

    host: str = ""
    method: str = "sdk"
    token: str = field(default="", repr=False)
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    profile: str = ""
    account_id: str = ""
    auth_type: str = ""
    # Where the credentials come from, for error messages: "the environment variable DATABRICKS_TOKEN".
    origin: str = ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """What must never be shown."""
        return (self.token, self.client_secret)


@dataclass(frozen=True)
class _Source:
    label: str
    values: Mapping[str, str]

    def name_of(self, field_name: str) -> str:
        if self.label == "environment":
            return f"the environment variable {VARIABLES[field_name]}"
        if self.label == "stack":
            return f"the stack's configuration databricks:{field_name}"
        if self.label == "provider":
            return f"{PROVIDER_INPUT} {field_name}"
        return f"{PROFILE_KEYS[field_name]} of {self.label}"


def resolve(explicit: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from: provider inputs, a program's ``databricks:*``, the environment, a profile. No network.

    Raises ConfigurationError when there is no workspace, or credentials contradict each other.
    """
    environ = os.environ if environ is None else environ
    sources = [
        _Source("provider", _strings(explicit)),
        _Source("stack", _stack_configuration(environ)),
        _Source("environment", _environment(environ)),
    ]
    profile = _judged(sources, "profile")
    named_or_nothing_else = profile or not any(source.values.get("host") for source in sources)
    if named_or_nothing_else and (found := _profile(profile, environ)) is not None:
        sources.append(found)
    host = normal_host(_judged(sources, "host"))
    # A source that is about another workspace is not asked: its token must not travel to this one.
    usable = [source for source in sources if normal_host(source.values.get("host", "")) in ("", host)]
    return _settings(host, profile, usable)


def host_of(inputs: Mapping[str, object], environ: Mapping[str, str] | None = None) -> str:
    """The workspace of a provider, the vendor's or ours, that was made with these inputs; empty where none is named.

    Raises ConfigurationError when the named profile is not there. Credentials are not looked at.
    """
    environ = os.environ if environ is None else environ
    sources = [_Source("provider", _strings(inputs)), _Source("environment", _environment(environ))]
    host, profile = _judged(sources, "host"), _judged(sources, "profile")
    if not host and (found := _profile(profile, environ)) is not None:
        host = found.values.get("host", "")
    return normal_host(host).lower()


def _settings(host: str, profile: str, sources: list[_Source]) -> Settings:
    values = {name: _judged(sources, name) for name in _CREDENTIALS}
    method, origin = _method(values, sources)
    if not host and method != "sdk":
        raise ConfigurationError(
            "No Databricks workspace is configured, though credentials are: set `databricks:host` in the stack's "
            f"configuration ({_ELSEWHERE}), or the environment variable DATABRICKS_HOST."
        )
    if not host and not profile and not values["authType"]:
        raise ConfigurationError(
            "No Databricks workspace is configured. Set `databricks:host` and `databricks:token` in the stack's "
            f"configuration ({_ELSEWHERE}), or DATABRICKS_HOST and DATABRICKS_TOKEN in the environment, or a profile "
            "in ~/.databrickscfg (DATABRICKS_CONFIG_PROFILE). For a local workspace: `agent-deploy local start`, then "
            '`eval "$(agent-deploy local env)"`.'
        )
    return Settings(
        host=host,
        method=method,
        token=values["token"],
        client_id=values["clientId"],
        client_secret=values["clientSecret"],
        profile=profile,
        account_id=_judged(sources, "accountId"),
        auth_type=values["authType"],
        origin=origin,
    )


def _method(values: Mapping[str, str], sources: list[_Source]) -> tuple[str, str]:
    """How to sign in, and where that is written; the source that is asked first decides between two ways."""
    wanted = values["authType"].lower()
    token_at = next((rank for rank, source in enumerate(sources) if source.values.get("token")), None)
    secret_at = next((rank for rank, source in enumerate(sources) if source.values.get("clientSecret")), None)
    if secret_at is not None and not values["clientId"]:
        secret_at = None
    if wanted not in ("", PAT, OAUTH_M2M):
        return "sdk", f"authType {wanted}"
    if wanted == PAT or (not wanted and token_at is not None and (secret_at is None or token_at < secret_at)):
        if token_at is None:
            raise ConfigurationError(
                "authType is 'pat', but there is no token: set token where authType is set, or DATABRICKS_TOKEN."
            )
        return PAT, sources[token_at].name_of("token")
    if wanted == OAUTH_M2M or (not wanted and secret_at is not None and (token_at is None or secret_at < token_at)):
        if secret_at is None:
            raise ConfigurationError("authType is 'oauth-m2m', but clientId or clientSecret is missing.")
        return OAUTH_M2M, sources[secret_at].name_of("clientSecret")
    if token_at is not None and secret_at is not None:
        both = f"{sources[token_at].name_of('token')} and {sources[secret_at].name_of('clientSecret')}"
        raise ConfigurationError(
            f"Two ways to sign in are configured, {both}: remove one, or set authType to pat or oauth-m2m."
        )
    return "sdk", "the Databricks SDK's default authentication"


def _strings(values: Mapping[str, object]) -> dict[str, str]:
    """The values that are set, trimmed; from here on no text shows those that are secret."""
    given = {name: str(values[name]) for name in VARIABLES if values.get(name)}
    hide(*(value for name, value in given.items() if name in SECRETS))
    return {name: value for name, text in given.items() if (value := trimmed(text))}


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    return _strings({name: environ.get(key) for name, key in VARIABLES.items()})


def _stack_configuration(environ: Mapping[str, str]) -> dict[str, str]:
    # A program has the whole decrypted configuration of its stack there, which counts when it asks an agent by itself.
    # A plugin has that of its own namespace alone, and gets it as the provider's inputs, too: resources/provider.py.
    text = environ.get("PULUMI_CONFIG")
    if not text:
        return {}
    configuration = json.loads(text)
    return _strings({name: configuration.get(f"databricks:{name}") for name in VARIABLES})


def _profile(name: str, environ: Mapping[str, str]) -> _Source | None:
    """The named profile, or DEFAULT when there is one; raises ConfigurationError when the named one is not there."""
    path = Path(environ.get("DATABRICKS_CONFIG_FILE") or Path.home() / ".databrickscfg").expanduser()
    parser = configparser.ConfigParser(default_section="", interpolation=None)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        # The parser's own message may quote a line that holds a token.
        raise ConfigurationError(f"{path} cannot be read as profiles ({type(error).__name__}).") from None
    if not parser.has_section(name or "DEFAULT"):
        if not name:
            return None
        known = ", ".join(parser.sections()) or "none"
        raise ConfigurationError(f"There is no profile {name!r} in {path} (there: {known}).")
    section = parser[name or "DEFAULT"]
    # Not all of them are ours to read; the SDK reads the others.
    hide(*(value for key, value in section.items() if looks_like_credential(key, value)))
    values = _strings({ours: section.get(theirs) for ours, theirs in PROFILE_KEYS.items()})
    return _Source(f"profile {name or 'DEFAULT'} in {path}", values)


def _judged(sources: list[_Source], name: str) -> str:
    """What the first source says that has it; raises ConfigurationError, without the value, for what can be none."""
    for source in sources:
        if value := source.values.get(name, ""):
            for problem in check_setting(name, source.name_of(name), value):
                raise ConfigurationError(str(problem))
            return value
    return ""
