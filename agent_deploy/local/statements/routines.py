"""CREATE FUNCTION: an SQL function as a document of the metastore."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.catalog import ownership
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import functions, types
from agent_deploy.local.statements.errors import SqlError, of_api, unsupported
from agent_deploy.local.statements.parsing import DIALECT
from agent_deploy.local.statements.run import Run
from agent_deploy.local.statements.session import Name

# What describes an SQL function to Unity Catalog. Source: its Functions API reference.
_FIXED = {
    "routine_body": "SQL",
    "parameter_style": "S",
    "is_null_call": False,
    "security_type": "DEFINER",
    "sql_data_access": "CONTAINS_SQL",
}


def create(run: Run, tree: exp.Expr) -> None:
    """Needs CREATE FUNCTION on the schema, and what the body reads."""
    name = run.session.name(tree.this.this)
    access, caller = run.workspace.authorization, run.session.principal
    access.require(caller, "CREATE_FUNCTION", "schema", name.parent)
    held = _held(run, name)
    if held is not None and not tree.args.get("replace"):
        if tree.args.get("exists"):
            return
        raise SqlError("ROUTINE_ALREADY_EXISTS", f"The function {name} already exists.")
    if held is not None:
        access.require(caller, "MANAGE", "function", name.full)
        ownership.require_owner(run.session.principal, held, "replace a function")
    document = _described(run, name, tree)
    _try(run, document)
    _put(run, name, document, held)


def _held(run: Run, name: Name) -> Document | None:
    if run.workspace.store.get("registered_model", name.full) is not None:
        raise SqlError("ROUTINE_ALREADY_EXISTS", f"{name} is a registered model, which shares its name space.")
    return run.workspace.store.get("function", name.full)


def _described(run: Run, name: Name, tree: exp.Expr) -> Document:
    language = tree.find(exp.LanguageProperty)
    if language is not None and language.name.upper() != "SQL":
        raise unsupported(f"functions in {language.name.upper()}; SQL functions run")
    body = tree.expression.this if isinstance(tree.expression, exp.Return) else tree.expression
    if not isinstance(body, exp.Expr) or isinstance(body, exp.Heredoc):
        raise SqlError("PARSE_SYNTAX_ERROR", "An SQL function needs RETURN and an expression or a query.")
    returns = tree.find(exp.ReturnsProperty)
    comment = tree.find(exp.SchemaCommentProperty)
    document: Document = {
        "name": name.name,
        "catalog_name": name.catalog,
        "schema_name": name.schema,
        "full_name": name.full,
        "owner": run.session.caller.name,
        "input_params": {"parameters": _parameters(tree.this.expressions, "PARAM")},
        "routine_definition": body.sql(DIALECT),
        "is_deterministic": tree.find(exp.StabilityProperty) is not None,
        "specific_name": name.name,
        "sql_path": f"{run.session.catalog}.{run.session.schema}",
        **_FIXED,
    }
    if comment is not None:
        document["comment"] = comment.this.name
    return document | _returned(returns)


def _returned(returns: exp.Expr | None) -> Document:
    if returns is None:
        return {}
    if returns.args.get("is_table"):
        declared = returns.this.expressions if isinstance(returns.this, exp.Schema) else []
        columns = _parameters(declared, "COLUMN")
        return {"data_type": "TABLE_TYPE", "full_data_type": "TABLE", "return_params": {"parameters": columns}}
    kind = types.to_arrow(returns.this)
    return {"data_type": types.name(kind), "full_data_type": types.text(kind)}


def _parameters(declared: list[exp.Expr], role: str) -> list[Document]:
    found = []
    for index, column in enumerate(declared):
        kind = types.to_arrow(column.args["kind"])
        described = types.table_column(pa.field(column.name, kind), index)
        del described["nullable"]
        described |= {"parameter_mode": "IN", "parameter_type": role}
        if (default := column.find(exp.DefaultColumnConstraint)) is not None:
            described["parameter_default"] = default.this.sql(DIALECT)
        if (comment := column.find(exp.CommentColumnConstraint)) is not None:
            described["comment"] = comment.this.name
        found.append(described)
    return found


def _try(run: Run, document: Document) -> None:
    """Call it once with NULLs: a body that cannot run, or reads what its maker may not, is refused now."""
    parameters = document["input_params"]["parameters"]
    nulls: list[exp.Expr] = [exp.null() for _ in parameters]
    if functions.is_table_function(document):
        functions.table(run.binder, document, nulls, run.session)
        return
    value = functions.scalar(run.binder, document, nulls, run.session)
    found = run.database.rows(exp.select(exp.alias_(value, "value")))
    if "data_type" not in document:
        kind = found.schema.field(0).type
        kind = pa.string() if pa.types.is_null(kind) else kind
        document |= {"data_type": types.name(kind), "full_data_type": types.text(kind)}


def _put(run: Run, name: Name, document: Document, held: Document | None) -> None:
    if held is None:
        try:
            run.metastore.create("function", (name.catalog, name.schema, name.name), document["owner"], document)
        except ApiError as error:
            raise of_api(error, exists="ROUTINE_ALREADY_EXISTS") from error
        return
    kept: dict[str, Any] = {field: held[field] for field in ("owner", "function_id", "created_at", "created_by")}
    run.workspace.store.put("function", name.full, {**held, **document, **kept}, name.parent)
