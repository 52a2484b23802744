"""Routes of the Statement Execution API: /api/2.0/sql/statements."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.body import body_of, required
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.core.shapes import OBJECTS
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements.execution import PENDING, RUNNING, Statements, Submission

Caller = Annotated[Principal, Depends(caller)]
_SHAPE = {"parameters": OBJECTS}
Body = Annotated[dict[str, Any], Depends(body_of(_SHAPE))]

_WAIT = re.compile(r"([0-9]{1,6})s")
_DEFAULT_WAIT, _LONGEST_WAIT, _SHORTEST_WAIT = "10s", 50, 5  # source: the API's reference, `wait_timeout`


def install(app: FastAPI, access: Authorization, statements: Statements) -> None:
    """Add the routes."""
    app.include_router(_routes(statements))
    app.include_router(_unfinished(statements, access))


def _routes(statements: Statements) -> APIRouter:
    router = APIRouter(prefix="/api/2.0/sql/statements")

    @router.post("")
    async def execute(body: Body, principal: Caller) -> Document:
        seconds, asked = _seconds(body), _submission(body)
        statement_id = statements.submit(asked, principal)
        document = await statements.wait(statement_id, seconds)
        if seconds and body.get("on_wait_timeout") == "CANCEL" and document["status"]["state"] in (PENDING, RUNNING):
            await statements.cancel(statement_id)
            document = statements.get(statement_id, principal)
        return statements.shown(document)

    @router.get("/{statement_id}")
    def get(statement_id: str, principal: Caller) -> Document:
        return statements.response(statement_id, principal)

    @router.get("/{statement_id}/result/chunks/{index}")
    def chunk(statement_id: str, index: int, principal: Caller) -> Document:
        return statements.chunk(statements.get(statement_id, principal), index)

    @router.post("/{statement_id}/cancel")
    async def cancel(statement_id: str, principal: Caller) -> Document:
        statements.require_cancel(statement_id, principal)
        await statements.cancel(statement_id)
        return {}

    return router


def _unfinished(statements: Statements, access: Authorization) -> APIRouter:
    """For administrators, who may cancel what others started: the platform has its query history for that."""
    router = APIRouter()

    @router.get("/_local/statements")
    async def unfinished(principal: Caller) -> Document:
        access.require_admin(principal, "see the statements of others")
        return {"statements": statements.unfinished()}

    return router


def _submission(body: Document) -> Submission:
    disposition, form = body.get("disposition") or "INLINE", body.get("format") or "JSON_ARRAY"
    if disposition != "INLINE" or form != "JSON_ARRAY":
        message = f"disposition {disposition} with format {form}: the local workspace has INLINE with JSON_ARRAY."
        raise ApiError(501, "NOT_IMPLEMENTED", message)
    parameters = body.get("parameters") or []
    if not all(isinstance(parameter, dict) and parameter.get("name") for parameter in parameters):
        raise invalid("parameters: each needs a name; positional markers are not supported.")
    return Submission(
        statement=str(required(body, "statement")),
        warehouse_id=str(required(body, "warehouse_id")),
        catalog=str(body.get("catalog") or ""),
        schema=str(body.get("schema") or ""),
        parameters=parameters,
        row_limit=_limit(body, "row_limit"),
        byte_limit=_limit(body, "byte_limit"),
    )


def _limit(body: Document, name: str) -> int | None:
    value = body.get(name)
    if value in (None, 0, "0"):
        return None
    if not is_whole(str(value)):
        raise invalid(f"{name} {value!r}: expected a positive number.")
    return int(value)


def _seconds(body: Document) -> int:
    text = str(body.get("wait_timeout") or _DEFAULT_WAIT)
    match = _WAIT.fullmatch(text)
    seconds = int(match[1]) if match else -1
    if seconds != 0 and not _SHORTEST_WAIT <= seconds <= _LONGEST_WAIT:
        expected = f"'0s', or from '{_SHORTEST_WAIT}s' to '{_LONGEST_WAIT}s'"
        raise invalid(f"wait_timeout {text!r}: expected {expected}.")
    if seconds == 0 and body.get("on_wait_timeout") == "CANCEL":
        raise invalid("on_wait_timeout CANCEL: needs a wait_timeout above '0s'.")
    return seconds
