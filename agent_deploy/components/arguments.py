"""Arguments and outputs of AgentDeployment; docstrings under fields become the schema's, for every Pulumi language."""

# No `from __future__ import annotations` here, no Literal, no Union: the schema is inferred from these classes.
from collections.abc import Mapping

import pulumi
from typing_extensions import NotRequired, TypedDict

from agent_deploy.components.agent_service_principal import AgentResourceArgs, ExistingServicePrincipalArgs
from agent_deploy.components.inference_tables import DerivationArgs


class AgentVersionArgs(TypedDict):
    """One version of the agent's model behind the endpoint. What is not said here is taken from the deployment."""

    version: NotRequired[pulumi.Input[str]]
    """Number of the registered model version, such as "3". Give either this or `alias`."""
    alias: NotRequired[pulumi.Input[str]]
    """Alias in Unity Catalog, such as "champion", resolved when the program runs."""
    traffic_percentage: NotRequired[pulumi.Input[int]]
    """Share of the requests, 0 to 100. The percentages of all versions sum to 100. A single version has 100."""
    workload_size: NotRequired[pulumi.Input[str]]
    """Small (4 requests at once), Medium (16) or Large (64)."""
    workload_type: NotRequired[pulumi.Input[str]]
    """CPU, or a kind of GPU."""
    scale_to_zero: NotRequired[pulumi.Input[bool]]
    """Whether the version's compute stops when idle."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables of this version, on top of the deployment's; see there."""


class AgentPermissionArgs(TypedDict):
    """What one principal may do with the endpoint. Name exactly one principal."""

    level: pulumi.Input[str]
    """CAN_VIEW, CAN_QUERY or CAN_MANAGE."""
    user_name: NotRequired[pulumi.Input[str]]
    """E-mail address of a user."""
    group_name: NotRequired[pulumi.Input[str]]
    """Display name of a group."""
    service_principal_name: NotRequired[pulumi.Input[str]]
    """Application id of a service principal."""


class AgentReviewerArgs(TypedDict):
    """Somebody who chats with the agent and rates its answers. Name exactly one principal."""

    user_name: NotRequired[pulumi.Input[str]]
    """E-mail address of a user."""
    group_name: NotRequired[pulumi.Input[str]]
    """Display name of a group."""
    service_principal_name: NotRequired[pulumi.Input[str]]
    """Application id of a service principal."""


class AgentReviewAppArgs(TypedDict):
    """What the agents service knows of the deployment: the register of deployed agents, and the Review App."""

    enabled: NotRequired[bool]
    """Whether the versions are registered and the agent joins its experiment's Review App. Default true."""
    reviewers: NotRequired[list[AgentReviewerArgs]]
    """They may query the endpoint (CAN_QUERY) and write assessments in the experiment (CAN_EDIT), and no more."""
    instructions: NotRequired[pulumi.Input[str]]
    """What reviewers are told; kept with the model."""


class AgentInferenceTablesArgs(DerivationArgs):
    """Where requests and responses are kept, and what is derived from them."""

    enabled: NotRequired[bool]
    """Default true."""
    catalog: NotRequired[pulumi.Input[str]]
    """Catalog of the tables; default: the model's."""
    schema: NotRequired[pulumi.Input[str]]
    """Schema of the tables; default: the model's."""
    prefix: NotRequired[pulumi.Input[str]]
    """Exact prefix: the table is `{prefix}_payload`. Default: the model's name, or the next free one, kept in state."""
    delete_on_destroy: NotRequired[pulumi.Input[bool]]
    """Whether the logged payloads go with the endpoint. Default false: they are kept, and destroy says so."""


class AgentTimeoutsArgs(TypedDict):
    """How long to wait, as Go durations such as "45m"."""

    create: NotRequired[str]
    """Default 45m."""
    update: NotRequired[str]
    """Default 45m."""
    delete: NotRequired[str]
    """Default 20m."""


