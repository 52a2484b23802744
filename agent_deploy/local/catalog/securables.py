"""The kinds of securable that the local Unity Catalog holds, as data: their routes, names, creators and fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Kind:
    """``levels`` of the name; ``creator`` is the privilege on the parent that lets one make it."""

    name: str  # kind of document, and securable type
    title: str  # as error messages say it
    route: str  # /api/2.1/unity-catalog/<route>; also the list's key in answers
    levels: int
    creator: str
    columns: tuple[str, ...]  # fields that a request may give
    changeable: tuple[str, ...] = ("comment", "owner", "properties")
    defaults: Mapping[str, Any] = field(default_factory=dict)
    id_field: str = "id"
    children: tuple[str, ...] = ()
    own_routes: bool = False  # its API has another form than the other securables'


STREAMING_TABLE = "STREAMING_TABLE"  # made by a pipeline
# Types of table whose files lie in the workspace's own folder.
OWN_FILES = ("MANAGED", STREAMING_TABLE)
_COMMON = ("comment", "owner", "properties")
_FUNCTION = (
    "comment owner properties input_params return_params data_type full_data_type routine_body routine_definition"
    " routine_dependencies parameter_style is_deterministic sql_data_access is_null_call security_type specific_name"
    " external_language sql_path"
)

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "catalog",
            "Catalog",
            "catalogs",
            1,
            "CREATE_CATALOG",
            (*_COMMON, "storage_root", "options", "connection_name", "provider_name", "share_name"),
            (*_COMMON, "isolation_mode", "enable_predictive_optimization", "options"),
            {"catalog_type": "MANAGED_CATALOG", "isolation_mode": "OPEN", "securable_type": "CATALOG"},
            children=("schema",),
        ),
        Kind(
            "schema",
            "Schema",
            "schemas",
            2,
            "CREATE_SCHEMA",
            (*_COMMON, "storage_root"),
            (*_COMMON, "enable_predictive_optimization"),
            {"catalog_type": "MANAGED_CATALOG", "securable_type": "SCHEMA"},
            id_field="schema_id",
            children=("table", "volume", "function", "registered_model", "model_service", "prompt"),
        ),
        Kind(
            "table",
            "Table",
            "tables",
            3,
            "CREATE_TABLE",
            (
                *_COMMON,
                "table_type",
                "data_source_format",
                "columns",
                "storage_location",
                "view_definition",
                "pipeline_id",
            ),
            (*_COMMON, "columns", "view_definition"),
            {"table_type": "MANAGED", "data_source_format": "DELTA", "columns": [], "securable_type": "TABLE"},
            id_field="table_id",
        ),
        Kind(
            "volume",
            "Volume",
            "volumes",
            3,
            "CREATE_VOLUME",
            ("comment", "owner", "volume_type", "storage_location"),
            ("comment", "owner"),
            {"volume_type": "MANAGED"},
            id_field="volume_id",
        ),
        Kind(
            "function",
            "Function",
            "functions",
            3,
            "CREATE_FUNCTION",
            tuple(_FUNCTION.split()),
            ("owner", "comment"),
            {"routine_body": "SQL", "securable_type": "FUNCTION"},
            id_field="function_id",
        ),
        Kind(
            "connection",
            "Connection",
            "connections",
            1,
            "CREATE_CONNECTION",
            (*_COMMON, "connection_type", "options", "read_only"),
            ("owner", "options", "comment"),
            {"credential_type": "USERNAME_PASSWORD", "securable_type": "CONNECTION"},
            id_field="connection_id",
        ),
        Kind(
            "model_service",
            "Model Service",
            "model-services",
            3,
            "CREATE_SERVICE",
            ("comment", "config"),
            own_routes=True,
        ),
    )
}
