"""A request's JSON body, whatever its content type says: SCIM, empty bodies and DELETE with a body included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request

from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.shapes import Shape, check


async def json_body(request: Request) -> dict[str, Any]:
    """FastAPI dependency: the body as an object, empty when there is none; raises 400 for anything else."""
    body = request.scope.get("state", {}).get("json", {})  # from the door, which judged it
    if not isinstance(body, dict):
        raise ApiError(400, "MALFORMED_REQUEST", "The request's body must be a JSON object.")
    return body


def body_of(shape: Shape) -> Callable[[Request], Awaitable[dict[str, Any]]]:
    """FastAPI dependency: `json_body`, whose fields are of these types; raises 400 that names the one that is not."""

    async def checked(request: Request) -> dict[str, Any]:
        body = await json_body(request)
        check(body, shape)
        return body

    return checked


def required(body: dict[str, Any], name: str) -> Any:
    """A field that must be there and not be empty; raises 400 that names it."""
    value = body.get(name)
    if value in (None, ""):
        raise invalid(f"Missing required field: {name}.")
    return value
