"""The workspace's pipelines: their specs, who may have which, and what becomes of their tables."""

from __future__ import annotations

import time
import uuid

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import already_exists, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.run_as import run_as
from agent_deploy.local.core.store import Document, Documents

TYPE = "pipelines"  # in the permissions API
IDLE, RUNNING = "IDLE", "RUNNING"
_NOT_IN_SPEC = ("allow_duplicate_names", "dry_run", "run_as", "expected_last_modified")


class Pipelines:
    """Document ``pipeline`` by id, with its spec as it was given.

    ``workspace.options["serverless"]`` False makes a workspace that has none.
    """

    def __init__(self, workspace: Workspace, metastore: Metastore) -> None:
        self._workspace = workspace
        self._metastore = metastore
        self._store = workspace.store

    def create(self, body: Document, principal: Principal) -> Document:
        """A new pipeline; raises 400 for a name that is missing or taken, and for compute that cannot be had."""
        spec = self.checked(body, principal, None)
        pipeline_id, now = str(uuid.uuid4()), int(time.time() * 1000)
        document = {"pipeline_id": pipeline_id, "name": spec["name"], "spec": {"id": pipeline_id, **spec}}
        runner = run_as(self._workspace, body.get("run_as"), principal)
        document |= {"state": IDLE, "creator_user_name": principal.name, "run_as_user_name": runner}
        self._store.put("pipeline", pipeline_id, {**document, "last_modified": now, "health": "HEALTHY"})
        self._workspace.authorization.register_object(TYPE, pipeline_id, principal, spec["name"])
        return self.get(pipeline_id)

    def get(self, pipeline_id: str) -> Document:
        """Raises 404."""
        document = self._store.get("pipeline", pipeline_id)
        if document is None:
            raise not_found(f"The specified pipeline {pipeline_id} was not found.")
        return document

    def list(self) -> Documents:
        """In the order of their creation."""
        return self._store.list("pipeline")

    def change(self, pipeline_id: str, body: Document, principal: Principal) -> None:
        """Replace the spec."""
        spec = self.checked(body, principal, pipeline_id)
        held = self.get(pipeline_id)
        runner = run_as(self._workspace, body.get("run_as"), principal, held["run_as_user_name"])
        changed = {"name": spec["name"], "spec": {**spec, "id": pipeline_id}, "last_modified": int(time.time() * 1000)}
        self._store.put("pipeline", pipeline_id, {**held, **changed, "run_as_user_name": runner})

    def note(self, pipeline_id: str, **fields: str) -> None:
        """Fields that running it changes; nothing when it was deleted meanwhile."""
        if (document := self._store.get("pipeline", pipeline_id)) is not None:
            self._store.put("pipeline", pipeline_id, {**document, **fields})

    def delete(self, pipeline_id: str, cascade: bool) -> None:
        """With its ACL and, unless ``cascade`` is False, its tables. Source: Databricks, pipelines API, delete."""
        self.get(pipeline_id)
        if cascade:
            for table in self.tables(pipeline_id):
                self._metastore.delete("table", table["full_name"])
        self._store.delete("pipeline", pipeline_id)
        self._workspace.authorization.forget_object(TYPE, pipeline_id)
        for kind in ("pipeline_update", "pipeline_event"):
            for document in self._store.list(kind, pipeline_id):
                self._store.delete(kind, document["update_id" if kind == "pipeline_update" else "id"])

    def tables(self, pipeline_id: str) -> Documents:
        """The tables that belong to it."""
        return [table for table in self._store.list("table") if table.get("pipeline_id") == pipeline_id]

    def checked(self, body: Document, principal: Principal, own: str | None) -> Document:
        """The spec in a request; raises 400, 403 and 404 as creating it would."""
        spec = {name: value for name, value in body.items() if name not in _NOT_IN_SPEC}
        if not spec.get("name"):
            raise invalid("name: a pipeline needs one.")
        taken = (p for p in self._store.list("pipeline") if p["name"] == spec["name"] and p["pipeline_id"] != own)
        if next(taken, None) is not None and not body.get("allow_duplicate_names"):
            raise already_exists(f"The pipeline name '{spec['name']}' is already used by another pipeline.")
        self._check_compute(spec)
        run_as(self._workspace, body.get("run_as"), principal, self.get(own)["run_as_user_name"] if own else "")
        return spec

    def _check_compute(self, spec: Document) -> None:
        if spec.get("serverless") and self._workspace.options.get("serverless") is False:
            raise invalid("Serverless compute is not enabled for this workspace. Set serverless to false.")
        if spec.get("serverless") and spec.get("clusters"):
            raise invalid("You cannot provide cluster settings when using serverless compute.")
        for cluster in spec.get("clusters") or []:
            policy = cluster.get("policy_id")
            if policy and self._store.get("cluster_policy", str(policy)) is None:
                raise invalid(f"Can't find a cluster policy with id: {policy}.")
