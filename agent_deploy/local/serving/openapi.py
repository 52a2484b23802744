"""The OpenAPI description of an endpoint, from the signatures of the models that it serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent_deploy.local.core.json_text import parse_or_none
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving import mlmodel

Schema = dict[str, Any]

_SCALARS: dict[str, Schema] = {
    "string": {"type": "string"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "format": "int32"},
    "long": {"type": "integer", "format": "int64"},
    "float": {"type": "number", "format": "float"},
    "double": {"type": "number", "format": "double"},
    "binary": {"type": "string", "format": "byte"},
    "datetime": {"type": "string", "format": "date-time"},
}
# What makes a request one that MLflow takes unwrapped, as agents are asked.
_UNWRAPPED = frozenset({"messages", "input", "prompt"})


def describe(host: str, endpoint: str, config: Document, folders: dict[str, Path]) -> Schema:
    """One path for each served entity, as the platform has it; ``folders`` of the models by entity name."""
    paths = {}
    for entity in config["served_entities"]:
        name = entity["name"]
        signature = _signature(folders[name])
        paths[f"/served-models/{name}/invocations"] = {
            "servers": [{"url": f"{host}/serving-endpoints/{endpoint}"}],
            "post": {
                "requestBody": {"content": {"application/json": {"schema": _request(signature["inputs"])}}},
                "responses": {
                    "200": {
                        "description": "Successful operation",
                        "content": {"application/json": {"schema": _response(signature["outputs"])}},
                    }
                },
            },
        }
    info = {"title": endpoint, "version": str(config["config_version"])}
    return {"openapi": "3.1.0", "info": info, "paths": paths}


def _signature(folder: Path) -> dict[str, list[Document]]:
    signature = mlmodel.read(folder).get("signature") or {}
    return {side: parse_or_none(signature.get(side)) or [] for side in ("inputs", "outputs")}


def _request(columns: list[Document]) -> Schema:
    row = _object(columns)
    if _UNWRAPPED & set(row["properties"]):
        return row
    if not columns or "name" not in columns[0]:
        return {"type": "object", "properties": {"inputs": {}}}
    split = {"type": "object", "properties": {"columns": {"type": "array"}, "data": {"type": "array"}}}
    wrapped = (("dataframe_records", {"type": "array", "items": row}), ("dataframe_split", split))
    return {"oneOf": [{"type": "object", "properties": {name: schema}, "required": [name]} for name, schema in wrapped]}


def _response(columns: list[Document]) -> Schema:
    row = _object(columns)
    if {"choices", "messages", "output"} & set(row["properties"]):
        return row
    predictions: Schema = {"type": "array", "items": row} if row["properties"] else {}
    return {"type": "object", "properties": {"predictions": predictions}}


def _object(columns: list[Document]) -> Schema:
    named = [column for column in columns if column.get("name")]
    required = [column["name"] for column in named if column.get("required", True)]
    schema: Schema = {"type": "object", "properties": {column["name"]: _type(column) for column in named}}
    return {**schema, "required": required} if required else schema


def _type(column: Document) -> Schema:
    kind = column.get("type")
    if kind == "array":
        return {"type": "array", "items": _type(column.get("items") or {})}
    if kind == "object":
        properties = column.get("properties") or {}
        return _object([{"name": name, **value} for name, value in properties.items()])
    if kind == "map":
        return {"type": "object", "additionalProperties": _type(column.get("values") or {})}
    return dict(_SCALARS.get(str(kind), {}))
