"""By which names the workspace is asked: a page of another name that is led to this address gets no answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.errors import ApiError, invalid

OPTION = "host_names"  # of the workspace: names besides those of this machine
_OWN = frozenset({"127.0.0.1", "localhost", "::1"})


class Hosts:
    """Middleware: the Host header must name this machine, or be among the names that the workspace was given."""

    def __init__(self, app: ASGIApp, options: Mapping[str, Any]) -> None:
        self._app = app
        self._names = _OWN | names(options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 421."""
        if scope["type"] == "http":
            given = [value.decode("latin-1") for key, value in scope["headers"] if key == b"host"]
            if len(given) != 1 or _name(given[0]) not in self._names:
                message = f"This workspace is not called {', '.join(given)!r}: ask it at 127.0.0.1, or start it with"
                error = ApiError(421, "BAD_REQUEST", f"{message} the option {OPTION}.")
                return await JSONResponse(error.body(), error.status)(scope, receive, send)
        return await self._app(scope, receive, send)


def names(options: Mapping[str, Any]) -> frozenset[str]:
    """The names in the workspace's options; raises 400 for what is no list of names."""
    given = options.get(OPTION) or []
    if not isinstance(given, list) or not all(isinstance(name, str) and _name(name) == name.lower() for name in given):
        raise invalid(f"The workspace's option {OPTION} is {given!r}: expected a list of names without ports.")
    return frozenset(name.lower() for name in given)


def _name(host: str) -> str | None:
    """Without its port and in lower case; None when it is no host."""
    try:
        found = urlsplit(f"//{host}")
        # What is not a name and a port is read differently by different readers.
        return found.hostname if found.netloc == host and "@" not in host and found.port != 0 else None
    except ValueError:
        return None
