"""SHOW and DESCRIBE: what the caller may see of catalogs, schemas, tables, functions and grants."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pyarrow as pa

from agent_deploy.local.catalog.grants import assignments
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.statements import privileges
from agent_deploy.local.statements.errors import of_api, unsupported
from agent_deploy.local.statements.phrases import Phrase
from agent_deploy.local.statements.run import Run

BROWSE = "BROWSE"
_IN = ("IN", "FROM")


def show(run: Run, phrase: Phrase) -> pa.Table:
    """SHOW GRANTS, CATALOGS, SCHEMAS, TABLES, VIEWS, FUNCTIONS, COLUMNS."""
    phrase.expect("SHOW")
    if phrase.take("GRANTS") or phrase.take("GRANT"):
        return _grants(run, phrase)
    if phrase.take("CATALOGS"):
        return _names("catalog", _visible(run, "catalog", None), _pattern(phrase))
    if phrase.take("SCHEMAS") or phrase.take("DATABASES"):
        parent = phrase.name("a catalog") if _take_in(phrase) else run.session.catalog
        return _names("databaseName", _visible(run, "schema", parent), _pattern(phrase))
    if phrase.take("TABLES"):
        return _tables(run, phrase, ("tableName", None))
    if phrase.take("VIEWS"):
        return _tables(run, phrase, ("viewName", "VIEW"))
    phrase.take("USER")
    if phrase.take("FUNCTIONS"):
        found = _visible(run, "function", _schema(run, phrase))
        return pa.table({"function": pa.array([item["full_name"] for item in found], pa.string())})
    if phrase.take("COLUMNS"):
        if not _take_in(phrase):
            raise phrase.error("IN")
        document = _table(run, phrase)
        return pa.table({"col_name": pa.array([column["name"] for column in document["columns"]], pa.string())})
    raise unsupported(f"'{phrase.text}'")


def describe(run: Run, phrase: Phrase) -> pa.Table:
    """DESCRIBE [TABLE | FUNCTION | SCHEMA | CATALOG] [EXTENDED] name, DESCRIBE HISTORY table."""
    if not phrase.take("DESCRIBE"):
        phrase.expect("DESC")
    for kind, word in (("catalog", "CATALOG"), ("schema", "SCHEMA"), ("schema", "DATABASE"), ("function", "FUNCTION")):
        if phrase.take(word):
            phrase.take("EXTENDED")
            return _object(run, phrase, kind)
    if phrase.take("HISTORY"):
        return _history(run, phrase)
    if phrase.take("DETAIL") or phrase.take("QUERY"):
        raise unsupported(f"'{phrase.text}'")
    phrase.take("TABLE")
    extended = phrase.take("EXTENDED") or phrase.take("FORMATTED")
    document = _table(run, phrase)
    rows = [(column["name"], column.get("type_text", ""), column.get("comment")) for column in document["columns"]]
    if extended:
        rows += [("", "", ""), ("# Detailed Table Information", "", ""), *_detail(document)]
    phrase.finish()
    return _three(("col_name", "data_type", "comment"), rows)


def _grants(run: Run, phrase: Phrase) -> pa.Table:
    only = None if phrase.take("ON") else phrase.word("ON, or a principal")
    if only is not None:
        phrase.expect("ON")
    target = privileges.securable(run, phrase)
    phrase.finish()
    try:
        run.workspace.authorization.require(run.session.principal, BROWSE, target.type, target.name)
    except ApiError as error:
        raise of_api(error) from error
    rows = [
        (entry["principal"], privilege.replace("_", " "), level.type.upper(), level.name)
        for level in (target, *target.parents)
        for entry in assignments(run.workspace, level, only)
        for privilege in entry["privileges"]
    ]
    names = ("Principal", "ActionType", "ObjectType", "ObjectKey")
    return pa.table({name: pa.array([row[index] for row in rows], pa.string()) for index, name in enumerate(names)})


def _tables(run: Run, phrase: Phrase, what: tuple[str, str | None]) -> pa.Table:
    column, kind = what
    schema = _schema(run, phrase)
    pattern = _pattern(phrase)
    found = [
        item["name"]
        for item in _visible(run, "table", schema)
        if kind in (None, item["table_type"]) and _matches(item["name"], pattern)
    ]
    names = [schema.partition(".")[2]] * len(found)
    return pa.table(
        {"database": pa.array(names, pa.string()), column: pa.array(found, pa.string())}
        | {"isTemporary": pa.array([False] * len(found), pa.bool_())}
    )


def _object(run: Run, phrase: Phrase, kind: str) -> pa.Table:
    target = phrase.table("a name")
    phrase.finish()
    full_name = target.name if kind == "catalog" else run.session.schema_name(target)
    if kind == "function":
        full_name = run.session.name(target).full
    document = _require(run, kind, full_name)
    shown = ("full_name", "owner", "comment", "full_data_type", "routine_definition", "catalog_name")
    rows = [(name, str(document[name])) for name in shown if document.get(name)]
    return pa.table(
        {"info_name": pa.array([row[0] for row in rows], pa.string())}
        | {"info_value": pa.array([row[1] for row in rows], pa.string())}
    )


def _history(run: Run, phrase: Phrase) -> pa.Table:
    document = _table(run, phrase)
    phrase.finish()
    commits = run.tables.history(document)
    # Those of Databricks' columns that a commit tells here.
    columns = {
        "version": pa.array([each["version"] for each in commits], pa.int64()),
        "timestamp": pa.array([each["timestamp"] * 1000 for each in commits], pa.timestamp("us", tz="UTC")),
        "operation": pa.array([each["operation"] for each in commits], pa.string()),
    }
    parameters = [sorted((each.get("operationParameters") or {}).items()) for each in commits]
    texts = [[(name, str(value)) for name, value in each] for each in parameters]
    columns["operationParameters"] = pa.array(texts, pa.map_(pa.string(), pa.string()))
    return pa.table(columns)


def _detail(document: Document) -> list[tuple[str, str, str]]:
    titles = {
        "Catalog": "catalog_name",
        "Database": "schema_name",
        "Table": "name",
        "Owner": "owner",
        "Type": "table_type",
        "Provider": "data_source_format",
        "Comment": "comment",
        "View Text": "view_definition",
    }
    return [(title, str(document[field]), "") for title, field in titles.items() if document.get(field)]


def _table(run: Run, phrase: Phrase) -> Document:
    name = run.session.name(phrase.table("the name of a table"))
    return run.binder.table(name, run.session, BROWSE)


def _schema(run: Run, phrase: Phrase) -> str:
    target = phrase.table("a schema") if _take_in(phrase) else None
    full_name = run.session.schema_name(target) if target else f"{run.session.catalog}.{run.session.schema}"
    return str(_require(run, "schema", full_name)["full_name"])


def _require(run: Run, kind: str, full_name: str) -> Document:
    try:
        run.workspace.authorization.require(run.session.principal, BROWSE, kind, full_name)
        return run.metastore.get(kind, full_name)
    except ApiError as error:
        raise of_api(error, not_found="ROUTINE_NOT_FOUND" if kind == "function" else "SCHEMA_NOT_FOUND") from error


def _visible(run: Run, kind: str, parent: str | None) -> list[Document]:
    access, principal = run.workspace.authorization, run.session.principal
    found = run.metastore.list(kind, parent)
    return [item for item in found if access.visible(principal, kind, item["full_name"])]


def _names(column: str, found: list[Document], pattern: str) -> pa.Table:
    names = [item["name"] for item in found if _matches(item["name"], pattern)]
    return pa.table({column: pa.array(names, pa.string())})


def _three(names: tuple[str, ...], rows: list[tuple[str, str, str | None]]) -> pa.Table:
    return pa.table({name: pa.array([row[index] for row in rows], pa.string()) for index, name in enumerate(names)})


def _take_in(phrase: Phrase) -> bool:
    return any(phrase.take(word) for word in _IN)


def _pattern(phrase: Phrase) -> str:
    phrase.take("LIKE")
    pattern = "*" if phrase.ended else phrase.word("a pattern")
    phrase.finish()
    return pattern


def _matches(name: str, pattern: str) -> bool:
    # `*` for anything, `|` between alternatives; letters of any case.
    return any(fnmatchcase(name.lower(), part.lower()) for part in pattern.split("|"))
