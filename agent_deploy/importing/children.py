"""The resources that a deployment of one endpoint consists of: what the program will declare, and the ids by which
`pulumi import` reads what is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent_deploy.importing.existing import Existing
from agent_deploy.rules import deployment as rules
from agent_deploy.rules import names
from agent_deploy.rules.declaration import Deployment
from agent_deploy.rules.endpoint_fields import ENTITY_FIELDS
from agent_deploy.rules.environment import agent_environment
from agent_deploy.rules.records import camel_case
from agent_deploy.rules.review import ENDPOINTS
from agent_deploy.rules.values import Secret

_PACKAGE = "agent-deploy:index:"
COMPONENT, FEEDBACK = f"{_PACKAGE}AgentDeployment", f"{_PACKAGE}FeedbackModel"
ENDPOINT, MODEL = f"{_PACKAGE}ServingEndpoint", f"{_PACKAGE}FeedbackModelVersion"
SCOPE, SECRET = f"{_PACKAGE}SecretScope", f"{_PACKAGE}Secret"
REGISTRATION, PERMISSIONS = f"{_PACKAGE}AgentRegistration", "databricks:index/permissions:Permissions"
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Child:
    """One resource. ``key`` tells it from the others in the import file, ``parent`` is another's key.

    ``id``: by which it is read; empty for a component, and for what is not there yet.
    """

    key: str
    type: str
    name: str
    parent: str = ""
    id: str = ""
    inputs: Values | None = None

    @property
    def is_component(self) -> bool:
        """Whether it only holds others."""
        return self.inputs is None


@dataclass(frozen=True)
class Looked:
    """What was looked up for the deployment: its versions' numbers, its experiment, the feedback model's version."""

    numbers: Sequence[str]
    experiment_id: str = ""
    feedback_version: str = ""


def children(name: str, deployment: Deployment, looked: Looked, found: Existing, mark: str) -> Iterator[Child]:
    """In the order in which one can be imported after the other; ``mark`` is the stack's own."""
    yield Child(name, COMPONENT, name)
    endpoint = endpoint_inputs(deployment, looked, mark)
    yield Child(f"{name}-endpoint", ENDPOINT, name, name, found.name, endpoint)
    if model := deployment.feedback_model:
        of = f"{name}-feedback"
        yield Child(of, FEEDBACK, of, name)
        used_by = f"{mark}-feedback"
        id = str(model) if looked.feedback_version else ""
        yield Child(f"{of}-model", MODEL, of, of, id, {"modelName": model, "ownerMark": used_by})
    if stored := sorted({key for _, key in deployment.secrets()}):
        yield Child(f"{name}-secrets", SCOPE, f"{name}-secrets", name, inputs={})
        yield from (Child(f"{name}-secret-{key}", SECRET, f"{name}-secret-{key}", name, inputs={}) for key in stored)
    if deployment.permissions:
        controls = [{camel_case(a.field): a.principal, "permissionLevel": a.level} for a in deployment.permissions]
        id = str(found.remote["id"])
        inputs = {"servingEndpointId": id, "accessControls": controls}
        yield Child(f"{name}-permissions", PERMISSIONS, f"{name}-permissions", name, f"/{ENDPOINTS}/{id}", inputs)
    for number in sorted(looked.numbers, key=int) if deployment.review.enabled else ():
        of = f"{name}-registration-v{number}"
        id = f"{deployment.model_name}/{number}" if number in found.registered else ""
        record = {
            "modelName": deployment.model_name,
            "modelVersion": number,
            "endpointName": found.name,
            "servedEntityName": names.served_entity_name(str(deployment.model_name), number),
            "experimentId": looked.experiment_id or None,
            "instructions": deployment.review.instructions,
        }
        yield Child(of, REGISTRATION, of, name, id, {key: each for key, each in record.items() if each is not None})


def endpoint_inputs(deployment: Deployment, looked: Looked, mark: str) -> dict[str, Any]:
    """As the component gives them to ServingEndpoint; a secret is shown as the reference that it becomes."""
    entities = rules.served_entities(deployment, looked.numbers)
    for version, entity in zip(deployment.versions, entities.values(), strict=True):
        variables = deployment.variables_of(version, {})
        shown = {key: _shown(deployment, key, value) for key, value in variables.items()}
        entity["environment_vars"] = agent_environment(shown, looked.experiment_id)
    traffic: Any = rules.traffic(deployment, looked.numbers)
    if deployment.feedback_model:
        entities[names.FEEDBACK_ENTITY] = rules.feedback_entity(deployment, looked.feedback_version)
        traffic = {**traffic, names.FEEDBACK_ENTITY: 0}
    gateway = rules.ai_gateway(deployment)
    table = gateway.get("inference_table_config") or {}
    said = {camel_case(key): value for key, value in table.items() if value is not None}
    return {
        "name": deployment.endpoint_name,
        "servedEntities": {key: _entity(entity) for key, entity in entities.items()},
        "traffic": traffic,
        "aiGateway": {"inferenceTableConfig": said} if said else {},
        "tags": rules.endpoint_tags(deployment.tags, looked.experiment_id or None),
        "ownerMark": mark,
        **{camel_case(argument): value for argument, value in deployment.plain_fields.items()},
    }


def _entity(entity: Values) -> dict[str, Any]:
    given = {field: entity.get(rule.wire) for field, rule in ENTITY_FIELDS.items()}
    return {field: value for field, value in given.items() if value is not None}


def _shown(deployment: Deployment, key: str, value: object) -> object:
    return f"{{{{secrets/{deployment.endpoint_name}/{key}}}}}" if isinstance(value, Secret) else value
