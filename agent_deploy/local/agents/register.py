"""The register of deployed agents: one record for each version of a model, and who may see and change it."""

from __future__ import annotations

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import forbidden
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.serving.endpoints import Endpoints

VIEW, MANAGE = "CAN_VIEW", "CAN_MANAGE"
_RECORD, _OBJECT = "agent_deployment", "serving-endpoints"


class Register:
    """Documents ``agent_deployment`` by ``<model>/<version>``. A record is its endpoint's: so are its permissions."""

    def __init__(self, workspace: Workspace, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._access = workspace.authorization
        self._store = workspace.store

    def records(self, model: str | None = None, version: str | None = None) -> list[Document]:
        """All of them, of a model, or of one version; the latest last."""
        return [
            record
            for record in self._store.list(_RECORD)
            if (model is None or model.lower() == record["model_name"].lower())
            and version in (None, record["model_version"])
        ]

    def visible(self, principal: Principal, model: str | None = None, version: str | None = None) -> list[Document]:
        """Those that a listing shows to the caller."""
        return [record for record in self.records(model, version) if self.allows(principal, record, VIEW)]

    def allows(self, principal: Principal, record: Document, level: str) -> bool:
        """Whether the caller has the level on the record's endpoint; once that is gone, everybody may tidy up."""
        endpoint = self._endpoints.find(record["endpoint_name"])
        if endpoint is None:
            return True
        return self._access.allows_object(principal, _OBJECT, endpoint.document["id"], level)

    def require(self, principal: Principal, records: list[Document]) -> None:
        """Pass when the caller manages the endpoints of all the records; else raise 403."""
        for record in records:
            if not self.allows(principal, record, MANAGE):
                name = record["endpoint_name"]
                raise forbidden(f"User {principal.name} does not have permission {MANAGE} on endpoint '{name}'.")

    def put(self, record: Document) -> None:
        """The latest deployment is the last of the list."""
        with self._store.transaction() as transaction:
            transaction.delete(_RECORD, _key(record))
            transaction.put(_RECORD, _key(record), record, parent=record["model_name"])

    def forget(self, record: Document) -> None:
        """It is there no longer."""
        self._store.delete(_RECORD, _key(record))


def _key(record: Document) -> str:
    return f"{record['model_name'].lower()}/{record['model_version']}"
