"""The vendor's resources that we use, as thin classes: without the seconds that importing pulumi-databricks takes.

Arguments are named as in `pulumi_databricks`; nested objects are written with the names of the wire (camelCase). An
argument that is not here is one that we do not use. A test holds each class against the vendor's own.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, TypedDict

import pulumi
from pulumi import Input, Output, ResourceOptions

from agent_deploy.resources.head_start import start_vendor
from agent_deploy.resources.judged import judged
from agent_deploy.resources.properties import handed_out, output

_PRERELEASES = {"a": "alpha", "b": "beta", "rc": "rc"}


@functools.cache
def vendor_version() -> str | None:
    """The version of the plugin to ask the engine for: that of the installed pulumi-databricks; None without one."""
    try:
        installed = version("pulumi-databricks")
    except PackageNotFoundError:
        return None
    # The engine wants semantic versions: 1.2.0a3 is 1.2.0-alpha.3 there.
    match = re.fullmatch(r"(\d+\.\d+\.\d+)(?:(a|b|rc)(\d+))?.*", installed)
    if match is None:
        return None
    return f"{match[1]}-{_PRERELEASES[match[2]]}.{match[3]}" if match[2] else match[1]


class AccessControl(TypedDict, total=False):
    """One entry of Permissions: a level, and one of the three kinds of principal."""

    permissionLevel: Input[str]
    userName: Input[str]
    groupName: Input[str]
    servicePrincipalName: Input[str]


class VendorResource(pulumi.CustomResource):
    """What all have in common: the type token, the plugin's version, and which outputs are secret."""

    token: ClassVar[str]
    secret_outputs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, resource_name: str, inputs: Mapping[str, Any], opts: ResourceOptions | None) -> None:
        # As the vendor's SDK does: a version in the user's own options wins, secret outputs add up.
        ours = ResourceOptions(version=vendor_version(), additional_secret_outputs=list(self.secret_outputs))
        options = ResourceOptions.merge(ours, opts)
        start_vendor(self.token, options)
        inputs = judged(self.token, resource_name, {k: v for k, v in inputs.items() if v is not None}, options)
        super().__init__(self.token, resource_name, handed_out(type(self), inputs), options)


class SecretScope(VendorResource):
    """A scope of secrets; every change replaces it. ``name`` defaults to the resource's name with a random suffix."""

    token = "databricks:index/secretScope:SecretScope"
    name: Output[str] = output("name")
    backend_type: Output[str] = output("backendType")

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        backend_type: Input[str] | None = None,
        initial_manage_principal: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "backendType": backend_type,
            "initialManagePrincipal": initial_manage_principal,
        }
        super().__init__(resource_name, inputs, opts)


class SecretAcl(VendorResource):
    """One principal's permission (READ, WRITE, MANAGE) on a scope. Principal: e-mail, group name or application id.

    Every change replaces it, and the old one is deleted last: give ``delete_before_replace`` where scope and principal
    stay and only the permission changes, or the deletion takes the new entry.
    """

    token = "databricks:index/secretAcl:SecretAcl"
    scope: Output[str] = output("scope")
    principal: Output[str] = output("principal")
    permission: Output[str] = output("permission")

    def __init__(
        self,
        resource_name: str,
        *,
        scope: Input[str],
        principal: Input[str],
        permission: Input[str],
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"scope": scope, "principal": principal, "permission": permission}
        super().__init__(resource_name, inputs, opts)


class Permissions(VendorResource):
    """All direct permissions on one object: replaces everybody's, so only for objects that one program owns."""

    token = "databricks:index/permissions:Permissions"
    access_controls: Output[list[Any]] = output("accessControls")
    object_type: Output[str] = output("objectType")

    def __init__(
        self,
        resource_name: str,
        *,
        access_controls: Input[Sequence[Input[AccessControl]]],
        serving_endpoint_id: Input[str] | None = None,
        sql_endpoint_id: Input[str] | None = None,
        vector_search_endpoint_id: Input[str] | None = None,
        app_name: Input[str] | None = None,
        experiment_id: Input[str] | None = None,
        job_id: Input[str] | None = None,
        pipeline_id: Input[str] | None = None,
        workspace_file_id: Input[str] | None = None,
        workspace_file_path: Input[str] | None = None,
        directory_path: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "accessControls": access_controls,
            "servingEndpointId": serving_endpoint_id,
            "sqlEndpointId": sql_endpoint_id,
            "vectorSearchEndpointId": vector_search_endpoint_id,
            "appName": app_name,
            "experimentId": experiment_id,
            "jobId": job_id,
            "pipelineId": pipeline_id,
            "workspaceFileId": workspace_file_id,
            "workspaceFilePath": workspace_file_path,
            "directoryPath": directory_path,
        }
        super().__init__(resource_name, inputs, opts)


