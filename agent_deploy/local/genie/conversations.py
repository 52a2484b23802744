"""Conversations with a space: each message is answered by the example query that is most like its question."""

from __future__ import annotations

import asyncio
import time
import uuid

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, forbidden, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.genie import matching
from agent_deploy.local.genie.spaces import CAN_MANAGE, TYPE
from agent_deploy.local.statements.execution import Statements, Submission

# States of a message. Source: the Genie API's reference, MessageStatus.
ASKING, EXECUTING, COMPLETED, FAILED = "ASKING_AI", "EXECUTING_QUERY", "COMPLETED", "FAILED"
_CONVERSATION, _MESSAGE = "genie_conversation", "genie_message"
_SQL_SECONDS = 600.0  # how long an answer's query may take
_SUGGESTIONS = 3


class Conversations:
    """Documents ``genie_conversation`` and ``genie_message`` by id."""

    def __init__(self, workspace: Workspace, statements: Statements) -> None:
        self._workspace = workspace
        self._statements = statements
        self._store = workspace.store
        self._tasks: set[asyncio.Task[None]] = set()

    def recover(self) -> None:
        """After a restart: what was being answered then is not."""
        for message in self._store.list(_MESSAGE):
            if message["status"] in (ASKING, EXECUTING):
                self._end(message["id"], FAILED, error=_error("UNEXPECTED_REPLY_PROCESS_EXCEPTION", "Interrupted."))

    def start(self, space: Document, content: object, principal: Principal) -> tuple[Document, Document]:
        """A new conversation and its first message. To be called in the event loop."""
        question, now = _question(content), int(time.time() * 1000)
        conversation_id = uuid.uuid4().hex
        conversation: Document = {"id": conversation_id, "conversation_id": conversation_id, "title": question[:100]}
        conversation |= {"space_id": space["space_id"], "user_id": int(principal.id), "owner": principal.name}
        conversation |= {"created_timestamp": now, "last_updated_timestamp": now}
        self._store.put(_CONVERSATION, conversation_id, conversation, space["space_id"])
        return conversation, self.ask(space, conversation, question, principal)

    def ask(self, space: Document, conversation: Document, content: object, principal: Principal) -> Document:
        """A message, about to be answered. To be called in the event loop."""
        question, now, message_id = _question(content), int(time.time() * 1000), uuid.uuid4().hex
        message: Document = {"id": message_id, "message_id": message_id, "content": question, "status": ASKING}
        message |= {"space_id": space["space_id"], "conversation_id": conversation["id"], "user_id": int(principal.id)}
        message |= {"created_timestamp": now, "last_updated_timestamp": now}
        self._store.put(_MESSAGE, message_id, message, conversation["id"])
        task = asyncio.get_running_loop().create_task(self._answer(space, message_id, question, principal))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return message

    def conversation(self, space: Document, conversation_id: str, principal: Principal) -> Document:
        """The caller's own, or any for whoever manages the space; raises 404 and 403."""
        found = self._store.get(_CONVERSATION, conversation_id)
        if found is None or found["space_id"] != space["space_id"]:
            raise not_found(f"Conversation {conversation_id} does not exist in Genie space {space['space_id']}.")
        access = self._workspace.authorization
        if found["owner"] != principal.name and not access.allows_object(
            principal, TYPE, space["space_id"], CAN_MANAGE
        ):
            raise forbidden(f"User {principal.name} may not see conversation {conversation_id}: it is somebody else's.")
        return found

    def conversations(self, space: Document, principal: Principal, everybodys: bool) -> list[Document]:
        """The caller's own, newest first; all for whoever manages the space, when he asks for them."""
        if everybodys:
            self._workspace.authorization.require_object(principal, TYPE, space["space_id"], CAN_MANAGE)
        found = self._store.list(_CONVERSATION, space["space_id"])
        return [shown(item) for item in reversed(found) if everybodys or item["owner"] == principal.name]

    def message(self, conversation: Document, message_id: str) -> Document:
        """Raises 404."""
        found = self._store.get(_MESSAGE, message_id)
        if found is None or found["conversation_id"] != conversation["id"]:
            raise not_found(f"Message {message_id} does not exist in conversation {conversation['id']}.")
        return found

    def messages(self, conversation: Document) -> list[Document]:
        """Of a conversation, oldest first."""
        return self._store.list(_MESSAGE, conversation["id"])

    def query_of(self, message: Document, attachment_id: str | None) -> Document:
        """The query by which a message was answered; raises 404 when there is none."""
        for attachment in message.get("attachments") or []:
            if attachment.get("query") and attachment_id in (None, attachment["attachment_id"]):
                query: Document = attachment["query"]
                return query
        raise not_found(f"Message {message['id']} has no query{f' {attachment_id}' if attachment_id else ''}.")

    async def run_again(self, space: Document, message: Document, query: Document, principal: Principal) -> str:
        """Run a message's query anew as the caller; returns the statement's id. Raises 403."""
        statement_id = self._submit(space, query["query"], principal)
        await self._statements.wait(statement_id, _SQL_SECONDS)
        attachments = [
            {**found, "query": {**found["query"], "statement_id": statement_id}} if found.get("query") else found
            for found in message["attachments"]
        ]
        self._put({**message, "attachments": attachments})
        return statement_id

    def delete(self, conversation: Document) -> None:
        """With its messages."""
        for message in self.messages(conversation):
            self._store.delete(_MESSAGE, message["id"])
        self._store.delete(_CONVERSATION, conversation["id"])

    def forget(self, owner: str) -> None:
        """Whose they were is gone, and so are they."""
        for conversation in self._store.list(_CONVERSATION):
            if conversation["owner"] == owner:
                self.delete(conversation)

    async def _answer(self, space: Document, message_id: str, question: str, principal: Principal) -> None:
        known = matching.examples(matching.parse(space["serialized_space"]))
        example = matching.best(question, known)
        if example is None:
            self._end(message_id, COMPLETED, attachments=_cannot(known))
            return
        try:
            statement_id = self._submit(space, example.sql, principal)
        except ApiError as error:
            self._end(message_id, FAILED, error=_error("WAREHOUSE_ACCESS_MISSING_EXCEPTION", error.message))
            return
        query: Document = {"title": example.question, "description": f"The space's own query for: {example.question}"}
        query |= {"query": example.sql, "statement_id": statement_id}
        attachment: Document = {"attachment_id": uuid.uuid4().hex, "query": query}
        self._end(message_id, EXECUTING, attachments=[attachment])
        statement = await self._statements.wait(statement_id, _SQL_SECONDS)
        if statement["status"]["state"] != "SUCCEEDED":
            reason = (statement["status"].get("error") or {}).get("message", statement["status"]["state"])
            self._end(message_id, FAILED, error=_error("SQL_EXECUTION_EXCEPTION", reason))
            return
        manifest = statement["manifest"]
        counted = {"row_count": manifest["total_row_count"], "is_truncated": manifest["truncated"]}
        attachment["query"] = {**query, "query_result_metadata": counted}
        self._end(
            message_id, COMPLETED, attachments=[attachment], query_result={"statement_id": statement_id, **counted}
        )

    def _submit(self, space: Document, sql: str, principal: Principal) -> str:
        # The maker of the space wrote it, the asker lends it his privileges.
        return self._statements.submit(Submission(sql, space["warehouse_id"], reads_only=True), principal)

    def _end(self, message_id: str, status: str, **fields: object) -> None:
        message = self._store.get(_MESSAGE, message_id)
        if message is not None:  # else it was deleted meanwhile
            self._put({**message, **fields, "status": status, "last_updated_timestamp": int(time.time() * 1000)})

    def _put(self, message: Document) -> None:
        self._store.put(_MESSAGE, message["id"], message, message["conversation_id"])


def shown(conversation: Document) -> Document:
    """As answers show it."""
    return {name: value for name, value in conversation.items() if name != "owner"}


def _question(content: object) -> str:
    if not isinstance(content, str) or not content.strip():
        raise invalid("content: expected a question.")
    return content.strip()


def _cannot(known: list[matching.Example]) -> list[Document]:
    text = (
        "I cannot answer that: no example query of this space fits the question, and there is no language model here."
    )
    attachments: list[Document] = [{"attachment_id": uuid.uuid4().hex, "text": {"content": text}}]
    if known:
        questions = [example.question for example in known[:_SUGGESTIONS]]
        attachments.append({"attachment_id": uuid.uuid4().hex, "suggested_questions": {"questions": questions}})
    return attachments


def _error(kind: str, message: str) -> Document:
    return {"type": kind, "error": message}
