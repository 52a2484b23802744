"""Names, layouts, retention and prefixes of inference tables."""

from __future__ import annotations

import pytest

from agent_deploy.rules import tables


def test_names_are_the_seeds() -> None:
    payload = tables.payload_table("main", "default", "qa")
    assert payload == "main.default.qa_payload"
    assert tables.derived_tables(payload) == {
        "requests": "main.default.qa_payload_request_logs",
        "assessments": "main.default.qa_payload_assessment_logs",
        "quarantine": "main.default.qa_payload_quarantine",
    }


def test_ddl_has_comments_in_which_quotes_are_escaped() -> None:
    columns = (tables.Column("a", "string", "the user's"), tables.Column("b", "map<string,string>", "x"))
    assert tables.ddl(columns) == "`a` string COMMENT 'the user\\'s', `b` map<string,string> COMMENT 'x'"


def test_the_local_workspace_writes_the_layout() -> None:
    payload_table = pytest.importorskip("agent_deploy.local.serving.payload_table")
    written = [(column["name"], column["type_text"]) for column in payload_table.columns()]
    assert written == [(column.name, column.type) for column in tables.PAYLOAD_COLUMNS]


def test_layouts_are_told_apart() -> None:
    assert tables.is_legacy([column.name for column in tables.LEGACY_PAYLOAD_COLUMNS])
    assert not tables.is_legacy([column.name for column in tables.PAYLOAD_COLUMNS])


def test_retention_covers_all_four_tables() -> None:
    statements = tables.retention_statements("main.default.my-agent_payload", 30, tables.PAYLOAD_DAY)
    assert [statement.split(" WHERE ")[0] for statement in statements] == [
        "DELETE FROM `main`.`default`.`my-agent_payload`",
        "DELETE FROM `main`.`default`.`my-agent_payload_request_logs`",
        "DELETE FROM `main`.`default`.`my-agent_payload_quarantine`",
        "DELETE FROM `main`.`default`.`my-agent_payload_assessment_logs`",
    ]
    assert all(statement.endswith("< current_date() - INTERVAL 30 DAYS") for statement in statements)


@pytest.mark.parametrize("days", [0, -1, 0.5, "7", True, 10**6])
def test_retention_that_is_refused(days: object) -> None:
    [problem] = tables.check_retention("retention_days", days)
    assert "whole number of days" in str(problem)


@pytest.mark.parametrize("days", [None, 1, 30.0, 36_500])
def test_retention_that_is_taken(days: object) -> None:
    assert tables.check_retention("retention_days", days) == []


@pytest.mark.parametrize("prefix", ["", "a.b", "a b", "x" * 64, 5, None])
def test_prefixes_that_are_refused(prefix: object) -> None:
    [problem] = tables.check_prefix("prefix", prefix)
    assert problem.value == prefix
