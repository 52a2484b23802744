"""What a statement fails with: an error condition of Databricks SQL, its message and SQLSTATE."""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent_deploy.local.core.errors import ALREADY_EXISTS, ApiError

# Source: Databricks, "Error conditions" and "SQLSTATE error codes".
INSUFFICIENT_PERMISSIONS = "INSUFFICIENT_PERMISSIONS"
_SQL_STATES: Mapping[str, str] = {
    INSUFFICIENT_PERMISSIONS: "42501",
    "PARSE_SYNTAX_ERROR": "42601",
    "UNSUPPORTED_FEATURE": "0A000",
    "TABLE_OR_VIEW_NOT_FOUND": "42P01",
    "TABLE_OR_VIEW_ALREADY_EXISTS": "42P07",
    "ROUTINE_NOT_FOUND": "42883",
    "ROUTINE_ALREADY_EXISTS": "42723",
    "UNRESOLVED_ROUTINE": "42883",
    "UNRESOLVED_COLUMN": "42703",
    "UNBOUND_SQL_PARAMETER": "42P02",
    "SCHEMA_NOT_FOUND": "42704",
    "SCHEMA_ALREADY_EXISTS": "42P06",
    "SCHEMA_NOT_EMPTY": "2BP01",
    "CATALOG_NOT_FOUND": "42704",
    "CATALOG_ALREADY_EXISTS": "42P04",
    "PRINCIPAL_DOES_NOT_EXIST": "42704",
    "WRONG_NUM_ARGS": "42605",
    "INVALID_PARAMETER_VALUE": "22023",
    "CAST_INVALID_INPUT": "22018",
    "DIVIDE_BY_ZERO": "22012",
    "ARITHMETIC_OVERFLOW": "22003",
    "DELTA_CONCURRENT_APPEND": "2D521",
    "DELTA_NOT_NULL_CONSTRAINT_VIOLATED": "23502",
    "COLUMN_ALREADY_EXISTS": "42711",
    "EXPECT_TABLE_NOT_VIEW": "42809",
    "RECURSION_LEVEL_LIMIT_EXCEEDED": "42836",
    "MISSING_AGGREGATION": "42803",
    "INVALID_WHERE_CONDITION": "42903",
    "NUM_COLUMNS_MISMATCH": "42826",
    "SCALAR_SUBQUERY_TOO_MANY_ROWS": "21000",
    "DATATYPE_MISMATCH": "42K09",
    "INVALID_EXTRACT_BASE_FIELD_TYPE": "42000",
    "INVALID_LIMIT_LIKE_EXPRESSION": "42K0E",
    "AMBIGUOUS_REFERENCE": "42704",
    "QUERY_EXECUTION_FAILED": "XXKST",
    "QUERY_EXECUTION_TIMEOUT_EXCEEDED": "57KD0",
}


class SqlError(Exception):
    """The statement is FAILED; ``condition`` is one of Databricks' error conditions."""

    def __init__(self, condition: str, message: str) -> None:
        self.condition = condition
        self.sql_state = _SQL_STATES[condition]
        super().__init__(f"[{condition}] {message} SQLSTATE: {self.sql_state}")


class Canceled(Exception):
    """The statement was canceled before it changed anything."""


def insufficient(lacking: str) -> SqlError:
    """``lacking`` reads like ``User does not have SELECT on Table 'a.b.c'.``."""
    return SqlError(INSUFFICIENT_PERMISSIONS, f"Insufficient privileges:\n{lacking}")


def unsupported(what: str) -> SqlError:
    """What Databricks can and the local workspace cannot."""
    return SqlError("UNSUPPORTED_FEATURE", f"The local workspace does not support {what}.")


def of_api(error: ApiError, not_found: str = "TABLE_OR_VIEW_NOT_FOUND", exists: str = "") -> SqlError:
    """A refusal of the catalog as a statement's failure; the conditions for what is missing or there already."""
    if error.status == 403:
        return insufficient(error.message)
    if error.error_code == "PRINCIPAL_DOES_NOT_EXIST":
        return SqlError("PRINCIPAL_DOES_NOT_EXIST", error.message)
    if error.status == 404:
        kind = error.message.partition(" ")[0].upper()
        return SqlError(f"{kind}_NOT_FOUND" if kind in ("SCHEMA", "CATALOG") else not_found, error.message)
    if error.error_code == ALREADY_EXISTS and exists:
        return SqlError(exists, error.message)
    if error.status == 501:
        return SqlError("UNSUPPORTED_FEATURE", error.message)
    return SqlError("INVALID_PARAMETER_VALUE", error.message)


