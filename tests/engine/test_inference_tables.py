"""Inference tables on the real engine: made, changed, off and on, moved, gone with and without their rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import agent_deploy
from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.rules.tables import REQUEST_LOG_COLUMNS
from agent_deploy.tables.refresh import Target
from tests.engine.fixtures import shared_files
from tests.engine.serving import MODEL, Site
from tests.engine.support import Stack, both_plugins, eventually
from tests.tables.cases import ASKED, Case
from tests.tables.payload import append, by_id, row

SCHEMA = "main.default"
SUFFIXES = ("_request_logs", "_assessment_logs", "_quarantine")
INSIDE = """
import json
import pulumi
from agent_deploy import AgentDeployment
agent = AgentDeployment("qa", json.loads(ARGS))
pulumi.export("tables", agent.inference_tables)
"""
ALONE = """
import json
import pulumi
from agent_deploy import InferenceTables
logs = InferenceTables("logs", json.loads(ARGS))
pulumi.export("tables", logs.table_names)
"""
TREE = "/api/2.0/workspace"
EXPORT = f"{TREE}/export"
HOME = "/Users/admin@local/agent-deploy"
ENDED = ("COMPLETED", "FAILED", "CANCELED")
IGNORED = shutil.ignore_patterns("__pycache__")
# File of this package → what is replaced in it, and by what.
NEW_COLUMN = {
    "rules/tables.py": (
        '    ("trace", "string",',
        '    ("language", "string", "Language of the answer"),\n    ("trace", "string",',
    ),
    "tables/derivation.py": ('        "trace",\n', '        F.lit("en").alias("language"),\n        "trace",\n'),
}
CHILDREN = {
    "qa-inference-tables",
    *(f"qa-inference-tables-{part}" for part in ("source", "pipeline", "derived", "job")),
}


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 2)
    for schema in ("logs", "closed"):
        found.workspace.post("/api/2.1/unity-catalog/schemas", {"name": schema, "catalog_name": "main"})
    return found


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An endpoint of the test's own."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)[:50].strip("-")


@pytest.fixture
def open_(site: Site, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    plugins = both_plugins(tmp_path / "plugins")

    def make(program: str) -> Stack:
        return open_stack(program, environment=site.environment, plugins=plugins)

    return make


def inside(name: str, version: str = "1", **tables: Any) -> str:
    """A program with an AgentDeployment, without feedback and registration."""
    args: dict[str, Any] = {"model_name": MODEL, "endpoint_name": name, "model_version": version}
    args |= {"inference_tables": tables, "feedback_model": False, "review_app": {"enabled": False}}
    return INSIDE.replace("ARGS", repr(json.dumps(args)))


def alone(**args: Any) -> str:
    """A program with nothing but InferenceTables."""
    return ALONE.replace("ARGS", repr(json.dumps(args)))


def outputs(stack: Stack) -> dict[str, str]:
    """The names of the tables."""
    return dict(stack.outputs()["tables"])


def nothing_to_do(stack: Stack) -> None:
    """A further preview is empty, and so is what the workspace tells of drift."""
    assert stack.preview("--expect-no-changes").operations == {}
    stack.refresh("--expect-no-changes")


def pipelines(site: Site) -> dict[str, str]:
    """Name → id."""
    listed = site.workspace.get("/api/2.0/pipelines").get("statuses", [])
    return {pipeline["name"]: pipeline["pipeline_id"] for pipeline in listed}


def jobs(site: Site) -> dict[str, dict[str, Any]]:
    """Name → settings."""
    return {j["settings"]["name"]: j["settings"] for j in site.workspace.get("/api/2.2/jobs/list").get("jobs", [])}


def tables(site: Site, schema: str = SCHEMA) -> set[str]:
    """Full names of the tables in a schema."""
    catalog, name = schema.split(".")
    query = {"catalog_name": catalog, "schema_name": name}
    return {t["full_name"] for t in site.workspace.get("/api/2.1/unity-catalog/tables", query).get("tables", [])}


def register(site: Site, full_name: str, column: str) -> None:
    """Makes a table of somebody else's known to Unity Catalog."""
    catalog, schema, name = full_name.split(".")
    columns = [{"name": column, "type_name": "LONG", "type_text": "bigint", "position": 0}]
    table = {"name": name, "catalog_name": catalog, "schema_name": schema, "table_type": "MANAGED"}
    made = {**table, "data_source_format": "DELTA", "columns": columns, "storage_location": "file:///none"}
    site.workspace.post("/api/2.1/unity-catalog/tables", made)


