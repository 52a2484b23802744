"""Jobs and pipelines as objects, by the unmodified SDK."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.jobs import JobSettings, NotebookTask, Task

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.services import Services
from tests.workspace.conftest import Caller

TASK = Task(task_key="a", notebook_task=NotebookTask(notebook_path="/x"))


def test_a_job_is_created_found_changed_and_deleted(admin: Caller, name: str) -> None:
    job_id = admin.sdk.jobs.create(name=name, tasks=[TASK]).job_id
    assert job_id
    assert [found.job_id for found in admin.sdk.jobs.list(name=name)] == [job_id]
    admin.sdk.jobs.update(job_id, new_settings=JobSettings(description="d"))
    settings = admin.sdk.jobs.get(job_id).settings
    assert settings
    assert (settings.name, settings.description) == (name, "d")
    admin.sdk.jobs.reset(job_id, JobSettings(name=name, tasks=[TASK]))
    settings = admin.sdk.jobs.get(job_id).settings
    assert settings
    assert settings.description is None
    admin.sdk.jobs.delete(job_id)
    gone = admin.http.get("/api/2.2/jobs/get", params={"job_id": job_id})
    assert (gone.status_code, gone.json()["message"]) == (400, f"Job {job_id} does not exist.")


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2"])
def test_each_version_of_the_jobs_api_answers(admin: Caller, name: str, version: str) -> None:
    path = f"/api/{version}/jobs"
    job_id = admin.http.post(f"{path}/create", json={"name": name}).json()["job_id"]
    admin.http.post(f"{path}/reset", json={"job_id": job_id, "new_settings": {"name": f"{name}-2", "tags": {"a": "b"}}})
    admin.http.post(f"{path}/update", json={"job_id": job_id, "fields_to_remove": ["tags"]}).raise_for_status()
    assert admin.http.get(f"{path}/get", params={"job_id": job_id}).json()["settings"] == {"name": f"{name}-2"}
    listed = admin.http.get(f"{path}/list", params={"name": f"{name}-2"}).json()
    assert ([job["job_id"] for job in listed["jobs"]], listed["has_more"]) == ([job_id], False)
    assert admin.http.post(f"{path}/delete", json={"job_id": job_id}).json() == {}


def test_tasks_have_keys_of_their_own(admin: Caller, name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="task_key"):
        admin.sdk.jobs.create(name=name, tasks=[TASK, TASK])


def _waiting(**before: list[str]) -> dict[str, Any]:
    tasks = [{"task_key": key, "depends_on": [{"task_key": other} for other in before[key]]} for key in before]
    return {"tasks": tasks}


def _cron(expression: str, **more: Any) -> dict[str, Any]:
    return {"schedule": {"quartz_cron_expression": expression, "timezone_id": "UTC", **more}}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (_waiting(a=["a"]), "a waits for a"),
        (_waiting(first=[], a=["first", "c"], b=["a"], c=["b"]), "Invalid dependency graph"),
        (_waiting(a=["b"]), "a depends on b, which is no task"),
        ({"continuous": {"pause_status": "ON"}}, "continuous.pause_status 'ON'"),
        ({"max_concurrent_runs": -1}, "max_concurrent_runs -1"),
        ({"schedule": {"timezone_id": "UTC"}}, "schedule.quartz_cron_expression None"),
        (_cron("daily"), "schedule.quartz_cron_expression 'daily'"),
        (_cron("0 0 * * * ?", pause_status="no"), "schedule.pause_status 'no'"),
    ],
)
def test_settings_that_no_job_can_have(admin: Caller, name: str, settings: dict[str, Any], told: str) -> None:
    job_id = admin.http.post("/api/2.2/jobs/create", json={"name": name}).json()["job_id"]
    sent = {"create": settings} | {how: {"job_id": job_id, "new_settings": settings} for how in ("reset", "update")}
    for how, body in sent.items():
        answer = admin.http.post(f"/api/2.2/jobs/{how}", json=body)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), how
        assert told in answer.json()["message"]
    assert admin.http.get("/api/2.2/jobs/get", params={"job_id": job_id}).json()["settings"] == {"name": name}


def test_what_is_wrong_with_one_job_stops_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace = Workspace.open(tmp_path)
    services = Services.of(workspace)
    runs, scheduler = services.runs, services.scheduler
    # As a workspace may hold them that took anything.
    wrong: list[dict[str, Any]] = [{"continuous": "yes"}, {"schedule": "daily"}, _cron("daily")]
    cyclic = {**_waiting(a=["a"]), **_cron("* * * * * ?")}
    for job_id, settings in enumerate([*wrong, cyclic]):
        document = {"job_id": job_id, "creator_user_name": "x", "run_as_user_name": "x", "settings": settings}
        workspace.store.put("job", str(job_id), document)
    begin = datetime.now(timezone.utc)
    scheduler._tick(begin)
    scheduler._tick(begin + timedelta(seconds=2))
    for thread in threading.enumerate():
        if thread.name.startswith("run "):
            thread.join()
    assert {record.getMessage() for record in caplog.records if "looked at" in record.getMessage()} == {
        f"Job {job_id} could not be looked at" for job_id in range(len(wrong))
    }
    (run,) = runs.list()
    assert (run["job_id"], run["state"]["life_cycle_state"]) == (len(wrong), "TERMINATED")
    assert "local workspace failed: KeyError" in run["state"]["state_message"]


def test_a_job_has_one_owner(admin: Caller, stranger: Caller, name: str) -> None:
    job_id = admin.sdk.jobs.create(name=name, tasks=[TASK]).job_id
    path, entry = f"/api/2.0/permissions/jobs/{job_id}", {"user_name": "admin@local", "permission_level": "CAN_MANAGE"}
    assert "exactly one owner" in admin.http.put(path, json={"access_control_list": [entry]}).json()["message"]
    with pytest.raises(PermissionDenied):
        stranger.sdk.jobs.get(int(str(job_id)))


def test_a_pipeline_is_created_found_changed_and_deleted(admin: Caller, stranger: Caller, name: str) -> None:
    pipeline_id = str(admin.sdk.pipelines.create(name=name, catalog="main", serverless=True).pipeline_id)
    assert name in [found.name for found in admin.sdk.pipelines.list_pipelines()]
    with pytest.raises(DatabricksError, match="already used"):
        admin.sdk.pipelines.create(name=name)
    with pytest.raises(PermissionDenied):
        stranger.sdk.pipelines.get(pipeline_id)
    admin.sdk.pipelines.update(pipeline_id, name=name, catalog="main", continuous=True)
    spec = admin.sdk.pipelines.get(pipeline_id).spec
    assert spec
    assert (spec.continuous, spec.serverless) == (True, None)
    admin.sdk.pipelines.delete(pipeline_id)
    with pytest.raises(NotFound):
        admin.sdk.pipelines.get(pipeline_id)


@pytest.mark.parametrize("size", ["many", "-1", "1.5"])
def test_a_page_of_no_size_is_refused_by_name(admin: Caller, size: str) -> None:
    refused = admin.http.get("/api/2.0/pipelines", params={"max_results": size})
    assert refused.status_code == 400
    assert refused.json()["message"] == f"max_results {size!r}: expected a whole number, 0 or more."
