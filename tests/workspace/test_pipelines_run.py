"""Pipelines and jobs that really run: tables derived with Apache Spark, by the unmodified SDK, on schedule."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import InvalidParameterValue, ResourceConflict
from databricks.sdk.service.jobs import (
    CronSchedule,
    PauseStatus,
    PipelineTask,
    RunLifeCycleState,
    RunResultState,
    SqlTask,
    SqlTaskFile,
    Task,
    TaskDependency,
)
from databricks.sdk.service.pipelines import FileLibrary, PipelineLibrary, UpdateInfoState
from databricks.sdk.service.workspace import ImportFormat
from deltalake.exceptions import DeltaError

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.private import OTHERS
from agent_deploy.local.serving import landlock
from agent_deploy.rules.inference_tables import retention_sql
from agent_deploy.rules.tables import PAYLOAD_DAY
from agent_deploy.tables.refresh import Target, counts
from agent_deploy.tables.source import configuration, pipeline_source
from tests.tables.corpus import CASES
from tests.tables.payload import START, append, derived, row
from tests.workspace.conftest import Caller, http_client, sdk_client

ENDED = (UpdateInfoState.COMPLETED, UpdateInfoState.FAILED, UpdateInfoState.CANCELED)
SECONDS = 480.0


def eventually(question: Callable[[], Any]) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + SECONDS
    while not (answer := question()):
        assert time.monotonic() < deadline, answer
        time.sleep(0.1)
    return answer


# Put into a pipeline's source.
ATTACK = """
def reached():
    import os

    found = [name for name in os.environ if name.startswith(("PYTEST", "DATABRICKS", "AGENT_DEPLOY"))]
    try:
        open(TOKEN).close()
        found.append("token")
    except OSError:
        pass
    try:  # the server would follow it, with its own rights
        os.symlink(TOKEN, CHECKPOINTS + "/link")
        found.append("link")
    except OSError:
        pass
    return str(found)
"""


class Logs:
    """A payload table, the pipeline's file and the pipeline, by an administrator."""

    def __init__(self, folder: Path, caller: Caller, schema: str) -> None:
        self.caller, self.schema = caller, schema
        self.payload = f"{schema}.qa_payload"
        self.target = Target(folder, self.payload)
        columns = [{"name": "request", "type_text": "string", "type_name": "STRING", "position": 0}]
        catalog, name = schema.split(".")
        table = {"catalog_name": catalog, "schema_name": name, "name": "qa_payload", "table_type": "MANAGED"}
        made = {**table, "data_source_format": "DELTA", "columns": columns, "storage_location": "file:///x"}
        caller.http.post("/api/2.1/unity-catalog/tables", json=made).raise_for_status()
        self.log(2)
        self.path = f"/Shared/{name}.py"
        self.upload(pipeline_source())
        self.pipeline = self.make()

    def log(self, count: int, first: int = 0) -> None:
        """Some more requests."""
        cases = [case for case in CASES if case.status == 200][:1] * count
        append(self.target, [row(case, f"r{first + i}", first + i) for i, case in enumerate(cases)])

    def upload(self, source: str) -> None:
        content = base64.b64encode(source.encode()).decode()
        body = {"path": self.path, "content": content, "format": "RAW", "overwrite": True}
        self.caller.http.post("/api/2.0/workspace/import", json=body).raise_for_status()

    def make(self, **more: Any) -> str:
        created = self.caller.sdk.pipelines.create(
            name=f"{self.payload} {time.monotonic_ns()}",
            catalog=self.schema.split(".")[0],
            schema=self.schema.split(".")[1],
            serverless=True,
            libraries=[PipelineLibrary(file=FileLibrary(path=self.path))],
            configuration=configuration(self.payload, "qa"),
            **more,
        )
        return str(created.pipeline_id)

    def run(self) -> tuple[UpdateInfoState | None, str]:
        """State and newest event of an update."""
        update = str(self.caller.sdk.pipelines.start_update(self.pipeline).update_id)
        state = eventually(lambda: self._ended(update))
        newest = next(iter(self.caller.sdk.pipelines.list_pipeline_events(self.pipeline)))
        return state, str(newest.message)

    def _ended(self, update: str) -> UpdateInfoState | None:
        found = self.caller.sdk.pipelines.get_update(self.pipeline, update).update
        assert found
        return found.state if found.state in ENDED else None

    def table(self, suffix: str = "_request_logs") -> dict[str, Any]:
        """A derived table as Unity Catalog describes it; empty when it is not there."""
        answer = self.caller.http.get(f"/api/2.1/unity-catalog/tables/{self.payload}{suffix}")
        return dict(answer.json()) if answer.status_code == 200 else {}


