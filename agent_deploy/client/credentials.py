"""Signs requests: by a personal access token, a service principal's OAuth, or whatever else the Databricks SDK can."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from agent_deploy.client.configuration import OAUTH_M2M, PAT, Settings
from agent_deploy.client.errors import ConfigurationError
from agent_deploy.client.masking import cause, hide

# A token is fetched anew this many seconds before it expires, so that no request leaves with one that is about to.
REFRESH_BEFORE = 120.0


class Credentials(Protocol):
    """What signs a request."""

    def headers(self) -> dict[str, str]:
        """The headers that sign a request; may fetch a token."""

    def forget(self) -> bool:
        """Drops a cached token that the workspace refused; False when there is none to drop."""


class PersonalAccessToken:
    """Databricks' PAT."""

    def __init__(self, token: str) -> None:
        self._headers = {"Authorization": f"Bearer {token}"}

    def headers(self) -> dict[str, str]:
        """The token as it is."""
        return self._headers

    def forget(self) -> bool:
        """Nothing is cached."""
        return False


class ServicePrincipal:
    """OAuth client credentials; one token for all threads, kept until shortly before it expires."""

    def __init__(self, fetch: Callable[[], dict[str, Any]]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._headers: dict[str, str] = {}
        self._until = 0.0
        self._failed: tuple[float, Exception] = (0.0, Exception())

    def headers(self) -> dict[str, str]:
        """The cached token, or a new one; those who wait while there is none to be had need not try one by one."""
        asked = time.monotonic()
        with self._lock:
            if self._failed[0] > asked:
                raise self._failed[1]
            if time.monotonic() >= self._until:
                answer = self._fetched()
                hide(str(answer["access_token"]))
                lifetime = float(answer.get("expires_in", 3600))
                self._headers = {"Authorization": f"{answer.get('token_type', 'Bearer')} {answer['access_token']}"}
                # Half of a short life, so that a token of less than four minutes is used at all.
                self._until = time.monotonic() + max(lifetime - REFRESH_BEFORE, lifetime / 2)
            return self._headers

    def _fetched(self) -> dict[str, Any]:
        try:
            return self._fetch()
        except Exception as error:
            self._failed = (time.monotonic(), error)
            raise

    def forget(self) -> bool:
        """So that the next request fetches a token."""
        with self._lock:
            cached, self._until = bool(self._headers), 0.0
            self._headers = {}
            return cached


class DatabricksSdk:
    """Any other way to sign in, by the SDK, which is imported only then."""

    def __init__(self, settings: Settings) -> None:
        from databricks.sdk.core import Config

        hide(*(os.environ.get(each.env) for each in Config.attributes() if each.sensitive and each.env))
        try:
            self._config = Config(
                host=settings.host or None,
                profile=settings.profile or None,
                account_id=settings.account_id or None,
                auth_type=settings.auth_type or None,
            )
        except Exception as error:  # noqa: BLE001 - each of its many ways to sign in has exceptions of its own
            raise ConfigurationError(f"No way to sign in to Databricks was found: {cause(error)}") from None
        hide(*(getattr(self._config, each.name) for each in Config.attributes() if each.sensitive))
        self.host = self._config.host or settings.host
        self._lock = threading.Lock()

    def headers(self) -> dict[str, str]:
        """As the SDK signs; it caches and refreshes tokens."""
        with self._lock:
            try:
                headers = dict(self._config.authenticate())
            except Exception as error:  # noqa: BLE001 - as above
                raise ConfigurationError(f"Databricks' SDK could not sign in: {cause(error)}") from None
        hide(*(value.rpartition(" ")[2] for value in headers.values()))
        return headers

    def forget(self) -> bool:
        """The SDK refreshes on its own."""
        return False


def credentials_for(settings: Settings, fetch: Callable[[], dict[str, Any]]) -> Credentials:
    """The credentials of the settings' method; ``fetch`` gets an OAuth token's JSON from the workspace."""
    if settings.method == PAT:
        return PersonalAccessToken(settings.token)
    if settings.method == OAUTH_M2M:
        # As the header has both when a token is asked for.
        hide(base64.b64encode(f"{settings.client_id}:{settings.client_secret}".encode()).decode())
        return ServicePrincipal(fetch)
    return DatabricksSdk(settings)
