"""The package's schema as data: resources, functions and configuration; the components' part is inferred from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.provider import schema_identity, schema_marks
from agent_deploy.rules.endpoint_fields import Changing, FieldRule, below
from agent_deploy.rules.records import WireField, wire_fields
from agent_deploy.rules.requirements import Requirements
from agent_deploy.rules.resource_kinds import Resource
from agent_deploy.rules.verifiable import (
    NamedValue,
    OpenPrivilege,
    VerifiedDeployment,
    VersionNeeds,
    WantedDeployment,
    WantedPipeline,
    WantedVersion,
)

PACKAGE = "agent-deploy"
Schema = dict[str, Any]

_STRING, _BOOLEAN, _INTEGER = {"type": "string"}, {"type": "boolean"}, {"type": "integer"}
_STRINGS = {"type": "array", "items": _STRING}


def token(name: str) -> str:
    """``agent-deploy:index:Secret``."""
    return f"{PACKAGE}:index:{name}"


def _of(kind: Schema, description: str, **more: Any) -> Schema:
    return {**kind, "description": description, **more}


def _map(items: Schema) -> Schema:
    return {"type": "object", "additionalProperties": items}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/types/{token(name)}"}


CONFIGURATION: Schema = {
    "host": _of(
        _STRING, "Address of the workspace. Default: in Python `databricks:host`; DATABRICKS_HOST, or the profile's."
    ),
    "token": _of(_STRING, "Personal access token.", secret=True),
    "clientId": _of(_STRING, "Application id of a service principal, for OAuth."),
    "clientSecret": _of(_STRING, "OAuth secret of the service principal.", secret=True),
    "profile": _of(_STRING, "Profile in ~/.databrickscfg."),
    "accountId": _of(_STRING, "Databricks account."),
    "authType": _of(_STRING, "How to sign in, as Databricks' SDKs name it: pat, oauth-m2m, azure-cli, …"),
}

_PLAIN: Mapping[str, Schema] = {"string": _STRING, "integer": _INTEGER, "boolean": _BOOLEAN, "strings": _STRINGS}


MARKS = schema_marks.marks(_ref)


def _endpoint_fields(path: str) -> Schema:
    """The fields directly below a path of ServingEndpoint."""
    return {name: _endpoint_field(rule) for name, rule in below(path).items()}


def _endpoint_field(rule: FieldRule) -> Schema:
    name = rule.type.removesuffix(" by name")
    type_ = _PLAIN.get(name) or _ref(name)
    replaces = {"willReplaceOnChanges": True} if rule.changing is Changing.REPLACES and rule.path != "name" else {}
    return _of(type_ if name == rule.type else _map(type_), rule.description, **replaces)


# Types that are records of rules/; each field says what it is.
RECORDS: Mapping[str, type] = {
    "DeclaredResource": Resource,
    "DeploymentRequirements": Requirements,
    # The arguments of AgentServicePrincipal have an OpenPrivilege, whose values are plain.
    "FoundOpenPrivilege": OpenPrivilege,
    **{
        record.__name__: record
        for record in (
            WantedVersion, NamedValue, WantedPipeline, WantedDeployment,
            VersionNeeds, VerifiedDeployment,
        )
    },
}  # fmt: skip
_WIRE_TYPES: Mapping[type, Schema] = {str: _STRING, bool: _BOOLEAN, int: _INTEGER} | {
    record: _ref(name) for name, record in RECORDS.items()
}


def _record(record: type) -> Schema:
    properties = {each.wire_name: _of(_type(each), each.field.metadata["description"]) for each in wire_fields(record)}
    required = [each.wire_name for each in wire_fields(record) if each.is_required]
    return {"properties": properties, **({"required": required} if required else {})}


def _type(each: WireField) -> Schema:
    if items := each.field.metadata.get("map_of"):
        return _map(_ref(items))
    return _list(_WIRE_TYPES[each.type]) if each.is_list else _WIRE_TYPES[each.type]


TYPES: Schema = {
    "ServedEntity": {
        "properties": _endpoint_fields("servedEntities.*"),
        "required": ["entityName", "entityVersion"],
    },
    "AiGateway": {"properties": _endpoint_fields("aiGateway")},
    "InferenceTableConfig": {"properties": _endpoint_fields("aiGateway.inferenceTableConfig")},
    "UsageTrackingConfig": {"properties": _endpoint_fields("aiGateway.usageTrackingConfig")},
    "EmailNotifications": {"properties": _endpoint_fields("emailNotifications")},
    "ServedEntityCondition": {
        "properties": {
            "deployment": _of(_STRING, "DEPLOYMENT_READY, or what else the workspace says."),
            "message": _of(_STRING, "The workspace's explanation when it is not ready."),
        }
    },
    **{name: _record(record) for name, record in RECORDS.items()},
}
_ENDPOINT_OUTPUTS = {
    "endpointId": _of(_STRING, "Hexadecimal id, by which the permissions API knows the endpoint."),
    "endpointUrl": _of(_STRING, "Only route-optimised endpoints have one; else empty."),
    "creator": _of(_STRING, "Who created it."),
    "ready": _of(_STRING, "READY or NOT_READY."),
    "configUpdate": _of(_STRING, "NOT_UPDATING, IN_PROGRESS, UPDATE_FAILED or UPDATE_CANCELED."),
    "configVersion": _of(_INTEGER, "Counted by the workspace; 0 without served entities."),
    "servedEntityStates": _of(_map(_ref("ServedEntityCondition")), "Served entity's name to its condition."),
    "servedVersionIds": _of(_map(_STRING), "Served entity's name to the id of the model version that was deployed."),
    "payloadTable": _of(_STRING, "Full name of the raw inference table, or empty."),
    "tableNamePrefix": _of(_STRING, "Prefix of the inference tables, or empty."),
    "workspaceUrl": _of(_STRING, "Address of the workspace."),
}
_SECRET_INPUTS = {
    "scope": _of(_STRING, "Secret scope.", willReplaceOnChanges=True),
    "name": _of(_STRING, "Beginning of the key; a random suffix follows.", willReplaceOnChanges=True),
    "value": _of(_STRING, "The secret value.", secret=True, willReplaceOnChanges=True),
}
_SECRET_OUTPUTS = {
    "key": _of(_STRING, "The key in the scope."),
    "reference": _of(_STRING, "{{secrets/scope/key}}, for environment variables."),
}
_PERMISSION_INPUTS = {
    "objectType": _of(_STRING, "Path in the permissions API: sql/warehouses, genie, …"),
    "objectId": _of(_STRING, "Id of the object; or give objectName."),
    "objectName": _of(_STRING, "Name of an endpoint, app or database instance."),
    "principalKind": _of(_STRING, "user, group or service_principal."),
    "principal": _of(_STRING, "E-mail address, group's name or application id."),
    "level": _of(_STRING, "CAN_USE, CAN_QUERY, CAN_RUN, …"),
}
_PERMISSION_OUTPUTS = {
    "resolvedObjectId": _of(_STRING, "Id by which the permissions API knows the object."),
    "previousLevel": _of(_STRING, "What the principal had before, which comes back on delete; or empty."),
}
_TABLE_INPUTS = {
    "endpointName": _of(_STRING, "An endpoint that exists, whoever made it.", willReplaceOnChanges=True),
    "catalogName": _of(_STRING, "Catalog of the table."),
    "schemaName": _of(_STRING, "Schema of the table."),
    "tableNamePrefix": _of(_STRING, "The table is `{prefix}_payload`."),
    "tableNamePrefixHint": _of(
        _STRING, "Prefix to take, or to number until it is free; kept from then on. Default: the endpoint's name."
    ),
    "deleteOnDestroy": _of(_BOOLEAN, "Whether the table goes with this resource. Default false: it is kept."),
}
_TABLE_OUTPUTS = {
    "payloadTable": _of(_STRING, "Full name of the raw inference table."),
    "switchedOn": _of(_BOOLEAN, "Whether this resource turned the table on, and so turns it off on delete."),
}
_FILE_INPUTS = {
    "folder": _of(
        _STRING,
        "Folder that only its owner writes. Default: agent-deploy in the home of who deploys first; kept from then on.",
        willReplaceOnChanges=True,
    ),
    "name": _of(_STRING, "Path below the folder.", willReplaceOnChanges=True),
    "content": _of(_STRING, "What the file holds; compared at every preview and refresh."),
}
_FILE_OUTPUTS = {
    "path": _of(_STRING, "Path in the workspace's tree."),
    "workspacePath": _of(_STRING, "Path as pipelines and jobs name it, with /Workspace."),
    "objectId": _of(_STRING, "Id by which the permissions API knows the file."),
}
_DERIVED_INPUTS = {
    "pipelineId": _of(_STRING, "The pipeline that derives them.", willReplaceOnChanges=True),
    "payloadTable": _of(_STRING, "Full name of the table that they are derived from.", willReplaceOnChanges=True),
    "deleteOnDestroy": _of(_BOOLEAN, "Whether they go with the pipeline. Default false: they are kept."),
    "awaitTables": _of(_BOOLEAN, "Whether to start the pipeline and wait until they exist. Default false."),
    "warehouseId": _of(_STRING, "SQL warehouse on which tables kept from an earlier pipeline are handed over."),
    "formerFolder": _of(_STRING, "Where earlier versions kept the pipeline's files; removed when nothing runs them."),
}
_DERIVED_OUTPUTS = {
    "requestLogs": _of(_STRING, "Full name of the request logs."),
    "assessmentLogs": _of(_STRING, "Full name of the assessment logs."),
    "quarantine": _of(_STRING, "Full name of the table of rows that could not be read."),
}

_REGISTRATION_INPUTS = {
    "modelName": _of(_STRING, "Registered model: catalog.schema.model."),
    "modelVersion": _of(_STRING, "Number of the version."),
    "endpointName": _of(_STRING, "Serving endpoint."),
    "servedEntityName": _of(_STRING, "Served entity of the version."),
    "experimentId": _of(_STRING, "MLflow experiment whose Review App knows the agent; none: no Review App does."),
    "instructions": _of(_STRING, "What reviewers are told; of the model, not of the version."),
}
_REGISTRATION_OUTPUTS = {
    "registered": _of(_BOOLEAN, "Whether the register has the record; a workspace may lack the agents service."),
    "queryEndpoint": _of(_STRING, "URL that asks this version alone."),
    "reviewAppUrl": _of(_STRING, "Where reviewers chat with the agent."),
    "reviewAppId": _of(_STRING, "Id of the experiment's Review App, or empty."),
}


def _resource(description: str, inputs: Schema, outputs: Schema, required: list[str]) -> Schema:
    return {
        "description": description,
        "inputProperties": inputs,
        "requiredInputs": required,
        "properties": {**inputs, **outputs},
        "required": [*required, *outputs],
    }


RESOURCES: Schema = {
    **schema_identity.RESOURCES,
    "ServingEndpoint": _resource(
        "A model serving endpoint: waited for, changed in place, told truthfully when it fails.",
        _endpoint_fields(""),
        _ENDPOINT_OUTPUTS,
        ["name"],
    ),
    "Secret": _resource(
        "A value in a secret scope under a key of its own: a changed value is a new key, and the old one goes last.",
        _SECRET_INPUTS,
        _SECRET_OUTPUTS,
        ["scope", "name", "value"],
    ),
    "SecurableGrant": _resource(
        "Further privileges of one principal on one securable; what it has anyhow stays, then and after.",
        {
            "securableType": _of(_STRING, "catalog, schema, table, function, connection, …"),
            "fullName": _of(_STRING, "Full name of the securable."),
            "principal": _of(_STRING, "E-mail address, group or application id."),
            "privileges": _of(_STRINGS, "Privileges, such as SELECT."),
        },
        {"added": _of(_STRINGS, "Those that the principal did not have before.")},
        ["securableType", "fullName", "principal", "privileges"],
    ),
    "FeedbackModelVersion": _resource(
        "The feedback model of a schema, adopted or registered, and shared by the agents of that schema.",
        {
            "modelName": _of(_STRING, "Full name: catalog.schema.feedback.", willReplaceOnChanges=True),
            "ownerMark": _of(_STRING, "By what the model's tags say who uses it."),
        },
        {
            "version": _of(_STRING, "Number of the version to serve."),
            "created": _of(_BOOLEAN, "Whether one of our runs made the model; one that was there before stays."),
        },
        ["modelName"],
    ),
    "ObjectPermission": _resource(
        "What one principal may do with one workspace object, added to what others may: their entries stay.",
        _PERMISSION_INPUTS,
        _PERMISSION_OUTPUTS,
        ["objectType", "principalKind", "principal", "level"],
    ),
    "EndpointInferenceTable": _resource(
        "AI Gateway's inference table on an endpoint that others have made; the rest of its gateway stays as it is.",
        _TABLE_INPUTS,
        _TABLE_OUTPUTS,
        ["endpointName", "catalogName", "schemaName"],
    ),
    "DerivedTables": _resource(
        "What a pipeline derives from a payload table; kept when the pipeline is deleted, unless it is to go.",
        _DERIVED_INPUTS,
        _DERIVED_OUTPUTS,
        ["pipelineId", "payloadTable"],
    ),
    "WorkspaceFile": _resource(
        "A text file that a pipeline or a job runs, where only its owner writes; what somebody else wrote is replaced.",
        _FILE_INPUTS,
        _FILE_OUTPUTS,
        ["name", "content"],
    ),
    "AgentRegistration": _resource(
        "A served version in the agents service's register, and its agent in the Review App of an experiment.",
        _REGISTRATION_INPUTS,
        _REGISTRATION_OUTPUTS,
        ["modelName", "modelVersion", "endpointName", "servedEntityName"],
    ),
}


def _function(description: str, inputs: Schema, outputs: Schema, required: list[str]) -> Schema:
    return {
        "description": description,
        "inputs": {"type": "object", "properties": inputs, "required": required},
        "outputs": {"type": "object", "properties": outputs, "required": list(outputs)},
    }


FUNCTIONS: Schema = {
    "verifyDeployments": _function(
        "All that deployments take, looked up at once and told in one list each; what AgentDeployment asks first.",
        {"deployments": _of(_list(_ref("WantedDeployment")), "The deployments of a program.")},
        {"deployments": _of(_list(_ref("VerifiedDeployment")), "What each of them takes, in their order.")},
        ["deployments"],
    ),
    "getEndpointTable": _function(
        "Which model an endpoint serves, and where its requests are logged.",
        {"endpointName": _of(_STRING, "Name of the endpoint.")},
        {
            "modelName": _of(_STRING, "Registered model in Unity Catalog, or empty."),
            "payloadTable": _of(_STRING, "Full name of the inference table, or empty."),
            "problem": _of(_STRING, "Why it could not be told; empty when it could."),
        },
        ["endpointName"],
    ),
    "getPayloadTable": _function(
        "Whether a table is a payload table, and which layout it has.",
        {"payloadTable": _of(_STRING, "Its full name.")},
        {
            "dayColumn": _of(_STRING, "The column with the day of each row, or empty."),
            "problem": _of(_STRING, "Why nothing can be derived from it; empty when it can."),
        },
        ["payloadTable"],
    ),
}


def schema() -> Schema:
    """All but the components, as the engine's GetSchema wants it."""
    return {
        "name": PACKAGE,
        "displayName": "Agent Deploy",
        "description": "AI agents on Databricks, declared: endpoint, identity, grants, inference tables, feedback.",
        "keywords": ["category/infrastructure", "kind/component", "databricks", "mlflow", "agents"],
        "license": "Apache-2.0",
        "config": {"variables": CONFIGURATION},
        "provider": {"inputProperties": CONFIGURATION},
        "types": {
            token(name): {"type": "object", **type_} for name, type_ in (TYPES | dict(schema_marks.ENUMS)).items()
        },
        "resources": {token(name): resource for name, resource in RESOURCES.items()},
        "functions": {token(name): function for name, function in FUNCTIONS.items()},
    }
