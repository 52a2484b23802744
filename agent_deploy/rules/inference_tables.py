"""From the arguments of inference tables to the pipeline, the job and the grants that they mean; no look-ups."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from agent_deploy.rules import names
from agent_deploy.rules.numbers import whole
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.schedule import Schedule, check_schedule, parse_schedule
from agent_deploy.rules.tables import DERIVED, check_prefix, check_retention, retention_statements
from agent_deploy.rules.values import is_known, known
from agent_deploy.rules.workspace_files import check_folder, normal_folder

# A path belongs to one payload table.
DERIVATION_FILE, RETENTION_FILE = FILES = ("derivation.py", "retention.sql")
# Where earlier versions put them, and every user of a workspace may write.
FORMER_FOLDER: Final = "/Shared/agent-deploy"
# When rows are deleted although nothing is derived by the clock: a continuous pipeline, or one that is only triggered.
DAILY: Final = "daily"
DERIVE_TASK, RETENTION_TASK = "derive", "retention"
_APPLICATION_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
READ_PRIVILEGES: Final = {"table": "SELECT", "schema": "USE_SCHEMA", "catalog": "USE_CATALOG"}
# What the derivation takes besides: it makes the tables.
_RUN_PRIVILEGES: Final = {"schema": ("CREATE_TABLE",)}


@dataclass(frozen=True)
class Derivation:
    """How derived tables are kept up to date; ``schedule`` says when, ``policy_id`` is None on serverless compute."""

    schedule: Schedule
    policy_id: str | None = None
    retention_days: int | None = None
    warehouse_id: str | None = None

    @property
    def job_schedule(self) -> Schedule | None:
        """When the job starts by the clock; None when only somebody starts it."""
        if self.schedule.cron is not None:
            return self.schedule
        return parse_schedule(DAILY) if self.retention_days else None

    @property
    def has_job(self) -> bool:
        """A continuous pipeline needs no job, unless old rows are to be deleted."""
        return not self.schedule.continuous or bool(self.retention_days)


def plan(args: Mapping[str, Any]) -> Derivation:
    """What checked arguments mean."""
    return Derivation(
        schedule=parse_schedule(args.get("schedule"), args.get("schedule_timezone")),
        policy_id=args.get("cluster_policy_id"),
        retention_days=whole(args.get("retention_days")),
        warehouse_id=args.get("warehouse_id"),
    )


def check_tables(prefix: str, args: Mapping[str, Any]) -> list[Problem]:
    """All problems that show without asking the workspace; ``prefix`` is put before the fields' names."""
    problems = []
    if args.get("prefix") is not None and is_known(args["prefix"]):
        problems += check_prefix(f"{prefix}prefix", args["prefix"])
    problems += check_schedule(f"{prefix}schedule", args.get("schedule"), args.get("schedule_timezone"))
    problems += check_retention(f"{prefix}retention_days", args.get("retention_days"))
    if args.get("source_folder") is not None and is_known(args["source_folder"]):
        problems += check_folder(f"{prefix}source_folder", args["source_folder"])
    if args.get("run_as") is not None and is_known(args["run_as"]):
        problems += _check_runner(f"{prefix}run_as", args["run_as"])
    if args.get("retention_days") is not None and not args.get("warehouse_id"):
        expected = "the id of a SQL warehouse, on which old rows are deleted (retention_days)"
        problems.append(Problem(f"{prefix}warehouse_id", args.get("warehouse_id"), expected))
    if args.get("serverless") is False and not args.get("cluster_policy_id"):
        expected = "the id of a cluster policy, as the pipeline is not to run on serverless compute"
        remedy = "Leave serverless out to run there, or name a policy"
        problems.append(Problem(f"{prefix}cluster_policy_id", args.get("cluster_policy_id"), expected, remedy))
    if args.get("serverless") is True and args.get("cluster_policy_id"):
        remedy = "Take one of them out"
        policy = args["cluster_policy_id"]
        problems.append(Problem(f"{prefix}cluster_policy_id", known(policy), "nothing, as serverless is true", remedy))
    return problems


def check_derivation_off(prefix: str, args: Mapping[str, Any]) -> list[Problem]:
    """Arguments that mean nothing while nothing is derived, or nothing is logged at all."""
    off = "enabled" if args.get("enabled") is False else "derive" if args.get("derive") is False else None
    if off is None:
        return []
    ignored = (
        "schedule", "schedule_timezone", "retention_days", "cluster_policy_id", "served_entities_table",
        "source_folder", "run_as",
    )  # fmt: skip
    given = [name for name in ignored if args.get(name) is not None]
    remedy = f"Take it out, or take {off}=False out"
    return [Problem(f"{prefix}{name}", known(args[name]), f"nothing, as {off} is False", remedy) for name in given]


