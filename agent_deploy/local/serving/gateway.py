"""AI Gateway of an endpoint: its inference table, created when enabled, kept when disabled."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.supervision import contained

_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,120}")
_TABLE = ("catalog_name", "schema_name", "table_name_prefix")
# The platform offers these for other kinds of endpoint; for agents it has inference tables (and usage tracking) only.
_UNSUPPORTED = ("rate_limits", "guardrails", "fallback_config")


def payload_table(gateway: Document | None) -> str | None:
    """The full name of the enabled inference table."""
    table = (gateway or {}).get("inference_table_config") or {}
    if not table.get("enabled"):
        return None
    return f"{table['catalog_name']}.{table['schema_name']}.{table['table_name_prefix']}_payload"


def folder_of(metastore: Metastore, gateway: Document | None) -> Path | None:
    """Where the enabled inference table lies."""
    name = payload_table(gateway)
    return None if name is None else metastore.table_folder(name)


async def wanted(
    workspace: Workspace,
    metastore: Metastore,
    principal: Principal,
    given: Document,
    endpoint: str,
    old: Document | None,
    known: list[str],
) -> Document | None:
    """The gateway as the endpoint is to keep it, with its table in place; None when nothing is configured.

    ``known`` are the tables that this endpoint has written to before: it may go on with them. Raises 400, 403 and 404.
    """
    if unsupported := [field for field in _UNSUPPORTED if given.get(field)]:
        raise invalid(f"ai_gateway.{unsupported[0]} is not supported for endpoints that serve agents or custom models.")
    gateway: Document = {}
    if "usage_tracking_config" in given:
        gateway["usage_tracking_config"] = {"enabled": bool((given["usage_tracking_config"] or {}).get("enabled"))}
    if table := given.get("inference_table_config"):
        gateway["inference_table_config"] = _table(table, endpoint, (old or {}).get("inference_table_config") or {})
    name = payload_table(gateway)
    if name is not None and name != payload_table(old):
        _require_free(workspace, principal, name, known)
        await _create(metastore, principal, name)
    return gateway or None


def _table(given: Document, endpoint: str, old: Document) -> Document:
    where = {field: given.get(field) for field in _TABLE}
    # As on the platform: a client that leaves `enabled` out (Go's omitempty) cannot disable an enabled table.
    enabled = bool(given.get("enabled", old.get("enabled", False)))
    if enabled and old.get("enabled"):
        where = {field: value or old[field] for field, value in where.items()}
        if any(str(where[field]).lower() != str(old[field]).lower() for field in _TABLE):
            message = "catalog, schema and table name prefix cannot change while the inference table is enabled"
            raise invalid(f"ai_gateway.inference_table_config: {message}: disable it first.")
    where["table_name_prefix"] = where["table_name_prefix"] or endpoint
    if enabled:
        for field in ("catalog_name", "schema_name"):
            if not where[field]:
                raise invalid(f"ai_gateway.inference_table_config.{field}: expected a name, as the table is enabled.")
        if not _PREFIX.fullmatch(str(where["table_name_prefix"])):
            expected = "1 to 120 letters, digits, '_' or '-'"
            prefix = where["table_name_prefix"]
            raise invalid(f"ai_gateway.inference_table_config.table_name_prefix {prefix!r}: expected {expected}.")
    return {**{field: value for field, value in where.items() if value}, "enabled": enabled}


def _require_free(workspace: Workspace, principal: Principal, name: str, known: list[str]) -> None:
    schema = name.rpartition(".")[0]
    workspace.authorization.require(principal, "CREATE_TABLE", "schema", schema)
    if name.lower() not in known and workspace.store.get("table", name.lower()) is not None:
        message = f"The inference table '{name}' already exists: choose another table_name_prefix."
        raise invalid(message)


async def _create(metastore: Metastore, principal: Principal, name: str) -> None:
    # deltalake takes a moment to import, and creates files.
    from agent_deploy.local.serving.payload_table import PayloadTable, columns

    await asyncio.to_thread(contained(PayloadTable.create), metastore.table_folder(name), name)
    metastore.register_table(name, principal.name, columns(), comment="Inference table of a serving endpoint.")
