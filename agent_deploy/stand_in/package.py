"""The stand-in plugin as data: its types, its configuration, its schema."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from agent_deploy.client.configuration import SECRETS, VARIABLES, resolve
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.plugin.resource import Package, Values
from agent_deploy.stand_in.grant import Grant
from agent_deploy.stand_in.job import Job
from agent_deploy.stand_in.model_serving import ModelServing
from agent_deploy.stand_in.permissions import Permissions
from agent_deploy.stand_in.pipeline import Pipeline
from agent_deploy.stand_in.registered_model import RegisteredModel
from agent_deploy.stand_in.secret import Secret
from agent_deploy.stand_in.secret_acl import SecretAcl
from agent_deploy.stand_in.secret_scope import SecretScope
from agent_deploy.stand_in.service_principal import ServicePrincipal
from agent_deploy.stand_in.service_principal_secret import ServicePrincipalSecret
from agent_deploy.stand_in.vendor_resource import VendorResource
from agent_deploy.stand_in.workspace_file import WorkspaceFile

NAME = "databricks"
INSTALL_VENDOR = "pulumi plugin install resource databricks v{version}"
RESOURCES: dict[str, VendorResource] = {
    f"databricks:index/{kind.__name__[0].lower()}{kind.__name__[1:]}:{kind.__name__}": kind()
    for kind in (
        SecretScope,
        SecretAcl,
        Permissions,
        ServicePrincipal,
        ServicePrincipalSecret,
        Grant,
        RegisteredModel,
        WorkspaceFile,
        Pipeline,
        Job,
        ModelServing,
        Secret,
    )
}


def plugin_version() -> str:
    """The vendor's version for which we stand in: that of the installed pulumi-databricks."""
    try:
        return version("pulumi-databricks")
    except PackageNotFoundError:
        return "0.0.0"


def schema() -> dict[str, Any]:
    """The little that the engine wants to know: names of properties and which are secret."""
    return {
        "name": NAME,
        "version": plugin_version(),
        "config": {"variables": _properties(VARIABLES, SECRETS)},
        "provider": {"inputProperties": _properties(VARIABLES, SECRETS)},
        "resources": {
            token: {
                "inputProperties": _properties(kind.inputs, kind.secrets),
                "requiredInputs": sorted(kind.required),
                "properties": _properties((*kind.inputs, *kind.outputs), kind.secrets),
            }
            for token, kind in RESOURCES.items()
        },
    }


def _properties(names: Any, secrets: frozenset[str]) -> dict[str, Any]:
    any_type = {"$ref": "pulumi.json#/Any"}
    return {name: {**any_type, "secret": True} if name in secrets else any_type for name in dict.fromkeys(names)}


def configure(inputs: Values) -> Workspace:
    """The connection that resources use; settings are looked at when the first request is sent."""
    return Workspace(lambda: resolve(inputs))


def types() -> list[str]:
    """As programs name them: ``SecretScope``."""
    return sorted(token.rpartition(":")[2] for token in RESOURCES)


def package() -> Package:
    """What the servicer serves."""
    return Package(
        name=NAME,
        version=plugin_version(),
        resources=RESOURCES,
        schema=schema,
        configure=configure,
        secret_configuration=SECRETS,
        user_errors=(WorkspaceError,),
        missing=(
            f"This is agent-deploy's stand-in for the vendor's plugin; it has only {', '.join(types())}. "
            f"For other types use the vendor's: `{INSTALL_VENDOR.format(version=plugin_version())}`, and take the "
            "stand-in's folder, .agent-deploy/plugins, off PATH"
        ),
    )
