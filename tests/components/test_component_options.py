"""Every resource option on every component means what docs/resource-options.md says; each cell of its table is tried.

Against Pulumi's mocks: which child is given what. What the engine does with it: tests/engine/test_component_options.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from agent_deploy import AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables, testing
from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.option_routes import ROUTES
from tests.components.mocked import MODEL, in_use

PAGE = Path(__file__).parents[2] / "docs" / "resource-options.md"
ARGS: Mapping[Any, dict[str, Any]] = {
    AgentDeployment: {
        "model_name": MODEL,
        "versions": [{"version": "3"}],
        "permissions": [{"group_name": "users", "level": "CAN_QUERY"}],
        "review_app": {"reviewers": [{"group_name": "users"}]},
    },
    FeedbackModel: {"catalog": "main", "schema": "default"},
    InferenceTables: {"endpoint_name": "docs", "readers": ["users"]},
    AgentServicePrincipal: {"display_name": "docs", "resources": [{"kind": "sql_warehouse", "name": "abc"}]},
}
# The children that are the object which a component is about, by type.
PRIMARY = {
    AgentDeployment: {"ServingEndpoint"},
    FeedbackModel: {"FeedbackModelVersion"},
    InferenceTables: {"EndpointInferenceTable", "DerivedTables"},
    AgentServicePrincipal: {"ServicePrincipal"},
}
# What comes and goes with versions and values.
HOUSEKEEPING = {
    AgentDeployment: {"AgentRegistration", "ObjectPermission", "Permissions", "Secret", "SecretScope", "Job"},
    FeedbackModel: set[str](),
    InferenceTables: {"Job", "WorkspaceFile", "SecurableGrant"},
    AgentServicePrincipal: set[str](),
}
COMPONENTS = list(ARGS)
REFUSED = ("import_", "id", "urn", "version", "plugin_download_url")
TO_PRIMARY: Mapping[str, Any] = {
    "custom_timeouts": pulumi.CustomTimeouts(create="7m"),
    "delete_before_replace": True,
    "replacement_trigger": "now",
}


def options_of(given: Any) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(**given)


def children(component: Any, opts: pulumi.ResourceOptions, **more: Any) -> dict[str, list[pulumi.ResourceOptions]]:
    """Type of each child (and of the component itself) → the options that it is registered with."""
    found: dict[str, list[pulumi.ResourceOptions]] = {}

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        found.setdefault(args.type_.rpartition(":")[2], []).append(args.opts)

    opts.transformations = [look]
    in_use(testing.Mocks())

    @pulumi.runtime.test
    def program() -> None:
        environment = {"environment": {"KEY": pulumi.Output.secret("hush")}} if component is AgentDeployment else {}
        component("it", opts=opts, **{**ARGS[component], **environment, **more})

    program()
    return found


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("option", TO_PRIMARY)
def test_it_is_given_to_the_child_that_the_component_is_about(component: Any, option: str) -> None:
    value = TO_PRIMARY[option]
    found = children(component, options_of({option: value}))
    for kind, registered in found.items():
        given = [getattr(opts, option) for opts in registered]
        if kind in PRIMARY[component]:
            assert given == [value], kind
        else:
            assert value not in given, kind


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("option", ["protect", "retain_on_delete"])
def test_what_keeps_the_component_does_not_keep_its_housekeeping(component: Any, option: str) -> None:
    found = children(component, options_of({option: True}))
    for kind in HOUSEKEEPING[component] & set(found):
        retained_beside_permissions = kind == "ObjectPermission" and option == "retain_on_delete"
        wrong = [opts for opts in found[kind] if getattr(opts, option) is not False]
        assert not wrong or retained_beside_permissions, kind
    for kind in PRIMARY[component]:
        # Left out: inherited from the component.
        assert [getattr(opts, option) for opts in found[kind]] == [None]


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("option", REFUSED)
def test_what_means_nothing_on_a_component_is_refused_with_a_reason(component: Any, option: str) -> None:
    opts = pulumi.ResourceOptions()
    setattr(opts, option, "x")
    with pytest.raises(DeploymentError, match=rf"opts\.{option}: expected not to be set on a component\. \w+"):
        children(component, opts)


PATHS = [
    (AgentDeployment, "tags", "ServingEndpoint", "tags"),
    (AgentDeployment, "tags.team", "ServingEndpoint", "tags.team"),
    (AgentDeployment, 'tags["team"]', "ServingEndpoint", 'tags["team"]'),
    (AgentDeployment, "budget_policy_id", "ServingEndpoint", "budgetPolicyId"),
    (AgentDeployment, "budgetPolicyId", "ServingEndpoint", "budgetPolicyId"),
    (AgentDeployment, "environment", "ServingEndpoint", "servedEntities[*].environmentVars"),
    (AgentDeployment, 'environment["A"]', "ServingEndpoint", 'servedEntities[*].environmentVars["A"]'),
    (AgentDeployment, "permissions", "Permissions", "accessControls"),
    (AgentDeployment, "inference_tables.prefix", "ServingEndpoint", "aiGateway.inferenceTableConfig.tableNamePrefix"),
    (
        AgentDeployment,
        "versions[0].environment",
        "ServingEndpoint",
        'servedEntities["main-default-qa_3"].environmentVars',
    ),
    (AgentDeployment, "versions[0].traffic_percentage", "ServingEndpoint", 'traffic["main-default-qa_3"]'),
    (FeedbackModel, "schema", "FeedbackModelVersion", "modelName"),
    (InferenceTables, "schedule", "Job", "schedule"),
    (InferenceTables, "delete_on_destroy", "DerivedTables", "deleteOnDestroy"),
    (AgentServicePrincipal, "display_name", "ServicePrincipal", "displayName"),
]


@pytest.mark.parametrize("option", ["ignore_changes", "replace_on_changes", "hide_diffs"])
@pytest.mark.parametrize(("component", "path", "kind", "property_path"), PATHS)
def test_a_path_in_the_components_words_is_one_of_its_child(
    component: Any, path: str, kind: str, property_path: str, option: str
) -> None:
    if not hasattr(pulumi.ResourceOptions(), option):
        return  # of a newer pulumi
    found = children(component, options_of({option: [path]}))
    assert property_path in (getattr(found[kind][0], option) or [])
    assert not getattr(found[component.__name__][0], option)


@pytest.mark.parametrize("path", ["versions", "versions[1].environment", "nothing", "auth", "timeouts", ""])
def test_a_path_that_no_child_has_is_refused(path: str) -> None:
    with pytest.raises(DeploymentError, match=r"opts\.ignore_changes .*: expected one of AgentDeployment's arguments"):
        children(AgentDeployment, pulumi.ResourceOptions(ignore_changes=[path]))


@pytest.mark.parametrize("component", COMPONENTS)
def test_an_output_that_is_called_secret_is_one(component: Any) -> None:
    name = ROUTES[component.__name__].outputs[0]
    secret: list[bool] = []
    in_use(testing.Mocks())

    @pulumi.runtime.test
    def program() -> None:
        made = component("it", opts=pulumi.ResourceOptions(additional_secret_outputs=[name]), **ARGS[component])

        async def look() -> bool:
            secret.append(await getattr(made, name).is_secret())
            return True

        looked: Any = look()
        pulumi.Output.from_input(looked)

    program()
    assert secret == [True]
    with pytest.raises(DeploymentError, match=f"'nothing': expected one of {component.__name__}'s outputs"):
        children(component, pulumi.ResourceOptions(additional_secret_outputs=["nothing"]))


def test_the_page_names_every_option_and_each_cell_says_what_was_tried() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]* \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    said = {option: [cell.strip() for cell in cells.split("|")] for option, cells in rows}
    of_pulumi = {name for name in vars(pulumi.ResourceOptions()) if not name.startswith("_")}
    # The parent is no choice of the component's; transformations are the old transforms; two are not for components.
    passed_over = {"parent", "transformations", "state_migrations", "env_var_mappings"}
    assert of_pulumi - set(said) - passed_over == set()
    assert all(len(cells) == len(COMPONENTS) for cells in said.values())
    for option in REFUSED:
        assert said[option] == ["refused"] * len(COMPONENTS)
    for component, routes in ROUTES.items():
        column = [each.__name__ for each in COMPONENTS].index(component)
        for argument in routes.arguments:
            assert argument in said["ignore_changes"][column], (component, argument)
