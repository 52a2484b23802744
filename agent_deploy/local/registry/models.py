"""Registered models and their versions: documents, files, and the rules by which they change.

Documents: ``registered_model`` by full name in lower case, with ``aliases`` {alias: version} and ``tags`` {key: value},
parent ``catalog.schema``; ``model_version`` by ``full/version``, parent full name. Files: ``models/…/<version>/``.
"""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_deploy.local.core.authorization import KINDS as DOCUMENT_KINDS
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, already_exists, invalid, not_found
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.core.store import Document, Transaction
from agent_deploy.rules.names import check_alias, check_model_name
from agent_deploy.tables.folders import securable_folder

PENDING, READY, FAILED = "PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION"
MODELS = "models"  # in the workspace's folder


class Registry:
    """State only: the routes check the caller's privileges. Prompts are kept like models, as other kinds."""

    def __init__(
        self, workspace: Workspace, kind: str = "registered_model", version_kind: str = "model_version"
    ) -> None:
        self._kind, self._version_kind = kind, version_kind
        self._store = workspace.store
        self._folder = workspace.folder / MODELS
        self._authorization = workspace.authorization

    # Registered models -------------------------------------------------------------------------------------------

    def create_model(self, name: str, owner: str, comment: str = "", **more: Any) -> Document:
        """A new model; ``more`` may hold tags {key: value} and deployment_job_id."""
        full_name = model_key(name)
        catalog, schema, model = full_name.split(".")
        document: Document = {"name": model, "full_name": full_name, "catalog_name": catalog, "schema_name": schema}
        document |= {"owner": owner, "comment": comment, "storage_location": f"local:/models/{full_name}"}
        document |= {"id": str(uuid.uuid4()), "aliases": {}, "tags": {}, "last_version": 0, **more, **_born(owner)}
        with self._store.transaction() as transaction:
            _require_free(transaction, full_name)
            transaction.put(self._kind, full_name, document, parent=f"{catalog}.{schema}")
        return document

    def get_model(self, name: str) -> Document:
        """The model; raises 404."""
        document = self._store.get(self._kind, model_key(name))
        if document is None:
            raise self._missing(name)
        return document

    def models(self) -> list[Document]:
        """All of them, in the order of their creation."""
        return self._store.list(self._kind)

    def change_model(self, name: str, by: str, change: Callable[[Document], None]) -> Document:
        """Apply ``change`` to the stored model, in one transaction with the reading."""
        with self._store.transaction() as transaction:
            document = transaction.get(self._kind, model_key(name))
            if document is None:
                raise self._missing(name)
            change(document)
            document |= {"updated_at": _now(), "updated_by": by}
            transaction.put(self._kind, document["full_name"], document, parent=_schema(document))
        return document

    def rename_model(self, name: str, new_name: str, by: str) -> Document:
        """Same schema, another last level; versions, grants and files follow."""
        old, new = self.get_model(name), model_key(new_name)
        if new.rsplit(".", 1)[0] != _schema(old):
            raise invalid(f"new_name {new_name!r}: a model cannot move to another catalog or schema.")
        versions, grants = self.versions(name), self._store.get("grant", f"function:{old['full_name']}")
        make(self._model_folder(new).parent)
        moved = {**old, "name": new.split(".")[2], "full_name": new, "updated_at": _now(), "updated_by": by}
        with self._store.transaction() as transaction:
            _require_free(transaction, new)
            for version in versions:
                transaction.delete(self._version_kind, _version_key(old["full_name"], version["version"]))
                renamed = {**version, "full_name": new, "model_name": moved["name"]}
                transaction.put(self._version_kind, _version_key(new, version["version"]), renamed, parent=new)
            transaction.delete(self._kind, old["full_name"])
            transaction.put(self._kind, new, moved, parent=_schema(moved))
            if grants:
                transaction.delete("grant", f"function:{old['full_name']}")
                transaction.put("grant", f"function:{new}", grants)
            if (files := self._model_folder(old["full_name"])).exists():
                files.rename(self._model_folder(new))
        return moved

    def delete_model(self, name: str) -> None:
        """The model, its versions, their files and its grants."""
        document = self.get_model(name)
        full_name = document["full_name"]
        with self._store.transaction() as transaction:
            for version in self.versions(full_name):
                transaction.delete(self._version_kind, _version_key(full_name, version["version"]))
            transaction.delete(self._kind, full_name)
        self._authorization.forget_grants("function", full_name)
        shutil.rmtree(self._model_folder(full_name), ignore_errors=True)

    def set_alias(self, name: str, alias: str, version: str | int, by: str) -> Document:
        """Point ``alias`` to a version that exists; raises 400 for a name that would read as a version."""
        if problems := check_alias("alias", alias):
            raise invalid(str(problems[0]))
        number = self.get_version(name, version)["version"]
        return self.change_model(name, by, lambda model: model["aliases"].update({alias.lower(): number}))

    def delete_alias(self, name: str, alias: str, by: str) -> Document:
        """No error when there is no such alias, as on the platform."""
        return self.change_model(name, by, lambda model: model["aliases"].pop(alias.lower(), None))

    def by_alias(self, name: str, alias: str) -> Document:
        """The version that an alias points to; raises 404."""
        model = self.get_model(name)
        if alias.lower() not in model["aliases"]:
            raise not_found(f"Registered Model '{model['full_name']}' has no alias '{alias}'.")
        return self.get_version(name, model["aliases"][alias.lower()])

    # Versions ----------------------------------------------------------------------------------------------------

    def create_version(self, name: str, by: str, **fields: Any) -> Document:
        """The next version, awaiting its files; numbers are never given again."""
        full_name, created = model_key(name), {}

        def next_version(model: Document) -> None:
            model["last_version"] += 1
            created.update(_new_version(model, by, fields))

        self.change_model(full_name, by, next_version)
        make(self.version_folder(full_name, created["version"]))
        self._store.put(self._version_kind, _version_key(full_name, created["version"]), created, parent=full_name)
        return created

    def get_version(self, name: str, version: str | int) -> Document:
        """The version; raises 404, for the model or the version."""
        full_name = self.get_model(name)["full_name"]
        document = self._store.get(self._version_kind, _version_key(full_name, _number(version)))
        if document is None:
            raise _no_version(full_name, version)
        return document

    def versions(self, name: str) -> list[Document]:
        """Oldest first; empty for an unknown model."""
        return self._store.list(self._version_kind, parent=model_key(name))

    def all_versions(self) -> list[Document]:
        """Of every model."""
        return self._store.list(self._version_kind)

    def change_version(self, name: str, version: str | int, by: str, change: Callable[[Document], None]) -> Document:
        """Apply ``change`` to the stored version, in one transaction with the reading."""
        full_name, number = model_key(name), _number(version)
        with self._store.transaction() as transaction:
            document = transaction.get(self._version_kind, _version_key(full_name, number))
            if document is None:
                raise _no_version(full_name, version)
            change(document)
            document |= {"updated_at": _now(), "updated_by": by}
            transaction.put(self._version_kind, _version_key(full_name, number), document, parent=full_name)
        return document

    def finalize(self, name: str, version: str | int, by: str) -> Document:
        """READY: its files can no longer change. A version without an MLmodel file is refused."""
        if not (self.version_folder(name, version) / "MLmodel").is_file():
            raise ApiError(400, "INVALID_STATE", f"Version {version} of '{name}' has no MLmodel file: upload it first.")
        return self.change_version(name, version, by, lambda document: document.update(status=READY))

    def delete_version(self, name: str, version: str | int, by: str) -> None:
        """The version, its files and the aliases that point to it."""
        document = self.get_version(name, version)
        number, full_name = document["version"], document["full_name"]

        def forget(model: Document) -> None:
            model["aliases"] = {alias: to for alias, to in model["aliases"].items() if to != number}

        self.change_model(full_name, by, forget)
        self._store.delete(self._version_kind, _version_key(full_name, number))
        shutil.rmtree(self.version_folder(full_name, number), ignore_errors=True)

    def aliases_of(self, document: Document) -> list[str]:
        """The aliases that point to a version."""
        model = self._store.get(self._kind, document["full_name"]) or {"aliases": {}}
        return sorted(alias for alias, to in model["aliases"].items() if to == document["version"])

    def version_folder(self, name: str, version: str | int) -> Path:
        """Where the files of a version lie."""
        return self._model_folder(model_key(name)) / str(_number(version))

    def _missing(self, name: str) -> ApiError:
        return not_found(f"{self._kind.replace('_', ' ').title()} '{name}' does not exist.")

    def _model_folder(self, full_name: str) -> Path:
        return securable_folder(self._folder, full_name)


