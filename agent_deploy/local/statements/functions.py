"""SQL functions of Unity Catalog in a query: their arguments are the caller's, their body is read as its owner."""

from __future__ import annotations

from typing import Protocol

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import parsing, types
from agent_deploy.local.statements.database import Database
from agent_deploy.local.statements.errors import SqlError, unsupported
from agent_deploy.local.statements.session import Session

Arguments = dict[str, exp.Expr]


class Binder(Protocol):
    """What binds a function's body, whose own tables and functions are to be found as those of the query."""

    database: Database

    def bind(self, query: exp.Expr, session: Session) -> exp.Expr:
        """The tree, changed: it then names nothing but relations of the statement's database."""

    def definer(self, document: Document) -> Principal:
        """By whose privileges the body is read."""


def scalar(binder: Binder, document: Document, given: list[exp.Expr], session: Session) -> exp.Expr:
    """The bound expression that stands for a call; raises SqlError."""
    if is_table_function(document):
        raise SqlError("UNRESOLVED_ROUTINE", f"'{document['full_name']}' returns a table: call it in FROM.")
    arguments, body = _prepare(document, given), _body(binder, document, session)
    if body.find(exp.Query, exp.Lambda) is None:
        value = _substituted(body, document, arguments)
    else:
        value = _with_arguments(binder, body, document, arguments)
    returned = document.get("full_data_type") or document.get("data_type")
    return exp.Cast(this=exp.Paren(this=value), to=types.parsed(str(returned))) if returned else value


def table(binder: Binder, document: Document, given: list[exp.Expr], session: Session) -> pa.Table:
    """The rows of a table function; its arguments must not depend on other tables of the query. Raises SqlError."""
    if not is_table_function(document):
        raise SqlError("UNRESOLVED_ROUTINE", f"'{document['full_name']}' returns a value: call it in an expression.")
    arguments, body = _prepare(document, given), _body(binder, document, session)
    if any(_depends(argument) for argument in arguments.values()):
        raise unsupported(f"columns as arguments of the table function '{document['full_name']}'")
    if not isinstance(body, exp.Query):
        raise SqlError("PARSE_SYNTAX_ERROR", f"The body of '{document['full_name']}' is not a query.")
    if arguments:
        names = binder.database.alias("arguments")
        _qualify(body, document, names)
        lateral = exp.Lateral(this=body.subquery(), alias=exp.TableAlias(this=exp.to_identifier("body")))
        body = exp.select("body.*").from_(_row(arguments, names)).join(lateral, join_type="cross")
    rows = binder.database.rows(body)
    columns = (document.get("return_params") or {}).get("parameters") or []
    if not columns:
        return rows
    schema = types.schema_of(columns)
    if len(schema) != len(rows.schema):
        message = f"'{document['full_name']}' declares {len(schema)} columns; its query has {len(rows.schema)}."
        raise SqlError("QUERY_EXECUTION_FAILED", message)
    return rows.rename_columns(schema.names).cast(schema)


def is_table_function(document: Document) -> bool:
    """Whether it is called in FROM."""
    return str(document.get("data_type") or "").upper() in ("TABLE_TYPE", "TABLE")


def _prepare(document: Document, given: list[exp.Expr]) -> Arguments:
    """Each parameter's value, cast to its type: by position, by name, or its default."""
    parameters = (document.get("input_params") or {}).get("parameters") or []
    named = {argument.name.lower(): argument.expression for argument in given if isinstance(argument, exp.Kwarg)}
    positional = [argument for argument in given if not isinstance(argument, exp.Kwarg)]
    unknown = set(named) - {parameter["name"].lower() for parameter in parameters[len(positional) :]}
    values: Arguments = {}
    for index, parameter in enumerate(sorted(parameters, key=lambda found: int(found.get("position") or 0))):
        name, default = parameter["name"].lower(), parameter.get("parameter_default")
        value = positional[index] if index < len(positional) else named.get(name)
        if value is None and default is not None:
            value = parsing.parse_body(str(default))
        if value is None:
            break
        values[name] = exp.Cast(this=value, to=types.parsed(parameter["type_text"]))
    if unknown or len(values) != len(parameters) or len(positional) > len(parameters):
        expected = ", ".join(f"{parameter['name']} {parameter['type_text']}" for parameter in parameters)
        raise SqlError("WRONG_NUM_ARGS", f"'{document['full_name']}' requires the arguments ({expected}).")
    return values


def _body(binder: Binder, document: Document, session: Session) -> exp.Expr:
    if document.get("routine_body", "SQL") != "SQL":
        language = document.get("external_language") or "another language"
        raise unsupported(f"functions in {language}, such as '{document['full_name']}'; SQL functions run")
    # Unqualified names mean what they meant where the function was made.
    path = str(document.get("sql_path") or "").split(".")
    catalog, schema = path if len(path) == 2 else (document["catalog_name"], document["schema_name"])
    inner = session.of_definer(binder.definer(document), catalog, schema)
    return binder.bind(parsing.parse_body(str(document["routine_definition"])), inner)


def _substituted(body: exp.Expr, document: Document, arguments: Arguments) -> exp.Expr:
    def value(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and node.table.lower() in ("", document["name"]):
            found = arguments.get(node.name.lower())
            return node if found is None else found.copy()
        return node

    return body.transform(value)


def _with_arguments(binder: Binder, body: exp.Expr, document: Document, arguments: Arguments) -> exp.Expr:
    # The arguments are computed in a row of their own, outside the body: a column of the caller's that has the name of
    # one in the body's tables must not be taken for it, nor the other way round.
    if not arguments:
        return exp.select(body).subquery()
    names = binder.database.alias("arguments")
    return exp.select(_qualify(body, document, names)).from_(_row(arguments, names)).subquery()


def _row(arguments: Arguments, names: str) -> exp.Expr:
    columns = [exp.alias_(value.copy(), name, quoted=True) for name, value in arguments.items()]
    alias = exp.TableAlias(this=exp.to_identifier(names, quoted=True))
    return exp.Subquery(this=exp.select(*columns), alias=alias)


def _qualify(body: exp.Expr, document: Document, names: str) -> exp.Expr:
    """`function.parameter` in the body is a column of the row of arguments."""
    for column in body.find_all(exp.Column):
        if column.table.lower() == document["name"]:
            column.set("table", exp.to_identifier(names, quoted=True))
    return body


def _depends(argument: exp.Expr) -> bool:
    return any(column.find_ancestor(exp.Query) is None for column in argument.find_all(exp.Column))
