"""The schema against what the implementations take and give: neither may know a field that the other does not."""

from __future__ import annotations

import json
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from agent_deploy.client.configuration import SECRETS, VARIABLES
from agent_deploy.provider.package import FUNCTIONS, RESOURCES, package
from agent_deploy.provider.plugin.resource import Resource
from agent_deploy.provider.schema import CONFIGURATION, RECORDS, TYPES, schema, token
from agent_deploy.provider.schema import FUNCTIONS as FUNCTION_SCHEMAS
from agent_deploy.provider.schema import RESOURCES as RESOURCE_SCHEMAS
from agent_deploy.resources import functions
from agent_deploy.rules.endpoint_fields import ENTITY_FIELDS, FIELDS, Changing
from agent_deploy.rules.records import read, wire, wire_fields
from agent_deploy.rules.requirements import Requirements
from agent_deploy.rules.resource_kinds import Resource as DeclaredResource
from agent_deploy.rules.verifiable import NamedValue, WantedDeployment, WantedPipeline, WantedVersion


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_a_resource_has_the_fields_of_its_schema(name: str) -> None:
    resource: type[Resource] = RESOURCES[name]
    described = RESOURCE_SCHEMAS[name]
    assert set(described["inputProperties"]) == set(resource.inputs)
    assert set(described["properties"]) == {*resource.inputs, *resource.outputs}
    assert set(described["requiredInputs"]) <= set(resource.inputs)
    secret = {field for field, type_ in described["properties"].items() if type_.get("secret")}
    assert secret == set(resource.secrets)


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_what_replaces_is_said_in_the_schema(name: str) -> None:
    resource, described = RESOURCES[name], RESOURCE_SCHEMAS[name]["inputProperties"]
    said = {field for field, type_ in described.items() if type_.get("willReplaceOnChanges")}
    if name == "ServingEndpoint":
        # The id is the name: a schema that called a change of it a replacement would say the obvious.
        assert said == {rule.path for rule in FIELDS if rule.changing is Changing.REPLACES} - {"name"}
    elif "*" in resource.replaces:
        assert said == set(resource.inputs)


def test_every_resource_and_function_is_in_the_schema_and_only_those() -> None:
    assert set(RESOURCE_SCHEMAS) == set(RESOURCES)
    assert set(FUNCTION_SCHEMAS) == set(FUNCTIONS)
    assert set(package().resources) == set(schema()["resources"])
    assert set(package().functions) == set(schema()["functions"])


# What the program reads of a function's answer → the schema that says the same.
SHAPES: dict[type, dict[str, Any]] = {
    functions.EndpointTable: FUNCTION_SCHEMAS["getEndpointTable"]["outputs"],
    functions.PayloadTable: FUNCTION_SCHEMAS["getPayloadTable"]["outputs"],
}


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_answers_that_a_program_reads_are_those_of_the_schema(shape: type) -> None:
    described = SHAPES[shape]["properties"]
    assert {name: wire_type(hint) for name, hint in get_type_hints(shape).items()} == {
        name: {key: type_[key] for key in type_ if key != "description"} for name, type_ in described.items()
    }


def test_every_shape_is_held_against_the_schema() -> None:
    assert {each for each in vars(functions).values() if is_typeddict(each)} == set(SHAPES)


RECORD = WantedDeployment(
    model_name="main.default.qa",
    versions=(WantedVersion("versions[0]", alias="champion"),),
    keep_previous=1,
    resources=(DeclaredResource("table", "main.default.docs", True),),
    experiment=NamedValue("experiment_id", "77"),
    pipeline=WantedPipeline("derive", "main", "default", run_as="logs@example.com"),
    requirements=Requirements(grant=True, readers=("users",), endpoint_name="e"),
)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_record_is_a_type_of_the_schema_with_a_description_of_each_field(name: str) -> None:
    described = TYPES[name]["properties"]
    assert list(described) == [each.wire_name for each in wire_fields(RECORDS[name])]
    assert all(type_["description"].strip() for type_ in described.values())


def test_what_a_program_asks_to_be_verified_crosses_the_wire_unchanged() -> None:
    sent = wire(RECORD)
    assert set(sent) <= set(TYPES["WantedDeployment"]["properties"])
    assert read(WantedDeployment, json.loads(json.dumps(sent))) == RECORD
    assert read(WantedDeployment, {}) == WantedDeployment()


def wire_type(hint: Any) -> dict[str, Any]:
    """A Python type as the schema writes it."""
    if is_typeddict(hint):
        return {"$ref": f"#/types/{token(hint.__name__)}"}
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return {"type": "array", "items": wire_type(arguments[0])}
    if origin is dict:
        # The only map: served entities in ServingEndpoint's words, which the program passes on.
        return {"type": "object", "additionalProperties": {"$ref": f"#/types/{token('ServedEntity')}"}}
    return {"type": {str: "string", bool: "boolean", int: "integer"}[hint]}


def test_a_served_entity_has_the_fields_of_the_rules() -> None:
    assert set(TYPES["ServedEntity"]["properties"]) == set(ENTITY_FIELDS)
    inside = {
        rule.path.removeprefix("aiGateway.inferenceTableConfig.")
        for rule in FIELDS
        if rule.path.startswith("aiGateway.inferenceTableConfig.")
    }
    assert set(TYPES["InferenceTableConfig"]["properties"]) == inside


def test_the_configuration_is_what_the_client_reads() -> None:
    assert set(CONFIGURATION) == set(VARIABLES)
    assert {name for name, type_ in CONFIGURATION.items() if type_.get("secret")} == set(SECRETS)


def test_every_reference_to_a_type_leads_somewhere() -> None:
    known = {f"#/types/{token(name)}" for name in TYPES}
    builtin = {"pulumi.json#/Any"}
    assert set(references(schema())) <= known | builtin


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        found = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return found + [ref for inner in value.values() for ref in references(inner)]
    if isinstance(value, list):
        return [ref for inner in value for ref in references(inner)]
    return []


def test_everything_is_described() -> None:
    for name, described in {**RESOURCE_SCHEMAS, **FUNCTION_SCHEMAS}.items():
        assert described["description"].endswith("."), name
    for name, type_ in RESOURCE_SCHEMAS["ServingEndpoint"]["properties"].items():
        assert type_["description"].endswith("."), name
