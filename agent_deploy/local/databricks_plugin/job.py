"""A job of one or several tasks, by the jobs API 2.2."""

from __future__ import annotations

from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace
from agent_deploy.local.databricks_plugin.vendor_resource import VendorResource, declared, workspace_of
from agent_deploy.local.databricks_plugin.wire_names import as_declared, from_wire, to_wire
from agent_deploy.provider.resource import Context, Created, Found, Values

JOBS = "/api/2.2/jobs"
# Where a change made by hand shows though the program says nothing about it.
VISIBLE = ("schedule", "trigger", "continuous", "tags", "description", "parameters", "gitSource")


class Job(VendorResource):
    """Id: the job's number. Jobs without ``tasks``, which the older API knows, are left to the vendor's plugin."""

    inputs = (
        "name", "description", "tasks", "jobClusters", "environments", "parameters", "schedule", "trigger",
        "continuous", "tags", "runAs", "queue", "format", "maxConcurrentRuns", "timeoutSeconds", "emailNotifications",
        "webhookNotifications", "notificationSettings", "health", "gitSource", "editMode", "deployment",
        "budgetPolicyId", "usagePolicyId", "performanceTarget", "providerConfig",
    )  # fmt: skip
    outputs = ("url",)
    required = frozenset({"tasks"})
    replaces = frozenset({"providerConfig"})
    autonamed = True

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        id = str(workspace.post(f"{JOBS}/create", _settings(inputs))["job_id"])
        return Created(id, {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        workspace = workspace_of(context)
        _get(workspace, id)
        return _properties(workspace, id)

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        workspace = workspace_of(context)
        actual = from_wire(_get(workspace, id).get("settings", {}))
        looked_at = {*old_inputs, *VISIBLE} if old_inputs else set(self.inputs)
        shown = {name: value for name, value in actual.items() if name in looked_at and value}
        inputs = {**shown, **as_declared({n: v for n, v in old_inputs.items() if n != "providerConfig"}, actual)}
        inputs |= {name: old_inputs[name] for name in ("providerConfig",) if name in old_inputs}
        return Found(id, _properties(workspace, id), inputs)

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        body = {"job_id": int(id), "new_settings": _settings(inputs)}
        workspace_of(context).post(f"{JOBS}/reset", body, repeatable=True)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        workspace_of(context).post(f"{JOBS}/delete", {"job_id": int(id)}, repeatable=True)

    def is_gone(self, error: ApiError) -> bool:
        # The jobs API answers 400 for a job that is not there.
        not_there = error.error_code == "INVALID_PARAMETER_VALUE" and "does not exist" in error.message
        return not_there or super().is_gone(error)


def _settings(inputs: Values) -> Values:
    given = {name: value for name, value in declared(inputs).items() if name not in ("providerConfig", "format")}
    # The two that the vendor's plugin always sends.
    return {"max_concurrent_runs": 1, "queue": {"enabled": False}, **to_wire(given)}


def _get(workspace: Workspace, id: str) -> dict[str, Any]:
    return workspace.get(f"{JOBS}/get", {"job_id": id})


def _properties(workspace: Workspace, id: str) -> Values:
    return {"url": f"{workspace.host}/#job/{id}"}
