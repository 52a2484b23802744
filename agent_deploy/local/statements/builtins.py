"""Functions that the session answers (who calls, where), and table functions that the engine may run."""

from __future__ import annotations

from sqlglot import exp

from agent_deploy.local.statements import types
from agent_deploy.local.statements.errors import SqlError, unsupported
from agent_deploy.local.statements.session import Session

# Table functions of the engine that make rows from their arguments alone; every other one would name relations,
# settings or files by strings. The columns are those of Databricks.
_ROW_MAKERS = {"range": ("id",)}
# They reach out of the workspace, or read what a statement must not; the engine does not have them either.
_NOT_HERE = frozenset(
    {"http_request", "read_files", "read_kafka", "secret", "try_secret", "list_secrets", "java_method", "reflect"}
    | {"event_log", "cloud_files_state", "remote_query", "current_setting", "getvariable", "current_query"}
)
_MODELS = "ai_"  # ai_query, ai_gen, ai_classify, …


def constant(node: exp.Expr, session: Session) -> exp.Expr | None:
    """The value of a function of the session that the parser knows; None for any other node."""
    if isinstance(node, exp.CurrentUser | exp.SessionUser):
        return exp.Literal.string(session.caller.name)
    if isinstance(node, exp.CurrentCatalog):
        return exp.Literal.string(session.catalog)
    if isinstance(node, exp.CurrentSchema | exp.CurrentDatabase):
        return exp.Literal.string(session.schema)
    return None


def call(function: exp.Anonymous, session: Session) -> exp.Expr | None:
    """The value of a function of the session; None for any other. Raises SqlError for what there is not here."""
    name = function.name.lower()
    if name in ("user", "current_user", "session_user"):
        return exp.Literal.string(session.caller.name)
    if name in ("is_account_group_member", "is_member"):
        group = function.expressions[0] if len(function.expressions) == 1 else None
        if not isinstance(group, exp.Literal):
            raise SqlError("INVALID_PARAMETER_VALUE", f"{name} expects the name of a group as a string literal.")
        return exp.convert(str(group.this) in session.caller.groups)
    if name in _NOT_HERE or name.startswith(_MODELS):
        raise unsupported(f"the function {name}")
    return None


def adapt(node: exp.Expr) -> None:
    """Change in place what the engine computes otherwise than Databricks: division, days added to a date, JSON."""
    if isinstance(node, exp.Div):
        divisor = node.expression
        if isinstance(divisor, exp.Literal) and float(divisor.this or 0) != 0:
            return
        failure = exp.Anonymous(this="error", expressions=[exp.Literal.string("Division by zero")])
        is_zero = exp.EQ(this=exp.Paren(this=divisor.copy()), expression=exp.Literal.number(0))
        node.set("expression", exp.Paren(this=exp.Case().when(is_zero, failure).else_(divisor.copy())))
    elif isinstance(node, exp.TsOrDsAdd) and node.args["unit"].name.upper() == "DAY":
        node.replace(exp.Cast(this=exp.Paren(this=node.copy()), to=exp.DataType.build("date")))
    elif isinstance(node, exp.FromJson):
        node.replace(_from_json(node))


def _from_json(node: exp.FromJson) -> exp.Expr:
    """Its second argument is a type, or the fields of a struct; what is no such JSON is null. Raises SqlError."""
    if not isinstance(node.expression, exp.Literal) or node.args.get("options"):
        raise unsupported("from_json with options, or without a schema that is a string literal")
    schema = str(node.expression.this).strip()
    try:
        kind = types.parsed(schema)
    except SqlError:
        kind = types.parsed(f"STRUCT<{schema}>")
    return exp.TryCast(this=exp.TryCast(this=node.this.copy(), to=exp.DataType.build("json")), to=kind)


def is_table_function(function: exp.Expr) -> bool:
    """Whether the engine may run it in FROM."""
    return isinstance(function, exp.Anonymous) and function.name.lower() in _ROW_MAKERS


def name_columns(table: exp.Table) -> None:
    """Give the columns of a table function their names on Databricks, unless the statement names them."""
    name = table.this.name.lower()
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name))
    if not alias.args.get("columns"):
        alias.set("columns", [exp.to_identifier(column) for column in _ROW_MAKERS[name]])
    table.set("alias", alias)
