"""Registered models as Unity Catalog shows them; MLflow's registry holds the same documents."""

from __future__ import annotations

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import Registry

_MODEL_FIELDS = ("name", "full_name", "catalog_name", "schema_name", "owner", "comment", "storage_location", "id")
_VERSION_FIELDS = (
    *("model_name", "catalog_name", "schema_name", "version", "status", "source", "run_id", "comment"),
    *("storage_location", "id"),
)
_TIMES = ("created_at", "created_by", "updated_at", "updated_by")


class Models:
    """Registered models as the catalog shows them."""

    def __init__(self, workspace: Workspace, metastore: Metastore, registry: Registry) -> None:
        self.registry = registry
        self.access = workspace.authorization
        self.principals = workspace.principals
        self._metastore = metastore

    def reached(self, principal: Principal, privilege: str, full_name: str) -> Document:
        """The model, when the caller has the privilege; raises 404 and 403."""
        model = self.registry.get_model(full_name)
        self.access.require(principal, privilege, "function", full_name)
        return model

    def shown(self, model: Document, aliases: bool = False) -> Document:
        """A model as answers show it."""
        answer: Document = {"metastore_id": self._metastore.id}
        answer |= {name: model[name] for name in (*_MODEL_FIELDS, *_TIMES) if model.get(name) not in (None, "")}
        if aliases and (held := model["aliases"]):
            answer["aliases"] = [{"alias_name": name, "version_num": number} for name, number in held.items()]
        return {**answer, "securable_type": "FUNCTION", "securable_kind": "FUNCTION_REGISTERED_MODEL"}

    def shown_version(self, version: Document) -> Document:
        """A version as answers show it."""
        answer = {name: version[name] for name in (*_VERSION_FIELDS, *_TIMES) if version.get(name) not in (None, "")}
        if aliases := self.registry.aliases_of(version):
            answer["aliases"] = [{"alias_name": name, "version_num": version["version"]} for name in aliases]
        return {**answer, "metastore_id": self._metastore.id}