def test_a_pipeline_derives_its_tables_in_its_callers_name(
    local_workspace: LocalWorkspace, admin: Caller, schema: str
) -> None:
    before = os.umask(OTHERS)  # of what this process writes in the server's stead: the payload table
    logs = Logs(local_workspace.folder, admin, schema)
    os.umask(before)
    update = admin.sdk.pipelines.start_update(logs.pipeline).update_id
    with pytest.raises(ResourceConflict, match="active update"):
        admin.sdk.pipelines.start_update(logs.pipeline)
    eventually(lambda: logs._ended(str(update)))
    assert [found.update_id for found in admin.sdk.pipelines.list_updates(logs.pipeline).updates or []] == [update]
    assert [found["databricks_request_id"] for found in derived(logs.target, "requests")] == ["r0", "r1"]
    written = [*logs.target.path().parent.rglob("*"), *logs.target.storage.rglob("*")]
    # Links have no modes of their own.
    assert [path for path in written if not path.is_symlink() and path.stat().st_mode & OTHERS] == []
    table = logs.table()
    assert (table["table_type"], table["owner"], table["pipeline_id"]) == ("STREAMING_TABLE", admin.name, logs.pipeline)
    columns = {column["name"]: column for column in table["columns"]}
    assert len(columns) == 16
    assert columns["request_metadata"]["type_text"] == "map<string, string>"
    assert columns["trace"]["comment"].startswith("MLflow trace")
    assert table["comment"].startswith("One row for each request")
    assert len(logs.table("_assessment_logs")["columns"]) == 6

    # Another version of the source: the tables are kept, and get its new column.
    logs.log(1, first=2)
    source = pipeline_source().replace("`schema_version` string", "`language` string, `schema_version` string")
    assert source.count("`language`") == 1
    # It tells what of the server it reaches: the administrator's token, the server's variables.
    attack = ATTACK.replace("TOKEN", repr(str(local_workspace.folder / "admin.token")))
    attack = attack.replace("CHECKPOINTS", repr(str(logs.target.storage)))
    column = '        "trace",\n        F.lit(reached()).alias("language"),\n'
    logs.upload(source.replace('        "trace",\n', column, 1).replace("\ndef ", f"\n{attack}\n\ndef ", 1))
    assert logs.run()[0] is UpdateInfoState.COMPLETED
    assert "language" in [column["name"] for column in logs.table()["columns"]]
    rows = sorted(derived(logs.target, "requests"), key=lambda found: found["databricks_request_id"])
    assert [(found["databricks_request_id"], found["language"]) for found in rows] == [
        ("r0", None), ("r1", None), ("r2", "[]" if landlock.version() else "['token', 'link']")
    ]  # fmt: skip

    # A pipeline owns its tables; without them it goes when asked, and hands them over by SQL.
    owner, logs.pipeline = logs.pipeline, logs.make()
    assert f"is already managed by pipeline {owner}" in logs.run()[1]
    admin.http.delete(f"/api/2.0/pipelines/{owner}", params={"cascade": "false"}).raise_for_status()
    assert logs.table()["pipeline_id"] == owner
    warehouse = admin.sdk.warehouses.create(name=schema, cluster_size="Small").result().id
    for suffix in ("_request_logs", "_assessment_logs", "_quarantine"):
        name = ".".join(f"`{level}`" for level in f"{logs.payload}{suffix}".split("."))
        statement = f"ALTER STREAMING TABLE {name} SET TBLPROPERTIES ('pipelines.pipelineId' = '{logs.pipeline}')"
        done = admin.sdk.statement_execution.execute_statement(statement, str(warehouse))
        assert done.status
        assert done.status.error is None
    logs.log(1, first=3)
    assert logs.run()[0] is UpdateInfoState.COMPLETED
    assert len(derived(logs.target, "requests")) == 4
    admin.sdk.pipelines.delete(logs.pipeline)
    assert logs.table() == {}
    assert not logs.target.path("requests").exists()


