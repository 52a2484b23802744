"""`information_schema` of a catalog: what the caller may see of its schemas, tables, columns and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements.errors import SqlError, of_api
from agent_deploy.local.statements.session import Name, Session

NAME = "information_schema"
_Rows = list[dict[str, Any]]


def rows(metastore: Metastore, access: Authorization, name: Name, session: Session) -> pa.Table:
    """One of the views; raises SqlError for one that there is not."""
    view = _VIEWS.get(name.name)
    if view is None:
        message = f"The table or view {name} cannot be found; there are: {', '.join(sorted(_VIEWS))}."
        raise SqlError("TABLE_OR_VIEW_NOT_FOUND", message)
    try:
        access.require(session.principal, "USE_CATALOG", "catalog", name.catalog)
    except ApiError as error:
        raise of_api(error) from error

    def visible(kind: str, parent: str) -> list[Document]:
        found = metastore.list(kind, parent)
        return [item for item in found if access.visible(session.principal, kind, item["full_name"])]

    columns, of = view
    found = of(visible, [schema["full_name"] for schema in visible("schema", name.catalog)])
    return pa.Table.from_pylist(found, schema=pa.schema([(column, kind) for column, kind in columns.items()]))


_Visible = Callable[[str, str], list[Document]]
_TEXT, _NUMBER = pa.string(), pa.int32()
_TABLE = {"table_catalog": _TEXT, "table_schema": _TEXT, "table_name": _TEXT}


def _place(document: Document, what: str) -> dict[str, Any]:
    levels = (document["catalog_name"], document["schema_name"], document["name"])
    return dict(zip((f"{what}_catalog", f"{what}_schema", f"{what}_name"), levels, strict=True))


def _schemata(visible: _Visible, schemas: list[str]) -> _Rows:
    parents = {name.partition(".")[0] for name in schemas}
    found = [schema for parent in parents for schema in visible("schema", parent)]
    return [{"catalog_name": s["catalog_name"], "schema_name": s["name"], "schema_owner": s["owner"]} for s in found]


def _tables(visible: _Visible, schemas: list[str]) -> _Rows:
    return [
        {**_place(t, "table"), "table_type": t["table_type"], "table_owner": t["owner"], "comment": t.get("comment")}
        for schema in schemas
        for t in visible("table", schema)
    ]


def _columns(visible: _Visible, schemas: list[str]) -> _Rows:
    return [
        {
            **_place(table, "table"),
            "column_name": column["name"],
            "ordinal_position": column.get("position"),
            "is_nullable": "YES" if column.get("nullable", True) else "NO",
            "full_data_type": column.get("type_text"),
            "comment": column.get("comment"),
        }
        for schema in schemas
        for table in visible("table", schema)
        for column in table["columns"]
    ]


def _routines(visible: _Visible, schemas: list[str]) -> _Rows:
    return [
        {**_place(f, "routine"), "routine_owner": f["owner"], "data_type": f.get("full_data_type")}
        for schema in schemas
        for f in visible("function", schema)
    ]


_VIEWS: Mapping[str, tuple[Mapping[str, pa.DataType], Callable[[_Visible, list[str]], _Rows]]] = {
    "schemata": ({"catalog_name": _TEXT, "schema_name": _TEXT, "schema_owner": _TEXT}, _schemata),
    "tables": ({**_TABLE, "table_type": _TEXT, "table_owner": _TEXT, "comment": _TEXT}, _tables),
    "columns": (
        {**_TABLE, "column_name": _TEXT, "ordinal_position": _NUMBER, "is_nullable": _TEXT}
        | {"full_data_type": _TEXT, "comment": _TEXT},
        _columns,
    ),
    "routines": (
        {"routine_catalog": _TEXT, "routine_schema": _TEXT, "routine_name": _TEXT}
        | {"routine_owner": _TEXT, "data_type": _TEXT},
        _routines,
    ),
}
