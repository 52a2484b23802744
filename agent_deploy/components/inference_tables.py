"""InferenceTables: an endpoint's requests as tables, raw and derived, kept up to date, readable, deleted in time."""

# No `from __future__ import annotations` here: the schema is inferred from this module.
from collections.abc import Mapping
from typing import Any, overload

import pulumi
from typing_extensions import NotRequired, TypedDict, Unpack

from agent_deploy.components import ephemeral_stack
from agent_deploy.components.component import Component
from agent_deploy.components.outputs import join
from agent_deploy.components.parsing import Parsed, parse, resolve, to_input
from agent_deploy.components.signature import takes_keywords
from agent_deploy.components.tables_verification import VerifiedTables, verify
from agent_deploy.resources.databricks import Job, Pipeline
from agent_deploy.resources.derived_tables import DerivedTables
from agent_deploy.resources.endpoint_inference_table import EndpointInferenceTable
from agent_deploy.resources.object_permission import ObjectPermission
from agent_deploy.resources.securable_grant import SecurableGrant
from agent_deploy.resources.workspace_file import WorkspaceFile
from agent_deploy.rules import inference_tables as rules
from agent_deploy.rules.schedule import Schedule
from agent_deploy.rules.tables import PAYLOAD_DAY
from agent_deploy.tables.source import SERVED_ENTITIES_TABLE, configuration, pipeline_source

