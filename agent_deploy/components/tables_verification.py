"""What is looked up about inference tables when the program runs, before anything is created; all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError, told
from agent_deploy.resources import functions
from agent_deploy.rules import inference_tables as rules
from agent_deploy.rules import names
from agent_deploy.rules.credentials import MANUAL
from agent_deploy.rules.problems import Problem


@dataclass(frozen=True)
class VerifiedTables:
    """Where the tables of an endpoint may be; ``payload_table`` and its day's column when something else fills it."""

    endpoint_name: str
    catalog: str = ""
    schema: str = ""
    prefix_hint: str = ""
    payload_table: str = ""
    day_column: str = ""


async def verify(name: str, args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> VerifiedTables:
    """The tables of an endpoint of somebody else; raises DeploymentError with every problem that was found."""
    found, problems = await _place(args, opts)
    if not problems:
        problems += await _refusals(args, found, opts)
    if problems:
        raise told(DeploymentError.of("InferenceTables", name, problems))
    return found


async def _refusals(args: Mapping[str, Any], found: VerifiedTables, opts: pulumi.InvokeOptions) -> list[Problem | str]:
    """What the workspace refuses: tables in the schema, the pipeline, the warehouse, readers that do not exist."""
    place = rules.place(found.payload_table) if found.payload_table else (found.catalog, found.schema)
    schema = f"{place[0]}.{place[1]}"
    asked = {
        "auth": MANUAL,
        "versions": [],
        "principals": [{"field": field, "value": str(reader)} for field, reader in rules.named_readers("", args)],
        "tables": rules.named_tables("", args),
        "pipeline": rules.wanted_pipeline("", args, schema),
        "requirements": {
            "inference_schema": schema,
            "readers": rules.reader_names(args),
            "sql_warehouse": args.get("warehouse_id"),
        },
    }
    answer = await functions.verify_deployment(asked, opts)
    return list(answer["problems"])


async def _place(args: Mapping[str, Any], opts: pulumi.InvokeOptions) -> tuple[VerifiedTables, list[Problem | str]]:
    endpoint = str(args["endpoint_name"])
    if args.get("payload_table") is not None:
        named = VerifiedTables(endpoint, payload_table=str(args["payload_table"]))
        problems = rules.check_payload_table("payload_table", args["payload_table"])
        if problems:
            return named, list(problems)
        known = await functions.get_payload_table(named.payload_table, opts)
        if known["problem"]:
            return named, [f"payload_table: {known['problem']}"]
        return replace(named, day_column=known["dayColumn"]), []
    given = VerifiedTables(endpoint, args.get("catalog") or "", args.get("schema") or "", args.get("prefix") or "")
    if given.catalog and given.schema and given.prefix_hint:
        return given, []
    table = await functions.get_endpoint_table(endpoint, opts)
    if table["problem"]:
        return given, [f"endpoint_name: {table['problem']}"]
    if table["payloadTable"]:
        # What is logged already stays where it is; another wish is told by the resource.
        catalog, schema, payload = rules.place(table["payloadTable"])
        hint = payload.removesuffix("_payload")
    elif table["modelName"]:
        catalog, schema, _ = names.split_model_name(table["modelName"])
        hint = names.table_prefix(table["modelName"])
    else:
        remedy = "say catalog, schema and prefix"
        return given, [f"endpoint_name: {endpoint} serves no model of Unity Catalog to name tables after: {remedy}"]
    return VerifiedTables(endpoint, given.catalog or catalog, given.schema or schema, given.prefix_hint or hint), []