def test_who_runs_a_pipeline_needs_the_privileges(
    local_workspace: LocalWorkspace, admin: Caller, stranger: Caller, schema: str
) -> None:
    logs = Logs(local_workspace.folder, admin, schema)
    logs.caller = stranger
    logs.pipeline = logs.make()
    state, said = logs.run()
    assert state is UpdateInfoState.FAILED
    assert "USE CATALOG on Catalog 'main'" in said
    assert logs.table() == {}


def test_run_as_decides_whose_privileges_count(
    local_workspace: LocalWorkspace, admin: Caller, stranger: Caller, schema: str
) -> None:
    logs = Logs(local_workspace.folder, admin, schema)
    runner = {"service_principal_name": stranger.name}
    spec = admin.http.get(f"/api/2.0/pipelines/{logs.pipeline}").json()["spec"]
    admin.http.put(f"/api/2.0/pipelines/{logs.pipeline}", json={**spec, "run_as": runner}).raise_for_status()
    held = admin.http.get(f"/api/2.0/pipelines/{logs.pipeline}").json()
    assert (held["creator_user_name"], held["run_as_user_name"]) == (admin.name, stranger.name)
    state, said = logs.run()
    assert state is UpdateInfoState.FAILED
    assert "USE CATALOG on Catalog 'main'" in said

    # An edit that does not say so leaves it, and nobody makes another one work for him.
    admin.http.put(f"/api/2.0/pipelines/{logs.pipeline}", json=spec).raise_for_status()
    assert admin.http.get(f"/api/2.0/pipelines/{logs.pipeline}").json()["run_as_user_name"] == stranger.name
    body = {"name": schema, "serverless": True, "run_as": {"user_name": admin.name}}
    for url, more in (
        ("/api/2.0/pipelines", {}),
        ("/api/2.0/pipelines", {"dry_run": True}),
        ("/api/2.2/jobs/create", {}),
    ):
        refused = stranger.http.post(url, json={**body, **more})
        assert refused.status_code == 403, url
        assert "may not run anything as admin@local" in refused.json()["message"]
    unknown = admin.http.post("/api/2.0/pipelines", json={**body, "run_as": {"user_name": "nobody@x.com"}})
    assert "run_as: nobody@x.com does not exist" in unknown.json()["message"]

    # What it may not read is not run.
    path = f"/Users/{admin.name}/{schema}.sql"
    admin.sdk.workspace.upload(path, io.BytesIO(b"SELECT 1"), format=ImportFormat.RAW)
    warehouse = admin.sdk.warehouses.create(name=schema, cluster_size="Small").result().id
    acl = {"access_control_list": [{**runner, "permission_level": "CAN_USE"}]}
    admin.http.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse}", json=acl).raise_for_status()
    task = {"task_key": "sql", "sql_task": {"warehouse_id": warehouse, "file": {"path": path}}}
    settings = {"name": schema, "tasks": [task], "run_as": runner}
    job = admin.http.post("/api/2.2/jobs/create", json=settings).json()["job_id"]
    for level, result in (("", "FAILED"), ("CAN_RUN", "SUCCESS")):
        if level:
            file = admin.sdk.workspace.get_status(path).object_id
            entry = {"access_control_list": [{**runner, "permission_level": level}]}
            admin.http.patch(f"/api/2.0/permissions/files/{file}", json=entry).raise_for_status()
        run = admin.http.post("/api/2.2/jobs/run-now", json={"job_id": job}).json()["run_id"]
        found = eventually(partial(_ended_run, admin, run))
        assert found["result_state"] == result, found


def _ended_run(admin: Caller, run: int) -> dict[str, Any] | None:
    state: dict[str, Any] = admin.http.get("/api/2.2/jobs/runs/get", params={"run_id": run}).json()["state"]
    return state if state["life_cycle_state"] == "TERMINATED" else None


def test_a_pipeline_of_another_kind_is_refused_with_what_it_lacks(admin: Caller, name: str) -> None:
    pipeline = admin.sdk.pipelines.create(name=name, serverless=True).pipeline_id
    update = admin.sdk.pipelines.start_update(str(pipeline)).update_id

    def ended() -> bool:
        found = admin.sdk.pipelines.get_update(str(pipeline), str(update)).update
        return found is not None and found.state in ENDED

    eventually(ended)
    newest = next(iter(admin.sdk.pipelines.list_pipeline_events(str(pipeline))))
    assert "agent_deploy.payload_table in the configuration" in str(newest.message)


