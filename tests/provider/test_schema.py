"""The schema against what the implementations take and give: neither may know a field that the other does not."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.client.configuration import SECRETS, VARIABLES
from agent_deploy.provider.package import FUNCTIONS, RESOURCES, package
from agent_deploy.provider.resource import Resource
from agent_deploy.provider.schema import CONFIGURATION, TYPES, schema, token
from agent_deploy.provider.schema import FUNCTIONS as FUNCTION_SCHEMAS
from agent_deploy.provider.schema import RESOURCES as RESOURCE_SCHEMAS
from agent_deploy.rules.endpoint_fields import ENTITY_FIELDS, FIELDS, Changing


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
