"""Where an agent's traces go by MLflow's own variables, and what the agent needs there.

Sources: MLflow, `MLFLOW_TRACING_DESTINATION` and `MLFLOW_TRACING_SQL_WAREHOUSE_ID`; Databricks, "Store MLflow traces in
Unity Catalog": MODIFY and SELECT on each table, by name, and CAN USE on the warehouse that searches them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from agent_deploy.rules.problems import Problem
from agent_deploy.rules.resource_kinds import KINDS, Resource
from agent_deploy.rules.values import Secret, is_known

DESTINATION, WAREHOUSE = "MLFLOW_TRACING_DESTINATION", "MLFLOW_TRACING_SQL_WAREHOUSE_ID"
# Made by whoever links the schema to an experiment.
_TABLES = tuple(f"mlflow_experiment_trace_otel_{name}" for name in ("spans", "logs", "metrics"))
_SCHEMA = re.compile(r"[^.\s/`{}]{1,255}\.[^.\s/`{}]{1,255}")


def check_tracing(field: str, environment: Mapping[str, object]) -> Iterator[Problem]:
    """Values that MLflow could not read, or whose objects could not be looked up."""
    for key, expected, is_right in (
        (DESTINATION, "catalog.schema, whose tables take the traces", _SCHEMA.fullmatch),
        (WAREHOUSE, "the id of a SQL warehouse", KINDS["sql_warehouse"].syntax.pattern.fullmatch),
    ):
        value, where = environment.get(key), f"{field}[{key!r}]"
        if isinstance(value, Secret) or (isinstance(value, str) and "{{" in value):
            yield Problem(where, None, f"{expected}, and no secret", "Write it down: what it names is granted")
        elif isinstance(value, str) and not is_right(value):
            remedy = "An experiment is named by experiment_id" if key == DESTINATION else ""
            yield Problem(where, value, expected, remedy)


def tracing_resources(environment: Mapping[str, object]) -> tuple[Resource, ...]:
    """What the agent reads and writes for its traces; nothing for what is not known yet or wrong."""
    if any(check_tracing("", environment)):
        return ()
    schema, warehouse = environment.get(DESTINATION), environment.get(WAREHOUSE)
    tables = _TABLES if isinstance(schema, str) else ()
    found = [Resource("table", f"{schema}.{table}", writes=True) for table in tables]
    return (*found, Resource("sql_warehouse", warehouse)) if isinstance(warehouse, str) else tuple(found)


def unknown_tracing(field: str, environment: Mapping[str, object]) -> list[str]:
    """The variables whose values a preview does not know yet."""
    return [f"{field}[{key!r}]" for key in (DESTINATION, WAREHOUSE) if not is_known(environment.get(key))]