def wanted_pipeline(prefix: str, args: Mapping[str, Any], schema: str) -> dict[str, Any] | None:
    """What the provider asks the workspace about; None when nothing is to be derived."""
    if args.get("derive") is False:
        return None
    catalog, _, name = schema.partition(".")
    policy = known(args.get("cluster_policy_id"))
    # Without a policy all is asked for by derive, which may not even be there.
    field = "cluster_policy_id" if policy else "derive"
    asked = {"field": f"{prefix}{field}", "catalog": catalog, "schema": name, "policy_id": policy}
    return {**asked, "run_as": runner(args), "run_as_field": f"{prefix}run_as"}


def named_tables(prefix: str, args: Mapping[str, Any]) -> list[dict[str, str]]:
    """The tables that the derivation reads besides the payload table."""
    entities = args.get("served_entities_table")
    wanted = isinstance(entities, str) and entities and args.get("derive") is not False
    return [{"field": f"{prefix}served_entities_table", "value": str(entities)}] if wanted else []


def named_folder(prefix: str, args: Mapping[str, Any]) -> dict[str, str] | None:
    """The folder that the program gives for what pipeline and job run, in its normal form."""
    folder = args.get("source_folder")
    if args.get("derive") is False or not is_known(folder) or check_folder("", folder):
        return None
    return {"field": f"{prefix}source_folder", "value": normal_folder(str(folder))}


def runner(args: Mapping[str, Any]) -> str | None:
    """As whom pipeline and job run, as far as that is said and known."""
    named = args.get("run_as")
    return named if isinstance(named, str) and args.get("derive") is not False else None


def named_runner(prefix: str, args: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The same with its field."""
    named = runner(args)
    return [(f"{prefix}run_as", named)] if named else []


def run_as(name: str) -> dict[str, str]:
    """In the words of pipelines and jobs."""
    return {"userName" if kind_of_runner(name) == "user" else "servicePrincipalName": name}


def kind_of_runner(name: str) -> str:
    """``user`` or ``service_principal``: users are named by their e-mail addresses."""
    return "user" if "@" in name else "service_principal"


def run_privileges(kind: str, deletes: bool = False) -> list[str]:
    """What who runs the pipeline needs on the payload table (``deletes``: old rows, too) and on what it is in."""
    return [READ_PRIVILEGES[kind], *_RUN_PRIVILEGES.get(kind, ()), *(["MODIFY"] if kind == "table" and deletes else [])]


def _check_runner(field: str, name: object) -> list[Problem]:
    if isinstance(name, str) and ("@" in name or _APPLICATION_ID.fullmatch(name)):
        return []
    return [Problem(field, name, "the application id of a service principal, or the e-mail address of a user")]


def named_readers(prefix: str, args: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Field and name of each reader, as far as the names are known."""
    readers = enumerate(args.get("readers") or ())
    return [(f"{prefix}readers[{index}]", reader) for index, reader in readers if is_known(reader)]


def reader_names(args: Mapping[str, Any]) -> list[str]:
    """The readers alone."""
    return [str(reader) for _, reader in named_readers("", args)]


def check_payload_table(field: str, name: object) -> list[Problem]:
    """Problems of the full name of a payload table that exists."""
    if isinstance(name, str) and len(name.split(".")) == 3 and all(name.split(".")):
        return []
    return [Problem(field, name, "the full name of a payload table, catalog.schema.table")]


def derived_names(payload: str) -> dict[str, str]:
    """Full names beside ``payload``, by the derived table's key; empty ones when there is no payload table."""
    return {table.key: payload + table.suffix if payload else "" for table in DERIVED}


def source_name(payload: str) -> str:
    """The pipeline's file, below the folder that such files lie in."""
    return f"{payload}/{DERIVATION_FILE}"


def retention_name(payload: str) -> str:
    """The job's SQL file."""
    return f"{payload}/{RETENTION_FILE}"


def former_folder(payload: str) -> str:
    """Where earlier versions kept both."""
    return f"{FORMER_FOLDER}/{payload}"


def retention_sql(payload: str, days: int, payload_day: str) -> str:
    """Text of that file."""
    title = f"-- Deletes what is older than {days} days from {payload} and from what is derived from it.\n"
    return title + "".join(f"{statement};\n" for statement in retention_statements(payload, days, payload_day))


def pipeline_name(payload: str) -> str:
    """A pipeline owns its tables, so it is named after them: other tables are another pipeline."""
    return f"Logs of {payload}"


def place(payload: str) -> tuple[str, str, str]:
    """Catalog, schema and table of a full name."""
    return names.split_model_name(payload)