def refreshed(site: Site, pipeline: str, payload: str, request_id: str) -> None:
    """A request is logged, and an update of the pipeline derives it."""
    append(Target(site.folder, payload), [row(Case("asked", ASKED), request_id)])
    url = f"/api/2.0/pipelines/{pipeline}/updates"
    update = site.workspace.post(url, {})["update_id"]
    state = eventually(lambda: (s := site.workspace.get(f"{url}/{update}")["update"]["state"]) in ENDED and s, 240)
    assert state == "COMPLETED", site.workspace.get(f"/api/2.0/pipelines/{pipeline}/events")


def newer_package(folder: Path) -> Path:
    """A folder with this package as a later version may be: the request logs have one more column."""
    newer = folder / "newer"
    shutil.copytree(Path(agent_deploy.__file__).parent, newer / "agent_deploy", ignore=IGNORED)
    for file, (before, after) in NEW_COLUMN.items():
        path = newer / "agent_deploy" / file
        text = path.read_text()
        assert text.count(before) == 1, file
        path.write_text(text.replace(before, after))
    return newer


class Reader(Workspace):
    """A service principal that may do nothing yet, as a client."""

    name = ""


def reader_of(site: Site) -> Reader:
    """One of its own, with a token."""
    scim = "/api/2.0/preview/scim/v2/ServicePrincipals"
    made = site.workspace.post(scim, {"displayName": "a reader"})
    token = site.workspace.post(
        "/api/2.0/token-management/on-behalf-of/tokens",
        {"application_id": made["applicationId"], "lifetime_seconds": 3600},
    )["token_value"]
    reader = Reader(Settings(host=site.host, method=PAT, token=token))
    reader.name = made["applicationId"]
    return reader


def test_a_deployment_derives_hourly_by_itself_and_keeps_the_tables(
    site: Site, name: str, open_: Callable[..., Stack]
) -> None:
    prefix = name.replace("-", "_")
    stack = open_(inside(name, prefix=prefix))
    preview = stack.preview()
    assert set(preview.operations.values()) == {"create"}
    assert pipelines(site) == {}
    stack.up()
    nothing_to_do(stack)
    assert set(stack.resources()) == {"qa", *CHILDREN}
    payload = f"{SCHEMA}.{prefix}_payload"
    assert outputs(stack) == {
        "payload": payload,
        "payload_request_logs": f"{payload}_request_logs",
        "payload_assessment_logs": f"{payload}_assessment_logs",
        "payload_quarantine": f"{payload}_quarantine",
    }
    first = pipelines(site)[f"Logs of {payload}"]
    job = jobs(site)[f"Logs of {payload}"]
    assert job["tasks"] == [{"task_key": "derive", "pipeline_task": {"pipeline_id": first}}]
    assert job["schedule"]["quartz_cron_expression"] == "0 0 * * * ?"

    # Another version is no matter of the tables.
    stack.write(inside(name, version="2", prefix=prefix))
    assert stack.up().operations == {"qa": "update"}

    # Another schedule and retention change the job alone.
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": name, "cluster_size": "Small"})["id"]
    daily = {"prefix": prefix, "schedule": "daily", "schedule_timezone": "Europe/Berlin"}
    stack.write(inside(name, version="2", **daily, retention_days=30, warehouse_id=warehouse))
    assert stack.up().operations == {
        "qa-inference-tables-job": "update",
        "qa-inference-tables-retention": "create",
        "qa-inference-tables-derived": "update",
    }
    nothing_to_do(stack)
    changed = jobs(site)[f"Logs of {payload}"]
    assert [task["task_key"] for task in changed["tasks"]] == ["derive", "retention"]
    assert changed["schedule"]["timezone_id"] == "Europe/Berlin"

    # Another prefix is another payload table, and so another pipeline; what there was stays.
    stack.write(inside(name, version="2", prefix=f"{prefix}_2"))
    stack.up()
    nothing_to_do(stack)
    second = f"{SCHEMA}.{prefix}_2_payload"
    assert outputs(stack)["payload"] == second
    assert (list(pipelines(site)), list(jobs(site))) == ([f"Logs of {second}"], [f"Logs of {second}"])
    assert site.endpoint(name)["ai_gateway"]["inference_table_config"]["table_name_prefix"] == f"{prefix}_2"
    assert {payload, second} <= tables(site)
    assert set(pipelines(site).values()).isdisjoint({first})

    # So is another schema.
    stack.write(inside(name, version="2", schema="logs", prefix=prefix))
    moved = stack.up()
    nothing_to_do(stack)
    assert outputs(stack)["payload"] == f"main.logs.{prefix}_payload"
    assert list(pipelines(site)) == [f"Logs of main.logs.{prefix}_payload"]
    assert payload in tables(site)
    assert f"Kept: the logged payloads in {second}" in moved.messages

    # Off: nothing runs any more. On again: the next free prefix, as the rows of before are kept.
    stack.write(inside(name, version="2", enabled=False))
    stack.up()
    nothing_to_do(stack)
    assert set(stack.resources()) == {"qa"}
    assert (pipelines(site), jobs(site)) == ({}, {})
    stack.write(inside(name, version="2", schema="logs"))
    stack.up()
    nothing_to_do(stack)
    assert outputs(stack)["payload"] == "main.logs.qa_payload"

    gone = stack.destroy()
    assert stack.resources() == {}
    assert (pipelines(site), jobs(site)) == ({}, {})
    assert "main.logs.qa_payload" in tables(site, "main.logs")
    assert "DROP TABLE `main`.`logs`.`qa_payload`" in gone.messages


