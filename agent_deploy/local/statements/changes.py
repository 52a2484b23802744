"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE: computed on a copy, then committed to the Delta table at once."""

from __future__ import annotations

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.catalog.securables import OWN_FILES
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements.binding import VECTOR_INDEX, VIEW
from agent_deploy.local.statements.errors import SqlError, unsupported
from agent_deploy.local.statements.run import Run
from agent_deploy.local.statements.session import Name

SELECT, MODIFY = "SELECT", "MODIFY"


def insert(run: Run, tree: exp.Expr) -> pa.Table:
    """Needs MODIFY on the table, and what the query needs."""
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    if tree.args.get("partition") or tree.args.get("where") or tree.args.get("by_name"):
        raise unsupported("INSERT with PARTITION, REPLACE WHERE or BY NAME")
    name, document = _changeable(run, target, MODIFY)
    columns = [column.name for column in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
    overwrite = bool(tree.args.get("overwrite"))
    source = tree.expression
    source = exp.select("*").from_(source) if isinstance(source, exp.Values) else source
    rows = run.binder.bind(source, run.session)
    with run.tables.writing(name.full):
        copy = run.database.copy(run.tables.relation(document), name.full, empty=True)
        into: exp.Expr = exp.table_(copy, quoted=True)
        if columns:
            into = exp.Schema(this=into, expressions=[exp.to_identifier(column, quoted=True) for column in columns])
        count = run.database.change(exp.Insert(this=into, expression=rows), [rows])
        run.session.check()
        content = run.database.content(copy)
        run.tables.replace(document, content) if overwrite else run.tables.append(document, content)
    return pa.table({"num_affected_rows": pa.array([count], pa.int64()), "num_inserted_rows": [count]})


def update(run: Run, tree: exp.Expr) -> pa.Table:
    """Needs MODIFY and SELECT on the table."""
    for assignment in tree.expressions:
        _unqualify(assignment)
    return _rewrite(run, tree)


def delete(run: Run, tree: exp.Expr) -> pa.Table:
    """Needs MODIFY and SELECT on the table."""
    return _rewrite(run, tree)


def merge(run: Run, tree: exp.Expr) -> pa.Table:
    """Needs MODIFY and SELECT on the target, and what the source needs."""
    for when in tree.args["whens"].expressions:
        then = when.args["then"]
        for assignment in then.expressions if isinstance(then, exp.Update) else ():
            _unqualify(assignment)
    return _rewrite(run, tree)


def truncate(run: Run, tree: exp.Expr) -> pa.Table:
    """Needs MODIFY on the table."""
    for target in tree.expressions:
        name, document = _changeable(run, target, MODIFY)
        with run.tables.writing(name.full):
            run.tables.replace(document, run.tables.schema(document).empty_table())
    return pa.table({})


def _rewrite(run: Run, tree: exp.Expr) -> pa.Table:
    target = tree.this
    name, document = _changeable(run, target, MODIFY, SELECT)
    alias = target.alias or target.name
    with run.tables.writing(name.full):
        version = run.tables.version(document)
        copy = run.database.copy(run.tables.relation(document), name.full)
        tree.set("this", exp.Identifier(this="target"))
        bound = run.binder.bind(tree, run.session)
        table = exp.table_(copy, quoted=True)
        table.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
        bound.set("this", table)
        count = run.database.change(bound, _parts(bound))
        run.session.check()
        if count:
            run.tables.replace(document, run.database.content(copy), version)
    return pa.table({"num_affected_rows": pa.array([count], pa.int64())})


def _unqualify(assignment: exp.Expr) -> None:
    # The engine wants the plain name of a column that is set; `UPDATE SET *` names none.
    if isinstance(assignment.this, exp.Column):
        for qualifier in ("table", "db", "catalog"):
            assignment.this.set(qualifier, None)


def _parts(tree: exp.Expr) -> list[exp.Expr]:
    """Expressions and queries of an UPDATE, DELETE or MERGE, each in one piece."""
    parts = [found.this for found in (tree.args.get("where"),) if found is not None]
    if isinstance(tree, exp.Update):
        parts += [assignment.expression for assignment in tree.expressions]
    if isinstance(tree, exp.Merge):
        parts += [exp.select("*").from_(tree.args["using"].copy()), tree.args["on"]]
        for when in tree.args["whens"].expressions:
            parts += [when.args["condition"]] if when.args.get("condition") else []
            parts += _of_action(when.args["then"])
    return parts


def _of_action(then: exp.Expr) -> list[exp.Expr]:
    if isinstance(then, exp.Update):
        return [part.expression for part in then.expressions if isinstance(part, exp.EQ)]
    return list(then.expression.expressions) if isinstance(then, exp.Insert) and then.expression else []


def _changeable(run: Run, target: exp.Table, *privileges: str) -> tuple[Name, Document]:
    name = run.session.name(target)
    for privilege in privileges:
        document = run.binder.table(name, run.session, privilege)
    if document["table_type"] == VIEW or document.get("data_source_format") == VECTOR_INDEX:
        raise SqlError("EXPECT_TABLE_NOT_VIEW", f"{name} is not a table: its rows cannot be changed.")
    if document["table_type"] not in OWN_FILES:
        raise unsupported(f"changes of {document['table_type']} tables, such as {name}")
    return name, document
