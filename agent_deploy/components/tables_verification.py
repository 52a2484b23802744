"""What is looked up about inference tables when the program runs, before anything is created; all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pulumi

from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Resolved
from agent_deploy.components.verification import log_unverified, verified
from agent_deploy.resources import functions
from agent_deploy.resources.failures import program_error
from agent_deploy.rules import findings, names
from agent_deploy.rules import inference_tables as rules
from agent_deploy.rules.declaration import Text
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.values import Unknown, known
from agent_deploy.rules.verifiable import WantedDeployment, made_fields, tables_look_ups, without_made


@dataclass(frozen=True)
class VerifiedTables:
    """Where the tables of an endpoint may be; ``payload_table`` and its day's column when something else fills it."""

    endpoint_name: Text
    catalog: Text = ""
    schema: Text = ""
    prefix_hint: Text = ""
    payload_table: Text = ""
    day_column: Text = ""


async def verify(name: str, resolved: Resolved, opts: pulumi.InvokeOptions) -> VerifiedTables:
    """The tables of an endpoint of somebody else; raises DeploymentError with every problem that was found."""
    parsed, args = resolved.parsed, resolved.tree
    if resolved.exposed_secrets:
        raise program_error(DeploymentError.of("InferenceTables", name, [*parsed.problems, *resolved.exposed_secrets]))
    problems: list[Problem | str] = [*resolved.problems_with(_check(args))]
    found = VerifiedTables("")
    if not problems:
        found, of_place = await _found(args, resolved.made, opts)
        problems += of_place
    if problems:
        raise program_error(DeploymentError.of("InferenceTables", name, problems))
    await verified("InferenceTables", name, _wanted(resolved, found), opts)
    log_unverified(made_fields(resolved.made), opts)
    return found


def _check(args: Mapping[str, Any]) -> list[Problem]:
    """All problems that show without asking the workspace."""
    problems = rules.check_tables("", args) + rules.check_derivation_off("", args)
    for field in ("catalog", "schema", "prefix"):
        if args.get("payload_table") is not None and args.get(field) is not None:
            problems.append(Problem(field, known(args[field]), "nothing, as payload_table names the table"))
    return problems


def _wanted(resolved: Resolved, found: VerifiedTables) -> WantedDeployment:
    """What the workspace may refuse: tables in the schema, the pipeline, the warehouse, readers that do not exist."""
    place = rules.place(found.payload_table) if isinstance(found.payload_table, str) and found.payload_table else None
    catalog, schema = place[:2] if place else (found.catalog, found.schema)
    is_found = isinstance(catalog, str) and isinstance(schema, str) and not isinstance(found.payload_table, Unknown)
    is_found = is_found and not resolved.made & {"catalog", "schema", "payload_table"}
    in_schema, payload = (f"{catalog}.{schema}", known(found.payload_table)) if is_found else (None, None)
    return tables_look_ups("", without_made(resolved.tree, resolved.made), resolved.outputs, in_schema, payload or None)


async def _found(
    args: Mapping[str, Any], made: Collection[str], opts: pulumi.InvokeOptions
) -> tuple[VerifiedTables, list[Problem | str]]:
    endpoint, payload = args["endpoint_name"], args.get("payload_table")
    if isinstance(payload, Unknown):
        return VerifiedTables(endpoint, payload_table=payload, day_column=Unknown()), []
    if payload is not None:
        named = VerifiedTables(endpoint, payload_table=payload)
        if problems := rules.check_payload_table("payload_table", payload):
            return named, list(problems)
        table = await functions.get_payload_table(payload, opts)
        if table["problem"] and "payload_table" in made:
            return replace(named, day_column=Unknown()), []
        if table["problem"]:
            return named, [str(findings.PAYLOAD.found(f"payload_table: {table['problem']}"))]
        return replace(named, day_column=table["dayColumn"]), []
    given = VerifiedTables(endpoint, args.get("catalog") or "", args.get("schema") or "", args.get("prefix") or "")
    if given.catalog and given.schema and given.prefix_hint:
        return given, []
    if isinstance(endpoint, Unknown):
        return _of_unknown(given), []
    found, reasons = await _of_endpoint(given, endpoint, opts)
    return (_of_unknown(given), []) if reasons and "endpoint_name" in made else (found, reasons)


def _of_unknown(given: VerifiedTables) -> VerifiedTables:
    place = {"catalog": given.catalog or Unknown(), "schema": given.schema or Unknown()}
    return replace(given, **place, prefix_hint=Unknown())


async def _of_endpoint(
    given: VerifiedTables, endpoint: str, opts: pulumi.InvokeOptions
) -> tuple[VerifiedTables, list[Problem | str]]:
    """What is not ``given``, as the endpoint has it or its model is called."""
    told_of = await functions.get_endpoint_table(endpoint, opts)
    if told_of["problem"]:
        return given, [str(findings.PAYLOAD.found(f"endpoint_name: {told_of['problem']}"))]
    if told_of["payloadTable"]:
        # What is logged already stays where it is; another wish is told by the resource.
        catalog, schema, payload = rules.place(told_of["payloadTable"])
        hint = payload.removesuffix("_payload")
    elif told_of["modelName"]:
        catalog, schema, _ = names.split_model_name(told_of["modelName"])
        hint = names.table_prefix(told_of["modelName"])
    else:
        remedy = "say catalog, schema and prefix"
        text = f"endpoint_name: {endpoint} serves no model of Unity Catalog to name tables after: {remedy}"
        return given, [str(findings.PAYLOAD.found(text))]
    return VerifiedTables(endpoint, given.catalog or catalog, given.schema or schema, given.prefix_hint or hint), []