class AgentDeploymentArgs(TypedDict):
    """An agent: its model, the versions that serve, their compute and environment, who may use it, what is kept."""

    model_name: pulumi.Input[str]
    """Registered model in Unity Catalog: catalog.schema.model."""
    versions: NotRequired[list[AgentVersionArgs]]
    """Versions behind the endpoint. None at all (nor `model_version`) makes the endpoint ahead of its first one."""
    model_version: NotRequired[pulumi.Input[str]]
    """Shorthand for one version with all the traffic."""
    traffic: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[int]]]]
    """Percentages by version or alias, instead of `traffic_percentage` in each version."""
    keep_previous: NotRequired[int]
    """How many versions that left `versions` stay at 0 %, for a rollback without a build. Default 0."""
    endpoint_name: NotRequired[pulumi.Input[str]]
    """Default: `agents_` and the model's name, as databricks.agents.deploy() names it."""
    scale_to_zero: NotRequired[pulumi.Input[bool]]
    """Default false, as deploy() has it."""
    workload_size: NotRequired[pulumi.Input[str]]
    """Default Small."""
    workload_type: NotRequired[pulumi.Input[str]]
    """Default CPU."""
    environment: NotRequired[Mapping[str, pulumi.Input[str]]]
    """Environment variables: plain values, references `{{secrets/scope/key}}`, or Pulumi secrets.

    A Pulumi secret is put into a secret scope of the deployment, and the endpoint's configuration holds a reference.
    """
    auth: NotRequired[str]
    """How the agent reaches Databricks: PASSTHROUGH (default: the platform makes an identity for each version),
    SERVICE_PRINCIPAL (the deployment makes one for each version), or MANUAL (only what `environment` holds)."""
    resources: NotRequired[list[AgentResourceArgs]]
    """What the agent needs besides the resources that were declared when its model was logged."""
    replace_resources: NotRequired[bool]
    """Whether `resources` counts instead of what the model declares. Default false."""
    rotation_days: NotRequired[int]
    """With SERVICE_PRINCIPAL: a new OAuth secret every so many days."""
    secret_lifetime_days: NotRequired[int]
    """With SERVICE_PRINCIPAL: after how many days a secret expires; more than `rotation_days`."""
    service_principal: NotRequired[ExistingServicePrincipalArgs]
    """With SERVICE_PRINCIPAL: one that exists, for all versions; it is granted what is needed and never removed."""
    experiment_id: NotRequired[pulumi.Input[str]]
    """MLflow experiment for traces. Default: MLFLOW_EXPERIMENT_ID of `environment`, else where the first version was
    logged."""
    instance_profile_arn: NotRequired[pulumi.Input[str]]
    """AWS instance profile that the agent's code assumes."""
    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]]]
    """Tags of the endpoint."""
    description: NotRequired[pulumi.Input[str]]
    """Description of the endpoint."""
    budget_policy_id: NotRequired[pulumi.Input[str]]
    """Serverless usage policy that pays for the endpoint."""
    route_optimized: NotRequired[bool]
    """Whether the endpoint has a URL of its own, with a shorter way to the model: `query_endpoint` is that one then,
    and takes OAuth tokens only. A change replaces the endpoint. Default false."""
    permissions: NotRequired[list[AgentPermissionArgs]]
    """Who may view, query or manage the endpoint. The deployer and the admins manage it in any case."""
    review_app: NotRequired[AgentReviewAppArgs]
    """The register of deployed agents and the Review App, on by default; who reviews the agent, and what they read."""
    inference_tables: NotRequired[AgentInferenceTablesArgs]
    """Inference tables, and what is derived from them: on by default."""
    feedback_model: NotRequired[bool]
    """Whether the endpoint serves the schema's feedback model as well, made when there is none yet. Default true."""
    timeouts: NotRequired[AgentTimeoutsArgs]
    """How long to wait for the endpoint."""


class ServedEntityState(TypedDict):
    """One served entity, as the workspace reports it."""

    name: str
    """Name of the served entity."""
    model_name: str
    """Registered model."""
    version: str
    """Model version."""
    traffic_percentage: int
    """Share of the requests."""
    query_endpoint: str
    """URL that asks this version alone."""
    deployment: str
    """DEPLOYMENT_READY, or what else the workspace says."""
    message: str
    """The workspace's explanation."""


class AgentIdentity(TypedDict):
    """Who one version is, and what it may touch."""

    version: str
    """Model version."""
    auth: str
    """PASSTHROUGH, SERVICE_PRINCIPAL or MANUAL."""
    application_id: str
    """Of the deployment's service principal; empty where the platform or the user has the identity."""
    access: list[str]
    """One line for each privilege, such as "SELECT on table 'main.default.docs'"."""
    user_scopes: list[str]
    """API scopes that users consent to; never granted by the deployment."""
