"""Reads payload and derived tables without Spark."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any, Final

from agent_deploy.rules import tables
from agent_deploy.tables.dataset import ForeignFiles, dataset
from agent_deploy.tables.refresh import RefreshFailed, Target

KEYS: Final = ("requests", "assessments", "payload", "quarantine")
# The first of these that a table has is when a row happened.
_TIMES = ("timestamp", "request_time", "timestamp_ms")


def read(
    target: Target,
    key: str,
    since: datetime.datetime | None = None,
    limit: int | None = None,
    endpoint: str = "ENDPOINT",
) -> list[dict[str, Any]]:
    """Rows of a table (one of KEYS), the newest last; raises RefreshFailed when it isn't there yet.

    ``endpoint`` is for the error, which says what to run.
    """
    import pyarrow.compute as pc
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    path = target.path(key)
    name = target.payload if key == "payload" else tables.derived_tables(target.payload)[key]
    if not (path.is_dir() and DeltaTable.is_deltatable(str(path))):
        raise RefreshFailed(f"There is no table {name} in {target.folder} yet: agent-deploy tables refresh {endpoint}")
    try:
        found = dataset(DeltaTable(path), path)
    except ForeignFiles as error:
        raise RefreshFailed(f"{name} cannot be read: {error}.") from error
    except DeltaError as error:
        # A run that goes on after one that was killed in its first batch makes the table anew.
        raise RefreshFailed(f"{name} cannot be read ({error}). If a run is making it anew, try again.") from error
    time = next(name for name in _TIMES if name in found.schema.names)
    bound: Any = since
    if since is not None and time == "timestamp_ms":
        bound = int(since.timestamp() * 1000)
    rows = found.to_table(filter=None if since is None else pc.field(time) >= bound).sort_by(time)
    return list((rows if limit is None else rows.slice(max(0, rows.num_rows - limit))).to_pylist())


def parse_since(text: str, now: datetime.datetime) -> datetime.datetime:
    """``90m``, ``12h``, ``7d`` before now, a date or a time in ISO 8601 (UTC unless it says); raises ValueError."""
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    if text[-1:] in units and text[:-1].isdecimal():
        return now - datetime.timedelta(**{units[text[-1]]: int(text[:-1])})
    moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)


def target_of(folder: Path, endpoint: dict[str, Any]) -> Target:
    """The tables of an endpoint, as the REST API describes it; raises RefreshFailed when it has none."""
    payload = payload_table_of(endpoint)
    if payload is None:
        raise RefreshFailed(
            f"Endpoint {endpoint.get('name')} has no inference tables: an AgentDeployment's `inference_tables` are on "
            "unless `enabled` is False, once it serves a version; InferenceTables adds them to an endpoint of others."
        )
    return Target(folder.absolute(), payload)


def payload_table_of(endpoint: dict[str, Any]) -> str | None:
    """Full name of the payload table of an endpoint; of an old one with auto_capture_config, too."""
    config = (endpoint.get("ai_gateway") or {}).get("inference_table_config") or {}
    if not config.get("catalog_name"):
        config = (endpoint.get("config") or {}).get("auto_capture_config") or {}
    if not (config.get("catalog_name") and config.get("schema_name") and config.get("table_name_prefix")):
        return None
    return tables.payload_table(config["catalog_name"], config["schema_name"], config["table_name_prefix"])
