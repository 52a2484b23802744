"""Inference tables as data: names, columns, types and comments of the payload and of what is derived from it.

The derivation (`agent_deploy.tables`), the component that declares it and the readers all take the layouts from here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from agent_deploy.rules.problems import Problem

# Suffixes of the seed's names. Source: Databricks, "Agent-enhanced inference tables".
PAYLOAD: Final = "_payload"
REQUEST_LOGS: Final = "_request_logs"
ASSESSMENT_LOGS: Final = "_assessment_logs"
QUARANTINE: Final = "_quarantine"
# Both layouts of databricks.agents cut a prefix to this. Source: observation of databricks-agents 1.13.
MAX_PREFIX: Final = 63
MAX_RETENTION_DAYS: Final = 36_500
# What has the day of a row in a payload table of AI Gateway.
PAYLOAD_DAY: Final = "request_date"
# Version of the sixteen columns as they are filled here; the seed: "Integer for the schema version", as a string.
SCHEMA_VERSION: Final = "1"
# logging_error_codes of rows whose bodies the platform didn't keep whole. Source: Databricks, inference tables.
REQUEST_CUT: Final = "MAX_REQUEST_SIZE_EXCEEDED"
RESPONSE_CUT: Final = "MAX_RESPONSE_SIZE_EXCEEDED"

_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,63}")


@dataclass(frozen=True)
class Column:
    """A column: its name, its type as Spark SQL writes it, and what a catalog browser says about it."""

    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class Table:
    """A table that the derivation fills; ``suffix`` follows the payload table's name."""

    key: str
    suffix: str
    comment: str
    columns: tuple[Column, ...]


def _columns(*rows: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*row) for row in rows)


# Source: DDL of a real AI Gateway inference table; Databricks, "Monitor served models using AI Gateway-enabled
# inference tables". Clustered by request_date, change data feed on.
PAYLOAD_COLUMNS: Final = _columns(
    ("databricks_request_id", "string", "Identifier that Databricks gave to the request"),
    ("request_date", "date", "Day of the request (UTC)"),
    ("client_request_id", "string", "Identifier that the client gave to the request, if any"),
    ("request_time", "timestamp", "When the request was received"),
    ("status_code", "int", "HTTP status of the answer"),
    ("sampling_fraction", "double", "Share of requests that is logged, 1.0 for all"),
    ("execution_duration_ms", "bigint", "Milliseconds that the model took"),
    ("request", "string", "Body of the request, JSON"),
    ("response", "string", "Body of the answer, JSON"),
    ("logging_error_codes", "array<string>", f"Why a body is missing or cut: {REQUEST_CUT}, {RESPONSE_CUT}"),
    ("served_entity_id", "string", "The served entity that answered"),
    ("requester", "string", "User or service principal whose token signed the request"),
)

# Endpoints with auto_capture_config, which can't be enabled since 2026-02-20; their tables are still read. Source:
# Databricks, "Inference tables for monitoring and debugging models" (legacy).
LEGACY_PAYLOAD_COLUMNS: Final = _columns(
    ("client_request_id", "string", "Identifier that the client gave to the request, if any"),
    ("databricks_request_id", "string", "Identifier that Databricks gave to the request"),
    ("date", "date", "Day of the request (UTC)"),
    ("timestamp_ms", "bigint", "When the request was received, in milliseconds since 1970"),
    ("status_code", "int", "HTTP status of the answer"),
    ("sampling_fraction", "double", "Share of requests that is logged, 1.0 for all"),
    ("execution_time_ms", "bigint", "Milliseconds that the model took"),
    ("request", "string", "Body of the request, JSON"),
    ("response", "string", "Body of the answer, JSON"),
    ("request_metadata", "map<string,string>", "endpoint_name, model_name and model_version"),
)

REQUEST_LOG_COLUMNS: Final = _columns(
    ("client_request_id", "string", "Client request ID, usually null"),
    ("databricks_request_id", "string", "Databricks request ID"),
    ("date", "date", "Date of request"),
    ("timestamp_ms", "bigint", "Timestamp in milliseconds"),
    ("timestamp", "timestamp", "Timestamp of the request"),
    ("status_code", "int", "Status code of endpoint"),
    ("execution_time_ms", "bigint", "Total execution milliseconds"),
    ("conversation_id", "string", "Conversation id extracted from the request"),
    ("request", "string", "The last user query from the user's conversation"),
    ("response", "string", "The last response to the user"),
    ("request_raw", "string", "The request's body as it was logged"),
    ("response_raw", "string", "The answer's body as it was logged"),
    ("trace", "string", "MLflow trace extracted from the answer, JSON"),
    ("sampling_fraction", "double", "Share of requests that is logged, 1.0 for all"),
    ("request_metadata", "map<string,string>", "endpoint_name, model_name and model_version that answered"),
    ("schema_version", "string", "Integer for the schema version"),
)

_RATINGS = "map<string,struct<value:string,double_value:double,rationale:string>>"

