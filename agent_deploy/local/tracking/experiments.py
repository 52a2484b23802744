"""Experiments as workspace objects: their paths, owners and permissions, and which one a run or trace belongs to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import forbidden, invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.tracking.access import MANAGE
from agent_deploy.local.tracking.server import MlflowServer
from agent_deploy.rules.groups import USERS

OBJECT = "experiments"
_REMEMBERED = 50_000  # runs, models and traces whose experiment is kept in memory
_LOOKUPS = {
    "run": ("/api/2.0/mlflow/runs/get", {"run_id": "{}"}, ("run", "info", "experiment_id")),
    "model": ("/api/2.0/mlflow/logged-models/{}", {}, ("model", "info", "experiment_id")),
    "trace": (
        "/api/3.0/mlflow/traces/{}",
        {},
        ("trace", "trace_info", "trace_location", "mlflow_experiment", "experiment_id"),
    ),
}


class Experiments:
    """Thread-safe; to be called from worker threads, since it may start MLflow's server."""

    def __init__(self, workspace: Workspace, server: MlflowServer) -> None:
        self._workspace = workspace
        self._server = server
        self._known: OrderedDict[tuple[str, str], str] = OrderedDict()

    def experiment_of(self, run_id: str = "", model_id: str = "", trace_id: str = "") -> str:
        """The experiment of a run, logged model or trace; empty when this workspace does not know it."""
        named = (("run", run_id), ("model", model_id), ("trace", trace_id))
        return next((found for kind, key in named if key and (found := self.find(kind, key))), "")

    def find(self, kind: str, key: str) -> str:
        """By kind (experiment, run, model, trace) and id."""
        if kind == "experiment":
            return key
        if (known := self._known.get((kind, key))) is not None:
            return known
        path, query, keys = _LOOKUPS[kind]
        params = {name: value.format(key) for name, value in query.items()}
        response = self._server.request("GET", path.format(quote(key, safe="")), params=params)
        if response.status_code in (400, 404):
            return ""
        found: Any = response.raise_for_status().json()
        for name in keys:
            found = found.get(name, {})
        if not isinstance(found, str):
            return ""
        self._known[(kind, key)] = found
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return found

    def traces(self, experiment_id: str, most: int, at_once: int) -> Iterator[dict[str, Any]]:
        """The latest traces of an experiment without their spans, with their assessments; newest first, unchecked."""
        location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
        body: dict[str, Any] = {"locations": [location], "max_results": at_once, "order_by": ["timestamp_ms DESC"]}
        for _ in range(0, most, at_once):
            response = self._server.request("POST", "/api/3.0/mlflow/traces/search", json=body)
            found = response.raise_for_status().json()
            yield from found.get("traces", ())
            if not (token := found.get("next_page_token")):
                return
            body["page_token"] = token

    def require(self, principal: Principal, experiment_id: str, level: str) -> None:
        """Pass, or raise 404 or 403. MLflow's default experiment exists on no Databricks workspace."""
        if self._workspace.store.get("object", f"{OBJECT}/{experiment_id}") is None:
            raise not_found(f"No Experiment with id={experiment_id} exists.")
        self._workspace.authorization.require_object(principal, OBJECT, experiment_id, level)

    def readable(self, principal: Principal, experiment_id: str) -> bool:
        """Whether a listing shows it."""
        exists = self._workspace.store.get("object", f"{OBJECT}/{experiment_id}") is not None
        return exists and self._workspace.authorization.allows_object(principal, OBJECT, experiment_id, "CAN_READ")

    def creation(self, principal: Principal, body: dict[str, Any]) -> dict[str, Any]:
        """The body of ``experiments/create`` for MLflow's server: path checked, the platform's tags added."""
        name = self.path(principal, body.get("name"))
        tags = [tag for tag in body.get("tags") or [] if not str(tag.get("key", "")).startswith("mlflow.owner")]
        platform = {
            "mlflow.ownerId": principal.id,
            "mlflow.ownerEmail": principal.name,
            "mlflow.experiment.sourceName": name,
            "mlflow.experimentType": "MLFLOW_EXPERIMENT",
        }
        given = {tag.get("key") for tag in tags}
        tags += [{"key": key, "value": value} for key, value in platform.items() if key not in given]
        return {**body, "name": name, "tags": tags}

    def path(self, principal: Principal, name: object) -> str:
        """An experiment's name is its path in the workspace; raises 400, 404, 403 as creating it there would."""
        if not isinstance(name, str) or not name.startswith("/"):
            message = (
                f"Got an invalid experiment name {name!r}. An experiment name must be an absolute path within the"
                f" workspace, for example '/Users/{principal.name}/my-experiment'."
            )
            raise invalid(message)
        path = name.removeprefix("/Workspace").rstrip("/")
        levels = path.split("/")[1:]
        if len(levels) < 2:
            raise invalid(f"Experiment name {name!r}: expected a path below /Users/<user> or /Shared.")
        if levels[0] == "Users":
            if len(levels) < 3 or self._workspace.principals.by_name(levels[1]) is None:
                raise not_found(f"Workspace directory '/Users/{levels[1]}' not found.")
            if levels[1] != principal.name and not principal.is_admin:
                raise forbidden(f"User {principal.name} may not create objects in '/Users/{levels[1]}'.")
        elif levels[0] != "Shared" and not principal.is_admin:
            raise forbidden(f"User {principal.name} may create objects below /Users/{principal.name} and /Shared only.")
        return path

    def created(self, principal: Principal, experiment_id: str, name: str) -> None:
        """Its creator manages it; below /Shared everybody does."""
        access = self._workspace.authorization
        access.register_object(OBJECT, experiment_id, principal, name)
        if name.startswith("/Shared/"):
            everybody = {"kind": "group", "name": USERS, "level": MANAGE}
            access.add_entry(OBJECT, experiment_id, everybody)
