"""The package's schema as data: resources, functions and configuration; the components' part is inferred from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent_deploy.provider import schema_identity
from agent_deploy.rules.endpoint_fields import Changing, FieldRule, below

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


def _endpoint_fields(path: str) -> Schema:
    """The fields directly below a path of ServingEndpoint."""
    return {name: _endpoint_field(rule) for name, rule in below(path).items()}


def _endpoint_field(rule: FieldRule) -> Schema:
    name = rule.type.removesuffix(" by name")
    type_ = _PLAIN.get(name) or _ref(name)
    replaces = {"willReplaceOnChanges": True} if rule.changing is Changing.REPLACES and rule.path != "name" else {}
    return _of(type_ if name == rule.type else _map(type_), rule.description, **replaces)


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
    "DeclaredResource": {
        "properties": {
            "kind": _of(_STRING, "sql_warehouse, table, function, …, as MLflow names it in a model's MLmodel."),
            "name": _of(_STRING, "Name or id, as MLflow wants it."),
            "onBehalfOfUser": _of(_BOOLEAN, "Reached as the user who asks: the agent is given nothing. Default false."),
        },
        "required": ["kind", "name"],
    },
    "WantedPipeline": {
        "properties": {
            "field": _of(_STRING, "What the program calls it, for what is told about it."),
            "catalog": _of(_STRING, "Catalog of its tables."),
            "schema": _of(_STRING, "Schema of its tables."),
            "policyId": _of(_STRING, "Cluster policy; without one the pipeline is serverless."),
            "runAs": _of(_STRING, "User or service principal as whom it is to run. Default: who asks."),
            "runAsField": _of(_STRING, "What the program calls that."),
        },
        "required": ["field", "catalog", "schema"],
    },
    "DeploymentRequirements": {
        "properties": {
            "modelName": _of(_STRING, "Registered model that is to be served."),
            "endpointName": _of(_STRING, "Serving endpoint that is to be created or changed."),
            "inferenceSchema": _of(_STRING, "catalog.schema in which the inference tables are to be created."),
            "secretScopes": _of(_STRINGS, "Secret scopes that are to be created, or written to when they exist."),
            "experimentId": _of(_STRING, "MLflow experiment that others are to be let into."),
            "readers": _of(_STRINGS, "Principals that are to be let read the inference tables."),
            "runAs": _of(_STRING, "User or service principal that is to derive the inference tables."),
            "payloadTable": _of(_STRING, "Payload table that exists, and is to be derived from."),
            "createServicePrincipal": _of(_BOOLEAN, "Whether a service principal is to be created."),
            "grant": _of(_BOOLEAN, "Whether the deployer gives the agent its privileges on the resources."),
            "sqlWarehouse": _of(_STRING, "SQL warehouse that is to be used."),
            "skipOpen": _of(_BOOLEAN, "Whether what everybody has anyhow (openToAll) is not given, nor to be managed."),
        }
    },
    "PermissionFailure": {
        "properties": {
            "object": _of(_STRING, "The object, as a user would call it."),
            "kind": _of(_STRING, "Kind of resource as MLflow names it; catalog, schema, model, workspace, …"),
            "privilege": _of(_STRING, "What is missing: SELECT, USE CATALOG, CAN_QUERY, …"),
            "principal": _of(_STRING, "Who lacks it."),
            "reason": _of(_STRING, "What is wrong."),
            "remedy": _of(_STRING, "The GRANT statement or the permission that mends it."),
        },
        "required": ["object", "kind", "privilege", "principal", "reason", "remedy"],
    },
    "PermissionCheck": {
        "properties": {
            "object": _of(_STRING, "The object."),
            "kind": _of(_STRING, "Its kind."),
            "privilege": _of(_STRING, "The privilege that was looked for."),
            "outcome": _of(_STRING, "yes, no or unknown."),
        },
        "required": ["object", "kind", "privilege", "outcome"],
    },
    "WantedVersion": {
        "properties": {
            "field": _of(_STRING, "Where the user named it: versions[1]."),
            "version": _of(_STRING, "Number of the version; or give an alias."),
            "alias": _of(_STRING, "Alias; or give a version."),
        },
        "required": ["field"],
    },
    "NamedValue": {
        "properties": {
            "field": _of(_STRING, "Where the user wrote it: environment['KEY']."),
            "value": _of(_STRING, "What the user wrote."),
        },
        "required": ["field", "value"],
    },
    "VersionNeeds": {
        "properties": {
            "version": _of(_STRING, "Number of the version."),
            "resources": _of(_list(_ref("DeclaredResource")), "What it needs."),
            "userScopes": _of(_STRINGS, "API scopes that its users would have to consent to; never granted."),
        },
        "required": ["version", "resources", "userScopes"],
    },
    "OpenPrivilege": {
        "properties": {
            "securableType": _of(_STRING, "catalog, schema, table, function, …"),
            "name": _of(_STRING, "Full name."),
            "privilege": _of(_STRING, "What all users of the account have there."),
        },
        "required": ["securableType", "name", "privilege"],
    },
    "WantedDeployment": {
        "properties": {
            "modelName": _of(_STRING, "catalog.schema.model."),
            "versions": _of(_list(_ref("WantedVersion")), "The versions to be served."),
            "sharesExperiment": _of(
                _BOOLEAN, "Whether others are let into the experiment (default: the first version's)."
            ),
            "keepPrevious": _of(_INTEGER, "How many versions that are served now stay besides. Default 0."),
            "ownerMarks": _of(_STRINGS, "Marks of the endpoint's owner, that of now first, then its former ones."),
            "auth": _of(_STRING, "PASSTHROUGH, SERVICE_PRINCIPAL, or MANUAL, where nothing is granted nor checked."),
            "resources": _of(_list(_ref("DeclaredResource")), "What is needed besides what the models declare."),
            "replaceResources": _of(_BOOLEAN, "Whether resources counts instead of what the models declare."),
            "references": _of(_list(_ref("NamedValue")), "References {{secrets/scope/key}}."),
            "principals": _of(_list(_ref("NamedValue")), "E-mail addresses, names of groups, application ids."),
            "experiment": _of(_ref("NamedValue"), "Id of the MLflow experiment that traces go to."),
            "feedbackModel": _of(_STRING, "Feedback model to be served as well, and registered when it is not there."),
            "tables": _of(_list(_ref("NamedValue")), "Full names of tables that are read."),
            "pipeline": _of(_ref("WantedPipeline"), "A pipeline that is to be made."),
            "sourceFolder": _of(_ref("NamedValue"), "Folder for what it runs, where only its owner may write."),
            "requirements": _of(_ref("DeploymentRequirements"), "What the deployment itself takes."),
        }
    },
    "VerifiedDeployment": {
        "properties": {
            "numbers": _of(_STRINGS, "Number of each wanted version; empty where it was not found."),
            "experimentId": _of(_STRING, "MLflow experiment in which the first version was logged, or empty."),
            "workspaceUrl": _of(_STRING, "Address of the workspace, if a version was found there."),
            "kept": _of(_map(_ref("ServedEntity")), "Served entities that stay, by name."),
            "needs": _of(_list(_ref("VersionNeeds")), "What each version needs, those that stay included."),
            "openToAll": _of(_list(_ref("OpenPrivilege")), "What need not be granted, as everybody has it."),
            "doubts": _of(_STRINGS, "What could not be told either way, one line each."),
            "problems": _of(_STRINGS, "All that keeps the deployment from being made, one line for each cause."),
        },
        "required": [
            "numbers",
            "experimentId",
            "workspaceUrl",
            "kept",
            "needs",
            "openToAll",
            "doubts",
            "problems",
        ],
    },
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
    "getModelVersion": _function(
        "A version of a registered model. What keeps it from being deployed is told in `problem`, not as a failure.",
        {
            "modelName": _of(_STRING, "catalog.schema.model."),
            "version": _of(_STRING, "Number of the version; or give an alias."),
            "alias": _of(_STRING, "Alias; or give a version."),
        },
        {
            "modelName": _of(_STRING, "As given."),
            "version": _of(_STRING, "Number of the version."),
            "versionId": _of(_STRING, "Id of the version; its number is given again when the model is made anew."),
            "status": _of(_STRING, "READY, PENDING_REGISTRATION or FAILED_REGISTRATION."),
            "runId": _of(_STRING, "MLflow run that logged it, or empty."),
            "experimentId": _of(_STRING, "MLflow experiment of that run, or empty."),
            "aliases": _of(_STRINGS, "Aliases that point to it."),
            "found": _of(_BOOLEAN, "Whether it exists."),
            "workspaceUrl": _of(_STRING, "Address of the workspace."),
            "problem": _of(_STRING, "Why it cannot be deployed and what to do; empty when it can."),
        },
        ["modelName"],
    ),
    "getDeclaredResources": _function(
        "What a model version says that it needs, read from its MLmodel file.",
        {
            "modelName": _of(_STRING, "catalog.schema.model."),
            "version": _of(_STRING, "Number of the version."),
        },
        {
            "resources": _of(_list(_ref("DeclaredResource")), "What it needs."),
            "userScopes": _of(_STRINGS, "API scopes that users would have to consent to; never granted."),
            "unknownKinds": _of(_STRINGS, "Kinds of resource that only a newer MLflow knows."),
            "problem": _of(_STRING, "Why this cannot be told, or what is wrong with it; empty when all is well."),
        },
        ["modelName", "version"],
    ),
    "checkPermissions": _function(
        "Whether the deployer may use what agents need, and do what their deployment takes; nothing is changed.",
        {
            "resources": _of(_list(_ref("DeclaredResource")), "Of all agents and versions at once."),
            "requirements": _of(_ref("DeploymentRequirements"), "What the deployment itself takes."),
            "principal": _of(_STRING, "Whom to check instead of the caller."),
        },
        {
            "principal": _of(_STRING, "Who was checked."),
            "failures": _of(_list(_ref("PermissionFailure")), "All that is missing."),
            "unverified": _of(_list(_ref("PermissionFailure")), "What could not be told either way."),
            "openToAll": _of(_list(_ref("OpenPrivilege")), "What need not be granted, as everybody has it."),
            "checks": _of(_list(_ref("PermissionCheck")), "All that was looked at."),
            "checked": _of(_INTEGER, "How many that were."),
            "problem": _of(_STRING, "Why it could not be checked at all; empty when it could."),
        },
        [],
    ),
    "checkPrincipalSecrets": _function(
        "Whether a service principal may have one more OAuth secret.",
        {"servicePrincipalId": _of(_STRING, "Its id in the workspace.")},
        {"problem": _of(_STRING, "Why not, and what to do; empty when it may.")},
        ["servicePrincipalId"],
    ),
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
        "types": {token(name): {"type": "object", **type_} for name, type_ in TYPES.items()},
        "resources": {token(name): resource for name, resource in RESOURCES.items()},
        "functions": {token(name): function for name, function in FUNCTIONS.items()},
    }
