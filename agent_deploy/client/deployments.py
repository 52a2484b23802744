"""The deployed agents of a workspace, whoever deployed them: by any stack, or by hand with databricks.agents.deploy().

The agents service's register says which versions there are; the serving endpoints say how they are, and by which stack
they were declared. Versions of our stacks are found even where they are not registered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from agent_deploy.client import agents_service as service
from agent_deploy.client.agents_service import NoAgentsService
from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.serving import PATH, entities_of, newest_config, routes_of, tags_of
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.rules import names
from agent_deploy.rules.endpoint_fields import OWNER_TAG

ENDPOINTS_AT_ONCE = 16
READY = "DEPLOYMENT_READY"


@dataclass(frozen=True)
class Deployment:
    """One version of an agent behind a serving endpoint. The first seven fields are those of databricks.agents' own.

    What cannot be told is empty or None, and ``problem`` says why: the endpoint is gone, does not serve the version, or
    may not be seen.
    """

    model_name: str
    model_version: str
    endpoint_name: str
    served_entity_name: str
    query_endpoint: str
    """URL that asks this version alone."""
    endpoint_url: str
    """Page of the endpoint."""
    review_app_url: str
    """Where reviewers chat with the agent."""
    traffic_percentage: int | None = None
    state: str = ""
    """DEPLOYMENT_READY, DEPLOYMENT_CREATING, DEPLOYMENT_FAILED, … as the workspace says it of the served entity."""
    message: str = ""
    """The workspace's explanation of the state."""
    workload_size: str = ""
    workload_type: str = ""
    scale_to_zero: bool | None = None
    creator: str = ""
    """Who created the endpoint."""
    declared_by: str = ""
    """``project/stack/resource`` of the Pulumi stack that declares the endpoint; empty for one deployed by hand."""
    created_at: datetime | None = None
    """When the endpoint was created, in UTC."""
    updated_at: datetime | None = None
    """When it was last changed, in UTC."""
    registered: bool = True
    """Whether the agents service's register has it."""
    problem: str = ""


def list_deployments(workspace: Workspace | None = None) -> list[Deployment]:
    """All deployed agents that the caller may see, a version each; of a model, the latest deployment comes last.

    ``workspace`` is the one that environment or profile name, as for Databricks' SDKs. Raises WorkspaceError.
    """
    return _deployments(workspace or Workspace(), "", "")


def get_deployments(
    model_name: str, model_version: str | int | None = None, workspace: Workspace | None = None
) -> list[Deployment]:
    """The deployments of a model, or of one of its versions; none is an empty list.

    Raises WorkspaceError, and ValueError for a name or version that can be none.
    """
    problems = names.check_model_name("model_name", model_name)
    version = "" if model_version is None else str(model_version)
    if problems or (version and not version.isdecimal()):
        raise ValueError(str(problems[0]) if problems else f"model_version {version!r}: expected a number, such as 3")
    return _deployments(workspace or Workspace(), model_name, version)


def _deployments(workspace: Workspace, model: str, version: str) -> list[Deployment]:
    try:
        records = service.records(workspace, model, version)
    except NoAgentsService:
        records = []
    marked = [name for name in _marked(workspace, model) if name]
    endpoints = _Endpoints(workspace, {*marked, *(str(record["endpoint_name"]) for record in records)})
    found = [_of_record(endpoints, record) for record in records]
    known = {(each.endpoint_name, each.served_entity_name) for each in found}
    for name in marked:
        for entity in _served(endpoints.by_name[name]):
            is_wanted = model in ("", entity["entity_name"]) and version in ("", str(entity["entity_version"]))
            if is_wanted and (name, str(entity["name"])) not in known:
                found.append(_of_record(endpoints, _record(endpoints, name, entity), registered=False))
    return found


class _Endpoints:
    """Serving endpoints by name, asked for side by side; for one that is gone or not to be seen, why."""

    def __init__(self, workspace: Workspace, wanted: Iterable[str]) -> None:
        self.host = workspace.host
        listed = sorted(wanted)
        with ThreadPoolExecutor(max_workers=ENDPOINTS_AT_ONCE) as pool:
            answers = pool.map(lambda name: _described(workspace, name), listed)
            self.by_name: dict[str, Mapping[str, Any] | str] = dict(zip(listed, answers, strict=True))


