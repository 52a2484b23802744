"""The local metastore: documents of catalogs, schemas, tables, volumes, functions and connections, and their rules."""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from agent_deploy.local.catalog.securables import KINDS, OWN_FILES, Kind
from agent_deploy.local.core.authorization import KINDS as DOCUMENT_KINDS
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, already_exists, invalid, not_found
from agent_deploy.local.core.store import Document
from agent_deploy.local.core.vault import CREDENTIAL
from agent_deploy.local.registry.models import Registry
from agent_deploy.rules.groups import ACCOUNT_USERS, ADMINS
from agent_deploy.tables.folders import securable_folder, table_folder

DEFAULT_CATALOG, DEFAULT_SCHEMA, SYSTEM_CATALOG = "main", "default", "system"
_SYSTEM = "System user"  # who owns it
_PYTHON_EXEC: Mapping[str, Any] = {
    "routine_body": "EXTERNAL",
    "external_language": "PYTHON",
    "data_type": "STRING",
    "full_data_type": "STRING",
    "input_params": {"parameters": [{"name": "code", "type_text": "string", "type_name": "STRING", "position": 0}]},
    "comment": "Runs Python code. The local workspace has its privileges, and does not run it.",
}
VOLUMES = "files/volumes"  # in the workspace's folder
# Unity Catalog: no period, space, slash or control character; 255 characters.
_LEVEL = re.compile(r"[^.\s/\x00-\x1f\x7f]{1,255}")
Check = Callable[[Document, Document], None]


