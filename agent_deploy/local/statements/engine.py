"""Runs one statement: finds out of which kind it is, and hands it to whoever knows that kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.folders import make
from agent_deploy.local.statements import changes, definitions, descriptions, parsing, privileges
from agent_deploy.local.statements.binding import Binder
from agent_deploy.local.statements.database import Database
from agent_deploy.local.statements.delta import DeltaTables
from agent_deploy.local.statements.errors import Canceled, SqlError, of_api, unsupported
from agent_deploy.local.statements.limits import Limits, now, watched
from agent_deploy.local.statements.phrases import Phrase
from agent_deploy.local.statements.run import Run
from agent_deploy.local.statements.session import Session
from agent_deploy.local.vector_search.queries import Queries

NOTHING = pa.table({})
# Expressions of a select list that have names, or make several columns.
_NAMED = (exp.Alias, exp.Aliases, exp.Column, exp.Star, exp.Explode, exp.Inline, exp.Posexplode)


# By the verb of a statement that the parser may keep as text; each returns None when it is not its statement after all.
_BY_VERB: Mapping[str, Callable[[Run, Phrase], pa.Table | None]] = {
    "GRANT": privileges.grant,
    "REVOKE": privileges.revoke,
    "SHOW": descriptions.show,
    "DESCRIBE": descriptions.describe,
    "DESC": descriptions.describe,
    "ALTER": definitions.alter_by_words,
    "CREATE": definitions.create_catalog,
    "DROP": definitions.drop_catalog,
}
_BY_TYPE: Mapping[type[exp.Expr], Callable[[Run, exp.Expr], pa.Table]] = {
    exp.Create: definitions.create,
    exp.Drop: definitions.drop,
    exp.Alter: definitions.alter,
    exp.Comment: definitions.comment,
    exp.Insert: changes.insert,
    exp.Update: changes.update,
    exp.Delete: changes.delete,
    exp.Merge: changes.merge,
    exp.TruncateTable: changes.truncate,
}


class Engine:
    """Statements under a caller's privileges."""

    def __init__(self, workspace: Workspace, metastore: Metastore, tables: DeltaTables, queries: Queries) -> None:
        self._workspace = workspace
        self._metastore = metastore
        self._tables = tables
        self._queries = queries
        self.limits = Limits.of(workspace.options)
        self._files = workspace.folder / "scratch" / "sql"
        shutil.rmtree(self._files, ignore_errors=True)  # what a killed server left
        make(self._files, 0o700)

    def run(self, statement: str, session: Session, row_limit: int | None = None) -> pa.Table:
        """The rows of a statement; without columns when it has none. Raises SqlError; Canceled when it was canceled.

        With ``row_limit``, a query has at most one row more.
        """
        session = replace(session, deadline=now() + self.limits.sql_seconds)
        try:
            with Database(self.limits, self._files) as database, watched(lambda: session.is_over, database.interrupt):
                session.check()
                binder = Binder(self._workspace, self._metastore, self._tables, database, self._search)
                return _run(Run(self._workspace, self._metastore, self._tables, binder, session, row_limit), statement)
        except ApiError as error:
            raise of_api(error) from error
        except (SqlError, Canceled) as error:
            # An interrupted statement fails at whatever it did.
            if session.canceled.is_set():
                raise Canceled from error
            if session.is_over:
                raise self.limits.timed_out() from error
            raise

    def _search(self, session: Session, call: exp.Expr) -> pa.Table:
        return self._queries.in_sql(session.principal, call)


def _run(run: Run, statement: str) -> pa.Table:
    phrase = Phrase(statement)
    if phrase.ended:
        raise SqlError("PARSE_SYNTAX_ERROR", "The statement is empty.")
    verb = None if run.session.reads_only else _BY_VERB.get(phrase.tokens[0].text.upper())
    if verb is not None and (found := verb(run, phrase)) is not None:
        return found
    tree = parsing.parse(statement, run.session.parameters)
    if isinstance(tree, exp.Query | exp.Values):
        return query(run, tree)
    if run.session.reads_only:
        raise SqlError("UNSUPPORTED_FEATURE", "A stored query may only read: expected SELECT.")
    if isinstance(tree, exp.Use):
        # Each statement has a session of its own, so that there is nothing to remember.
        return NOTHING
    handler = _BY_TYPE.get(type(tree))
    if handler is None:
        raise unsupported(f"statements that begin with {phrase.tokens[0].text.upper()}")
    return handler(run, tree)


def query(run: Run, tree: exp.Expr) -> pa.Table:
    """The rows of a query, its columns named as Databricks names them."""
    if isinstance(tree, exp.Values):
        tree = exp.select("*").from_(tree)
    _name_columns(tree)
    return run.binder.rows(tree, run.session, run.row_limit)


def _name_columns(tree: exp.Expr) -> None:
    # Columns without an alias are called after their expression, before it is changed for the engine.
    first = tree
    while not isinstance(first, exp.Select):
        if first.this is None:
            return
        first = first.this
    first.set("expressions", [_named(expression) for expression in first.expressions])


def _named(expression: exp.Expr) -> exp.Expr:
    if isinstance(expression, _NAMED) or expression.is_star:
        return expression
    is_field = isinstance(expression, exp.Dot) and not isinstance(expression.expression, exp.Anonymous)
    if is_field or isinstance(expression, exp.Literal):
        name = expression.output_name
    else:
        name = expression.sql(parsing.DIALECT, normalize_functions="lower")
    return exp.alias_(expression, "count(1)" if name == "count(*)" else name, quoted=True)