def test_an_endpoint_of_somebody_else_is_left_as_it_was(site: Site, name: str, open_: Callable[..., Stack]) -> None:
    entity = {"name": "theirs", "entity_name": MODEL, "entity_version": "1", "workload_size": "Small"}
    theirs = {
        "name": name,
        "config": {"served_entities": [{**entity, "scale_to_zero_enabled": False}]},
        "tags": [{"key": "team", "value": "other"}],
        "ai_gateway": {"usage_tracking_config": {"enabled": True}},
    }
    site.workspace.post("/api/2.0/serving-endpoints", theirs)
    before = site.settled(name)
    stack = open_(alone(endpoint_name=name, schema="logs", prefix=name.replace("-", "_")))
    assert set(stack.preview().operations.values()) == {"create"}
    stack.up()
    nothing_to_do(stack)
    on = site.endpoint(name)["ai_gateway"]
    assert on["usage_tracking_config"] == {"enabled": True}
    assert on["inference_table_config"]["schema_name"] == "logs"
    payload = f"main.logs.{name.replace('-', '_')}_payload"
    assert outputs(stack)["payload_request_logs"] == f"{payload}_request_logs"

    stack.write(alone(endpoint_name=name, schema="default", prefix=name.replace("-", "_"), derive=False))
    stack.up()
    nothing_to_do(stack)
    assert site.endpoint(name)["ai_gateway"]["inference_table_config"]["schema_name"] == "default"
    assert set(stack.resources()) == {"logs", "logs-payload"}

    stack.destroy()
    kept = ("config", "tags", "ai_gateway", "description", "creator", "id")
    after = site.endpoint(name)
    assert {key: after.get(key) for key in kept} == {key: before.get(key) for key in kept}
    assert payload in tables(site, "main.logs")


