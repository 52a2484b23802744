"""What a request for an index must say, by its type."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from agent_deploy.local.core.body import required
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.json_text import parse_or_none
from agent_deploy.local.core.store import Document

DELTA_SYNC, DIRECT_ACCESS = "DELTA_SYNC", "DIRECT_ACCESS"
TRIGGERED, CONTINUOUS = "TRIGGERED", "CONTINUOUS"
# Source: Databricks, "Create a vector search index".
_NAME = re.compile(r"[A-Za-z0-9_]+\.[A-Za-z0-9_]+\.[A-Za-z0-9_]+")
_SPECS = {DELTA_SYNC: "delta_sync_index_spec", DIRECT_ACCESS: "direct_access_index_spec"}


def checked(body: Document) -> Document:
    """The index as its document keeps it; raises 400 that names the field."""
    name, kind = str(required(body, "name")).lower(), str(required(body, "index_type"))
    if not _NAME.fullmatch(name):
        raise invalid(f"name {name!r}: expected catalog.schema.index, of letters, digits and '_'.")
    if kind not in _SPECS:
        raise invalid(f"index_type {kind!r}: expected one of {', '.join(_SPECS)}.")
    field = _SPECS[kind]
    spec = body.get(field)
    if not isinstance(spec, dict):
        raise invalid(f"{field}: an index of type {kind} needs it.")
    _check_vectors(field, spec)
    spec = _delta_sync(field, spec) if kind == DELTA_SYNC else {**spec, "schema_json": _schema_json(field, spec)}
    index: Document = {"name": name, "index_type": kind, "primary_key": str(required(body, "primary_key")), field: spec}
    subtype = body.get("index_subtype") or ("HYBRID" if vector_column(index) or source_columns(index) else "FULL_TEXT")
    return {**index, "endpoint_name": str(required(body, "endpoint_name")), "index_subtype": subtype}


def spec_of(index: Document) -> Document:
    """The part of the document that its type has."""
    return dict(index[_SPECS[index["index_type"]]])


def vector_column(index: Document) -> tuple[str, int] | None:
    """Name and dimension of the column with the embeddings; 0 where a model computes them and decides that."""
    columns = spec_of(index).get("embedding_vector_columns") or []
    if columns:
        return columns[0]["name"], int(columns[0]["embedding_dimension"])
    computed = computed_column(index)
    return (computed, 0) if computed else None


def source_columns(index: Document) -> list[str]:
    """Text columns of which embeddings are computed; a direct access index names a model for its questions alone."""
    return [column["name"] for column in spec_of(index).get("embedding_source_columns") or [] if column.get("name")]


def computed_column(index: Document) -> str:
    """Where the computed embeddings are kept, as the platform calls it; empty where none are."""
    columns = source_columns(index)
    has_model = bool(columns and embedding_endpoints(index))
    return f"__db_{columns[0]}_vector" if has_model and index["index_type"] == DELTA_SYNC else ""


def embedding_endpoints(index: Document) -> list[str]:
    """The models that embed: of the rows, then of the questions where that is another."""
    named = (spec_of(index).get("embedding_source_columns") or [{}])[0]
    fields = ("embedding_model_endpoint_name", "model_endpoint_name_for_query")
    return [str(named[field]) for field in fields if named.get(field)]


def declared_columns(index: Document) -> Mapping[str, str]:
    """Of a direct access index: column → type."""
    found: Mapping[str, str] = json.loads(spec_of(index)["schema_json"])
    return found


def kept_columns(index: Document, available: list[str]) -> list[str]:
    """Of a delta sync index: which columns of its source it takes; raises 400 for one that is not there."""
    spec = spec_of(index)
    wanted = list(spec.get("columns_to_sync") or spec.get("columns_to_index") or available)
    vectors = [column["name"] for column in spec.get("embedding_vector_columns") or []]
    always = [index["primary_key"], *source_columns(index), *vectors]
    if missing := [name for name in (*always, *wanted) if name not in available]:
        columns = ", ".join(available)
        raise invalid(
            f"Column {', '.join(missing)} is not in the source table {spec['source_table']}, which has {columns}."
        )
    return [name for name in available if name in (*always, *wanted)]


def _check_vectors(field: str, spec: Mapping[str, Any]) -> None:
    columns = spec.get("embedding_vector_columns") or []
    if len(columns) > 1:
        raise invalid(f"{field}.embedding_vector_columns: one at most.")
    for column in columns:
        dimension = column.get("embedding_dimension")
        if not column.get("name") or not isinstance(dimension, int) or dimension < 1:
            raise invalid(
                f"{field}.embedding_vector_columns: each needs name and embedding_dimension, a positive number."
            )


def _delta_sync(field: str, spec: Document) -> Document:
    source, pipeline = str(required(spec, "source_table")), spec.get("pipeline_type") or TRIGGERED
    if len(source.split(".")) != 3:
        raise invalid(f"{field}.source_table {source!r}: expected catalog.schema.table.")
    if pipeline not in (TRIGGERED, CONTINUOUS):
        raise invalid(f"{field}.pipeline_type {pipeline!r}: expected {TRIGGERED} or {CONTINUOUS}.")
    if spec.get("embedding_writeback_table"):
        raise invalid(f"{field}.embedding_writeback_table: the local workspace computes no embeddings to write back.")
    return {**spec, "source_table": source.lower(), "pipeline_type": pipeline}


def _schema_json(field: str, spec: Document) -> str:
    text = required(spec, "schema_json")
    schema = parse_or_none(str(text))
    if not isinstance(schema, dict) or not all(isinstance(kind, str) for kind in schema.values()):
        raise invalid(f'{field}.schema_json: expected a JSON object of column and type, such as {{"id": "integer"}}.')
    return str(text)
