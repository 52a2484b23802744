"""Jobs and pipelines as objects, by the unmodified SDK."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.jobs import JobSettings, NotebookTask, Task

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
