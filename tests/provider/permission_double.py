"""A workspace of dictionaries behind httpx.MockTransport: just enough to ask about permissions, and to count calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx

from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context

ANN = "ann@example.com"
CATALOG = "/api/2.1/unity-catalog"
SCIM = "/api/2.0/preview/scim/v2"
Reply = dict[str, Any] | int | httpx.Response
Entry = tuple[str, str, str] | tuple[str, str, str, bool]


class Double:
    """``answers`` maps a path to a document, or to a status; what is not there is 404. ``calls`` is what was asked."""

    def __init__(self, groups: tuple[str, ...] = ("team",)) -> None:
        self.answers: dict[str, Reply | Callable[[httpx.Request], Reply]] = {
            f"{SCIM}/Me": {"userName": ANN, "groups": [{"display": group} for group in groups]},
            "/api/2.0/pipelines": {"effective_settings": {}},  # of a dry run
        }
        self.acls: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        # Called right before a PUT is applied: another writer.
        self.before_put: Callable[[], None] = lambda: None
        # A platform whose PATCH adds a level beside the one that is there.
        self.patch_adds = False

    @property
    def context(self) -> Context:
        """A function's context, as the plugin gives it."""
        settings = Settings(host="https://w.example.com", method="pat", token="t")
        return Context(configuration=Workspace(settings, transport=httpx.MockTransport(self._answer)))

    def writes(self) -> list[tuple[str, str]]:
        """All but GETs, and but a pipeline's dry run, which creates nothing."""
        return [call for call in self.calls if call[0] != "GET" and call != ("POST", "/api/2.0/pipelines")]

    def grant(self, securable: str, owner: str = "", **privileges: str) -> None:
        """``grant("table/main.default.docs", team="SELECT")``; catalog and schema are declared alike."""
        kind, _, name = securable.partition("/")
        route = {"catalog": "catalogs", "schema": "schemas", "table": "tables", "function": "functions"}.get(kind)
        self.answers[f"{CATALOG}/{route or kind}/{name}"] = {"full_name": name, "owner": owner}
        assignments = [
            {"principal": who.replace("_at_", "@"), "privileges": [{"privilege": each} for each in held.split()]}
            for who, held in privileges.items()
        ]
        self.answers[f"{CATALOG}/effective-permissions/{kind}/{name}"] = {"privilege_assignments": assignments}

    def hide(self, securable: str) -> None:
        """403 for all that is asked about it."""
        kind, _, name = securable.partition("/")
        route = {"catalog": "catalogs", "schema": "schemas", "table": "tables"}[kind]
        self.answers[f"{CATALOG}/{route}/{name}"] = 403
        self.answers[f"{CATALOG}/effective-permissions/{kind}/{name}"] = 403

    def acl(self, object_path: str, *entries: Entry) -> None:
        """``acl("genie/x", ("user", "ann@example.com", "CAN_RUN"))``; a fourth True is inherited."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for kind, name, level, *inherited in entries:
            entry = found.setdefault((kind, name), {f"{kind}_name": name, "all_permissions": []})
            entry["all_permissions"].append({"permission_level": level, "inherited": bool(inherited)})
        self.acls[object_path] = list(found.values())

    def levels(self, object_path: str) -> set[tuple[str, str, bool]]:
        """(principal, level, inherited)."""
        return {
            (next(str(value) for key, value in entry.items() if key.endswith("_name")), *_of(permission))
            for entry in self.acls[object_path]
            for permission in entry["all_permissions"]
        }

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = unquote(request.url.path)
        with self._lock:
            self.calls.append((request.method, path))
            if path.startswith("/api/2.0/permissions/"):
                return self._permissions(request, path.removeprefix("/api/2.0/permissions/"))
        reply = self.answers.get(path, 404)
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, int):
            codes = {403: "PERMISSION_DENIED", 404: "RESOURCE_DOES_NOT_EXIST"}
            return httpx.Response(reply, json={"error_code": codes.get(reply, "X"), "message": f"{path}: {reply}"})
        return reply if isinstance(reply, httpx.Response) else httpx.Response(200, json=reply)

    def _permissions(self, request: httpx.Request, path: str) -> httpx.Response:
        denied = self.answers.get(f"/api/2.0/permissions/{path}")
        if isinstance(denied, int):
            return httpx.Response(denied, json={"error_code": "PERMISSION_DENIED", "message": "no"})
        if path not in self.acls:
            return httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such object"})
        if request.method == "PUT":
            self.before_put()
            inherited = [entry for entry in self.levels(path) if entry[2]]
            self.acl(path, *_sent(request), *(("group", name, level, True) for name, level, _ in inherited))
        if request.method == "PATCH":
            for kind, name, level in _sent(request):
                if name == "ghost":
                    body = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Principal: ghost does not exist."}
                    return httpx.Response(404, json=body)
                self._patch(path, kind, name, level)
        return httpx.Response(200, json={"access_control_list": self.acls[path]})

    def _patch(self, path: str, kind: str, name: str, level: str) -> None:
        entry = next((e for e in self.acls[path] if e.get(f"{kind}_name") == name), None)
        if entry is None:
            entry = {f"{kind}_name": name, "all_permissions": []}
            self.acls[path].append(entry)
        kept = [p for p in entry["all_permissions"] if p["inherited"] or self.patch_adds]
        entry["all_permissions"] = [*kept, {"permission_level": level, "inherited": False}]


def _of(permission: dict[str, Any]) -> tuple[str, bool]:
    return permission["permission_level"], permission["inherited"]


def _sent(request: httpx.Request) -> list[tuple[str, str, str]]:
    entries = json.loads(request.content)["access_control_list"]
    return [
        (kind, entry[f"{kind}_name"], entry["permission_level"])
        for entry in entries
        for kind in ("user", "group", "service_principal")
        if f"{kind}_name" in entry
    ]