class ServicePrincipal(VendorResource):
    """A service principal of the workspace. ``id`` is its SCIM id; grants and ACLs name it by ``application_id``."""

    token = "databricks:index/servicePrincipal:ServicePrincipal"
    display_name: Output[str] = output("displayName")
    application_id: Output[str] = output("applicationId")
    acl_principal_id: Output[str] = output("aclPrincipalId")
    active: Output[bool | None] = output("active")
    home: Output[str] = output("home")
    repos: Output[str] = output("repos")

    def __init__(
        self,
        resource_name: str,
        *,
        display_name: Input[str] | None = None,
        application_id: Input[str] | None = None,
        active: Input[bool] | None = None,
        external_id: Input[str] | None = None,
        allow_cluster_create: Input[bool] | None = None,
        allow_instance_pool_create: Input[bool] | None = None,
        databricks_sql_access: Input[bool] | None = None,
        workspace_access: Input[bool] | None = None,
        workspace_consume: Input[bool] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "displayName": display_name,
            "applicationId": application_id,
            "active": active,
            "externalId": external_id,
            "allowClusterCreate": allow_cluster_create,
            "allowInstancePoolCreate": allow_instance_pool_create,
            "databricksSqlAccess": databricks_sql_access,
            "workspaceAccess": workspace_access,
            "workspaceConsume": workspace_consume,
        }
        super().__init__(resource_name, inputs, opts)


class ServicePrincipalSecret(VendorResource):
    """An OAuth secret of a service principal; every change makes a new one. ``lifetime`` in seconds: ``"3600s"``."""

    token = "databricks:index/servicePrincipalSecret:ServicePrincipalSecret"
    secret_outputs = ("secret",)
    service_principal_id: Output[str] = output("servicePrincipalId")
    lifetime: Output[str] = output("lifetime")
    secret: Output[str] = output("secret")
    secret_hash: Output[str] = output("secretHash")
    service_principal_secret_id: Output[str] = output("servicePrincipalSecretId")
    status: Output[str] = output("status")
    create_time: Output[str] = output("createTime")
    update_time: Output[str] = output("updateTime")
    expire_time: Output[str] = output("expireTime")

    def __init__(
        self,
        resource_name: str,
        *,
        service_principal_id: Input[str],
        lifetime: Input[str] | None = None,
        time_rotating: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "servicePrincipalId": service_principal_id,
            "lifetime": lifetime,
            "timeRotating": time_rotating,
        }
        super().__init__(resource_name, inputs, opts)


class Grant(VendorResource):
    """All privileges of one principal on one Unity Catalog object; others' privileges stay. Give exactly one object."""

    token = "databricks:index/grant:Grant"
    principal: Output[str] = output("principal")
    privileges: Output[list[str]] = output("privileges")

    def __init__(
        self,
        resource_name: str,
        *,
        principal: Input[str],
        privileges: Input[Sequence[Input[str]]],
        catalog: Input[str] | None = None,
        schema: Input[str] | None = None,
        table: Input[str] | None = None,
        volume: Input[str] | None = None,
        function: Input[str] | None = None,
        model: Input[str] | None = None,
        model_service: Input[str] | None = None,
        mcp_service: Input[str] | None = None,
        foreign_connection: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "principal": principal,
            "privileges": privileges,
            "catalog": catalog,
            "schema": schema,
            "table": table,
            "volume": volume,
            "function": function,
            "model": model,
            "modelService": model_service,
            "mcpService": mcp_service,
            "foreignConnection": foreign_connection,
        }
        super().__init__(resource_name, inputs, opts)


