"""Genie by the unmodified SDK: a question is answered by the space's own query, with the asker's privileges."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, NotFound, OperationFailed, PermissionDenied, ResourceConflict
from databricks.sdk.service.dashboards import GenieMessage, MessageErrorType, MessageStatus

from tests.workspace.conftest import Caller


def content(*examples: tuple[str, str]) -> str:
    """A space's content with these example queries."""
    queries = [{"id": str(place), "question": [q], "sql": [sql]} for place, (q, sql) in enumerate(examples)]
    return json.dumps({"version": 2, "instructions": {"example_question_sqls": queries}})


@pytest.fixture
def space(admin: Caller, warehouse: str, tables: str) -> str:
    """A space over the orders."""
    examples = (
        (
            "How much did each customer spend?",
            f"SELECT customer, sum(price) FROM {tables}.orders GROUP BY 1 ORDER BY 1",
        ),
        ("Who earns most?", f"SELECT max(salary) FROM {tables}.salaries"),
        ("Remove all orders", f"DELETE FROM {tables}.orders"),
    )
    created = admin.sdk.genie.create_space(warehouse, content(*examples), title="Orders")
    return created.space_id


def permit(admin: Caller, space: str, caller: Caller, level: str) -> None:
    entry = {"service_principal_name": caller.name, "permission_level": level}
    changed = admin.http.patch(f"/api/2.0/permissions/genie/{space}", json={"access_control_list": [entry]})
    changed.raise_for_status()


def answered(caller: Caller, space: str, question: str) -> GenieMessage:
    return caller.sdk.genie.start_conversation_and_wait(space, question)


def failed(caller: Caller, space: str, question: str) -> GenieMessage:
    started = caller.sdk.genie.start_conversation(space, question)
    with pytest.raises(OperationFailed):
        started.result()
    return caller.sdk.genie.get_message(space, started.conversation_id, started.message_id)


def rows_of(caller: Caller, message: GenieMessage) -> list[list[str]]:
    attachment = (message.attachments or [])[0]
    got = caller.sdk.genie.get_message_attachment_query_result(
        message.space_id, message.conversation_id, message.message_id, str(attachment.attachment_id)
    )
    assert got.statement_response
    assert got.statement_response.result
    return list(got.statement_response.result.data_array or [])


class TestAnswers:
    def test_the_most_similar_example_is_run(self, admin: Caller, space: str) -> None:
        message = answered(admin, space, "how much did the customers spend")
        assert message.status == MessageStatus.COMPLETED
        assert message.attachments
        query = message.attachments[0].query
        assert query
        assert query.query
        assert query.query.startswith("SELECT customer, sum(price)")
        assert query.query_result_metadata
        assert query.query_result_metadata.row_count == 2
        assert rows_of(admin, message) == [["ann", "12.75"], ["bob", "1.00"]]
        legacy = admin.sdk.genie.get_message_query_result(space, message.conversation_id, message.message_id)
        assert legacy.statement_response
        place = (space, message.conversation_id, message.message_id, str(message.attachments[0].attachment_id))
        older = admin.sdk.genie.get_message_query_result_by_attachment(*place)
        again = admin.sdk.genie.execute_message_attachment_query(*place)
        for got in (older, again):
            assert got.statement_response
            assert got.statement_response.result
            assert len(got.statement_response.result.data_array or []) == 2

    def test_it_says_when_it_cannot(self, admin: Caller, space: str) -> None:
        message = answered(admin, space, "What will the weather be tomorrow?")
        assert message.status == MessageStatus.COMPLETED
        assert message.attachments
        assert message.attachments[0].text
        assert "cannot answer" in str(message.attachments[0].text.content)
        assert message.attachments[1].suggested_questions
        with pytest.raises(NotFound):
            admin.sdk.genie.get_message_query_result(space, message.conversation_id, message.message_id)

    def test_a_conversation_goes_on_and_ends(self, admin: Caller, space: str) -> None:
        first = answered(admin, space, "Who earns most?")
        second = admin.sdk.genie.create_message_and_wait(
            space, first.conversation_id, "How much did each customer spend"
        )
        listed = admin.sdk.genie.list_conversation_messages(space, first.conversation_id).messages or []
        assert [message.message_id for message in listed] == [first.message_id, second.message_id]
        again = admin.sdk.genie.execute_message_query(space, second.conversation_id, second.message_id)
        assert again.statement_response
        assert again.statement_response.result
        assert len(again.statement_response.result.data_array or []) == 2
        admin.sdk.genie.delete_conversation(space, first.conversation_id)
        with pytest.raises(NotFound):
            admin.sdk.genie.get_message(space, first.conversation_id, first.message_id)

    def test_a_stored_query_only_reads(self, admin: Caller, space: str, tables: str, rows: Any) -> None:
        message = failed(admin, space, "Remove all orders")
        assert message.error
        assert "only read" in str(message.error.error)
        assert rows(admin, f"SELECT count(*) FROM {tables}.orders") == [["3"]]


