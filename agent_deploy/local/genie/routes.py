"""Routes of Genie: /api/2.0/genie/spaces, their conversations and messages."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request

from agent_deploy.local.catalog.paging import asked_page
from agent_deploy.local.core.body import json_body
from agent_deploy.local.core.context import caller
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.genie.conversations import Conversations, shown
from agent_deploy.local.genie.spaces import CAN_EDIT, CAN_READ, CAN_RUN, Spaces
from agent_deploy.local.genie.spaces import shown as shown_space
from agent_deploy.local.statements.execution import Statements

Caller = Annotated[Principal, Depends(caller)]
Body = Annotated[dict[str, Any], Depends(json_body)]

_SPACES = "/api/2.0/genie/spaces"
_MESSAGE = "/{space_id}/conversations/{conversation_id}/messages/{message_id}"


def install(app: FastAPI, spaces: Spaces, conversations: Conversations, statements: Statements) -> None:
    """Add the routes."""
    app.include_router(_space_routes(spaces))
    app.include_router(_conversation_routes(spaces, conversations))
    app.include_router(_message_routes(spaces, conversations, statements))


def _space_routes(spaces: Spaces) -> APIRouter:
    router = APIRouter(prefix=_SPACES)

    @router.post("")
    def create(body: Body, principal: Caller) -> Document:
        return shown_space(spaces.create(body, principal), with_content=True)

    @router.get("")
    def listing(request: Request, principal: Caller) -> Document:
        return asked_page("spaces", spaces.listing(principal), request.query_params, "page_size")

    @router.get("/{space_id}")
    def get(space_id: str, request: Request, principal: Caller) -> Document:
        with_content = request.query_params.get("include_serialized_space") == "true"
        space = spaces.get(space_id, principal, CAN_EDIT if with_content else CAN_READ)
        return shown_space(space, with_content)

    @router.patch("/{space_id}")
    def change(space_id: str, body: Body, principal: Caller) -> Document:
        return shown_space(spaces.change(space_id, body, principal), with_content=True)

    @router.delete("/{space_id}")
    def delete(space_id: str, principal: Caller) -> Document:
        spaces.delete(space_id, principal)
        return {}

    return router


def _conversation_routes(spaces: Spaces, conversations: Conversations) -> APIRouter:
    router = APIRouter(prefix=_SPACES)

    # Those that ask something run in the event loop, where its answer is awaited.
    @router.post("/{space_id}/start-conversation")
    async def start(space_id: str, body: Body, principal: Caller) -> Document:
        space = spaces.get(space_id, principal, CAN_RUN)
        conversation, message = conversations.start(space, body.get("content"), principal)
        ids = {"conversation_id": conversation["id"], "message_id": message["id"]}
        return {**ids, "conversation": shown(conversation), "message": message}

    @router.get("/{space_id}/conversations")
    def listing(space_id: str, request: Request, principal: Caller) -> Document:
        space, query = spaces.get(space_id, principal, CAN_RUN), request.query_params
        found = conversations.conversations(space, principal, query.get("include_all") == "true")
        return asked_page("conversations", found, query, "page_size")

    @router.delete("/{space_id}/conversations/{conversation_id}")
    def delete(space_id: str, conversation_id: str, principal: Caller) -> Document:
        space = spaces.get(space_id, principal, CAN_RUN)
        conversations.delete(conversations.conversation(space, conversation_id, principal))
        return {}

    @router.post("/{space_id}/conversations/{conversation_id}/messages")
    async def ask(space_id: str, conversation_id: str, body: Body, principal: Caller) -> Document:
        space = spaces.get(space_id, principal, CAN_RUN)
        conversation = conversations.conversation(space, conversation_id, principal)
        return conversations.ask(space, conversation, body.get("content"), principal)

    @router.get("/{space_id}/conversations/{conversation_id}/messages")
    def messages(space_id: str, conversation_id: str, request: Request, principal: Caller) -> Document:
        space, query = spaces.get(space_id, principal, CAN_RUN), request.query_params
        found = conversations.messages(conversations.conversation(space, conversation_id, principal))
        return asked_page("messages", found, query, "page_size")

    return router


def _message_routes(spaces: Spaces, conversations: Conversations, statements: Statements) -> APIRouter:
    router = APIRouter(prefix=_SPACES)

    def find(principal: Principal, space_id: str, conversation_id: str, message_id: str) -> tuple[Document, Document]:
        space = spaces.get(space_id, principal, CAN_RUN)
        conversation = conversations.conversation(space, conversation_id, principal)
        return space, conversations.message(conversation, message_id)

    def result(statement_id: str, principal: Principal) -> Document:
        # A result is its asker's alone: it was read with his privileges.
        return {"statement_response": statements.response(statement_id, principal)}

    @router.get(_MESSAGE)
    def get(space_id: str, conversation_id: str, message_id: str, principal: Caller) -> Document:
        return find(principal, space_id, conversation_id, message_id)[1]

    @router.get(f"{_MESSAGE}/query-result")
    def query_result(space_id: str, conversation_id: str, message_id: str, principal: Caller) -> Document:
        _, message = find(principal, space_id, conversation_id, message_id)
        return result(conversations.query_of(message, None)["statement_id"], principal)

    @router.get(f"{_MESSAGE}/query-result/{{attachment_id}}")
    @router.get(f"{_MESSAGE}/attachments/{{attachment_id}}/query-result")
    def attachment_result(
        space_id: str, conversation_id: str, message_id: str, attachment_id: str, principal: Caller
    ) -> Document:
        _, message = find(principal, space_id, conversation_id, message_id)
        return result(conversations.query_of(message, attachment_id)["statement_id"], principal)

    @router.post(f"{_MESSAGE}/execute-query")
    async def execute(space_id: str, conversation_id: str, message_id: str, principal: Caller) -> Document:
        space, message = find(principal, space_id, conversation_id, message_id)
        query = conversations.query_of(message, None)
        return result(await conversations.run_again(space, message, query, principal), principal)

    @router.post(f"{_MESSAGE}/attachments/{{attachment_id}}/execute-query")
    async def execute_attachment(
        space_id: str, conversation_id: str, message_id: str, attachment_id: str, principal: Caller
    ) -> Document:
        space, message = find(principal, space_id, conversation_id, message_id)
        query = conversations.query_of(message, attachment_id)
        return result(await conversations.run_again(space, message, query, principal), principal)

    return router