def _described(workspace: Workspace, name: str) -> Mapping[str, Any] | str:
    try:
        return workspace.get(f"{PATH}/{segment(name)}")
    except ApiError as error:
        if error.is_missing:
            return f"the endpoint {name} is gone; the register still has the record"
        if error.status == 403:
            return f"the endpoint {name} may not be seen: {error.message}"
        raise


def _marked(workspace: Workspace, model: str) -> Iterator[str]:
    """Names of endpoints that a stack of ours declares, and that serve the model, if one is given."""
    for listed in workspace.get(PATH).get("endpoints") or []:
        served = [entity.get("entity_name") for entity in entities_of(listed.get("config"))]
        if OWNER_TAG in tags_of(listed) and (not model or model in served):
            yield str(listed["name"])


def _served(endpoint: Mapping[str, Any] | str) -> list[Mapping[str, Any]]:
    """The served entities that are versions of models; feedback is no agent."""
    if isinstance(endpoint, str):
        return []
    entities = [entity for config in _configs(endpoint) for entity in entities_of(config)]
    by_name = {str(entity["name"]): entity for entity in entities if entity.get("entity_version")}
    by_name.pop(names.FEEDBACK_ENTITY, None)
    return list(by_name.values())


def _configs(endpoint: Mapping[str, Any]) -> tuple[Any, Any]:
    # The later counts: what is on its way says more than what it replaces.
    return endpoint.get("config"), endpoint.get("pending_config")


def _record(endpoints: _Endpoints, name: str, entity: Mapping[str, Any]) -> dict[str, str]:
    """What the register would say of a version that it does not have."""
    return {
        "model_name": str(entity["entity_name"]),
        "model_version": str(entity["entity_version"]),
        "endpoint_name": name,
        "served_entity_name": str(entity["name"]),
        "query_endpoint": names.served_entity_url(endpoints.host, name, str(entity["name"])),
        "review_app_url": names.review_app_url(endpoints.host, name),
    }


def _of_record(endpoints: _Endpoints, record: Mapping[str, Any], registered: bool = True) -> Deployment:
    name, entity_name = str(record["endpoint_name"]), str(record.get("served_entity_name") or "")
    endpoint = endpoints.by_name[name]
    facts: dict[str, Any] = {"problem": endpoint} if isinstance(endpoint, str) else _facts(endpoint, entity_name)
    return Deployment(
        model_name=str(record["model_name"]),
        model_version=str(record["model_version"]),
        endpoint_name=name,
        served_entity_name=entity_name,
        query_endpoint=str(record.get("query_endpoint") or ""),
        endpoint_url=f"{endpoints.host}/ml/endpoints/{name}",
        review_app_url=str(record.get("review_app_url") or record.get("rag_app_url") or ""),
        registered=registered,
        **facts,
    )


def _facts(endpoint: Mapping[str, Any], entity_name: str) -> dict[str, Any]:
    """What the endpoint says of itself and of one served entity."""
    of_endpoint = {
        "creator": str(endpoint.get("creator") or ""),
        "declared_by": tags_of(endpoint).get(OWNER_TAG, ""),
        "created_at": _time(endpoint.get("creation_timestamp")),
        "updated_at": _time(endpoint.get("last_updated_timestamp")),
    }
    entity = next((each for each in _served(endpoint) if each["name"] == entity_name), None)
    if entity is None:
        return {
            **of_endpoint,
            "problem": f"the endpoint {endpoint['name']} does not serve it; the record is out of date",
        }
    state = entity.get("state") or {}
    deployment = str(state.get("deployment") or "")
    return {
        **of_endpoint,
        # Requests still go as the config says that is in effect, if there is one.
        "traffic_percentage": routes_of(endpoint.get("config") or newest_config(endpoint)).get(entity_name, 0),
        "state": deployment,
        "message": "" if deployment == READY else str(state.get("deployment_state_message") or ""),
        "workload_size": str(entity.get("workload_size") or ""),
        "workload_type": str(entity.get("workload_type") or ""),
        "scale_to_zero": bool(entity.get("scale_to_zero_enabled")),
    }


def _time(milliseconds: object) -> datetime | None:
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, timezone.utc) if milliseconds else None


__all__ = ["Deployment", "WorkspaceError", "get_deployments", "list_deployments"]
