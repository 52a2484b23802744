"""From a statement's text to its syntax tree, parameters and IDENTIFIER clauses filled in."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.parsers.databricks import DatabricksParser

from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import types
from agent_deploy.local.statements.errors import SqlError

DIALECT = "databricks"
# The parser warns of each statement that it keeps as text; those are handled by `phrases`.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

Parameters = Mapping[str, exp.Expr]


class _Databricks(Databricks):
    """The parser knows another product's VECTOR_SEARCH, whose arguments differ."""

    class Parser(DatabricksParser):
        FUNCTIONS: ClassVar = {name: f for name, f in DatabricksParser.FUNCTIONS.items() if name != "VECTOR_SEARCH"}


def parse(statement: str, parameters: Parameters | None = None) -> exp.Expr:
    """The one statement in the text; raises SqlError."""
    try:
        parsed = [tree for tree in sqlglot.parse(statement, read=_Databricks) if tree is not None]
    except ParseError as error:
        raise SqlError("PARSE_SYNTAX_ERROR", _where(error)) from error
    except (SqlglotError, RecursionError) as error:
        raise SqlError("PARSE_SYNTAX_ERROR", f"{type(error).__name__}: {error}.") from error
    if len(parsed) != 1:
        raise SqlError("PARSE_SYNTAX_ERROR", f"Expected one statement, not {len(parsed)}.")
    return fill(parsed[0], parameters or {})


def statements(text: str) -> list[str]:
    """The statements of a file, without the semicolons between them; raises SqlError."""
    try:
        parsed = [tree for tree in sqlglot.parse(text, read=_Databricks) if tree is not None]
    except SqlglotError as error:
        raise SqlError("PARSE_SYNTAX_ERROR", f"{error}.") from error
    return [tree.sql(DIALECT) for tree in parsed]


def parse_body(text: str) -> exp.Expr:
    """A function's body: an expression or a query, with or without RETURN; raises SqlError."""
    body = _without_return(text.strip())
    if body.split(None, 1)[0].upper().rstrip("(") in ("SELECT", "WITH", "VALUES", "FROM"):
        return parse(body)
    selected = parse(f"SELECT {body}")
    if not isinstance(selected, exp.Select) or len(selected.expressions) != 1 or selected.args.get("from_"):
        raise SqlError("PARSE_SYNTAX_ERROR", f"A function's body is one expression or one query, not: {body}.")
    return selected.expressions[0].unalias()


def parameters(given: Iterable[Document]) -> Parameters:
    """The request's ``parameters`` as expressions: each value is cast to its type; raises SqlError."""
    found: dict[str, exp.Expr] = {}
    for parameter in given:
        kind, value = str(parameter.get("type") or "STRING"), parameter.get("value")
        literal = exp.null() if value is None else exp.Literal.string(str(value))
        found[str(parameter["name"]).lower()] = exp.Cast(this=literal, to=types.parsed(kind))
    return found


def fill(tree: exp.Expr, values: Parameters) -> exp.Expr:
    """Named markers replaced by their values, then each ``IDENTIFIER('…')`` by the name in it; raises SqlError."""

    def marker(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Placeholder | exp.Parameter):
            return node
        name = node.name.lower()
        if name not in values:
            message = f"Found the unbound parameter: {name or '?'}. Parameters are named, and given with the statement."
            raise SqlError("UNBOUND_SQL_PARAMETER", message)
        return values[name].copy()

    return tree.transform(marker).transform(_identified)


def _identified(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Anonymous) and node.this.name.lower() == "identifier":
        named = exp.to_table(_identifier(node.this), dialect=DIALECT)
        for key in ("this", "db", "catalog"):
            node.set(key, named.args.get(key))
    elif isinstance(node, exp.Anonymous) and node.name.lower() == "identifier":
        return exp.to_column(_identifier(node), dialect=DIALECT)
    return node


def _identifier(clause: exp.Anonymous) -> str:
    value = clause.expressions[0] if len(clause.expressions) == 1 else None
    value = value.this if isinstance(value, exp.Cast) else value
    if not isinstance(value, exp.Literal) or not value.is_string:
        raise SqlError("PARSE_SYNTAX_ERROR", "IDENTIFIER expects a string literal or a parameter.")
    return str(value.this)


def _without_return(text: str) -> str:
    words = text.split(None, 1)
    return words[1] if len(words) == 2 and words[0].upper() == "RETURN" else text


def _where(error: ParseError) -> str:
    first = error.errors[0] if error.errors else {}
    if "line" not in first:
        return f"{error}."
    near, position = first.get("highlight", ""), f"line {first['line']}, pos {first['col']}"
    return f"Syntax error at or near '{near}' ({position}): {first.get('description', '')}."
