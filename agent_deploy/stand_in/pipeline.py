"""A Lakeflow declarative pipeline: created and edited whole, awaited, and gone when the workspace says so."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context, Created, Diff, Found, UserError, Values
from agent_deploy.stand_in.vendor_resource import Defaults, VendorResource, declared, workspace_of
from agent_deploy.stand_in.wire_names import from_wire, refreshed, to_wire

PIPELINES = "/api/2.0/pipelines"
PATIENCE = 20 * 60.0  # the vendor's default timeout
PAUSE = 1.0
RUNNING, FAILED = "RUNNING", "FAILED"


class Pipeline(VendorResource):
    """Id: the pipeline's id."""

    inputs = (
        "name", "storage", "catalog", "schema", "target", "configuration", "clusters", "libraries", "notifications",
        "serverless", "continuous", "development", "photon", "channel", "edition", "environment", "filters", "trigger",
        "runAs", "rootPath", "tags", "budgetPolicyId", "usagePolicyId", "eventLog", "deployment",
        "allowDuplicateNames", "providerConfig",
    )  # fmt: skip
    outputs = ("url", "state", "creatorUserName", "runAsUserName", "health", "lastModified")
    replaces = frozenset({"storage", "providerConfig"})
    autonamed = True
    defaults: ClassVar[Defaults] = {("channel",): "CURRENT", ("edition",): "ADVANCED"}

    def diff(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Diff:
        found = super().diff(context, id, old_inputs, old, inputs)
        # Another catalog is an edit; having one at all, instead of a storage location, is not.
        if ("catalog" in old_inputs) != ("catalog" in inputs) and ("catalog",) in found.changes:
            change = found.changes["catalog",]
            found.changes["catalog",] = type(change)(change.kind, replaces=True, of_inputs=change.of_inputs)
        return found

    def make(self, context: Context, inputs: Values) -> Created:
        workspace = workspace_of(context)
        id = workspace.post(PIPELINES, _body(inputs))["pipeline_id"]
        try:
            _await(context, workspace, id)
        except UserError:
            self.delete(context, id, inputs, {})
            raise
        return Created(id, {})

    def complete(self, context: Context, id: str, inputs: Values) -> Values:
        workspace = workspace_of(context)
        return _properties(workspace, id, workspace.get(f"{PIPELINES}/{id}"))

    def find(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        workspace = workspace_of(context)
        actual = workspace.get(f"{PIPELINES}/{id}")
        spec = {name: value for name, value in from_wire(actual.get("spec", {})).items() if name in self.inputs}
        known = old_inputs or {name: value for name, value in spec.items() if value}
        return Found(id, _properties(workspace, id, actual), refreshed(known, spec))

    def change(self, context: Context, id: str, old: Values, inputs: Values) -> None:
        workspace = workspace_of(context)
        workspace.put(f"{PIPELINES}/{id}", {"id": id, **_body(inputs)})
        _await(context, workspace, id)

    def remove(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        _remove(context, workspace_of(context), id)


def _body(inputs: Values) -> Values:
    body: Values = to_wire({name: value for name, value in declared(inputs).items() if name != "providerConfig"})
    return body


def _await(context: Context, workspace: Workspace, id: str) -> None:
    """A continuous pipeline must run; of others it is enough that they did not fail."""
    deadline = context.deadline(PATIENCE)
    while True:
        actual = workspace.get(f"{PIPELINES}/{id}")
        state = actual.get("state")
        if state == FAILED:
            raise UserError(f"pipeline {id} has failed")
        if state == RUNNING or not actual.get("spec", {}).get("continuous"):
            return
        if time.monotonic() > deadline:
            raise UserError(f"Pipeline {id} is in state {state}, not yet in state {RUNNING}")
        context.pause(PAUSE)


def _remove(context: Context, workspace: Workspace, id: str) -> None:
    """Ends with the workspace's own error that the pipeline does not exist."""
    deadline = context.deadline(PATIENCE)
    workspace.delete(f"{PIPELINES}/{id}")
    while True:
        state = workspace.get(f"{PIPELINES}/{id}").get("state")
        if time.monotonic() > deadline:
            raise UserError(f"Pipeline {id} is in state {state}, not yet deleted")
        context.pause(PAUSE)


def _properties(workspace: Workspace, id: str, actual: dict[str, Any]) -> Values:
    told = ("state", "creator_user_name", "run_as_user_name", "health", "last_modified")
    properties: Values = from_wire({name: actual[name] for name in told if actual.get(name) is not None})
    return {**properties, "url": f"{workspace.host}/#joblist/pipelines/{id}"}
