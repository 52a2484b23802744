"""Registered scorers of experiments: MLflow's server keeps their versions, a document how each is scheduled.

Document ``scheduled_scorers`` by experiment: ``scorers``, as the managed-evals API takes and gives them.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document
from agent_deploy.local.tracking.server import MlflowServer

_KIND = "scheduled_scorers"
_PATH = "/api/3.0/mlflow/scorers"


class Scorers:
    """State only: the routes check the caller's level on the experiment. To be called from worker threads."""

    def __init__(self, workspace: Workspace, server: MlflowServer) -> None:
        self._store = workspace.store
        self._server = server

    def scheduled(self, experiment_id: str) -> list[Document]:
        """How the scorers of an experiment are scheduled."""
        scorers: list[Document] = (self._store.get(_KIND, experiment_id) or {"scorers": []})["scorers"]
        return scorers

    def require(self, experiment_id: str) -> None:
        """Pass, or raise 404 when none ever was scheduled: clients then create what else they change."""
        if self._store.get(_KIND, experiment_id) is None:
            raise _missing(f"Experiment {experiment_id} has no scheduled scorers.")

    def create(self, experiment_id: str, wanted: list[Document]) -> list[Document]:
        """The first ones; raises 409."""
        if self._store.get(_KIND, experiment_id) is not None:
            raise ApiError(409, "ALREADY_EXISTS", f"Experiment {experiment_id} has scheduled scorers: PATCH them.")
        return self.replace(experiment_id, wanted)

    def replace(self, experiment_id: str, wanted: list[Document]) -> list[Document]:
        """All of them at once; a definition that is new or changed becomes a version."""
        before = {each["name"]: each for each in self.scheduled(experiment_id)}
        scorers = []
        for given in wanted:
            known = before.get(given["name"], {})
            same = known.get("serialized_scorer") == given["serialized_scorer"]
            version = known["scorer_version"] if same else self._register(experiment_id, given)
            scorers.append({**given, "scorer_version": version})
        self._store.put(_KIND, experiment_id, {"scorers": scorers})
        return scorers

    def versions(self, experiment_id: str, name: str) -> list[Document]:
        """Every version of a scorer, oldest first; raises 404."""
        found = self._ask("GET", "versions", {"experiment_id": experiment_id, "name": name})
        versions: list[Document] = found["scorers"]
        return versions

    def version(self, experiment_id: str, name: str, version: int) -> Document:
        """One version; raises 404."""
        fields = {"experiment_id": experiment_id, "name": name, "version": version}
        found: Document = self._ask("GET", "get", fields)["scorer"]
        return found

    def delete_version(self, experiment_id: str, name: str, version: int) -> None:
        """One version; raises 404."""
        self._ask("DELETE", "delete", {"experiment_id": experiment_id, "name": name, "version": version})

    def _register(self, experiment_id: str, given: Document) -> int:
        fields = {name: given[name] for name in ("name", "serialized_scorer")}
        return int(self._ask("POST", "register", {"experiment_id": experiment_id, **fields})["version"])

    def _ask(self, method: str, operation: str, fields: dict[str, Any]) -> Document:
        sent = {"params": fields} if method == "GET" else {"json": fields}
        response = self._server.request(method, f"{_PATH}/{operation}", **sent)
        found: Document = response.json()
        if response.status_code == 404:
            raise _missing(str(found.get("message")))
        if not response.is_success:
            message = str(found.get("message"))
            raise ApiError(response.status_code, str(found.get("error_code")), message)
        return found


def shown(experiment_id: str, key: str, name: str, version: Document) -> Document:
    """A version as the managed-evals API words it; ``key`` is the name as its resources are called."""
    number, created = int(version["scorer_version"]), int(version["creation_time"])
    return {
        "name": f"experiments/{experiment_id}/scorers/{key}/versions/{number}",
        "display_name": name,
        "scorer_version": number,
        "serialized_scorer": version["serialized_scorer"],
        "create_time": datetime.fromtimestamp(created / 1000, timezone.utc).isoformat().replace("+00:00", "Z"),
    }


def _missing(message: str) -> ApiError:
    return ApiError(404, "NOT_FOUND", message)  # this API's word for it
