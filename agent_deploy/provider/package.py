"""The package agent-deploy as the servicer wants it: which file answers for which type and function."""

from __future__ import annotations

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import installed_version
from agent_deploy.provider.access.object_permission import ObjectPermission
from agent_deploy.provider.access.secret import Secret
from agent_deploy.provider.access.secret_scope import SecretScope
from agent_deploy.provider.access.securable_grant import SecurableGrant
from agent_deploy.provider.access.service_principal import ServicePrincipal
from agent_deploy.provider.access.service_principal_secret import ServicePrincipalSecret
from agent_deploy.provider.configuration import SECRET_INPUTS, check_configuration, configure
from agent_deploy.provider.endpoint.endpoint_inference_table import EndpointInferenceTable
from agent_deploy.provider.endpoint.get_endpoint_table import get_endpoint_table
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.feedback.feedback_model_version import FeedbackModelVersion
from agent_deploy.provider.plugin.resource import Package
from agent_deploy.provider.registration.agent_registration import AgentRegistration
from agent_deploy.provider.schema import MARKS, PACKAGE, schema, token
from agent_deploy.provider.tables.derived_tables import DerivedTables
from agent_deploy.provider.tables.get_payload_table import get_payload_table
from agent_deploy.provider.tables.workspace_file import WorkspaceFile
from agent_deploy.provider.verification.verify_deployment import verify_deployments

RESOURCES = {
    "ServingEndpoint": ServingEndpoint,
    "Secret": Secret,
    "SecretScope": SecretScope,
    "ServicePrincipal": ServicePrincipal,
    "ServicePrincipalSecret": ServicePrincipalSecret,
    "ObjectPermission": ObjectPermission,
    "SecurableGrant": SecurableGrant,
    "FeedbackModelVersion": FeedbackModelVersion,
    "EndpointInferenceTable": EndpointInferenceTable,
    "DerivedTables": DerivedTables,
    "WorkspaceFile": WorkspaceFile,
    "AgentRegistration": AgentRegistration,
}
FUNCTIONS = {
    "verifyDeployments": verify_deployments,
    "getEndpointTable": get_endpoint_table,
    "getPayloadTable": get_payload_table,
}


def components() -> list[type]:
    """The components that programs in other languages use; imported only when the engine asks for one."""
    from agent_deploy.components.agent_deployment import AgentDeployment
    from agent_deploy.components.agent_service_principal import AgentServicePrincipal
    from agent_deploy.components.feedback_model import FeedbackModel
    from agent_deploy.components.inference_tables import InferenceTables

    return [AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables]


def package() -> Package:
    """The whole plugin."""
    return Package(
        name=PACKAGE,
        version=installed_version(),
        resources={token(name): resource() for name, resource in RESOURCES.items()},
        functions={token(name): function for name, function in FUNCTIONS.items()},
        schema=schema,
        marks=MARKS,
        components=components,
        configure=configure,
        check_configuration=check_configuration,
        secret_configuration=SECRET_INPUTS,
        user_errors=(WorkspaceError,),
    )
