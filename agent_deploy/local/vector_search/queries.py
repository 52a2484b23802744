"""A question to an index: by text, by vector or both; filters, columns, order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agent_deploy.local.core.errors import ApiError, invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.vector_search import filters, specs
from agent_deploy.local.vector_search.indexes import Indexes

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

    from agent_deploy.local.vector_search.search import Ranked, Searchable

ANN, HYBRID, FULL_TEXT = "ANN", "HYBRID", "FULL_TEXT"
_DEFAULT_RESULTS, _MOST_RESULTS = 10, 10_000  # source: the API's reference, `num_results`, and of its pages
_MOST_TEXT_RESULTS = 200  # of hybrid and full-text search. Source: Databricks, "Query a vector search index"
_NOT_HERE = ("facets", "reranker", "columns_to_rerank", "filter_string")


@dataclass(frozen=True)
class Question:
    """What is asked; ``kind`` is ANN, HYBRID or FULL_TEXT."""

    kind: str
    text: str
    vector: list[float]
    limit: int
    threshold: float = 0.0
    filters: Any = None
    text_columns: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)


class Queries:
    """Questions to the indexes, by the API and by SQL."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def query(self, name: str, body: Document, principal: Principal) -> Document:
        """The answer of the API; needs SELECT on the index. Raises 400 that names the field."""
        from agent_deploy.local.statements.results import plain

        index, rows = self._indexes.searchable(name, principal)
        columns = [str(column) for column in body.get("columns") or []]
        if not columns:
            raise invalid("columns: name at least one to be returned.")
        _require_columns("columns", columns, index, rows)
        found = _found(index, rows, self._embedded(index, _question(body), principal))
        data = [[*(plain(rows.rows[number][column]) for column in columns), score] for number, score in found]
        manifest = [{"name": column} for column in (*columns, "score")]
        return {
            "manifest": {"column_count": len(manifest), "columns": manifest},
            "result": {"row_count": len(data), "data_array": data},
            "next_page_token": "",
        }

    def scan(self, name: str, body: Document, principal: Principal) -> Document:
        """Rows by their keys; needs SELECT on the index."""
        index, rows = self._indexes.searchable(name, principal)
        key, limit = index["primary_key"], _limit(body)
        ordered = sorted(rows.rows, key=lambda row: (row[key] is None, row[key]))
        after = body.get("last_primary_key")
        if after is not None:
            passed = next((number for number, row in enumerate(ordered) if str(row[key]) == str(after)), None)
            if passed is None:
                raise invalid(f"last_primary_key {after!r}: the index has no such row.")
            ordered = ordered[passed + 1 :]
        page = ordered[:limit]
        last = str(page[-1][key]) if page else str(after or "")
        return {"data": [_struct(row) for row in page], "last_primary_key": last}

    def in_sql(self, principal: Principal, call: exp.Expr) -> pa.Table:
        """The rows of ``vector_search(index => …)`` with their score, for the SQL engine; raises ApiError."""
        import pyarrow as pa

        given = {argument.name.lower(): _value(argument.expression) for argument in _arguments(call)}
        name = given.pop("index", None)
        if not isinstance(name, str):
            raise invalid("vector_search: expected index => 'catalog.schema.index'.")
        if "query" in given:
            given["query_text"] = given.pop("query")
        index, rows = self._indexes.searchable(name, principal)
        found = _found(index, rows, self._embedded(index, _question(given), principal))
        data = [{**rows.rows[number], "search_score": score} for number, score in found]
        return pa.Table.from_pylist(data, schema=rows.schema.append(pa.field("search_score", pa.float64())))

    def _embedded(self, index: Document, question: Question, principal: Principal) -> Question:
        """With the vector of its text, where the index has a model for that."""
        if question.kind == FULL_TEXT or question.vector or not question.text:
            return question
        return replace(question, vector=self._indexes.embedded(index, question.text, principal) or [])


def _question(body: Document) -> Question:
    if asked := [name for name in _NOT_HERE if body.get(name)]:
        raise ApiError(501, "NOT_IMPLEMENTED", f"The local workspace does not have {', '.join(asked)}.")
    kind = str(body.get("query_type") or ANN).upper()
    if kind not in (ANN, HYBRID, FULL_TEXT):
        raise invalid(f"query_type {kind!r}: expected {ANN}, {HYBRID} or {FULL_TEXT}.")
    vector = body.get("query_vector") or []
    if not isinstance(vector, list) or not all(isinstance(number, int | float) for number in vector):
        raise invalid("query_vector: expected a list of numbers.")
    return Question(
        kind=kind,
        text=str(body.get("query_text") or ""),
        vector=vector,
        limit=min(_limit(body), _MOST_RESULTS if kind == ANN else _MOST_TEXT_RESULTS),
        threshold=float(body.get("score_threshold") or 0.0),
        filters=body.get("filters_json") or body.get("filters"),
        text_columns=list(body.get("query_columns") or []),
        order=list(body.get("sort_columns") or []),
    )


