"""The agents service: its register of deployed agents, their instructions, and the Review Apps of experiments.

It is no public API, so that a workspace may lack it: every call then raises NoAgentsService. Routes and shapes are
those that databricks-agents 1.13 was observed to use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment

DEPLOYMENTS = "/api/2.0/agents/deployments"
REVIEW_APPS = "/api/2.0/managed-evals/review-apps"
# A Review App of version 2, whose address clients take as it is; from another they would set one up themselves.
REVIEW_APP_V2 = "/review-v2/"

# What a new Review App asks its reviewers for. Limits: as databricks-agents sets them.
LABELING_SCHEMAS: tuple[Mapping[str, Any], ...] = (
    {
        "name": "expected_facts",
        "type": "EXPECTATION",
        "title": "Expected facts",
        "instruction": "Which facts must a good answer contain?",
        "enable_comment": False,
        "text_list": {"max_length_each": 1000},
    },
    {
        "name": "guidelines",
        "type": "EXPECTATION",
        "title": "Guidelines",
        "instruction": "Which rules must a good answer keep to?",
        "enable_comment": False,
        "text_list": {"max_length_each": 1000},
    },
    {
        "name": "expected_response",
        "type": "EXPECTATION",
        "title": "Expected answer",
        "instruction": "What should the agent have answered?",
        "enable_comment": False,
        "text": {},
    },
)


class NoAgentsService(WorkspaceError):
    """The workspace does not know the route."""


@contextmanager
def _routed() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        # What is asked for is never answered with 404; only a serving endpoint that does not exist is.
        if error.status == 501 or (error.status == 404 and error.error_code != "RESOURCE_DOES_NOT_EXIST"):
            raise NoAgentsService(f"{workspace_says(error)}") from error
        raise


def workspace_says(error: ApiError) -> str:
    """The request and its answer, in one line."""
    return f"{error.request}: {error.status} {error.error_code}".strip()


def records(workspace: Workspace, model: str = "", version: str = "") -> list[dict[str, Any]]:
    """``{model_name, model_version, endpoint_name, served_entity_name, query_endpoint, review_app_url}`` of each
    deployed version, the latest last; of all agents that the caller may see, of one model, or of one version.
    """
    asked = {"model_name": model, "model_version": version}
    with _routed():
        answer = workspace.get(_path(model, version), {name: value for name, value in asked.items() if value})
    found = answer.get("chain_deployments") or []
    return [{**record, "model_version": str(record.get("model_version") or "")} for record in found]


def register(workspace: Workspace, record: Mapping[str, str]) -> dict[str, Any]:
    """Adds a record, as `records` returns it but for the last field; or moves the version's to the end. Returns it."""
    version = record["model_version"]
    body = {**record, "model_version": int(version) if version.isdecimal() else version}
    with _routed():
        answer = workspace.post(DEPLOYMENTS, {**body, "workspace_url": workspace.host}, repeatable=True)
    return dict(answer.get("deployed_chain") or {})


def forget(workspace: Workspace, model: str, version: str) -> None:
    """Removes a version's record."""
    body = {"model_name": model, "model_version": version}
    with _routed():
        workspace.request("DELETE", _path(model, version), body=body)


def instructions(workspace: Workspace, model: str) -> str:
    """What reviewers of the model's agent are told; or the empty string."""
    with _routed():
        answer = workspace.get(f"{_path(model)}/instructions", {"model_name": model})
    return str(answer.get("instructions") or "")


def set_instructions(workspace: Workspace, model: str, text: str) -> None:
    """Replaces what reviewers are told."""
    with _routed():
        body = {"model_name": model, "instructions": text}
        workspace.post(f"{_path(model)}/instructions", body, repeatable=True)


def review_app(workspace: Workspace, experiment_id: str) -> dict[str, Any] | None:
    """The experiment's Review App: ``{review_app_id, experiment_id, agents, labeling_schemas}``; None without one."""
    token = ""
    while True:
        params = {"filter": f"experiment_id={experiment_id}", **({"page_token": token} if token else {})}
        with _routed():
            answer = workspace.get(REVIEW_APPS, params)
        for app in answer.get("review_apps") or []:
            return dict(app)
        if not (token := str(answer.get("next_page_token") or "")):
            return None


def create_review_app(workspace: Workspace, experiment_id: str, agents: list[dict[str, Any]]) -> dict[str, Any]:
    """A new one with the usual labeling schemas."""
    body = {"review_app_id": None, "experiment_id": experiment_id, "agents": agents}
    with _routed():
        return workspace.post(REVIEW_APPS, {**body, "labeling_schemas": [dict(schema) for schema in LABELING_SCHEMAS]})


def set_agents(workspace: Workspace, app: Mapping[str, Any], agents: list[dict[str, Any]]) -> dict[str, Any]:
    """The Review App with these agents."""
    path = f"{REVIEW_APPS}/{segment(str(app['review_app_id']))}?update_mask=agents"
    with _routed():
        return workspace.patch(path, {**app, "agents": agents})


def agent(model: str, endpoint: str) -> dict[str, Any]:
    """An entry of a Review App's ``agents``."""
    return {
        "agent_name": model,
        "model_serving_endpoint": {"endpoint_name": endpoint, "served_entity_name": None},
    }


def endpoint_of(agents: list[dict[str, Any]], model: str) -> str:
    """By which endpoint a Review App asks the model's agent; empty when it does not know it."""
    for each in agents:
        if each.get("agent_name") == model:
            return str((each.get("model_serving_endpoint") or {}).get("endpoint_name") or "")
    return ""


def _path(model: str = "", version: str = "") -> str:
    parts = [DEPLOYMENTS, *([segment(model)] if model else []), *(["versions", segment(version)] if version else [])]
    return "/".join(parts)
