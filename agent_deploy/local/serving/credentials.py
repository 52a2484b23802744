"""Automatic authentication passthrough: a hidden service principal per model version, and the file with its token.

Versions are told apart by their ids: a number may be another version's when its model was deleted.

The file is the one that databricks-sdk reads in a serving container (`SERVING_CREDENTIALS_DIR`).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from agent_deploy.local.core import names
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.principals import TOKEN_SECONDS, Principal
from agent_deploy.local.core.store import Document
from agent_deploy.local.genie.conversations import Conversations
from agent_deploy.local.serving import passthrough
from agent_deploy.local.serving.logs import Mask
from agent_deploy.local.serving.token_file import TOKEN_FILE
from agent_deploy.rules.resource_kinds import Resource

_KIND = "serving_principal"
_EXPERIMENTS, _EDIT = "experiments", "CAN_EDIT"  # in the words of the permissions API
# A new token is written when a third of the old one's life is gone: databricks-sdk keeps a token that it has read for
# 300 s, so the old one must outlive the new one's arrival.
_ROTATE_AFTER = 1 / 3


class Credentials:
    """``workspace.options["serving_token_seconds"]`` shortens the life of tokens, for tests."""

    def __init__(self, workspace: Workspace, conversations: Conversations) -> None:
        self._workspace = workspace
        self._conversations = conversations
        self._folder = workspace.folder / "serving" / "credentials"
        self._seconds = float(workspace.options.get("serving_token_seconds", TOKEN_SECONDS))
        self._masks: dict[str, list[Mask]] = {}

    def open(self, version: str, name: str, mask: Mask) -> Path:
        """The folder with the version's token, which ``mask`` will hide as often as it changes."""
        document = self._workspace.store.get(_KIND, version) or self._create(version, name)
        self._masks.setdefault(version, []).append(mask)
        self._issue(document)
        return self._folder / document["application_id"]

    def allow(self, version: str, resources: Iterable[Resource]) -> None:
        """Grant the version's identity what the version declares."""
        if (document := self.principal_of(version)) is not None:
            passthrough.grant(self._workspace, document["application_id"], resources)

    def allow_traces(self, version: str, experiment_id: str | None, deployer: Principal) -> None:
        """Let the version log its traces in the experiment, if its deployer may."""
        workspace, document = self._workspace, self.principal_of(version)
        if not experiment_id or document is None:
            return
        if not workspace.authorization.allows_object(deployer, _EXPERIMENTS, experiment_id, _EDIT):
            return
        entry = {"kind": "service_principal", "name": document["application_id"], "level": _EDIT}
        workspace.authorization.add_entry(_EXPERIMENTS, experiment_id, entry)

    def release(self, version: str, mask: Mask) -> None:
        """The process with this mask has ended."""
        masks = self._masks.get(version, [])
        if mask in masks:
            masks.remove(mask)

    def keep_only(self, served: set[str]) -> None:
        """Versions that no endpoint serves any more lose principal, tokens, grants, conversations and file."""
        for document in self._workspace.store.list(_KIND):
            if document["key"] in served:
                continue
            self._workspace.principals.delete("service_principal", document["principal_id"])
            with self._workspace.store.transaction() as transaction:
                names.forget(transaction, document["application_id"])
            self._conversations.forget(document["application_id"])
            self._workspace.store.delete(_KIND, document["key"])
            self._masks.pop(document["key"], None)
            shutil.rmtree(self._folder / document["application_id"], ignore_errors=True)

    def principal_of(self, version: str) -> Document | None:
        """``principal_id`` and ``application_id`` of a served version's identity."""
        return self._workspace.store.get(_KIND, version)

    async def rotate(self) -> None:
        """For ever: replace tokens before they expire, forget those that have."""
        while True:
            await asyncio.sleep(self._seconds * _ROTATE_AFTER)
            for document in self._workspace.store.list(_KIND):
                if self._masks.get(document["key"]):
                    self._issue(document)

    def _create(self, key: str, name: str) -> Document:
        principal = self._workspace.principals.create_service_principal(f"Serving of {name}", hidden=True)
        document = {"key": key, "principal_id": principal["id"], "application_id": principal["applicationId"]}
        return self._workspace.store.put(_KIND, key, document)

    def _issue(self, document: Document) -> None:
        store, principal_id = self._workspace.store, document["principal_id"]
        for old in store.list("token", parent=principal_id):
            if old["expires"] is not None and old["expires"] < time.time():
                store.delete("token", old["key"])
        token = self._workspace.principals.issue_token(principal_id, self._seconds, comment="served model")
        for mask in self._masks.get(document["key"], ()):
            mask.add(token)
        folder = self._folder / document["application_id"]
        make(folder, mode=0o700)
        content = {"OAUTH_TOKEN": [{"oauthTokenValue": token, "expiryTime": int((time.time() + self._seconds) * 1000)}]}
        beside = folder / f".{TOKEN_FILE}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        beside.replace(folder / TOKEN_FILE)
