"""schema.json is what the plugin answers, and what it says of the components is said for every language."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from schema import SCHEMA, difference

from agent_deploy.components.arguments import AgentDeploymentArgs
from agent_deploy.provider.schema import MARKS
from agent_deploy.rules.credentials import AUTHS
from agent_deploy.rules.resource_kinds import KINDS

COMPONENTS = ("AgentDeployment", "AgentServicePrincipal", "FeedbackModel", "InferenceTables")
WHOLE: dict[str, Any] = json.loads(SCHEMA.read_text())


def test_the_file_is_what_the_plugin_answers() -> None:
    assert difference() == "", "run tools/schema.py:\n" + difference()


def properties() -> Iterator[tuple[str, dict[str, Any]]]:
    """Of the components and of all types, by path."""
    for name in COMPONENTS:
        resource = WHOLE["resources"][f"agent-deploy:index:{name}"]
        for section in ("inputProperties", "properties"):
            yield from ((f"{name}.{section}.{key}", each) for key, each in resource[section].items())
    for token, type_ in WHOLE["types"].items():
        name = token.rpartition(":")[2]
        yield from ((f"{name}.{key}", each) for key, each in type_.get("properties", {}).items())


PROPERTIES = dict(properties())


def test_every_argument_and_output_is_described() -> None:
    assert [path for path, each in PROPERTIES.items() if not each.get("description", "").strip()] == []
    for name in COMPONENTS:
        assert WHOLE["resources"][f"agent-deploy:index:{name}"]["description"].strip()


def test_a_description_names_arguments_as_the_other_languages_do_and_has_no_indentation() -> None:
    snake = {re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", path.rpartition(".")[2]) for path in PROPERTIES}
    told = {path: each["description"] for path, each in PROPERTIES.items()}
    wrong = {path: text for path, text in told.items() if {*re.findall(r"`(\w+_\w+)`", text)} & snake}
    assert wrong == {}
    assert [path for path, text in told.items() if re.search(r"^\s|\n +\S", text)] == []


def test_no_type_is_named_after_what_only_code_generators_append() -> None:
    assert [token for token in WHOLE["types"] if token.endswith("Args")] == []


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("AgentDeployment.inputProperties.auth", AUTHS),
        ("AgentResource.kind", KINDS),
    ],
)
def test_a_closed_set_is_an_enum_with_all_its_values(path: str, values: Any) -> None:
    token = PROPERTIES[path]["$ref"].removeprefix("#/types/")
    assert "type" not in PROPERTIES[path]
    assert [each["value"] for each in WHOLE["types"][token]["enum"]] == list(values)


def test_required_are_the_arguments_without_which_nothing_goes() -> None:
    required = {name: WHOLE["resources"][f"agent-deploy:index:{name}"]["requiredInputs"] for name in COMPONENTS}
    assert (
        required["AgentDeployment"] == ["modelName"] == [camel(each) for each in AgentDeploymentArgs.__required_keys__]
    )
    assert required["FeedbackModel"] == ["catalog", "schema"]
    assert required["InferenceTables"] == ["endpointName"]
    assert required["AgentServicePrincipal"] == ["displayName"]


def camel(name: str) -> str:
    return re.sub("_(.)", lambda match: match[1].upper(), name)


def test_a_secret_argument_is_marked() -> None:
    assert PROPERTIES["ExistingServicePrincipal.clientSecret"]["secret"] is True


def test_a_mark_of_an_argument_that_is_gone_is_refused() -> None:
    from agent_deploy.provider.package import package
    from agent_deploy.provider.plugin.components import Components

    misspelt = replace(package(), marks={**MARKS, ("AgentDeployment", "worklaodSize"): {"secret": True}})
    with pytest.raises(ValueError, match="worklaodSize"):
        Components(misspelt, misspelt.components(), "").schema  # type: ignore[misc]  # noqa: B018
