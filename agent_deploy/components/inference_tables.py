"""InferenceTables: an endpoint's requests as tables, raw and derived, kept up to date, readable, deleted in time."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
import base64
from collections.abc import Mapping
from typing import Any

import pulumi
from typing_extensions import NotRequired, TypedDict

from agent_deploy.components.errors import DeploymentError, told
from agent_deploy.components.late_values import OF_TABLES, without_late
from agent_deploy.components.misplaced_secrets import misplaced_secrets
from agent_deploy.components.options import child_options
from agent_deploy.components.outputs import join
from agent_deploy.components.signature import check_names, takes_one_dict
from agent_deploy.components.tables_verification import VerifiedTables, verify
from agent_deploy.resources.databricks import Job, Pipeline, WorkspaceFile
from agent_deploy.resources.derived_tables import DerivedTables
from agent_deploy.resources.endpoint_inference_table import EndpointInferenceTable
from agent_deploy.resources.provider import in_workspace
from agent_deploy.resources.securable_grant import SecurableGrant
from agent_deploy.rules import inference_tables as rules
from agent_deploy.rules.known_arguments import TABLES_BOOLEANS, non_booleans
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.schedule import Schedule
from agent_deploy.rules.tables import PAYLOAD_DAY
from agent_deploy.tables.source import configuration, pipeline_source


class DerivationArgs(TypedDict):
    """How request logs, assessment logs and a quarantine are derived from the payload table, and for whom."""

    derive: NotRequired[bool]
    """Whether they are. Default true."""
    schedule: NotRequired[str]
    """hourly (default), daily, weekly, a Quartz cron expression (seconds first), continuous, or triggered."""
    schedule_timezone: NotRequired[str]
    """Time zone of the schedule, such as Europe/Berlin. Default UTC."""
    serverless: NotRequired[bool]
    """Whether the pipeline runs on serverless compute. Default true, unless there is a cluster policy."""
    cluster_policy_id: NotRequired[str]
    """Cluster policy for a pipeline on compute of your own, instead of serverless."""
    warehouse_id: NotRequired[str]
    """SQL warehouse for what only SQL can do: deleting old rows, handing kept tables to a new pipeline."""
    retention_days: NotRequired[int]
    """After how many days rows are deleted, raw and derived ones. Default: never. Needs `warehouse_id`."""
    readers: NotRequired[list[pulumi.Input[str]]]
    """Users, groups and service principals (application ids) that may read the tables."""
    served_entities_table: NotRequired[str]
    """Table that knows which model a served entity is, for `request_metadata`: `system.serving.served_entities`.

    An admin of the metastore grants SELECT on it. Without it, `request_metadata` names the endpoint alone.
    """


class InferenceTablesArgs(DerivationArgs):
    """The inference tables of an endpoint that exists, whoever made it."""

    endpoint_name: pulumi.Input[str]
    """Name of the serving endpoint."""
    catalog: NotRequired[pulumi.Input[str]]
    """Catalog of the tables; default: the catalog of the endpoint's model."""
    schema: NotRequired[pulumi.Input[str]]
    """Schema of the tables; default: the schema of the endpoint's model."""
    prefix: NotRequired[pulumi.Input[str]]
    """Exact prefix: the table is `{prefix}_payload`. Default: the model's name, or the next free one, kept in state."""
    payload_table: NotRequired[pulumi.Input[str]]
    """Full name of a payload table that something else fills, an old endpoint's included: it is only derived from."""
    delete_on_destroy: NotRequired[pulumi.Input[bool]]
    """Whether the rows go with the tables' declaration. Default false: they are kept, and destroy says so."""
    verified: NotRequired[bool]
    """Whether all of this has been verified already, as AgentDeployment does. Default false."""


class InferenceTableNames(TypedDict):
    """Full names of the inference tables; empty when they are off."""

    payload: str
    """Raw requests and responses."""
    payload_request_logs: str
    """Formatted requests, responses and traces, derived from the payload."""
    payload_assessment_logs: str
    """Formatted feedback, derived from the payload."""
    payload_quarantine: str
    """Rows of the payload that could not be read, each with the reason."""


