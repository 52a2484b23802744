"""Looks up every table, view and function that a query names, checks privileges, and puts them into the database."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
from sqlglot import exp

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.catalog.ownership import definer
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import builtins, functions, information_schema, parsing
from agent_deploy.local.statements.database import Database
from agent_deploy.local.statements.delta import DeltaTables
from agent_deploy.local.statements.errors import INSUFFICIENT_PERMISSIONS, SqlError, insufficient, of_api, unsupported
from agent_deploy.local.statements.session import Name, Session

VIEW, VECTOR_INDEX = "VIEW", "VECTOR_INDEX_FORMAT"
# What a reference to a table may carry; anything else (time travel, change feeds) would be ignored in silence.
_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias", "joins", "laterals", "pivots", "sample"})
# Where a view says what its unqualified names mean, as Spark writes it.
VIEW_CATALOG, VIEW_SCHEMA = "view.catalogAndNamespace.part.0", "view.catalogAndNamespace.part.1"

VectorSearch = Callable[[Session, exp.Expr], pa.Table]


class Binder:
    """For one statement. ``bind`` returns the tree, changed: it then names relations of ``database`` only."""

    def __init__(
        self,
        workspace: Workspace,
        metastore: Metastore,
        tables: DeltaTables,
        database: Database,
        search: VectorSearch,
    ) -> None:
        self.database = database
        self.metastore = metastore
        self.access = workspace.authorization
        self._workspace = workspace
        self._tables = tables
        self._search = search
        self._relations: dict[str, str] = {}

    def bind(self, query: exp.Expr, session: Session) -> exp.Expr:
        """Raises SqlError for what is missing, may not be read, or is not supported."""
        holder = exp.Tuple(expressions=[query])
        names: set[Name] = set()
        self._walk(holder, session, frozenset(), names)
        for column in holder.find_all(exp.Column):
            _shorten(column, session, names)
        return holder.expressions[0]

    def rows(self, query: exp.Expr, session: Session, most: int | None = None) -> pa.Table:
        """The rows of a query that is not yet bound; with ``most``, only so many and one."""
        return self.database.rows(self.bind(query, session), most)

    def table(self, name: Name, session: Session, privilege: str) -> Document:
        """The document of a table or view on which the session has the privilege."""
        try:
            self.access.require(session.principal, privilege, "table", name.full)
        except ApiError as error:
            if error.status == 404 and error.message.startswith("Table"):
                message = f"The table or view {name} cannot be found. Verify its spelling, catalog and schema."
                raise SqlError("TABLE_OR_VIEW_NOT_FOUND", message) from error
            raise of_api(error) from error
        return self.metastore.get("table", name.full)

    def function(self, name: Name, session: Session) -> Document:
        """The document of a function that the session may execute."""
        try:
            self.access.require(session.principal, "EXECUTE", "function", name.full)
            return self.metastore.get("function", name.full)
        except ApiError as error:
            raise of_api(error, not_found="UNRESOLVED_ROUTINE") from error

    def definer(self, document: Document) -> Principal:
        """The owner of a view or function, by whose privileges its body is read; raises SqlError when he is gone."""
        if (principal := definer(self._workspace, document)) is None:
            raise insufficient(f"The owner {document['owner']} of '{document['full_name']}' does not exist any more.")
        return principal

    def _walk(self, node: exp.Expr, session: Session, ctes: frozenset[str], names: set[Name]) -> None:
        clause = node.args.get("with_")
        if clause is not None:
            ctes = self._walk_ctes(clause, session, ctes, names)
        for child in list(node.iter_expressions()):
            if child is not clause:
                self._walk(child, session, ctes, names)
        self._bind_node(node, session, ctes, names)

    def _walk_ctes(self, clause: exp.With, session: Session, ctes: frozenset[str], names: set[Name]) -> frozenset[str]:
        for cte in clause.expressions:
            own = frozenset({cte.alias.lower()})
            self._walk(cte.this, session, ctes | own if clause.recursive else ctes, names)
            ctes |= own
        return ctes

    def _bind_node(self, node: exp.Expr, session: Session, ctes: frozenset[str], names: set[Name]) -> None:
        if isinstance(node, exp.Table):
            self._bind_table(node, session, ctes, names)
        elif isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
            self._bind_call(node, [part.name for part in node.parts[:-1]], node.expression, session)
        elif isinstance(node, exp.Anonymous) and not isinstance(node.parent, exp.Dot | exp.Table):
            self._bind_call(node, [], node, session)
        elif isinstance(node, exp.Command | exp.Into | exp.Lock):
            raise unsupported(f"'{node.sql(parsing.DIALECT)}' in a query")
        elif isinstance(node, exp.Var) and not node.name.isidentifier():
            # Units such as DAY are written as they are.
            raise SqlError("PARSE_SYNTAX_ERROR", f"Syntax error at or near '{node.name}'.")
        elif isinstance(node, exp.Hint):
            node.pop()
        elif (value := builtins.constant(node, session)) is not None:
            node.replace(value)
        else:
            builtins.adapt(node)

    def _bind_call(self, node: exp.Expr, levels: list[str], call: exp.Anonymous, session: Session) -> None:
        if not levels and (value := builtins.call(call, session)) is not None:
            node.replace(value)
            return
        if len(levels) > 2:
            raise SqlError("UNRESOLVED_ROUTINE", f"{node.sql(parsing.DIALECT)} has more than three levels.")
        catalog, schema = ["", "", *levels][-2:]
        name = session.full_name(catalog, schema, call.name)
        if levels or self._is_function(name):
            document = self.function(name, session)
            node.replace(functions.scalar(self, document, call.expressions, session))

    def _is_function(self, name: Name) -> bool:
        # An unqualified name that is no function of the session's schema is one of the engine's, or unknown to it.
        return any(found["full_name"] == name.full for found in self.metastore.list("function", name.parent))

    def _bind_table(self, node: exp.Table, session: Session, ctes: frozenset[str], names: set[Name]) -> None:
        if extra := {key for key, value in node.args.items() if value} - _TABLE_PARTS:
            travels = extra == {"version"}
            what = "time travel (VERSION AS OF, TIMESTAMP AS OF)" if travels else f"'{', '.join(sorted(extra))}'"
            raise unsupported(f"{what} of a table reference")
        if isinstance(node.this, exp.Func):
            return self._bind_table_function(node, session)
        if not node.db and node.name.lower() in ctes:
            return None
        name = session.name(node)
        names.add(name)
        return _refer(node, self._relation(name, session), node.alias or node.name)

    def _bind_table_function(self, node: exp.Table, session: Session) -> None:
        call = node.this
        if isinstance(call, exp.Explode | exp.Posexplode | exp.Inline):
            return None
        if not node.db and call.name.lower() == "vector_search":
            found = self._search(session, call)
            return _refer(node, self.database.scan(found, "vector_search"), node.alias or "vector_search")
        if not node.db and builtins.is_table_function(call):
            return builtins.name_columns(node)
        if not isinstance(call, exp.Anonymous):
            raise SqlError("UNRESOLVED_ROUTINE", f"{call.sql(parsing.DIALECT)} is not a table-valued function.")
        name = session.full_name(node.catalog, node.db, call.name)
        document = self.function(name, session)
        found = functions.table(self, document, call.expressions, session)
        return _refer(node, self.database.scan(found, name.full), node.alias or call.name)

    def _relation(self, name: Name, session: Session) -> str:
        if name.schema == information_schema.NAME:
            rows = information_schema.rows(self.metastore, self.access, name, session)
            return self.database.scan(rows, name.full)
        document = self.table(name, session, "SELECT")
        if name.full not in self._relations:
            session.check()
            self._relations[name.full] = self.database.scan(self._data(document, session), name.full)
        return self._relations[name.full]

    def _data(self, document: Document, session: Session) -> object:
        if document["table_type"] == VIEW:
            return self._view(document, session)
        if document.get("data_source_format") == VECTOR_INDEX:
            raise unsupported("reading a vector search index as a table: ask it with vector_search()")
        if document["table_type"] == "EXTERNAL" and self._tables.version(document) < 0:
            raise unsupported(f"tables outside its own storage, such as '{document['full_name']}'")
        return self._tables.relation(document)

    def _view(self, document: Document, session: Session) -> pa.Table:
        # The rows are taken before the caller's own conditions see them: an error of such a condition, raised on a row
        # that the view leaves out, would tell what is in it.
        properties = {VIEW_CATALOG: document["catalog_name"], VIEW_SCHEMA: document["schema_name"]}
        properties |= document.get("properties") or {}
        inner = session.of_definer(self.definer(document), properties[VIEW_CATALOG], properties[VIEW_SCHEMA])
        try:
            rows = self.rows(parsing.parse(document["view_definition"]), inner)
        except SqlError as error:
            raise _of_view(document, error) from error
        columns = [column["name"] for column in document["columns"]]
        return rows.rename_columns(columns) if len(columns) == len(rows.schema) else rows


def _of_view(document: Document, error: SqlError) -> SqlError:
    # What went wrong may quote rows that the caller may not see.
    name, owner = document["full_name"], document["owner"]
    if error.condition == INSUFFICIENT_PERMISSIONS:
        return insufficient(f"The owner {owner} of view '{name}' may not read all that it reads.")
    return SqlError(error.condition, f"The view '{name}' cannot be read; its owner {owner} sees why.")


def _refer(node: exp.Table, relation: str, alias: str) -> None:
    node.set("this", exp.to_identifier(relation, quoted=True))
    node.set("db", None)
    node.set("catalog", None)
    if not node.alias:
        columns = node.args["alias"].args.get("columns") if node.args.get("alias") else None
        node.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True), columns=columns))


def _shorten(column: exp.Column, session: Session, names: set[Name]) -> None:
    # `catalog.schema.table.column` names a relation that is called `table` now; other long names are fields of structs.
    if column.args.get("db") is None:
        return
    if session.full_name(column.catalog, column.db, column.table) in names:
        column.set("db", None)
        column.set("catalog", None)