def _found(index: Document, rows: Searchable, question: Question) -> Ranked:
    _require_columns("query_columns", question.text_columns, index, rows)
    passes = filters.parse(question.filters, rows.schema.names)
    ranked = [
        (number, score)
        for number, score in _ranked(index, rows, question)
        if score >= question.threshold and passes(rows.rows[number])
    ]
    for clause in reversed(question.order):
        ranked.sort(**_sorting(clause, index, rows))
    return ranked[: question.limit]


def _ranked(index: Document, rows: Searchable, question: Question) -> Ranked:
    from agent_deploy.local.vector_search.search import fused

    by_text: Callable[[], Ranked] = lambda: rows.by_text(question.text, question.text_columns)  # noqa: E731
    vector, has_source = specs.vector_column(index), bool(specs.source_columns(index))
    if question.kind == FULL_TEXT or (question.text and not question.vector and (has_source or vector is None)):
        # No model is named that would embed the text: its words are looked for, as the index's status says.
        if not question.text:
            raise invalid("query_text: full-text search needs it.")
        return by_text()
    if vector is None or not question.vector:
        raise invalid(f"query_vector: index {index['name']} needs it for a query of type {question.kind}.")
    if vector[1] and len(question.vector) != vector[1]:
        raise invalid(f"query_vector has {len(question.vector)} numbers: the index's embeddings have {vector[1]}.")
    if question.kind == ANN:
        return rows.by_vector(question.vector)
    if not question.text:
        raise invalid("query_text: hybrid search needs it beside query_vector.")
    return fused(by_text(), rows.by_vector(question.vector))


def _sorting(clause: str, index: Document, rows: Searchable) -> dict[str, Any]:
    column, _, direction = clause.strip().partition(" ")
    _require_columns("sort_columns", [column], index, rows)
    if direction.strip().upper() not in ("", "ASC", "DESC"):
        raise invalid(f"sort_columns {clause!r}: expected '<column> ASC' or '<column> DESC'.")
    values = [row[column] for row in rows.rows]
    reverse = direction.strip().upper() == "DESC"
    # Rows without a value come last in either order.
    return {"key": lambda found: ((values[found[0]] is None) != reverse, values[found[0]]), "reverse": reverse}


def _limit(body: Document) -> int:
    value = body.get("num_results")
    if value in (None, 0):
        return _DEFAULT_RESULTS
    if not isinstance(value, int) or value < 0:
        raise invalid(f"num_results {value!r}: expected a positive number.")
    return value


def _require_columns(where: str, columns: list[str], index: Document, rows: Searchable) -> None:
    known = rows.texts if where == "query_columns" else rows.schema.names
    if missing := [column for column in columns if column not in known]:
        raise invalid(f"{where}: index {index['name']} has no column {', '.join(missing)}; it has {', '.join(known)}.")


def _struct(row: dict[str, Any]) -> Document:
    return {"fields": [{"key": name, "value": _wire(value)} for name, value in row.items()]}


def _wire(value: Any) -> Document:
    from agent_deploy.local.statements.results import plain

    if value is None:
        return {}
    if isinstance(value, bool):
        return {"bool_value": value}
    if isinstance(value, int | float):
        return {"number_value": value}
    if isinstance(value, list):
        return {"list_value": {"values": [_wire(item) for item in value]}}
    return {"string_value": str(plain(value))}


def _arguments(call: exp.Expr) -> list[exp.Kwarg]:
    from sqlglot import exp

    given = list(call.iter_expressions())
    if not all(isinstance(argument, exp.Kwarg) for argument in given):
        raise invalid("vector_search: expected named arguments, such as index => 'catalog.schema.index'.")
    return given  # type: ignore[return-value]


def _value(node: exp.Expr) -> Any:
    """A constant argument; raises 400 for anything else."""
    from sqlglot import exp

    if isinstance(node, exp.Cast):
        value = _value(node.this)
        return int(value) if node.to.this in exp.DataType.INTEGER_TYPES else value
    if isinstance(node, exp.Neg):
        return -_value(node.this)
    if isinstance(node, exp.Array):
        return [_value(item) for item in node.expressions]
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else (int(node.this) if node.is_int else float(node.this))
    raise invalid(f"vector_search: expected a constant, not {node.sql('databricks')}.")