# What an error of the engine means in Databricks' words, by its message.
_REWORDED = tuple(
    (re.compile(pattern), condition, message)
    for pattern, condition, message in (
        (
            r'Binder Error: Referenced (?:column|table) "(.+?)" not found.*',
            "UNRESOLVED_COLUMN",
            r"A column, variable, or function parameter with name `\1` cannot be resolved",
        ),
        (
            r"Catalog Error: (?:Scalar|Table) Function with name (\S+) does not exist.*",
            "UNRESOLVED_ROUTINE",
            r"Cannot resolve routine `\1`",
        ),
        (
            r"Conversion Error: Could not convert string '(.*)' to INT(?:8|16|32|64)",
            "CAST_INVALID_INPUT",
            "The value '\\1' of the type STRING cannot be cast to a whole number because it is malformed",
        ),
        (
            r'Binder Error: column "(.+?)" must appear in the GROUP BY.*',
            "MISSING_AGGREGATION",
            r"The non-aggregating expression `\1` is based on columns which are not in the GROUP BY clause",
        ),
        (r"Binder Error: WHERE clause (cannot contain .*)", "INVALID_WHERE_CONDITION", r"The WHERE condition \1"),
        (r"Binder Error: (Set operations can only .*)", "NUM_COLUMNS_MISMATCH", r"\1"),
        (r"Binder Error: (LIMIT/OFFSET .*)", "INVALID_LIMIT_LIKE_EXPRESSION", r"\1"),
        (r"Binder Error: (Cannot extract field .*)", "INVALID_EXTRACT_BASE_FIELD_TYPE", r"\1"),
        (r"Binder Error: (Ambiguous reference .*)", "AMBIGUOUS_REFERENCE", r"\1"),
        (
            r"Binder Error: Could not choose a best candidate function for the function call .(.*?)[.\"]+ In order.*",
            "DATATYPE_MISMATCH",
            r"Cannot resolve \1 due to data type mismatch: cast its arguments",
        ),
        (
            r"Invalid Input Error: More than one row returned by a subquery.*",
            "SCALAR_SUBQUERY_TOO_MANY_ROWS",
            "More than one row returned by a subquery used as an expression",
        ),
    )
)
# The rest, by the beginning of its message.
_OF_ENGINE = (
    ("Binder Error: Values list", "UNRESOLVED_COLUMN"),
    ("Binder Error: No function matches", "UNRESOLVED_ROUTINE"),
    ("Catalog Error: Table with name", "TABLE_OR_VIEW_NOT_FOUND"),
    ("Conversion Error", "CAST_INVALID_INPUT"),
    ("Invalid Input Error: Division by zero", "DIVIDE_BY_ZERO"),
    ("Out of Range Error", "ARITHMETIC_OVERFLOW"),
    ("Permission Error", INSUFFICIENT_PERMISSIONS),
    ("Constraint Error: NOT NULL", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED"),
    ("Parser Error", "PARSE_SYNTAX_ERROR"),
    ("Not implemented Error", "UNSUPPORTED_FEATURE"),
)


_NO_ROOM = (
    "The statement needs more memory, and more room in files, than it may have (the workspace's options sql_memory_mib"
    " and sql_files_mib)."
)


def of_engine(error: Exception, names: Mapping[str, str]) -> SqlError:
    """An error of the engine; ``names`` maps the relations of the engine to what the user calls them."""
    text = str(error).partition("\n\nLINE ")[0].strip()
    if text.startswith("Out of Memory Error"):
        return SqlError("QUERY_EXECUTION_FAILED", _NO_ROOM)
    condition = next((found for start, found in _OF_ENGINE if text.startswith(start)), "QUERY_EXECUTION_FAILED")
    message = text.partition("\n")[0].rstrip(".!")
    for pattern, reworded, words in _REWORDED:
        if found := pattern.fullmatch(message):
            condition, message = reworded, found.expand(words)
    message = message.partition(" Error: ")[2] or message
    for internal, shown in names.items():
        message = message.replace(internal, shown)
    return SqlError(condition, f"{message}.")