class InferenceTables(pulumi.ComponentResource):
    """An endpoint's inference table and what is derived from it: by a pipeline, when a job's schedule says so.

    Databricks stopped filling request and assessment logs for agents in December 2025; the payload table goes on.
    """

    table_names: pulumi.Output[InferenceTableNames]
    """Full names of the tables."""
    pipeline_id: pulumi.Output[str]
    """The pipeline that derives; empty without one."""
    job_id: pulumi.Output[str]
    """The job that starts it and deletes old rows; empty without one."""

    # Of a payload table that something else fills.
    _day_column: pulumi.Output[str] | None = None

    @takes_one_dict
    def __init__(self, name: str, args: InferenceTablesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("agent-deploy:index:InferenceTables", name, {}, in_workspace(name, opts))
        problems = [] if args.get("verified") is True else check(args)
        if problems:
            raise DeploymentError.of("InferenceTables", name, problems)
        payload = self._logged(name, args)
        self.pipeline_id = self.job_id = pulumi.Output.from_input("")
        derived: DerivedTables | None = None
        if args.get("derive") is not False:
            derived = self._derive(name, args, payload)
        self._let_read(name, args, payload, derived)
        self.table_names = payload.apply(lambda table: table_names(table, derived is not None))
        self.register_outputs(
            {"tableNames": self.table_names, "pipelineId": self.pipeline_id, "jobId": self.job_id},
        )

    def _logged(self, name: str, args: InferenceTablesArgs) -> pulumi.Output[str]:
        """The payload table: what others fill, or the endpoint's own, turned on here."""
        if args.get("payload_table") is not None:
            if args.get("verified"):
                return pulumi.Output.from_input(args["payload_table"])
            verified = self._verified(name, args)
            self._day_column = verified.apply(lambda v: v.day_column)
            return verified.apply(lambda v: v.payload_table)
        verified = self._verified(name, args)
        table = EndpointInferenceTable(
            f"{name}-payload",
            endpoint_name=verified.apply(lambda v: v.endpoint_name),
            catalog_name=verified.apply(lambda v: v.catalog),
            schema_name=verified.apply(lambda v: v.schema),
            table_name_prefix=args.get("prefix"),
            table_name_prefix_hint=None if args.get("prefix") else verified.apply(lambda v: v.prefix_hint),
            delete_on_destroy=args.get("delete_on_destroy"),
            opts=child_options(self),
        )
        return table.payload_table

    def _verified(self, name: str, args: InferenceTablesArgs) -> pulumi.Output[VerifiedTables]:
        invoke = pulumi.InvokeOptions(parent=self)
        plain: Any = dict(args)
        resolved: pulumi.Output[Any] = pulumi.Output.from_input(plain)

        async def verified(known: Mapping[str, Any]) -> VerifiedTables:
            if misplaced := await misplaced_secrets(args):
                raise told(DeploymentError.of("InferenceTables", name, misplaced))
            return await verify(name, known, invoke)

        return resolved.apply(verified)

    def _derive(self, name: str, args: InferenceTablesArgs, payload: pulumi.Output[str]) -> DerivedTables:
        plan = rules.plan(args)
        source = WorkspaceFile(
            f"{name}-source",
            path=payload.apply(rules.source_path),
            content_base64=_base64(pipeline_source()),
            opts=child_options(self),
        )
        pipeline = Pipeline(
            f"{name}-pipeline",
            name=payload.apply(rules.pipeline_name),
            catalog=payload.apply(lambda table: rules.place(table)[0]),
            schema=payload.apply(lambda table: rules.place(table)[1]),
            libraries=[{"file": {"path": source.workspace_path}}],
            configuration=pulumi.Output.all(payload, args["endpoint_name"]).apply(
                lambda known: configuration(known[0], known[1], None, args.get("served_entities_table") or "")
            ),
            continuous=plan.schedule.continuous,
            serverless=plan.policy_id is None,
            clusters=[{"label": "default", "policyId": plan.policy_id}] if plan.policy_id else None,
            channel="CURRENT",
            # A pipeline owns its tables: those of another payload table are another pipeline's.
            opts=child_options(self, replace_on_changes=["name"], delete_before_replace=False),
        )
        derived = DerivedTables(
            f"{name}-derived",
            pipeline_id=pipeline.id,
            payload_table=payload,
            delete_on_destroy=args.get("delete_on_destroy"),
            # Nobody can be let read what does not exist yet.
            await_tables=True if args.get("readers") else None,
            warehouse_id=plan.warehouse_id,
            opts=child_options(self),
        )
        self.pipeline_id = pipeline.id
        if plan.has_job:
            self.job_id = self._schedule(name, plan, payload, pipeline).id
        return derived

    def _schedule(self, name: str, plan: rules.Derivation, payload: pulumi.Output[str], pipeline: Pipeline) -> Job:
        tasks: list[Mapping[str, Any]] = []
        if not plan.schedule.continuous:
            tasks.append({"taskKey": rules.DERIVE_TASK, "pipelineTask": {"pipelineId": pipeline.id}})
        days = plan.retention_days
        if days:
            file = WorkspaceFile(
                f"{name}-retention",
                path=payload.apply(rules.retention_path),
                content_base64=join(
                    lambda table, day: _base64(rules.retention_sql(table, days, day)),
                    payload,
                    self._day_column or pulumi.Output.from_input(PAYLOAD_DAY),
                ),
                # After the pipeline's source, in the same folder: the vendor's provider makes a folder that is missing,
                # and fails when another file's has just been made.
                opts=child_options(self, depends_on=pipeline),
            )
            sql = {"warehouseId": plan.warehouse_id, "file": {"path": file.workspace_path, "source": "WORKSPACE"}}
            # What is about to be deleted is derived first, if it was not yet.
            after = {"dependsOns": [{"taskKey": rules.DERIVE_TASK}]} if tasks else {}
            tasks.append({"taskKey": rules.RETENTION_TASK, "sqlTask": sql, **after})
        return Job(
            f"{name}-job",
            name=payload.apply(rules.pipeline_name),
            tasks=tasks,
            schedule=_cron(plan.job_schedule),
            max_concurrent_runs=1,
            queue={"enabled": False},
            opts=child_options(self, delete_before_replace=False),
        )

    def _let_read(
        self, name: str, args: InferenceTablesArgs, payload: pulumi.Output[str], derived: DerivedTables | None
    ) -> None:
        tables = {"payload": payload}
        if derived is not None:
            tables |= {"requests": derived.request_logs, "assessments": derived.assessment_logs}
            tables |= {"quarantine": derived.quarantine}
        for index, reader in enumerate(args.get("readers") or ()):
            label = str(index) if isinstance(reader, pulumi.Output) else str(reader)
            places = {
                "catalog": payload.apply(lambda table: rules.place(table)[0]),
                "schema": payload.apply(lambda table: ".".join(rules.place(table)[:2])),
            }
            for what, full_name in {**places, **tables}.items():
                kind = what if what in places else "table"
                SecurableGrant(
                    f"{name}-reader-{label}-{what}",
                    securable_type=kind,
                    full_name=full_name,
                    principal=reader,
                    privileges=[rules.READ_PRIVILEGES[kind]],
                    opts=child_options(self, depends_on=derived),
                )


def check(args: Mapping[str, Any]) -> list[Problem]:
    """All problems that show without asking the workspace."""
    args, problems = without_late(args, OF_TABLES)
    problems += check_names("InferenceTables", InferenceTablesArgs, args)
    problems += non_booleans("", args, TABLES_BOOLEANS)
    problems += rules.check_tables("", args) + rules.check_derivation_off("", args)
    for field in ("catalog", "schema", "prefix"):
        if args.get("payload_table") is not None and args.get(field) is not None:
            problems.append(Problem(field, args[field], "nothing, as payload_table names the table"))
    return problems


def table_names(payload: str | None, derived: bool) -> InferenceTableNames:
    """The names of all tables beside the payload table; empty ones where there is none."""
    by_key = rules.derived_names(payload if payload and derived else "")
    return InferenceTableNames(
        payload=payload or "",
        payload_request_logs=by_key["requests"],
        payload_assessment_logs=by_key["assessments"],
        payload_quarantine=by_key["quarantine"],
    )


def _cron(schedule: Schedule | None) -> dict[str, str] | None:
    if schedule is None or schedule.cron is None:
        return None
    return {"quartzCronExpression": schedule.cron, "timezoneId": schedule.timezone, "pauseStatus": "UNPAUSED"}


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