# The payload table in a user's unit test whose mocks give it no name.
_UNNAMED = "main.default.unnamed_payload"


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
    cluster_policy_id: NotRequired[pulumi.Input[str]]
    """Cluster policy for a pipeline on compute of your own, instead of serverless."""
    warehouse_id: NotRequired[pulumi.Input[str]]
    """SQL warehouse for what only SQL can do: deleting old rows, handing kept tables to a new pipeline."""
    retention_days: NotRequired[int]
    """After how many days rows are deleted, raw and derived ones. Default: never. Needs `warehouse_id`."""
    readers: NotRequired[list[pulumi.Input[str]]]
    """Users, groups and service principals (application ids) that may read the tables."""
    served_entities_table: NotRequired[pulumi.Input[str]]
    """Table that knows which model a served entity is, for `request_metadata`: `system.serving.served_entities`.

    An admin of the metastore grants SELECT on it. Without it, `request_metadata` names the endpoint alone.
    """
    source_folder: NotRequired[pulumi.Input[str]]
    """Folder of the workspace for the files that pipeline and job run; only its owner may write there.

    Default: `agent-deploy` in the home of who deploys first. It is kept in the state: who deploys later moves nothing,
    and another folder moves the files.
    """
    run_as: NotRequired[pulumi.Input[str]]
    """As whom pipeline and job run: a service principal's application id, or a user's e-mail address.

    It is given what the derivation needs, and no more. Default: who deploys.
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


class InferenceTables(Component):
    """An endpoint's inference table and what is derived from it: by a pipeline, when a job's schedule says so.

    Databricks stopped filling request and assessment logs for agents in December 2025; the payload table goes on.
    """

    kind = "InferenceTables"

    table_names: pulumi.Output[InferenceTableNames]
    """Full names of the tables."""
    pipeline_id: pulumi.Output[str]
    """The pipeline that derives; empty without one."""
    job_id: pulumi.Output[str]
    """The job that starts it and deletes old rows; empty without one."""

    @overload
    def __init__(self, name: str, args: InferenceTablesArgs, opts: pulumi.ResourceOptions | None = None) -> None: ...
    @overload
    def __init__(
        self, name: str, *, opts: pulumi.ResourceOptions | None = None, **args: Unpack[InferenceTablesArgs]
    ) -> None: ...
    @takes_keywords
    def __init__(self, name: str, args: InferenceTablesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts, args)
        parsed = self._parsed(name, args)
        given = parsed.tree
        logged, day_column = self._logged(name, parsed)
        payload = logged.apply(lambda table: table or _UNNAMED)
        self.pipeline_id = self.job_id = pulumi.Output.from_input("")
        derived: DerivedTables | None = None
        if given.get("derive") is not False:
            derived = self._derive(name, given, payload, day_column)
        self._let_read(name, given, payload, derived)
        self.hand_out(
            table_names=payload.apply(lambda table: table_names(table, derived is not None)),
            pipeline_id=self.pipeline_id,
            job_id=self.job_id,
        )

    def _parsed(self, name: str, args: InferenceTablesArgs) -> Parsed:
        ephemeral_stack.refuse(self.kind, name, self._ephemeral)
        return parse(self.kind, InferenceTablesArgs, args)

    def _logged(self, name: str, parsed: Parsed) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The payload table and its day's column: what others fill, or the endpoint's own, turned on here.

        Whatever the children need goes through it: nothing is created unless every check has passed.
        """
        args, invoke = parsed.tree, pulumi.InvokeOptions(parent=self)
        verified: pulumi.Output[VerifiedTables] = resolve(parsed).apply(lambda resolved: verify(name, resolved, invoke))
        if args.get("payload_table") is not None:
            return verified.apply(lambda v: to_input(v.payload_table)), verified.apply(lambda v: to_input(v.day_column))
        prefix = args.get("prefix")
        table = EndpointInferenceTable(
            f"{name}-payload",
            endpoint_name=verified.apply(lambda v: to_input(v.endpoint_name)),
            catalog_name=verified.apply(lambda v: to_input(v.catalog)),
            schema_name=verified.apply(lambda v: to_input(v.schema)),
            table_name_prefix=prefix,
            table_name_prefix_hint=None if prefix else verified.apply(lambda v: to_input(v.prefix_hint)),
            delete_on_destroy=args.get("delete_on_destroy"),
            opts=self.for_child("payload"),
        )
        return table.payload_table, pulumi.Output.from_input(PAYLOAD_DAY)

    def _derive(
        self, name: str, args: Mapping[str, Any], payload: pulumi.Output[str], day_column: pulumi.Output[str]
    ) -> DerivedTables:
        plan = rules.plan(args)
        place = payload.apply(rules.place)
        entities = args.get("served_entities_table")
        # An Output inside the map, so that it hides nothing else of it.
        further = {} if entities in (None, "") else {SERVED_ENTITIES_TABLE: entities}
        source = self._file(name, "source", args, payload.apply(rules.source_name), pipeline_source())
        runner = args.get("run_as")
        pipeline = Pipeline(
            f"{name}-pipeline",
            name=payload.apply(rules.pipeline_name),
            catalog=place.apply(lambda levels: levels[0]),
            schema=place.apply(lambda levels: levels[1]),
            libraries=[{"file": {"path": source.workspace_path}}],
            configuration=pulumi.Output.all(payload, args.get("endpoint_name")).apply(
                lambda known: {**configuration(known[0], known[1]), **further}
            ),
            continuous=plan.schedule.continuous,
            serverless=plan.policy_id is None,
            clusters=[{"label": "default", "policyId": plan.policy_id}] if plan.policy_id else None,
            channel="CURRENT",
            run_as=_run_as(runner),
            # A pipeline owns its tables: those of another payload table are another pipeline's.
            opts=self.for_child(
                "pipeline",
                replace_on_changes=["name"],
                delete_before_replace=False,
                depends_on=self._let_derive(name, plan, runner, payload, source),
            ),
        )
        job = self._schedule(name, args, plan, payload, day_column, pipeline) if plan.has_job else None
        derived = DerivedTables(
            f"{name}-derived",
            pipeline_id=pipeline.id,
            payload_table=payload,
            delete_on_destroy=args.get("delete_on_destroy"),
            # Nobody can be let read what does not exist yet.
            await_tables=True if args.get("readers") else None,
            warehouse_id=plan.warehouse_id,
            former_folder=payload.apply(rules.former_folder),
            # When pipeline and job run what lies in the new folder, what earlier versions left can go.
            opts=self.for_child("derived", depends_on=job),
        )
        self.pipeline_id = pipeline.id
        if job is not None:
            self.job_id = job.id
        return derived

    def _file(
        self, name: str, role: str, args: Mapping[str, Any], path: pulumi.Output[str], content: pulumi.Input[str]
    ) -> WorkspaceFile:
        """What pipeline or job runs, where only its owner writes."""
        folder = args.get("source_folder")
        return WorkspaceFile(f"{name}-{role}", folder=folder, name=path, content=content, opts=self.for_housekeeping())

    def _let_derive(
        self, name: str, plan: rules.Derivation, runner: Any, payload: pulumi.Output[str], source: WorkspaceFile
    ) -> list[pulumi.Resource] | None:
        """Gives who runs the pipeline what that takes; None where that is who deploys."""
        if runner is None:
            return None
        places = {
            "catalog": payload.apply(lambda table: rules.place(table)[0]),
            "schema": payload.apply(lambda table: table.rpartition(".")[0]),
            "table": payload,
        }
        given: list[pulumi.Resource] = [
            SecurableGrant(
                f"{name}-run-as-{kind}",
                securable_type=kind,
                full_name=full_name,
                principal=runner,
                privileges=rules.run_privileges(kind, bool(plan.retention_days)),
                opts=self.for_housekeeping(),
            )
            for kind, full_name in places.items()
        ]
        return [*given, self._let_use(f"{name}-run-as-source", runner, "files", source.object_id, "CAN_RUN")]

    def _let_use(self, name: str, runner: Any, kind: str, id: pulumi.Input[str], level: str) -> ObjectPermission:
        return ObjectPermission(
            name,
            object_type=kind,
            object_id=id,
            principal_kind=pulumi.Output.from_input(runner).apply(rules.kind_of_runner),
            principal=runner,
            level=level,
            opts=self.for_housekeeping(),
        )

    def _schedule(
        self,
        name: str,
        args: Mapping[str, Any],
        plan: rules.Derivation,
        payload: pulumi.Output[str],
        day_column: pulumi.Output[str],
        pipeline: Pipeline,
    ) -> Job:
        tasks: list[Mapping[str, Any]] = []
        runner, used = args.get("run_as"), list[tuple[str, str, pulumi.Input[str], str]]()
        if not plan.schedule.continuous:
            tasks.append({"taskKey": rules.DERIVE_TASK, "pipelineTask": {"pipelineId": pipeline.id}})
            used.append(("pipeline", "pipelines", pipeline.id, "CAN_RUN"))
        days = plan.retention_days
        if days:
            statements = join(lambda table, day: rules.retention_sql(table, days, day), payload, day_column)
            file = self._file(name, "retention", args, payload.apply(rules.retention_name), statements)
            sql = {"warehouseId": plan.warehouse_id, "file": {"path": file.workspace_path, "source": "WORKSPACE"}}
            # What is about to be deleted is derived first, if it was not yet.
            after = {"dependsOns": [{"taskKey": rules.DERIVE_TASK}]} if tasks else {}
            tasks.append({"taskKey": rules.RETENTION_TASK, "sqlTask": sql, **after})
            used.append(("retention", "files", file.object_id, "CAN_RUN"))
            used.append(("warehouse", "sql/warehouses", plan.warehouse_id or "", "CAN_USE"))
        given = [
            self._let_use(f"{name}-run-as-{what}", runner, kind, id, level)
            for what, kind, id, level in (used if runner is not None else ())
        ]
        return Job(
            f"{name}-job",
            name=payload.apply(rules.pipeline_name),
            tasks=tasks,
            schedule=_cron(plan.job_schedule),
            max_concurrent_runs=1,
            queue={"enabled": False},
            run_as=_run_as(runner),
            opts=self.for_housekeeping("job", delete_before_replace=False, depends_on=given or None),
        )

    def _let_read(
        self, name: str, args: Mapping[str, Any], payload: pulumi.Output[str], derived: DerivedTables | None
    ) -> None:
        tables = {"payload": payload}
        if derived is not None:
            tables |= {"requests": derived.request_logs, "assessments": derived.assessment_logs}
            tables |= {"quarantine": derived.quarantine}
        for index, reader in enumerate(args.get("readers") or ()):
            label = str(index) if isinstance(reader, pulumi.Output) else str(reader)
            places = {
                "catalog": payload.apply(lambda table: rules.place(table)[0]),
                "schema": payload.apply(lambda table: table.rpartition(".")[0]),
            }
            for what, full_name in {**places, **tables}.items():
                kind = what if what in places else "table"
                SecurableGrant(
                    f"{name}-reader-{label}-{what}",
                    securable_type=kind,
                    full_name=full_name,
                    principal=reader,
                    privileges=[rules.READ_PRIVILEGES[kind]],
                    opts=self.for_housekeeping(
                        depends_on=derived,
                        # What it is called while its name comes from another resource.
                        aliases=[pulumi.Alias(name=f"{name}-reader-{index}-{what}")] if label != str(index) else None,
                    ),
                )


class VerifiedInferenceTables(InferenceTables):
    """The same for an endpoint of an AgentDeployment, which has verified all of it."""

    def _parsed(self, name: str, args: InferenceTablesArgs) -> Parsed:
        return parse(self.kind, InferenceTablesArgs, args)

    def _logged(self, name: str, parsed: Parsed) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        payload: pulumi.Output[str] = parsed.tree["payload_table"]
        return payload, pulumi.Output.from_input(PAYLOAD_DAY)


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


def _run_as(runner: Any) -> Any:
    """In the words of pipelines and jobs; None for who deploys."""
    return None if runner is None else pulumi.Output.from_input(runner).apply(rules.run_as)
