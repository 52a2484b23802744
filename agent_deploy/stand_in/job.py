"""A job, by the jobs API 2.2; one without tasks by the API 2.0, which the vendor's plugin still speaks for those."""

from __future__ import annotations

from typing import Any, ClassVar

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Found, Values
from agent_deploy.stand_in.vendor_resource import Defaults, VendorResource, declared, workspace_of
from agent_deploy.stand_in.wire_names import from_wire, refreshed, to_wire

JOBS, JOBS_WITHOUT_TASKS = "/api/2.2/jobs", "/api/2.0/jobs"
NOT_SENT = ("providerConfig", "format")
RUNNING = "UNPAUSED"


class Job(VendorResource):
    """Id: the job's number."""

    inputs = (
        "name", "description", "tasks", "jobClusters", "environments", "parameters", "schedule", "trigger",
        "continuous", "tags", "runAs", "queue", "format", "maxConcurrentRuns", "timeoutSeconds", "emailNotifications",
        "webhookNotifications", "notificationSettings", "health", "gitSource", "editMode", "deployment",
        "budgetPolicyId", "usagePolicyId", "performanceTarget", "providerConfig",
    )  # fmt: skip
    outputs = ("url", "runAs")
    replaces = frozenset({"providerConfig"})
    autonamed = True
    defaults: ClassVar[Defaults] = {(clock, "pauseStatus"): RUNNING for clock in ("schedule", "trigger", "continuous")}

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        id = str(workspace.post(f"{_api(inputs)}/create", _settings(inputs))["job_id"])
        return Created(id, {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        workspace = workspace_of(context)
        return _properties(workspace, id, _get(workspace, inputs, id))

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        workspace = workspace_of(context)
        actual = _get(workspace, old_inputs, id)
        settings = from_wire(actual.get("settings", {}))
        if not old_inputs:
            old_inputs = {name: value for name, value in settings.items() if name in self.inputs and value}
        return Found(id, _properties(workspace, id, actual), refreshed(old_inputs, settings))

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        # The whole state is sent, so also as whom the job runs though the program does not say.
        settings = _settings({**{name: old[name] for name in ("runAs",) if name in old}, **inputs})
        body = {"job_id": int(id), "new_settings": settings}
        workspace_of(context).post(f"{_api(inputs)}/reset", body, repeatable=True)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).post(f"{JOBS}/delete", {"job_id": int(id)}, repeatable=True)

    def is_gone(self, error: ApiError) -> bool:
        return says_that_there_is_no_job(error) or super().is_gone(error)


def says_that_there_is_no_job(error: ApiError) -> bool:
    """Of reading a job alone, which answers 400: a refused deletion with the same words counts as a failure."""
    return error.error_code == "INVALID_PARAMETER_VALUE" and "does not exist" in error.message


def _api(inputs: Values) -> str:
    return JOBS if inputs.get("tasks") else JOBS_WITHOUT_TASKS


def _settings(inputs: Values) -> Values:
    given = {name: value for name, value in declared(inputs).items() if name not in NOT_SENT}
    # The two that the vendor's plugin always sends; the older API has no queue.
    always = {"max_concurrent_runs": 1, **({"queue": {"enabled": False}} if inputs.get("tasks") else {})}
    return {**always, **to_wire(given)}


def _get(workspace: Workspace, inputs: Values, id: str) -> dict[str, Any]:
    # An imported job is taken for one with tasks.
    api = _api(inputs) if inputs else JOBS
    return workspace.get(f"{api}/get", {"job_id": id})


def _properties(workspace: Workspace, id: str, actual: dict[str, Any]) -> Values:
    properties: Values = {"url": f"{workspace.host}/#job/{id}"}
    if name := actual.get("run_as_user_name"):
        properties["runAs"] = {"userName" if "@" in name else "servicePrincipalName": name}
    return properties