class RegisteredModel(VendorResource):
    """A registered model in Unity Catalog, without versions. ``id`` is its full name."""

    token = "databricks:index/registeredModel:RegisteredModel"
    name: Output[str] = output("name")
    full_name: Output[str] = output("fullName")
    owner: Output[str] = output("owner")
    comment: Output[str | None] = output("comment")
    metastore_id: Output[str] = output("metastoreId")
    storage_location: Output[str] = output("storageLocation")

    def __init__(
        self,
        resource_name: str,
        *,
        catalog_name: Input[str],
        schema_name: Input[str],
        name: Input[str] | None = None,
        comment: Input[str] | None = None,
        owner: Input[str] | None = None,
        storage_location: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "catalogName": catalog_name,
            "schemaName": schema_name,
            "name": name,
            "comment": comment,
            "owner": owner,
            "storageLocation": storage_location,
        }
        super().__init__(resource_name, inputs, opts)


class WorkspaceFile(VendorResource):
    """A file in the workspace's tree, from base64 text or a local file. ``id`` is its path."""

    token = "databricks:index/workspaceFile:WorkspaceFile"
    path: Output[str] = output("path")
    object_id: Output[int] = output("objectId")
    url: Output[str] = output("url")
    workspace_path: Output[str] = output("workspacePath")

    def __init__(
        self,
        resource_name: str,
        *,
        path: Input[str],
        content_base64: Input[str] | None = None,
        source: Input[str] | None = None,
        md5: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {"path": path, "contentBase64": content_base64, "source": source, "md5": md5}
        super().__init__(resource_name, inputs, opts)


class Pipeline(VendorResource):
    """A Lakeflow declarative pipeline. ``id`` is the pipeline's id."""

    token = "databricks:index/pipeline:Pipeline"
    name: Output[str] = output("name")
    url: Output[str] = output("url")
    state: Output[str] = output("state")

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        catalog: Input[str] | None = None,
        schema: Input[str] | None = None,
        libraries: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        configuration: Input[Mapping[str, Input[str]]] | None = None,
        continuous: Input[bool] | None = None,
        development: Input[bool] | None = None,
        serverless: Input[bool] | None = None,
        photon: Input[bool] | None = None,
        channel: Input[str] | None = None,
        edition: Input[str] | None = None,
        clusters: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        environment: Input[Mapping[str, Any]] | None = None,
        notifications: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        run_as: Input[Mapping[str, Any]] | None = None,
        budget_policy_id: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        root_path: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "catalog": catalog,
            "schema": schema,
            "libraries": libraries,
            "configuration": configuration,
            "continuous": continuous,
            "development": development,
            "serverless": serverless,
            "photon": photon,
            "channel": channel,
            "edition": edition,
            "clusters": clusters,
            "environment": environment,
            "notifications": notifications,
            "runAs": run_as,
            "budgetPolicyId": budget_policy_id,
            "tags": tags,
            "rootPath": root_path,
        }
        super().__init__(resource_name, inputs, opts)


class Job(VendorResource):
    """A job of one or several tasks. ``id`` is the job's number."""

    token = "databricks:index/job:Job"
    name: Output[str] = output("name")
    url: Output[str] = output("url")

    def __init__(
        self,
        resource_name: str,
        *,
        name: Input[str] | None = None,
        description: Input[str] | None = None,
        tasks: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        schedule: Input[Mapping[str, Any]] | None = None,
        trigger: Input[Mapping[str, Any]] | None = None,
        continuous: Input[Mapping[str, Any]] | None = None,
        environments: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        job_clusters: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        parameters: Input[Sequence[Input[Mapping[str, Any]]]] | None = None,
        max_concurrent_runs: Input[int] | None = None,
        timeout_seconds: Input[int] | None = None,
        queue: Input[Mapping[str, Any]] | None = None,
        email_notifications: Input[Mapping[str, Any]] | None = None,
        run_as: Input[Mapping[str, Any]] | None = None,
        budget_policy_id: Input[str] | None = None,
        performance_target: Input[str] | None = None,
        tags: Input[Mapping[str, Input[str]]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "name": name,
            "description": description,
            "tasks": tasks,
            "schedule": schedule,
            "trigger": trigger,
            "continuous": continuous,
            "environments": environments,
            "jobClusters": job_clusters,
            "parameters": parameters,
            "maxConcurrentRuns": max_concurrent_runs,
            "timeoutSeconds": timeout_seconds,
            "queue": queue,
            "emailNotifications": email_notifications,
            "runAs": run_as,
            "budgetPolicyId": budget_policy_id,
            "performanceTarget": performance_target,
            "tags": tags,
        }
        super().__init__(resource_name, inputs, opts)


RESOURCES: tuple[type[VendorResource], ...] = (
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
)