def model_key(name: object) -> str:
    """The full name as Unity Catalog keeps it; raises 400 for a name that has not three levels."""
    if check_model_name("name", name):
        message = (
            f"Model name {name!r} is not a Unity Catalog name: specify all three levels, '<catalog>.<schema>.<model>',"
            " each of 1 to 255 characters without space, slash or period."
        )
        raise invalid(message)
    return str(name).lower()


def _require_free(transaction: Transaction, full_name: str) -> None:
    # One name space for both: grants on a function of this name would count for the model, and its owner own both.
    for kind in DOCUMENT_KINDS["function"]:
        if transaction.get(kind, full_name) is not None:
            raise already_exists(f"{kind.replace('_', ' ').title()} '{full_name}' already exists.")


def _new_version(model: Document, by: str, fields: dict[str, Any]) -> Document:
    number, full_name = model["last_version"], model["full_name"]
    document = {key: model[key] for key in ("full_name", "catalog_name", "schema_name")}
    document |= {"model_name": model["name"], "version": number, "status": PENDING, "comment": "", "tags": {}}
    document |= {"id": str(uuid.uuid4()), "storage_location": f"local:/models/{full_name}/{number}"}
    return {**document, **fields, **_born(by)}


def _born(by: str) -> Document:
    now = _now()
    return {"created_at": now, "created_by": by, "updated_at": now, "updated_by": by}


def _number(version: str | int) -> int:
    if not is_whole(str(version)):
        raise invalid(f"version {version!r}: expected a whole number.")
    return int(version)


def _version_key(full_name: str, version: int) -> str:
    return f"{full_name}/{version}"


def _schema(model: Document) -> str:
    return f"{model['catalog_name']}.{model['schema_name']}"


def _now() -> int:
    return int(time.time() * 1000)


def _no_version(name: str, version: object) -> ApiError:
    return not_found(f"Model version '{version}' of Registered Model '{name}' does not exist.")