class Metastore:
    """State only: the routes check the caller's privileges."""

    def __init__(self, workspace: Workspace, registry: Registry, prompts: Registry) -> None:
        self._workspace = workspace
        # By kind, those whose documents have versions of their own.
        self._registries = {"registered_model": registry, "prompt": prompts}
        self._store = workspace.store
        self._authorization = workspace.authorization

    @cached_property
    def id(self) -> str:
        """Stable: the databricks provider keeps it in its state."""
        document = self._store.get("settings", "metastore_id")
        document = document or self._store.put("settings", "metastore_id", {"value": str(uuid.uuid4())})
        return str(document["value"])

    def bootstrap(self) -> None:
        """The catalogs that every workspace has."""
        if self._store.get("settings", "catalog_bootstrapped") is None:
            self.create("catalog", (DEFAULT_CATALOG,), ADMINS, {})
            self._store.put("settings", "catalog_bootstrapped", {})
        if self._store.get("catalog", SYSTEM_CATALOG) is None:
            self._bootstrap_system()

    def _bootstrap_system(self) -> None:
        """The platform's own catalog: its functions for agents, which everybody may execute."""
        self.create("catalog", (SYSTEM_CATALOG,), _SYSTEM, {})
        self.delete("schema", f"{SYSTEM_CATALOG}.{DEFAULT_SCHEMA}")
        self.create("schema", (SYSTEM_CATALOG, "ai"), _SYSTEM, {})
        self.create("function", (SYSTEM_CATALOG, "ai", "python_exec"), _SYSTEM, _PYTHON_EXEC)
        given = {"catalog": (SYSTEM_CATALOG, "USE_CATALOG"), "schema": (f"{SYSTEM_CATALOG}.ai", "USE_SCHEMA")}
        for kind, (name, privilege) in given.items():
            self._authorization.change_grants(kind, name, ACCOUNT_USERS, [privilege])
        self._authorization.change_grants("schema", f"{SYSTEM_CATALOG}.ai", ACCOUNT_USERS, ["EXECUTE"])

    def create(self, kind_name: str, levels: tuple[str, ...], owner: str, fields: Mapping[str, Any]) -> Document:
        """A new securable in a parent that exists; raises 404 without one, 400 for a bad name or one that is taken."""
        kind = KINDS[kind_name]
        names = tuple(_checked(level, kind) for level in levels)
        full_name = ".".join(names)
        if parent := full_name.rpartition(".")[0]:
            self._require_parent(parent)
        document = self._new(kind, names, owner, fields)
        with self._store.transaction() as transaction:
            if any(transaction.get(other, full_name) is not None for other in DOCUMENT_KINDS[kind_name]):
                raise already_exists(f"{kind.title} '{full_name}' already exists.")
            transaction.put(kind_name, full_name, document, parent=parent)
            if kind_name == "catalog":
                schema = self._new(KINDS["schema"], (full_name, DEFAULT_SCHEMA), owner, {})
                transaction.put("schema", schema["full_name"], schema, parent=full_name)
        return document

    def get(self, kind_name: str, full_name: str) -> Document:
        """The securable; raises 404."""
        document = self._store.get(kind_name, full_name.lower())
        if document is None:
            raise _missing(KINDS[kind_name], full_name)
        return document

    def list(self, kind_name: str, parent: str | None = None) -> Documents:
        """In the order of the names, as the platform lists."""
        documents = self._store.list(kind_name, None if parent is None else parent.lower())
        return sorted(documents, key=lambda document: str(document["full_name"]))

    def change(
        self, kind_name: str, full_name: str, by: str, fields: Mapping[str, Any], check: Check = lambda *_: None
    ) -> Document:
        """What may be changed of ``fields``; the rest is ignored, as clients send the whole object back.

        ``check`` is given the document as it is and as it is to be, and raises where the caller may not do that.
        """
        kind = KINDS[kind_name]
        with self._store.transaction() as transaction:
            held = transaction.get(kind_name, full_name.lower())
            if held is None:
                raise _missing(kind, full_name)
            changed = self._changed(kind, held, by, fields)
            check(held, changed)
            transaction.put(kind_name, held["full_name"], changed, held["full_name"].rpartition(".")[0])
        return changed

    def _changed(self, kind: Kind, document: Document, by: str, fields: Mapping[str, Any]) -> Document:
        new_name = fields.get("new_name")
        if new_name and new_name.lower() != document["name"]:
            message = f"The local workspace does not rename a {kind.title}: create '{new_name}' and delete this one."
            raise ApiError(501, "NOT_IMPLEMENTED", message)
        changed = {name: fields[name] for name in kind.changeable if fields.get(name) is not None}
        return {**document, **self._sealed(kind, changed), "updated_at": _now(), "updated_by": by}

    def delete(self, kind_name: str, full_name: str, force: bool = False) -> None:
        """The securable, its grants and its files; raises 400 when something is in it, unless ``force``."""
        document = self.get(kind_name, full_name)
        children = {child: self._store.list(child, document["full_name"]) for child in KINDS[kind_name].children}
        if any(children.values()) and not force:
            inside = ", ".join(f"{len(found)} {name.replace('_', ' ')}(s)" for name, found in children.items() if found)
            title = KINDS[kind_name].title
            raise ApiError(400, "INVALID_STATE", f"{title} '{document['full_name']}' is not empty: it has {inside}.")
        for child, found in children.items():
            for inner in found:
                if registry := self._registries.get(child):
                    registry.delete_model(inner["full_name"])
                else:
                    self.delete(child, inner["full_name"], force=True)
        self._store.delete(kind_name, document["full_name"])
        self._authorization.forget_grants(kind_name, document["full_name"])
        if (files := self._files(kind_name, document)) is not None:
            shutil.rmtree(files, ignore_errors=True)

    def register_table(self, full_name: str, owner: str, columns: Documents | None = None, **fields: Any) -> Document:
        """For the workspace's own writers (inference tables, SQL): the table, made known when it is not."""
        document = self._store.get("table", full_name.lower())
        if document is not None:
            return document
        return self.create("table", tuple(full_name.split(".")), owner, {"columns": columns or [], **fields})

    def table_folder(self, full_name: str) -> Path:
        """Where the Delta table of a managed table lies."""
        return table_folder(self._workspace.folder, full_name)

    def volume_folder(self, full_name: str) -> Path:
        """Where the files of a managed volume lie."""
        return securable_folder(self._workspace.folder / VOLUMES, full_name)

    def opened(self, document: Document) -> dict[str, str]:
        """A connection's options with its credentials, for whoever uses the connection on a caller's behalf."""
        sealed = document.get("sealed_options", {})
        vault = self._workspace.vault
        return {**document.get("options", {}), **{name: vault.decrypt(value) for name, value in sealed.items()}}

    def _require_parent(self, full_name: str) -> None:
        levels = full_name.split(".")
        self.get("catalog", levels[0])
        if len(levels) > 1:
            self.get("schema", full_name)

    def _new(self, kind: Kind, names: tuple[str, ...], owner: str, fields: Mapping[str, Any]) -> Document:
        full_name, now = ".".join(names), _now()
        document: Document = {"name": names[-1], "full_name": full_name}
        document.update(zip(("catalog_name", "schema_name"), names[:-1], strict=False))
        given = {name: fields[name] for name in kind.columns if fields.get(name) is not None}
        document |= {**kind.defaults, "owner": owner, **self._sealed(kind, given)}
        document |= {
            kind.id_field: str(uuid.uuid4()),
            "metastore_id": self.id,
            "created_by": owner,
            "updated_by": owner,
        }
        document |= {"created_at": now, "updated_at": now}
        if (files := self._files(kind.name, document)) is not None:
            document.setdefault("storage_location", files.as_uri())
        return document

    def _sealed(self, kind: Kind, fields: dict[str, Any]) -> dict[str, Any]:
        if kind.name != "connection" or "options" not in fields:
            return fields
        options = {name: str(value) for name, value in fields["options"].items()}
        secret = {name for name in options if CREDENTIAL.search(name)}
        shown = {name: value for name, value in options.items() if name not in secret}
        sealed = {name: self._workspace.vault.encrypt(options[name]) for name in secret}
        return {**fields, "options": shown, "sealed_options": sealed}

    def _files(self, kind_name: str, document: Document) -> Path | None:
        if kind_name == "table" and document.get("table_type") in OWN_FILES:
            return self.table_folder(document["full_name"])
        if kind_name == "volume" and document.get("volume_type") == "MANAGED":
            return self.volume_folder(document["full_name"])
        return None


Documents = list[Document]


def _missing(kind: Kind, full_name: str) -> ApiError:
    return not_found(f"{kind.title} '{full_name.lower()}' does not exist.")


def _checked(level: object, kind: Kind) -> str:
    if not isinstance(level, str) or not _LEVEL.fullmatch(level):
        expected = "1 to 255 characters without space, slash or period"
        raise invalid(f"Invalid name {level!r} of a {kind.title}: expected {expected}.")
    return level.lower()


def _now() -> int:
    return int(time.time() * 1000)