class TestPermissions:
    def test_can_run_on_this_space_and_the_askers_own_privileges(
        self, agent: Caller, admin: Caller, warehouse: str, tables: str, space: str, rows: Any
    ) -> None:
        sibling = admin.sdk.genie.create_space(warehouse, content(("Who earns most?", "SELECT 1"))).space_id
        with pytest.raises(PermissionDenied, match="CAN_RUN"):
            answered(agent, space, "How much did each customer spend?")
        permit(admin, space, agent, "CAN_READ")
        with pytest.raises(PermissionDenied, match="CAN_RUN"):
            answered(agent, space, "How much did each customer spend?")
        permit(admin, space, agent, "CAN_RUN")
        message = failed(agent, space, "How much did each customer spend?")
        assert message.error
        assert message.error.type == MessageErrorType.SQL_EXECUTION_EXCEPTION
        assert "SELECT on Table" in str(message.error.error)
        rows(admin, f"GRANT SELECT ON TABLE {tables}.orders TO `{agent.name}`")
        assert rows_of(agent, answered(agent, space, "How much did each customer spend?"))[0] == ["ann", "12.75"]
        with pytest.raises(PermissionDenied):
            answered(agent, sibling, "Who earns most?")
        admin.sdk.genie.trash_space(sibling)

    def test_the_warehouse_must_be_usable_by_the_asker(self, stranger: Caller, admin: Caller, space: str) -> None:
        permit(admin, space, stranger, "CAN_RUN")
        message = failed(stranger, space, "Who earns most?")
        assert message.error
        assert message.error.type == MessageErrorType.WAREHOUSE_ACCESS_MISSING_EXCEPTION

    def test_conversations_are_their_askers_own(
        self, agent: Caller, newcomer: Callable[[], Caller], admin: Caller, space: str, tables: str, rows: Any
    ) -> None:
        rows(admin, f"GRANT SELECT ON TABLE {tables}.orders TO `{agent.name}`")
        other = newcomer()
        for caller in (agent, other):
            permit(admin, space, caller, "CAN_RUN")
        message = answered(agent, space, "How much did each customer spend?")
        with pytest.raises(PermissionDenied):
            other.sdk.genie.get_message(space, message.conversation_id, message.message_id)
        with pytest.raises(PermissionDenied):
            rows_of(admin, message)
        assert (other.sdk.genie.list_conversations(space).conversations or []) == []
        with pytest.raises(PermissionDenied):
            other.sdk.genie.list_conversations(space, include_all=True)
        assert len(admin.sdk.genie.list_conversations(space, include_all=True).conversations or []) == 1

    @pytest.mark.parametrize(
        ("level", "allowed"),
        [
            (None, []),
            ("CAN_READ", ["get"]),
            ("CAN_RUN", ["get", "converse"]),
            ("CAN_EDIT", ["get", "converse", "content", "change"]),
            ("CAN_MANAGE", ["get", "converse", "content", "change", "delete"]),
        ],
    )
    def test_each_level(self, agent: Caller, admin: Caller, space: str, level: str | None, allowed: list[str]) -> None:
        if level:
            permit(admin, space, agent, level)
        genie = agent.sdk.genie
        actions: dict[str, Callable[[], object]] = {
            "get": lambda: genie.get_space(space),
            "converse": lambda: genie.list_conversations(space),
            "content": lambda: genie.get_space(space, include_serialized_space=True),
            "change": lambda: genie.update_space(space, description="changed"),
            "delete": lambda: genie.trash_space(space),
        }
        done = []
        for action, run in actions.items():
            try:
                run()
                done.append(action)
            except PermissionDenied:
                continue
        assert done == allowed
        seen = [found.space_id for found in genie.list_spaces().spaces or []]
        assert (space in seen) == bool(level and level != "CAN_MANAGE")

    def test_making_one_needs_a_usable_warehouse(self, stranger: Caller, warehouse: str) -> None:
        with pytest.raises(PermissionDenied, match="CAN_USE"):
            stranger.sdk.genie.create_space(warehouse, content())


def test_a_space_is_changed_and_trashed(admin: Caller, space: str) -> None:
    found = admin.sdk.genie.get_space(space, include_serialized_space=True)
    assert (found.title, bool(found.serialized_space)) == ("Orders", True)
    assert admin.sdk.genie.get_space(space).serialized_space is None
    admin.sdk.genie.update_space(space, title="Sales", etag=found.etag)
    with pytest.raises(ResourceConflict):
        admin.sdk.genie.update_space(space, title="Late", etag=found.etag)
    assert admin.sdk.genie.get_space(space).title == "Sales"
    admin.sdk.genie.trash_space(space)
    with pytest.raises(NotFound):
        admin.sdk.genie.get_space(space)


@pytest.mark.parametrize("bad", ["{", "[]", '{"instructions": {"example_question_sqls": [{"question": ["x"]}]}}'])
def test_bad_content_is_refused(admin: Caller, warehouse: str, bad: str) -> None:
    with pytest.raises(InvalidParameterValue, match="serialized_space"):
        admin.sdk.genie.create_space(warehouse, bad)


def test_a_chat_that_is_sent_as_the_question_is_answered_by_its_latest_line(admin: Caller, space: str) -> None:
    preamble = "I will provide you a chat history, where your name is Orders. Please help with it.\n"
    message = answered(admin, space, f"{preamble}user: Who earns most?\nuser: How much did each customer spend?")
    assert (message.attachments or [])[0].query.title == "How much did each customer spend?"  # type: ignore[union-attr]
    other = answered(admin, space, f"{preamble}user: what is the weather like")
    assert (other.attachments or [])[0].query is None
