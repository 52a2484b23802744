"""A serving API in memory, as strict as the tests of ServingEndpoint need it, behind httpx's mock transport."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Context

PATH = "/api/2.0/serving-endpoints"
MODELS = "/api/2.1/unity-catalog/models/"
HOST = "https://one.example.com"
Answer = tuple[int, dict[str, Any]]


@dataclass
class ToldContext(Context):
    """Keeps in ``told`` what the user is told."""

    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = lambda _severity, text, _ephemeral: self.told.append(text)


class ServingApi:
    """Endpoints by name. ``settle`` says how an update ends: a function of the pending config to the states it leaves.

    An update ends when it was looked at ``polls`` times.
    """

    def __init__(self) -> None:
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.tables: set[str] = set()
        self.versions: dict[str, str] = {}  # "main.default.m/1" → id, in the registry: no call of this API
        self.calls: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.polls = 1
        self.failing: dict[str, str] = {}  # entity → message
        self.log = "step 1\nstep 2\n"
        self.lingers = 0  # looks that find an endpoint although its deletion was accepted
        self.hears_disabled = True  # whether `enabled: false` turns an inference table off
        self.answers: dict[str, list[Answer | Exception]] = {}  # scripted, by "METHOD last-part-of-path"

    def workspace(self) -> Workspace:
        """A client of it."""
        return Workspace(Settings(host=HOST, method=PAT, token="t"), httpx.MockTransport(self._handle))

    def context(self, **more: Any) -> ToldContext:
        """An operation against it."""
        return ToldContext(name="qa", urn="urn:qa", configuration=self.workspace(), **more)

    @property
    def changes(self) -> list[str]:
        """The calls that are no GET."""
        return [call for call in self.calls if not call.startswith("GET")]

    def body_of(self, call: str) -> dict[str, Any]:
        """The body of the last such call."""
        return next(body for made, body in reversed(list(zip(self.calls, self.bodies, strict=True))) if made == call)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if path.startswith(MODELS):
            identity = self.versions.get(path.removeprefix(MODELS).replace("/versions/", "/"))
            missing = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such version"}
            return httpx.Response(200, json={"id": identity}) if identity else httpx.Response(404, json=missing)
        call = f"{request.method} {path.removeprefix(PATH) or '/'}"
        self.calls.append(call)
        self.bodies.append(json.loads(request.content or b"{}"))
        scripted = self.answers.get(call)
        if scripted:
            answer = scripted.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return httpx.Response(answer[0], json=answer[1])
        status, body = self._answer(request.method, path, self.bodies[-1])
        return httpx.Response(status, json=body)

    def _answer(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        if path.startswith("/api/2.1/unity-catalog/tables/"):
            return 200, {"table_exists": path.split("/")[-2] in self.tables}
        parts = path.removeprefix(PATH).strip("/").split("/")
        if parts == [""]:
            return self._create(body)
        name, what = parts[0], "/".join(parts[1:])
        if name not in self.endpoints:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{name} does not exist"}
        routes: dict[str, Callable[[dict[str, Any], dict[str, Any]], Answer]] = {
            "PUT config": self._config, "PATCH tags": self._tags, "PUT ai-gateway": self._gateway,
            "PATCH description": _set("description"), "PATCH notifications": _set("email_notifications"),
            "PATCH budget-policy": lambda endpoint, body: (200, {}),
        }  # fmt: skip
        endpoint = self.endpoints[name]
        if what.startswith("served-models/"):
            return 200, {"logs": self.log if what.endswith("build-logs") else ""}
        if method == "GET":
            self._look(endpoint)
            if "looks_left" in endpoint:
                endpoint["looks_left"] -= 1
                if endpoint["looks_left"] == 0:
                    del self.endpoints[name]
            return 200, endpoint
        if method == "DELETE":
            if self.lingers:
                endpoint["looks_left"] = self.lingers
            else:
                del self.endpoints[name]
            return 200, {}
        return routes[f"{method} {what}"](endpoint, body)

    def _create(self, body: dict[str, Any]) -> Answer:
        if body["name"] in self.endpoints:
            return 409, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "exists"}
        endpoint = {
            "name": body["name"], "id": "abc123", "creator": "me", "description": body.get("description", ""),
            "tags": body.get("tags", []), "route_optimized": body.get("route_optimized", False),
            "state": {"ready": "NOT_READY", "config_update": "NOT_UPDATING"},
        }  # fmt: skip
        if body.get("email_notifications"):
            endpoint["email_notifications"] = body["email_notifications"]
        self.endpoints[body["name"]] = endpoint
        if body.get("ai_gateway"):
            self._gateway(endpoint, body["ai_gateway"])
        if body.get("config"):
            self._config(endpoint, body["config"])
        return 200, dict(endpoint)

    def _config(self, endpoint: dict[str, Any], body: dict[str, Any]) -> Answer:
        if endpoint["state"]["config_update"] == "IN_PROGRESS":
            return 409, {"error_code": "RESOURCE_CONFLICT", "message": "is currently updating"}
        entities = [
            {"workload_size": "Small", "workload_type": "CPU", "creator": "me", "creation_timestamp": 1, **entity,
             "state": {"deployment": "DEPLOYMENT_CREATING", "deployment_state_message": "Creating"}}
            for entity in body["served_entities"]
        ]  # fmt: skip
        routes = [
            {**route, "served_entity_name": route["served_model_name"]} for route in body["traffic_config"]["routes"]
        ]
        version = endpoint.get("config", {}).get("config_version", 0) + 1
        endpoint["pending_config"] = {"served_entities": entities, "traffic_config": {"routes": routes}}
        endpoint["pending_config"]["config_version"] = version
        endpoint["state"]["config_update"] = "IN_PROGRESS"
        endpoint["looks"] = 0
        return 200, endpoint

    def _look(self, endpoint: dict[str, Any]) -> None:
        if endpoint["state"]["config_update"] != "IN_PROGRESS":
            return
        endpoint["looks"] += 1
        if endpoint["looks"] <= self.polls:
            return
        failed = [e["name"] for e in endpoint["pending_config"]["served_entities"] if e["name"] in self.failing]
        for entity in endpoint["pending_config"]["served_entities"]:
            name = entity["name"]
            state = "FAILED" if name in failed else "ABORTED" if failed else "READY"
            entity["state"] = {
                "deployment": f"DEPLOYMENT_{state}", "deployment_state_message": self.failing.get(name, "")
            }  # fmt: skip
        endpoint["state"]["config_update"] = "UPDATE_FAILED" if failed else "NOT_UPDATING"
        if not failed:
            endpoint["config"] = endpoint.pop("pending_config")
            endpoint["state"]["ready"] = "READY"

    def _tags(self, endpoint: dict[str, Any], body: dict[str, Any]) -> Answer:
        tags = {tag["key"]: tag["value"] for tag in endpoint["tags"]}
        tags |= {tag["key"]: tag["value"] for tag in body.get("add_tags", [])}
        # Additions first: a client that sends a changed tag as both loses it.
        tags = {key: value for key, value in tags.items() if key not in body.get("delete_tags", [])}
        endpoint["tags"] = [{"key": key, "value": value} for key, value in tags.items()]
        return 200, {"tags": endpoint["tags"]}

    def _gateway(self, endpoint: dict[str, Any], body: dict[str, Any]) -> Answer:
        old = endpoint.get("ai_gateway", {}).get("inference_table_config", {})
        new = dict(body.get("inference_table_config") or {})
        if old.get("enabled") and new:
            if not new.get("enabled", True) and not self.hears_disabled:
                new["enabled"] = True
            moved = any(new.get(key) != old.get(key) for key in ("catalog_name", "schema_name", "table_name_prefix"))
            if new.get("enabled") and moved:
                return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "disable it first"}
        endpoint["ai_gateway"] = {**body, **({"inference_table_config": new} if new else {})}
        if not endpoint["ai_gateway"]:
            del endpoint["ai_gateway"]
        return 200, {}


def _set(field: str) -> Callable[[dict[str, Any], dict[str, Any]], Answer]:
    def change(endpoint: dict[str, Any], body: dict[str, Any]) -> Answer:
        endpoint[field] = body[field]
        return 200, {}

    return change
