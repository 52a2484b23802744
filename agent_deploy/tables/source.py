"""What an engine is given to derive one endpoint's tables: the pipeline's source text and its configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pprint import pformat
from typing import Final

from agent_deploy.rules import tables

FILE_NAME: Final = "derivation.py"
# In the order in which they need one another.
MODULES: Final = ("json_columns", "feedback", "messages", "derivation")
_FUTURE: Final = "from __future__ import annotations\n"
_OWN_IMPORT: Final = re.compile(r"^from agent_deploy\.\S+ import (?:\([^)]*\)|.*)\n", re.MULTILINE)
_BLANK_TABLES: Final = "TABLES: dict[str, tuple[str, str, str]] = {}\n"
# The configuration's key for the table that knows which model a served entity is.
SERVED_ENTITIES_TABLE: Final = "agent_deploy.served_entities_table"
_BLANK_VERSION: Final = 'SCHEMA_VERSION = ""\n'


def pipeline_source() -> str:
    """Text of the pipeline's only file, complete with the tables' columns; it imports nothing but pyspark."""
    declared = {table.key: (table.suffix, tables.ddl(table.columns), table.comment) for table in tables.DERIVED}
    filled = {
        _BLANK_TABLES: f"TABLES: dict[str, tuple[str, str, str]] = {pformat(declared, width=110, sort_dicts=False)}\n",
        _BLANK_VERSION: f'SCHEMA_VERSION = "{tables.SCHEMA_VERSION}"\n',
    }
    text = "\n\n".join([_FUTURE, *(_alone(module) for module in MODULES)])
    for blank, text_of in filled.items():
        if text.count(blank) != 1:
            raise RuntimeError(f"The pipeline has no single line {blank.strip()!r} to fill in")
        text = text.replace(blank, text_of)
    return text


def _alone(module: str) -> str:
    """A module's text without what it imports from this package: that stands before it in the same file."""
    text = (files("agent_deploy.tables") / f"{module}.py").read_text(encoding="utf-8")
    return _OWN_IMPORT.sub("", text.replace(_FUTURE, ""))


def configuration(
    payload_table: str,
    endpoint_name: str,
    served_entities: Mapping[str, Mapping[str, str]] | None = None,
    served_entities_table: str = "",
    cluster_by_date: bool = True,
) -> dict[str, str]:
    """The pipeline's configuration keys; ``served_entities`` maps a served entity's id to model_name, model_version."""
    entities = {key: dict(value) for key, value in (served_entities or {}).items()}
    settings = {
        "payload_table": tables.sql_name(payload_table),
        "endpoint_name": endpoint_name,
        "served_entities": json.dumps(entities, sort_keys=True, separators=(",", ":")),
        "served_entities_table": served_entities_table,
        "cluster_by_date": "true" if cluster_by_date else "false",
    }
    return {f"agent_deploy.{key}": value for key, value in settings.items() if value}