def test_a_table_that_is_on_already_is_used_and_left_on(site: Site, name: str, open_: Callable[..., Stack]) -> None:
    prefix = name.replace("-", "_")
    config = {"enabled": True, "catalog_name": "main", "schema_name": "logs", "table_name_prefix": prefix}
    body = {"name": name, "ai_gateway": {"inference_table_config": config}}
    site.workspace.post("/api/2.0/serving-endpoints", body)
    stack = open_(alone(endpoint_name=name, delete_on_destroy=True))
    stack.up()
    nothing_to_do(stack)
    assert outputs(stack)["payload"] == f"main.logs.{prefix}_payload"
    stack.write(alone(endpoint_name=name, schema="default"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert f"logs to main.logs.{prefix}_payload already, and one endpoint has one table" in refused.output
    stack.write(alone(endpoint_name=name, delete_on_destroy=True))
    gone = stack.destroy()
    assert "DROP TABLE" not in gone.messages  # it is not ours to offer
    assert site.endpoint(name)["ai_gateway"]["inference_table_config"] == config
    assert f"main.logs.{prefix}_payload" in tables(site, "main.logs")


def test_an_old_endpoints_table_is_derived_from_and_old_rows_go_by_its_own_column(
    site: Site, name: str, open_: Callable[..., Stack]
) -> None:
    payload = f"main.logs.{name.replace('-', '_')}_payload"
    for table, day in ((payload, "timestamp_ms"), ("main.logs.other_payload", "id")):
        register(site, table, day)
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": name, "cluster_size": "Small"})["id"]
    stack = open_(alone(endpoint_name=name, payload_table="main.logs.lost_payload"))
    assert "payload_table: there is no table main.logs.lost_payload" in stack.preview(check=False).output
    stack.write(alone(endpoint_name=name, payload_table="main.logs.other_payload"))
    assert "payload_table: main.logs.other_payload is no payload table" in stack.preview(check=False).output
    stack.write(alone(endpoint_name=name, payload_table=payload, retention_days=30, warehouse_id=warehouse))
    stack.up()
    nothing_to_do(stack)
    assert outputs(stack)["payload_request_logs"] == f"{payload}_request_logs"
    text = site.workspace.text(f"{EXPORT}?direct_download=true&path={HOME}/{payload}/retention.sql")
    assert f"{payload.rpartition('.')[2]}` WHERE date < current_date()" in text
    stack.destroy()
    assert payload in tables(site, "main.logs")


def test_what_others_wrote_into_the_files_is_drift_and_another_folder_moves_them(
    site: Site, name: str, open_: Callable[..., Stack]
) -> None:
    payload = f"main.logs.{name.replace('-', '_')}_payload"
    register(site, payload, "timestamp_ms")
    stack = open_(alone(endpoint_name=name, payload_table=payload))
    stack.up()
    path = stack.resources()["logs-source"]["outputs"]["path"]
    assert path == f"{HOME}/{payload}/derivation.py"
    source = site.workspace.text(f"{EXPORT}?direct_download=true&path={path}")

    # Only an administrator could, here: strangers are refused (tests/workspace/test_workspace_files.py).
    body = {"path": path, "format": "AUTO", "overwrite": True, "content": "aW1wb3J0IG9zCg=="}
    site.workspace.post(f"{TREE}/import", body)
    previewed = stack.preview()
    assert previewed.operations == {"logs-source": "update"}
    assert f"{path} holds something else than this stack has written" in previewed.messages
    assert stack.up().operations == {"logs-source": "update"}
    assert site.workspace.text(f"{EXPORT}?direct_download=true&path={path}") == source
    nothing_to_do(stack)

    open_to_all = {"access_control_list": [{"group_name": "users", "permission_level": "CAN_EDIT"}]}
    site.workspace.post(f"{TREE}/mkdirs", {"path": "/Users/admin@local/team"})
    team = site.workspace.get(f"{TREE}/get-status", {"path": "/Users/admin@local/team"})["object_id"]
    site.workspace.put(f"/api/2.0/permissions/directories/{team}", open_to_all)
    stack.write(alone(endpoint_name=name, payload_table=payload, source_folder="/Users/admin@local/team/logs"))
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "source_folder: /Users/admin@local/team holds what a pipeline or a job runs, and may be" in refused.output
    assert "group users (CAN_EDIT)" in refused.output
    site.workspace.put(f"/api/2.0/permissions/directories/{team}", {"access_control_list": []})
    stack.up()
    nothing_to_do(stack)
    [pipeline] = [id for called, id in pipelines(site).items() if payload in called]
    [library] = site.workspace.get(f"/api/2.0/pipelines/{pipeline}")["spec"]["libraries"]
    assert library["file"]["path"] == f"/Workspace/Users/admin@local/team/logs/{payload}/derivation.py"
    assert site.workspace.find(f"{TREE}/get-status", {"path": f"{HOME}/{payload}"}) is None

    # Another identity runs them: it reads the file, and writes nothing.
    runner = reader_of(site)
    folder = "/Users/admin@local/team/logs"
    stack.write(alone(endpoint_name=name, payload_table=payload, source_folder=folder, run_as=runner.name))
    assert "logs-pipeline" in stack.up().operations
    nothing_to_do(stack)
    assert site.workspace.get(f"/api/2.0/pipelines/{pipeline}")["run_as_user_name"] == runner.name
    path = f"{folder}/{payload}/derivation.py"
    assert runner.text(f"{EXPORT}?direct_download=true&path={path}") == source
    with pytest.raises(ApiError, match="PERMISSION_DENIED"):
        runner.post(f"{TREE}/import", {**body, "path": path})
    stack.destroy()
    assert site.workspace.get(f"{TREE}/list", {"path": "/Users/admin@local/team/logs"})["objects"] == []


def test_files_of_before_are_moved_out_of_shared(site: Site, name: str, open_: Callable[..., Stack]) -> None:
    payload, shared = f"main.logs.{name.replace('-', '_')}_payload", "/Shared/agent-deploy"
    register(site, payload, "timestamp_ms")
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": name, "cluster_size": "Small"})["id"]
    stack = open_(shared_files.PROGRAM.replace("ARGS", repr((payload, name, warehouse))))
    stack.up()
    before, job = stack.resources(), jobs(site)[f"Logs of {payload}"]
    assert job["tasks"][1]["sql_task"]["file"]["path"] == f"/Workspace{shared}/{payload}/retention.sql"
    site.forget_requests()

    stack.write(alone(endpoint_name=name, payload_table=payload, retention_days=30, warehouse_id=warehouse))
    moved = {"logs-source", "logs-retention", "logs-pipeline", "logs-job", "logs-derived"}
    assert set(stack.preview().operations) == moved
    stack.up()
    nothing_to_do(stack)
    after = stack.resources()
    assert [after[child]["id"] for child in ("logs-pipeline", "logs-job")] == [
        before[child]["id"] for child in ("logs-pipeline", "logs-job")
    ]
    [library] = site.workspace.get(f"/api/2.0/pipelines/{after['logs-pipeline']['id']}")["spec"]["libraries"]
    assert library["file"]["path"] == f"/Workspace{HOME}/{payload}/derivation.py"
    run = jobs(site)[f"Logs of {payload}"]["tasks"][1]["sql_task"]["file"]["path"]
    assert run == f"/Workspace{HOME}/{payload}/retention.sql"
    assert site.workspace.find(f"{TREE}/get-status", {"path": shared}) is None
    # In this order: nothing runs a file that is not there.
    writes = [each["path"] for each in site.asked("*", "/api/*") if each["method"] in ("POST", "PUT")]
    writes = [path for path in writes if not path.endswith(("/mkdirs", "statements"))]
    turned = [path for path in writes if "/pipelines/" in path or path.endswith("/jobs/reset")]
    assert len(turned) == 2
    assert max(map(writes.index, turned)) < writes.index(f"{TREE}/delete")
    stack.destroy()
    assert stack.resources() == {}


def test_readers_read_what_real_spark_derived_an_upgrade_and_a_new_pipeline_go_on_with_it(
    site: Site, name: str, open_: Callable[..., Stack], tmp_path: Path
) -> None:
    prefix = name.replace("-", "_")[:40]
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": name, "cluster_size": "Small"})["id"]
    reader = reader_of(site)
    fixed = {"prefix": prefix, "warehouse_id": warehouse, "schedule": "triggered"}
    stack = open_(inside(name, **fixed, readers=[reader.name]))
    up = stack.up()
    nothing_to_do(stack)
    assert "first update of the pipeline: running" in "".join(up.progress)
    payload = f"{SCHEMA}.{prefix}_payload"
    for table in (payload, *(f"{payload}{suffix}" for suffix in SUFFIXES)):
        reader.get(f"/api/2.1/unity-catalog/tables/{table}")
    described = site.workspace.get(f"/api/2.1/unity-catalog/tables/{payload}_request_logs")
    assert [column["name"] for column in described["columns"]] == [each.name for each in REQUEST_LOG_COLUMNS]
    assert all(column["comment"] for column in described["columns"])

    # A newer version of this package changes the pipeline's source alone: the tables are kept and get its new column.
    [pipeline] = pipelines(site).values()
    refreshed(site, pipeline, payload, "before")
    described = site.workspace.get(f"/api/2.1/unity-catalog/tables/{payload}_request_logs")
    stack.set_environment({"PYTHONPATH": str(newer_package(tmp_path))})
    assert stack.preview().operations == {"qa-inference-tables-source": "update"}
    assert stack.up().operations == {"qa-inference-tables-source": "update"}
    nothing_to_do(stack)
    refreshed(site, pipeline, payload, "after")
    upgraded = site.workspace.get(f"/api/2.1/unity-catalog/tables/{payload}_request_logs")
    assert (upgraded["table_id"], upgraded["pipeline_id"]) == (described["table_id"], pipeline)
    assert "language" in [column["name"] for column in upgraded["columns"]]
    rows = by_id(Target(site.folder, payload), "requests")
    assert {id: found["language"] for id, found in rows.items()} == {"before": None, "after": "en"}
    reader.get(f"/api/2.1/unity-catalog/tables/{payload}_request_logs")

    # Readers leave, and with them what they were given; not derived any more, the tables stay.
    stack.write(inside(name, **fixed))
    stack.up()
    with pytest.raises(ApiError):
        reader.get(f"/api/2.1/unity-catalog/tables/{payload}")
    stack.write(inside(name, prefix=prefix, derive=False))
    stopped = stack.up()
    assert f"Kept: what was derived, in {payload}_request_logs" in stopped.messages
    assert {f"{payload}{suffix}" for suffix in SUFFIXES} <= tables(site)
    stack.write(inside(name, prefix=prefix))
    refused = stack.preview(check=False)
    assert "Give warehouse_id, so that it can be handed to the new pipeline" in refused.output
    stack.write(inside(name, **fixed, delete_on_destroy=True))
    stack.up()
    nothing_to_do(stack)
    [pipeline] = pipelines(site).values()
    assert site.workspace.get(f"/api/2.1/unity-catalog/tables/{payload}_quarantine")["pipeline_id"] == pipeline

    stack.destroy()
    assert stack.resources() == {}
    assert not {name for name in tables(site) if name.startswith(payload)}


# Arguments → what is said: all that can be seen at once is told at once.
MISTAKES: list[tuple[dict[str, Any], list[str]]] = [
    ({"schema": "gone"}, ["main.gone"]),
    ({"prefix": "taken"}, ["the table main.default.taken_payload exists"]),
    (
        {"prefix": "x" * 64, "retention_days": 0.5, "schedule": "*/5 * * * *", "schedule_timezone": "Mars"},
        [
            "inference_tables.prefix",
            "expected 1 to 63 letters",
            "inference_tables.retention_days 0.5: expected a whole number",
            "inference_tables.warehouse_id: expected the id of a SQL warehouse",
            "in Quartz it may be",
            "inference_tables.schedule_timezone 'Mars': expected a time zone's name",
        ],
    ),
    (
        {"retention_days": 7, "warehouse_id": "none", "cluster_policy_id": "none", "readers": ["nobody"]},
        [
            "SQL warehouse none (warehouse_id of the inference tables): it does not exist",
            "inference_tables.cluster_policy_id: the workspace refuses a pipeline with cluster policy none",
            "Can't find a cluster policy with id: none",
            "inference_tables.readers[0] 'nobody': expected a principal of this workspace",
        ],
    ),
    (
        {"run_as": "11111111-2222-3333-4444-555555555555", "source_folder": "/Shared"},
        [
            "inference_tables.run_as '11111111-2222-3333-4444-555555555555': expected a principal of this workspace",
            "inference_tables.source_folder: /Shared holds what a pipeline or a job runs, and may be written by group",
        ],
    ),
]


def test_every_mistake_is_told_in_the_preview(site: Site, name: str, open_: Callable[..., Stack]) -> None:
    register(site, "main.default.taken_payload", "a")
    stack = open_(inside(name))
    for args, said in MISTAKES:
        stack.write(inside(name, **args))
        failed = stack.preview(check=False)
        assert failed.code != 0, args
        assert [text for text in said if text not in failed.output] == [], f"{args}: {failed.output}"
        assert "Traceback" not in failed.output, f"{args}: {failed.output}"
    stack.write(alone(endpoint_name=name, catalog="main", schema="default", prefix="free", cluster_policy_id="none"))
    assert "  - cluster_policy_id: the workspace refuses" in stack.preview(check=False).output
    stack.write(alone(endpoint_name="nobody"))
    assert "there is no serving endpoint nobody" in stack.preview(check=False).output
    assert not site.exists(name)


def test_without_serverless_a_cluster_policy_is_needed(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    bare = Site(local_workspace_factory(serving_start="on_request", serverless=False))
    bare.register_bare(MODEL, 1)
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(inside("bare"), environment=bare.environment, plugins=plugins)
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "inference_tables.derive: the workspace refuses a serverless pipeline" in refused.output
    assert "Name a cluster_policy_id" in refused.output
    made = bare.workspace.post("/api/2.0/policies/clusters/create", {"name": "logs", "definition": "{}"})
    stack.write(inside("bare", cluster_policy_id=made["policy_id"]))
    stack.up()
    [pipeline] = pipelines(bare).values()
    spec = bare.workspace.get(f"/api/2.0/pipelines/{pipeline}")["spec"]
    assert (spec.get("serverless", False), spec["clusters"][0]["policy_id"]) == (False, made["policy_id"])
    assert stack.preview("--expect-no-changes").operations == {}
