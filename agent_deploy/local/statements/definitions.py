"""CREATE, ALTER, DROP and COMMENT: schemas, tables, views and functions as documents of the metastore."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.catalog import ownership
from agent_deploy.local.catalog.securables import STREAMING_TABLE
from agent_deploy.local.core.errors import ALREADY_EXISTS, ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import routines, types
from agent_deploy.local.statements.binding import VIEW, VIEW_CATALOG, VIEW_SCHEMA
from agent_deploy.local.statements.errors import SqlError, of_api, unsupported
from agent_deploy.local.statements.parsing import DIALECT
from agent_deploy.local.statements.phrases import Phrase
from agent_deploy.local.statements.run import Run
from agent_deploy.local.statements.session import Name

MANAGE = "MANAGE"
_NOTHING = pa.table({})


def create(run: Run, tree: exp.Expr) -> pa.Table:
    """CREATE SCHEMA, TABLE, VIEW or FUNCTION, IF NOT EXISTS or OR REPLACE."""
    kinds: dict[str, Callable[[Run, exp.Expr], None]] = {
        "SCHEMA": _create_schema,
        "DATABASE": _create_schema,
        "TABLE": _create_table,
        "VIEW": _create_view,
        "FUNCTION": routines.create,
    }
    handler = kinds.get(str(tree.args.get("kind")).upper())
    properties = tree.args.get("properties")
    if handler is None or (properties and properties.find(exp.TemporaryProperty, exp.MaterializedProperty)):
        raise unsupported(f"'{tree.sql(DIALECT).partition('(')[0].strip()}'")
    handler(run, tree)
    return _NOTHING


def create_catalog(run: Run, phrase: Phrase) -> pa.Table | None:
    """CREATE CATALOG, which the parser does not know."""
    phrase.expect("CREATE")
    if not phrase.take("CATALOG"):
        return None
    optional = phrase.take("IF NOT EXISTS")
    name = phrase.name("the name of a catalog")
    fields = {"comment": phrase.word("a comment")} if phrase.take("COMMENT") else {}
    phrase.finish()
    run.workspace.authorization.require(run.session.principal, "CREATE_CATALOG", "metastore", "metastore")
    with _may_exist(optional, "CATALOG_ALREADY_EXISTS"):
        run.metastore.create("catalog", (name,), run.session.caller.name, fields)
    return _NOTHING


def drop_catalog(run: Run, phrase: Phrase) -> pa.Table | None:
    """DROP CATALOG, which the parser does not know."""
    phrase.expect("DROP")
    if not phrase.take("CATALOG"):
        return None
    optional, name = phrase.take("IF EXISTS"), phrase.name("the name of a catalog")
    cascade = phrase.take("CASCADE")
    phrase.take("RESTRICT")
    phrase.finish()
    _drop(run, "catalog", name.lower(), optional, cascade)
    return _NOTHING


def drop(run: Run, tree: exp.Expr) -> pa.Table:
    """Whoever manages it may drop it."""
    kind, target = str(tree.args.get("kind")).upper(), tree.args["tables"][0]
    optional, cascade = bool(tree.args.get("exists")), bool(tree.args.get("cascade"))
    if kind in ("SCHEMA", "DATABASE"):
        _drop(run, "schema", run.session.schema_name(target), optional, cascade)
    elif kind in ("TABLE", "VIEW"):
        name = run.session.name(target)
        _require_kind(run, name, kind)
        _drop(run, "table", name.full, optional)
    elif kind == "FUNCTION":
        _drop(run, "function", run.session.name(target).full, optional)
    else:
        raise unsupported(f"DROP {kind}")
    return _NOTHING


def alter(run: Run, tree: exp.Expr) -> pa.Table:
    """ALTER TABLE … ADD COLUMNS and SET TBLPROPERTIES; ALTER VIEW … AS."""
    name, action = run.session.name(tree.this), tree.args["actions"][0]
    document = run.binder.table(name, run.session, MANAGE)
    if isinstance(action, exp.Query):
        ownership.require_owner(run.session.principal, document, "change the query of a view")
        _put_view(run, name, action, document)
    elif isinstance(action, exp.Schema | exp.ColumnDef) and document["table_type"] != VIEW:
        found = action.expressions if isinstance(action, exp.Schema) else tree.args["actions"]
        _add_columns(run, document, found)
    elif isinstance(action, exp.AlterSet) and action.find(exp.Property):
        properties = {**(document.get("properties") or {}), **_properties(action)}
        _change(run, document, {"properties": properties})
    else:
        raise unsupported(f"'{tree.sql(DIALECT)}'")
    return _NOTHING


def alter_by_words(run: Run, phrase: Phrase) -> pa.Table | None:
    """ALTER … [SET] OWNER TO, and ALTER STREAMING TABLE, which the parser does not know."""
    phrase.expect("ALTER")
    if phrase.take("STREAMING TABLE"):
        return _move_streaming_table(run, phrase)
    kind = phrase.word("a kind of securable").lower()
    kind = {"view": "table", "database": "schema"}.get(kind, kind)
    if kind not in ("catalog", "schema", "table", "function"):
        return None
    target = phrase.table("a name")
    phrase.take("SET")
    if not phrase.take("OWNER TO"):
        return None
    owner = phrase.word("a principal")
    phrase.finish()
    full_name = target.name.lower() if kind == "catalog" else run.session.schema_name(target)
    if kind in ("table", "function"):
        full_name = run.session.name(target).full
    run.workspace.authorization.require(run.session.principal, MANAGE, kind, full_name)

    def check(_held: Document, changed: Document) -> None:
        ownership.require_transfer(run.workspace, run.session.principal, kind, changed, owner)

    run.metastore.change(kind, full_name, run.session.caller.name, {"owner": owner}, check)
    return _NOTHING


def _move_streaming_table(run: Run, phrase: Phrase) -> pa.Table:
    """SET TBLPROPERTIES ('pipelines.pipelineId' = '…'): the table is another pipeline's from then on.

    Source: Databricks, "Move tables between pipelines". The owner of both does it.
    """
    name = run.session.name(phrase.table("a streaming table"))
    phrase.expect("SET TBLPROPERTIES")
    phrase.expect("(")
    key = phrase.word("a property")
    phrase.expect("=")
    pipeline_id = phrase.word("a pipeline's id")
    phrase.expect(")")
    phrase.finish()
    document = run.binder.table(name, run.session, MANAGE)
    if key != "pipelines.pipelineId":
        raise unsupported(f"the property {key} of a streaming table")
    if document["table_type"] != STREAMING_TABLE:
        raise SqlError("EXPECT_STREAMING_TABLE", f"{name} is no streaming table.")
    run.workspace.authorization.require_object(run.session.principal, "pipelines", pipeline_id, "CAN_MANAGE")
    moved = {**document, "pipeline_id": pipeline_id}
    run.workspace.store.put("table", document["full_name"], moved, parent=name.parent)
    return _NOTHING


def comment(run: Run, tree: exp.Expr) -> pa.Table:
    """COMMENT ON TABLE, VIEW, SCHEMA or FUNCTION."""
    kind = {"VIEW": "table", "DATABASE": "schema"}.get(str(tree.args["kind"]).upper(), str(tree.args["kind"]).lower())
    if kind not in ("table", "schema", "function"):
        raise unsupported(f"COMMENT ON {kind.upper()}")
    full_name = run.session.schema_name(tree.this) if kind == "schema" else run.session.name(tree.this).full
    run.workspace.authorization.require(run.session.principal, MANAGE, kind, full_name)
    run.metastore.change(kind, full_name, run.session.caller.name, {"comment": tree.expression.name})
    return _NOTHING


@contextmanager
def _may_exist(optional: bool, condition: str) -> Iterator[None]:
    """Passes over what exists already when IF NOT EXISTS says so; else fails with the condition."""
    try:
        yield
    except ApiError as error:
        if error.error_code != ALREADY_EXISTS or not optional:
            raise of_api(error, exists=condition) from error


def _create_schema(run: Run, tree: exp.Expr) -> None:
    full_name = run.session.schema_name(tree.this)
    catalog, _, name = full_name.partition(".")
    run.workspace.authorization.require(run.session.principal, "CREATE_SCHEMA", "catalog", catalog)
    with _may_exist(bool(tree.args.get("exists")), "SCHEMA_ALREADY_EXISTS"):
        fields = {"comment": _comment(tree)} if _comment(tree) else {}
        run.metastore.create("schema", (catalog, name), run.session.caller.name, fields)


def _create_table(run: Run, tree: exp.Expr) -> None:
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    name = run.session.name(target)
    _require_creator(run, name, "CREATE_TABLE")
    _check_format(tree)
    held = _held(run, name, tree)
    if held is not None and not tree.args.get("replace"):
        return
    declared = tree.this.expressions if isinstance(tree.this, exp.Schema) else []
    comments = {column.name: _column_comment(column) for column in declared}
    rows = run.binder.rows(tree.expression.copy(), run.session) if tree.expression else None
    schema = _schema(declared) if declared else rows.schema if rows is not None else _schema_of_like(run, tree)
    run.session.check()
    columns = [types.table_column(field, index, comments.get(field.name, "")) for index, field in enumerate(schema)]
    fields: dict[str, Any] = {"columns": columns, "properties": _properties(tree), "comment": _comment(tree)}
    with run.tables.writing(name.full):
        document = _put_table(run, name, fields, held)
        run.tables.create(document, schema, rows)


def _put_table(run: Run, name: Name, fields: dict[str, Any], held: Document | None) -> Document:
    if held is not None:
        return _change(run, held, fields)
    try:
        levels = (name.catalog, name.schema, name.name)
        return run.metastore.create("table", levels, run.session.caller.name, fields)
    except ApiError as error:
        raise of_api(error, exists="TABLE_OR_VIEW_ALREADY_EXISTS") from error


def _create_view(run: Run, tree: exp.Expr) -> None:
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    name = run.session.name(target)
    _require_creator(run, name, "CREATE_TABLE")
    held = _held(run, name, tree)
    if held is None or tree.args.get("replace"):
        if held is not None:
            ownership.require_owner(run.session.principal, held, "replace a view")
        _put_view(run, name, tree.expression, held, tree)


def _put_view(run: Run, name: Name, query: exp.Expr, held: Document | None, tree: exp.Expr | None = None) -> None:
    # Whoever makes a view must be able to read what it reads; from then on its owner's privileges count.
    found = run.binder.rows(query.copy(), run.session).schema
    declared = tree.this.expressions if tree is not None and isinstance(tree.this, exp.Schema) else []
    if declared and len(declared) != len(found):
        raise SqlError(
            "QUERY_EXECUTION_FAILED", f"{name} declares {len(declared)} columns; its query has {len(found)}."
        )
    columns = [
        types.table_column(field.with_name(declared[index].name) if declared else field, index)
        | ({"comment": comment} if declared and (comment := _column_comment(declared[index])) else {})
        for index, field in enumerate(found)
    ]
    properties = _properties(tree) if tree is not None else dict((held or {}).get("properties") or {})
    properties |= {VIEW_CATALOG: run.session.catalog, VIEW_SCHEMA: run.session.schema}
    fields: dict[str, Any] = {"columns": columns, "view_definition": query.sql(DIALECT), "properties": properties}
    if tree is not None and _comment(tree):
        fields["comment"] = _comment(tree)
    if held is None:
        fields |= {"table_type": VIEW, "data_source_format": "UNKNOWN_DATA_SOURCE_FORMAT"}
    _put_table(run, name, fields, held)


def _held(run: Run, name: Name, tree: exp.Expr) -> Document | None:
    """What has the name already; raises SqlError unless the statement may leave or replace it."""
    try:
        held = run.metastore.get("table", name.full)
    except ApiError:
        return None
    if tree.args.get("exists"):
        return held
    if not tree.args.get("replace"):
        raise SqlError("TABLE_OR_VIEW_ALREADY_EXISTS", f"{name} already exists.")
    run.workspace.authorization.require(run.session.principal, MANAGE, "table", name.full)
    _require_kind(run, name, str(tree.args["kind"]).upper())
    return held


def _require_creator(run: Run, name: Name, privilege: str) -> None:
    run.workspace.authorization.require(run.session.principal, privilege, "schema", name.parent)


def _require_kind(run: Run, name: Name, kind: str) -> None:
    found = run.workspace.store.get("table", name.full)
    if found is not None and (found["table_type"] == VIEW) != (kind == VIEW):
        raise SqlError("EXPECT_TABLE_NOT_VIEW", f"{name} is not a {kind.lower()}.")


def _drop(run: Run, kind: str, full_name: str, optional: bool, cascade: bool = False) -> None:
    try:
        run.workspace.authorization.require(run.session.principal, MANAGE, kind, full_name)
        run.session.check()
        run.metastore.delete(kind, full_name, force=cascade)
    except ApiError as error:
        if error.status == 404 and optional:
            return
        if error.error_code == "INVALID_STATE":
            raise SqlError("SCHEMA_NOT_EMPTY", f"{error.message} DROP … CASCADE drops that, too.") from error
        condition = {"table": "TABLE_OR_VIEW_NOT_FOUND", "function": "ROUTINE_NOT_FOUND"}.get(kind, "")
        raise of_api(error, not_found=condition or f"{kind.upper()}_NOT_FOUND") from error


def _add_columns(run: Run, document: Document, added: list[exp.Expr]) -> None:
    schema = run.tables.schema(document)
    for field in _schema(added):
        if field.name in schema.names:
            raise SqlError("COLUMN_ALREADY_EXISTS", f"The column `{field.name}` already exists.")
        schema = schema.append(field)
    with run.tables.writing(document["full_name"]):
        rows = run.binder.database.content(run.database.copy(run.tables.relation(document), document["full_name"]))
        for field in schema.remove_metadata():
            if field.name not in rows.schema.names:
                rows = rows.append_column(field.name, pa.nulls(len(rows), field.type))
        run.tables.create(document, schema, rows)
        columns = [types.table_column(field, index) for index, field in enumerate(schema)]
        _change(run, document, {"columns": columns})


def _change(run: Run, document: Document, fields: dict[str, Any]) -> Document:
    return run.metastore.change("table", document["full_name"], run.session.caller.name, fields)


def _schema(declared: list[exp.Expr]) -> pa.Schema:
    fields = []
    for column in declared:
        if not isinstance(column, exp.ColumnDef):
            raise unsupported(f"'{column.sql(DIALECT)}' in the definition of a table")
        if kind := column.args.get("kind"):
            fields.append(pa.field(column.name, types.to_arrow(kind), not column.find(exp.NotNullColumnConstraint)))
    return pa.schema(fields)


def _schema_of_like(run: Run, tree: exp.Expr) -> pa.Schema:
    like = tree.find(exp.LikeProperty)
    if like is None:
        raise SqlError("PARSE_SYNTAX_ERROR", "CREATE TABLE needs columns, AS with a query, or LIKE.")
    return run.tables.schema(run.binder.table(run.session.name(like.this), run.session, "SELECT"))


def _check_format(tree: exp.Expr) -> None:
    if (using := tree.find(exp.FileFormatProperty)) is not None and using.name.lower() != "delta":
        raise unsupported(f"tables in the format {using.name}; managed tables are Delta")
    if tree.find(exp.LocationProperty) is not None:
        raise unsupported("tables outside its own storage: leave LOCATION out")


def _properties(tree: exp.Expr) -> dict[str, str]:
    return {
        found.name: found.args["value"].name for found in tree.find_all(exp.Property) if type(found) is exp.Property
    }


def _comment(tree: exp.Expr) -> str | None:
    found = tree.args.get("properties")
    said = found.find(exp.SchemaCommentProperty) if found else None
    return None if said is None else str(said.this.name)


def _column_comment(column: exp.Expr) -> str:
    said = column.find(exp.CommentColumnConstraint)
    return "" if said is None else str(said.this.name)