def test_a_dry_run_creates_nothing(admin: Caller, name: str) -> None:
    answer = admin.sdk.pipelines.create(name=name, dry_run=True, serverless=True)
    assert answer.pipeline_id is None
    assert answer.effective_settings
    assert name not in [found.name for found in admin.sdk.pipelines.list_pipelines()]
    clusters: list[Any] = [{"label": "default", "policy_id": "none"}]
    body = {"name": name, "dry_run": True, "clusters": clusters}
    assert "cluster policy" in admin.http.post("/api/2.0/pipelines", json=body).json()["message"]
    policy = admin.sdk.cluster_policies.create(name=name, definition="{}").policy_id
    clusters[0]["policy_id"] = policy
    assert admin.http.post("/api/2.0/pipelines", json=body).status_code == 200
    assert name in [found.name for found in admin.sdk.cluster_policies.list()]
    admin.sdk.cluster_policies.edit(str(policy), name=f"{name}-2")
    assert admin.sdk.cluster_policies.get(str(policy)).name == f"{name}-2"
    admin.sdk.cluster_policies.delete(str(policy))


@contextmanager
def another_workspace(**options: Any) -> Iterator[tuple[LocalWorkspace, Caller]]:
    with LocalWorkspace(**options) as workspace, http_client(workspace.host, workspace.token) as http:
        sdk = sdk_client(workspace.host, workspace.token)
        yield workspace, Caller(str(sdk.current_user.me().user_name), "", sdk, http)


def test_without_java_an_update_fails_with_the_way_out_and_the_server_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/no/java/here")
    monkeypatch.setenv("PATH", "/usr/nowhere")
    with another_workspace() as (workspace, caller):
        caller.http.post("/api/2.1/unity-catalog/schemas", json={"catalog_name": "main", "name": "a"})
        logs = Logs(workspace.folder, caller, "main.a")
        state, said = logs.run()
        assert state is UpdateInfoState.FAILED
        assert "Apache Spark needs Java" in said
        assert "set JAVA_HOME to its folder" in said
        assert caller.sdk.pipelines.get(logs.pipeline).name