ASSESSMENT_LOG_COLUMNS: Final = _columns(
    ("request_id", "string", "Databricks request ID of the rated request"),
    ("step_id", "string", "Step of the trace that was rated, from the assessment"),
    ("source", "struct<type:string,id:string,tags:map<string,string>>", "Who created the assessment"),
    ("timestamp", "timestamp", "Timestamp of the feedback"),
    (
        "text_assessment",
        f"struct<step_id:string,ratings:{_RATINGS},free_text_comment:string,suggested_output:string>",
        "Feedback on the agent's answer; null when a retrieved document was rated",
    ),
    (
        "retrieval_assessment",
        f"struct<position:int,step_id:string,ratings:{_RATINGS},free_text_comment:string>",
        "Feedback on a document retrieved for the answer; null when the answer was rated",
    ),
)

QUARANTINE_COLUMNS: Final = _columns(
    ("databricks_request_id", "string", "Databricks request ID; null when the payload row has none"),
    ("date", "date", "Date of request"),
    ("timestamp", "timestamp", "Timestamp of the request"),
    ("reason", "string", "Why the row is in neither the request logs nor the assessment logs"),
    ("status_code", "int", "Status code of endpoint"),
    ("client_request_id", "string", "Client request ID, usually null"),
    ("execution_time_ms", "bigint", "Total execution milliseconds"),
    ("sampling_fraction", "double", "Share of requests that is logged, 1.0 for all"),
    ("request_raw", "string", "The request's body as it was logged"),
    ("response_raw", "string", "The answer's body as it was logged"),
    ("request_metadata", "map<string,string>", "endpoint_name, model_name and model_version that answered"),
)

DERIVED: Final = (
    Table(
        "requests",
        REQUEST_LOGS,
        "One row for each request to the agent: question, answer and trace, derived from the payload table. "
        "Deletions and updates there are not reflected here.",
        REQUEST_LOG_COLUMNS,
    ),
    Table(
        "assessments",
        ASSESSMENT_LOGS,
        "One row for each assessment in a feedback request, derived from the payload table. "
        "Deletions and updates there are not reflected here.",
        ASSESSMENT_LOG_COLUMNS,
    ),
    Table(
        "quarantine",
        QUARANTINE,
        "Rows of the payload table that could not be read as a request or as feedback, each with the reason.",
        QUARANTINE_COLUMNS,
    ),
)


def ddl(columns: Iterable[Column]) -> str:
    """Columns as Spark's ``CREATE TABLE`` takes them, comments included."""
    return ", ".join(f"`{c.name}` {c.type} COMMENT '{_quoted(c.comment)}'" for c in columns)


def payload_table(catalog: object, schema: object, prefix: object) -> str:
    """``main``, ``default``, ``qa`` → ``main.default.qa_payload``."""
    return f"{catalog}.{schema}.{prefix}{PAYLOAD}"


def derived_tables(payload: str) -> dict[str, str]:
    """Full names of the tables beside ``payload``, by key: ``requests``, ``assessments``, ``quarantine``."""
    return {table.key: payload + table.suffix for table in DERIVED}


def is_legacy(column_names: Sequence[str]) -> bool:
    """Whether a payload table has the layout of the old ``auto_capture_config``."""
    return "timestamp_ms" in column_names and "request_time" not in column_names


def day_column(column_names: Sequence[str]) -> str | None:
    """The column of a payload table that has the day of a row; None of a table that is none."""
    return "date" if is_legacy(column_names) else PAYLOAD_DAY if "request_time" in column_names else None


def retention_statements(payload: str, days: int, payload_day: str) -> list[str]:
    """SQL that deletes what is older than ``days`` from the payload table and from all that is derived from it."""
    tables = derived_tables(payload)
    days_of = {payload: payload_day, tables["requests"]: "date", tables["quarantine"]: "date"}
    old = f"current_date() - INTERVAL {int(days)} DAYS"
    deletions = [f"DELETE FROM {sql_name(table)} WHERE {column} < {old}" for table, column in days_of.items()]
    return [*deletions, f"DELETE FROM {sql_name(tables['assessments'])} WHERE timestamp < {old}"]


def sql_name(full_name: str) -> str:
    """``main.default.my-agent_payload`` with each level in backquotes."""
    return ".".join(f"`{level.replace('`', '``')}`" for level in full_name.split("."))


def check_prefix(field: str, prefix: object) -> list[Problem]:
    """Problems of an inference table's name prefix."""
    if isinstance(prefix, str) and _PREFIX.fullmatch(prefix):
        return []
    remedy = "Leave it out to have the model's name, or the next free one"
    return [Problem(field, prefix, f"1 to {MAX_PREFIX} letters, digits, '_' or '-'", remedy)]


def check_retention(field: str, days: object) -> list[Problem]:
    """Problems of a retention in days; None keeps everything."""
    if days is None:
        return []
    if isinstance(days, float) and days.is_integer():  # the engine's numbers are floats
        days = int(days)
    if isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= MAX_RETENTION_DAYS:
        return []
    remedy = "Leave it out to keep all rows"
    return [Problem(field, days, f"a whole number of days from 1 to {MAX_RETENTION_DAYS}", remedy)]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
