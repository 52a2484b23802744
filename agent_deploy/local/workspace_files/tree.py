"""Directories, notebooks and files: documents by path, contents beside the state, ACLs inherited from directories."""

from __future__ import annotations

import re
import time
from pathlib import Path

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError, already_exists, forbidden, invalid, not_found
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.store import Document
from agent_deploy.rules.groups import USERS

DIRECTORY, NOTEBOOK, FILE = "DIRECTORY", "NOTEBOOK", "FILE"
# Object type → its path in the permissions API.
_ACL = {DIRECTORY: "directories", NOTEBOOK: "notebooks", FILE: "files"}
TYPES = frozenset(_ACL.values())
_LANGUAGES = {"PYTHON": "py", "SQL": "sql", "SCALA": "scala", "R": "r"}
_NOTEBOOK_HEADER = re.compile(rb"\A(#|--|//) Databricks notebook source")
MAX_BYTES = 500 * 1024 * 1024  # Databricks, "Workspace files": the largest file


class Tree:
    """Document ``workspace_object`` by path, below the parent directory's path."""

    def __init__(self, workspace: Workspace) -> None:
        self._store = workspace.store
        self._authorization = workspace.authorization
        self._principals = workspace.principals
        self._contents = workspace.folder / "files" / "workspace"

    def bootstrap(self, admin: Principal) -> None:
        """The directories that every workspace has."""
        if self._store.get("workspace_object", "/") is None:
            for path in ("/", "/Shared", "/Users"):
                self._put(path, DIRECTORY, admin)
            shared = self._store.get("workspace_object", "/Shared") or {}
            entry = {"kind": "group", "name": USERS, "level": "CAN_MANAGE"}
            self._authorization.change_entries("directories", str(shared["object_id"]), lambda _: [entry])

    def get(self, path: str, principal: Principal, level: str = "CAN_READ") -> Document:
        """The object at a path; raises 404, and 403 without the level on it or a directory above it."""
        path = normal(path)
        self._make_home(path, principal)
        document = self._store.get("workspace_object", path)
        if document is None:
            raise not_found(f"Path ({path}) doesn't exist.")
        if not self._allows(document, principal, level):
            raise forbidden(f"User {principal.name} does not have permission {level} on {path}.")
        return document

    def children(self, path: str, principal: Principal) -> list[Document]:
        """What lies in a directory, or the object itself."""
        document = self.get(path, principal)
        if document["object_type"] != DIRECTORY:
            return [document]
        found = self._store.list("workspace_object", document["path"])
        return [child for child in found if self._allows(child, principal, "CAN_READ")]

    def make_directories(self, path: str, principal: Principal) -> Document:
        """The directory and those above it; raises 400 where an object of another type is in the way."""
        path = normal(path)
        self._make_home(path, principal)
        document = self._store.get("workspace_object", path)
        if document is None:
            parent = self.make_directories(_parent(path), principal)
            self.get(parent["path"], principal, "CAN_EDIT")
            return self._put(path, DIRECTORY, principal)
        if document["object_type"] != DIRECTORY:
            raise already_exists(f"Path ({path}) exists and is a {document['object_type'].lower()}.")
        return document

    def write(
        self, path: str, content: bytes, principal: Principal, file_format: str, language: str | None, overwrite: bool
    ) -> Document:
        """Import a notebook (SOURCE, or AUTO of a notebook's source) or a file (RAW, AUTO)."""
        path, object_type = normal(path), _type(file_format, content)
        if len(content) > MAX_BYTES:
            raise invalid(f"The content of {path} is larger than {MAX_BYTES} bytes.")
        if object_type == NOTEBOOK and language not in _LANGUAGES:
            raise invalid(f"language {language!r}: expected one of {', '.join(_LANGUAGES)}.")
        self._make_home(path, principal)
        if (parent := self._store.get("workspace_object", _parent(path))) is None:
            raise not_found(f"The parent folder ({_parent(path)}) does not exist.")
        self.get(parent["path"], principal, "CAN_EDIT")
        held = self._store.get("workspace_object", path)
        if held is not None and not overwrite:
            raise already_exists(f"Path ({path}) already exists: set overwrite to true.")
        if held is not None and held["object_type"] != object_type:
            raise invalid(
                f"Path ({path}) is a {held['object_type'].lower()} and cannot be overwritten by another type."
            )
        document = self._put(path, object_type, principal, held, language=language, size=len(content))
        make(self._contents)
        self._file(document).write_bytes(content)
        return document

    def import_file(self, path: str, content: bytes, principal: Principal, overwrite: bool) -> Document:
        """A file as it is; a notebook's source becomes the notebook, whose name has no suffix and says the language."""
        stem, _, suffix = path.rpartition(".")
        language = next((name for name, known in _LANGUAGES.items() if known == suffix), None)
        if language is not None and _type("AUTO", content) == NOTEBOOK:
            return self.write(stem, content, principal, "SOURCE", language, overwrite)
        return self.write(path, content, principal, "RAW", None, overwrite)

    def read(self, path: str, principal: Principal) -> bytes:
        """The content of a notebook or file."""
        document = self.get(path, principal)
        if document["object_type"] == DIRECTORY:
            raise invalid(f"Path ({document['path']}) is a directory: the local workspace exports notebooks and files.")
        return self._file(document).read_bytes()

    def delete(self, path: str, principal: Principal, recursive: bool) -> None:
        """The object, and with ``recursive`` what is in it; raises 400 for a directory that is not empty."""
        document = self.get(path, principal, "CAN_MANAGE")
        children = self._store.list("workspace_object", document["path"])
        if children and not recursive:
            raise ApiError(400, "DIRECTORY_NOT_EMPTY", f"Folder ({document['path']}) is not empty.")
        for child in children:
            self.delete(child["path"], principal, recursive)
        self._store.delete("workspace_object", document["path"])
        self._authorization.forget_object(_ACL[document["object_type"]], str(document["object_id"]))
        if document["object_type"] != DIRECTORY:
            self._file(document).unlink(missing_ok=True)

    def inherited(self, path: str) -> list[tuple[Document, str]]:
        """The entries of the access lists of the folders above, each with the folder's own path in that API."""
        found: list[tuple[Document, str]] = []
        while path != "/":
            path = _parent(path)
            if (folder := self._store.get("workspace_object", path)) is not None:
                number = str(folder["object_id"])
                shown = f"/{_ACL[DIRECTORY]}/{number}"
                found += [(entry, shown) for entry in self._authorization.entries(_ACL[DIRECTORY], number)]
        return found

    def _put(
        self, path: str, object_type: str, principal: Principal, held: Document | None = None, **more: object
    ) -> Document:
        now = int(time.time() * 1000)
        if held is None:
            number = self._store.next_number("workspace_object", 1000)
            held = {"object_id": number, "resource_id": str(number), "path": path, "created_at": now}
            self._authorization.register_object(_ACL[object_type], str(number), principal, name=path)
        given = {name: value for name, value in more.items() if value is not None}
        document = {**held, "object_type": object_type, "modified_at": now, **given}
        return self._store.put("workspace_object", path, document, parent="" if path == "/" else _parent(path))

    def _make_home(self, path: str, principal: Principal) -> None:
        home = f"/Users/{principal.name}"
        if (path == home or path.startswith(f"{home}/")) and self._store.get("workspace_object", home) is None:
            self._put(home, DIRECTORY, principal)

    def _allows(self, document: Document, principal: Principal, level: str) -> bool:
        at: Document | None = document
        while at is not None:
            kind, number = _ACL[at["object_type"]], str(at["object_id"])
            if self._authorization.allows_object(principal, kind, number, level):
                return True
            above = _parent(at["path"])
            at = None if at["path"] == "/" else self._store.get("workspace_object", above)
        # Everybody finds his way through the directories at the top.
        return level == "CAN_READ" and document["path"] in ("/", "/Shared", "/Users")

    def _file(self, document: Document) -> Path:
        return self._contents / str(document["object_id"])


def normal(path: str) -> str:
    """``/Workspace/Users/x/`` → ``/Users/x``; raises 400 for what is not absolute."""
    if not path.startswith("/") or {".", ".."} & set(path.split("/")):
        raise invalid(f"Path ({path}): expected an absolute path such as /Shared/notes.txt.")
    shortened = re.sub(r"\A/Workspace(?=/|\Z)", "", path.rstrip("/"))
    return re.sub(r"/+", "/", shortened) or "/"


def suffix(document: Document) -> str:
    """The file type of an exported object."""
    language = _LANGUAGES.get(document.get("language", ""))
    return language or document["path"].rpartition("/")[2].rpartition(".")[2]


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _type(file_format: str, content: bytes) -> str:
    if file_format == "SOURCE":
        return NOTEBOOK
    if file_format == "RAW":
        return FILE
    if file_format == "AUTO":
        return NOTEBOOK if _NOTEBOOK_HEADER.match(content) else FILE
    raise ApiError(501, "NOT_IMPLEMENTED", f"The local workspace imports SOURCE, RAW and AUTO, not {file_format}.")