def test_a_job_derives_and_then_deletes_what_is_old_when_its_schedule_says_so(
    local_workspace: LocalWorkspace, admin: Caller, schema: str
) -> None:
    logs = Logs(local_workspace.folder, admin, schema)
    warehouse = str(admin.sdk.warehouses.create(name=schema, cluster_size="Small").result().id)
    path = f"/Shared/{schema}.sql"
    days = int((time.time() - START.timestamp()) // 86400)  # keeps what is as old as the rows
    content = base64.b64encode(retention_sql(logs.payload, max(1, days + 1), PAYLOAD_DAY).encode()).decode()
    body = {"path": path, "content": content, "format": "RAW", "overwrite": True}
    admin.http.post("/api/2.0/workspace/import", json=body).raise_for_status()
    tasks = [
        Task(task_key="derive", pipeline_task=PipelineTask(pipeline_id=logs.pipeline)),
        Task(
            task_key="retention",
            depends_on=[TaskDependency(task_key="derive")],
            sql_task=SqlTask(warehouse_id=warehouse, file=SqlTaskFile(path=path)),
        ),
    ]
    job = int(admin.sdk.jobs.create(name=schema, tasks=tasks).job_id or 0)
    run = admin.sdk.jobs.run_now(job).result()
    assert run.state
    assert run.state.result_state is RunResultState.SUCCESS, run.state.state_message
    assert len(derived(logs.target, "requests")) == 2

    # By the clock; everything is too old now.
    content = base64.b64encode(retention_sql(logs.payload, 1, PAYLOAD_DAY).encode()).decode()
    admin.http.post("/api/2.0/workspace/import", json={**body, "content": content}).raise_for_status()
    logs.log(1, first=2)
    schedule = CronSchedule(quartz_cron_expression="* * * * * ?", timezone_id="Europe/Berlin")
    admin.http.post("/api/2.2/jobs/update", json={"job_id": job, "new_settings": {"schedule": schedule.as_dict()}})
    try:
        by_clock = eventually(
            lambda: [
                found
                for found in admin.sdk.jobs.list_runs(job_id=job, completed_only=True)
                if found.trigger and found.trigger.value == "PERIODIC" and found.state
                and found.state.life_cycle_state is RunLifeCycleState.TERMINATED
            ]
        )  # fmt: skip
    finally:  # or it would run each second as long as the workspace does, which other tests use
        paused = CronSchedule("* * * * * ?", "UTC", PauseStatus.PAUSED).as_dict()
        admin.http.post("/api/2.2/jobs/update", json={"job_id": job, "new_settings": {"schedule": paused}})
    assert by_clock[-1].state.result_state is RunResultState.SUCCESS, by_clock[-1].state
    assert derived(logs.target, "requests") == derived(logs.target, "payload") == []
    # Deletions are no news: the next row comes, and nothing comes again.
    eventually(lambda: not list(admin.sdk.jobs.list_runs(job_id=job, active_only=True)))
    logs.log(1, first=3)
    assert logs.run()[0] is UpdateInfoState.COMPLETED
    assert [found["databricks_request_id"] for found in derived(logs.target, "requests")] == ["r3"]
    assert logs.table()["pipeline_id"] == logs.pipeline


def test_a_failed_task_fails_the_run_and_what_depends_on_it_is_not_begun(admin: Caller, name: str) -> None:
    tasks = [
        {"task_key": "a", "notebook_task": {"notebook_path": "/x"}},
        {"task_key": "b", "depends_on": [{"task_key": "a"}], "pipeline_task": {"pipeline_id": "none"}},
    ]
    job = admin.http.post("/api/2.2/jobs/create", json={"name": name, "tasks": tasks}).json()["job_id"]
    run = admin.sdk.jobs.run_now(job).result()
    assert run.state
    assert run.state.result_state is RunResultState.FAILED
    assert "not notebook_task" in str(run.state.state_message)
    assert [
        str(task.state.result_state.value) for task in run.tasks or [] if task.state and task.state.result_state
    ] == [
        "FAILED",
        "UPSTREAM_FAILED",
    ]
    assert admin.sdk.jobs.get_run_output(int(run.run_id or 0)).error
    with pytest.raises(InvalidParameterValue, match="schedule"):
        admin.sdk.jobs.create(name=name, schedule=CronSchedule("five past", "UTC"))


def test_a_continuous_pipeline_goes_on_by_itself_and_ends_when_it_is_deleted() -> None:
    with another_workspace(pipeline_continuous_seconds=0.2) as (workspace, caller):
        caller.http.post("/api/2.1/unity-catalog/schemas", json={"catalog_name": "main", "name": "a"})
        logs = Logs(workspace.folder, caller, "main.a")
        logs.pipeline = logs.make(continuous=True)
        eventually(lambda: counts(logs.target)["requests"] == 2)
        logs.log(1, first=2)
        eventually(lambda: counts(logs.target)["requests"] == 3)
        latest = json.loads(caller.http.get(f"/api/2.0/pipelines/{logs.pipeline}").text)["latest_updates"]
        assert [update["state"] for update in latest] == ["RUNNING"]
        workspace.restart()
        with http_client(workspace.host, workspace.token) as http:
            logs.log(1, first=3)
            eventually(lambda: counts(logs.target)["requests"] == 4)
            http.delete(f"/api/2.0/pipelines/{logs.pipeline}").raise_for_status()
            assert http.get(f"/api/2.0/pipelines/{logs.pipeline}").status_code == 404
        assert not logs.target.path("requests").exists()


def test_a_workspace_that_is_stopped_or_killed_leaves_nothing_of_spark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    # With what Java's options and Spark's settings would take apart.
    folder = tmp_path / "one,'two'"
    with another_workspace(folder=folder, pipeline_continuous_seconds=0.2) as (workspace, caller):
        caller.http.post("/api/2.1/unity-catalog/schemas", json={"catalog_name": "main", "name": "a"})
        logs = Logs(workspace.folder, caller, "main.a")
        logs.pipeline = logs.make(continuous=True)
        eventually(lambda: counts(logs.target)["requests"] == 2)
        scratch = folder / "scratch" / "pipelines"
        assert {path.name.split("-")[0] for path in scratch.glob("*/agent-deploy-spark-*/*")} >= {"spark", "artifacts"}
        workspace.kill()
        (scratch / "left" / "behind").mkdir(parents=True)
        workspace.start()
        logs.log(1, first=2)
        eventually(lambda: _logged_after_a_kill(logs.target) == 3)
    assert list(scratch.glob("*")) == []
    assert list(temporary.iterdir()) == []
    assert {path.name for path in folder.parent.iterdir()} == {"temporary", folder.name}


def _logged_after_a_kill(target: Target) -> int:
    """Rows of the request logs; none while the table of a run that was killed in its first batch makes way."""
    try:
        return counts(target)["requests"]
    except DeltaError:
        return 0
