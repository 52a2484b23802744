"""What `agent-deploy import` makes of an endpoint: everything is declared as it is, or said; some are refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_deploy.client import agents_service
from agent_deploy.client.errors import WorkspaceError
from agent_deploy.importing.existing import Existing
from agent_deploy.importing.refusals import refusals
from agent_deploy.importing.stack import Stack
from agent_deploy.importing.stack_file import configured, with_agent
from agent_deploy.importing.strangers import strangers
from agent_deploy.importing.take_over import TakeOver, deployment_name, take_over
from agent_deploy.provider.endpoint.request import create_body
from agent_deploy.provider.plugin.resource import Context
from tests.engine.endpoints import PLAIN, Made, anything, prepare, sayable
from tests.engine.serving import MODEL, PATH, Site, entity

DEFAULTS: tuple[Mapping[str, Any], ...] = (
    {},
    {"scale_to_zero": True, "workload_size": "Medium", "permissions": [{"group_name": "users", "level": "CAN_QUERY"}]},
    {"feedback_model": True, "inference_tables": {"schedule": "daily"}, "description": "ours", "auth": "PASSTHROUGH"},
    {"auth": "SERVICE_PRINCIPAL", "rotation_days": 30, "secret_lifetime_days": 90, "budget_policy_id": "ours"},
    {"instance_profile_arn": "arn:aws:iam::123456789012:instance-profile/ours", "keep_previous": 1},
)
_numbers = itertools.count()
_generated = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace that builds nothing before it is asked."""
    return Site(local_workspace_factory(serving_start="on_request"))


@pytest.fixture(scope="module")
def experiment(site: Site) -> str:
    return prepare(site)


def imported(site: Site, made: Made, defaults: Mapping[str, Any]) -> TakeOver:
    """The endpoint as the command sees it; gone afterwards, as its versions are registered for one endpoint only."""
    name = f"of-others-{next(_numbers)}"
    made.make(site, name)
    try:
        return take_over(Context(configuration=site.workspace), name, Stack("p", "dev", defaults), "qa")
    finally:
        site.workspace.delete(f"{PATH}/{name}")


@pytest.mark.long
@_generated
@given(data=st.data(), defaults=st.sampled_from(DEFAULTS))
def test_what_can_be_said_is_taken_over_without_a_change(
    site: Site, experiment: str, data: st.DataObject, defaults: Mapping[str, Any]
) -> None:
    made = data.draw(sayable(experiment))
    found = imported(site, made, defaults)
    assert [str(each) for each in found.differences] == []
    # Whoever makes an endpoint may manage it, which a list of permissions that another identity applies takes away.
    own = [f"permissions: your own {found.found.own_level} stays"] if found.entry.args.get("permissions") else []
    assert found.problems == []
    assert [str(each).partition(" as long as")[0] for each in found.entry.notes] == own
    file = with_agent(yaml.safe_dump({"config": {"p:defaults": dict(defaults)}}), "p:agents", "qa", found.entry.args)
    assert configured(file, "p:agents")["qa"] == found.entry.args


@pytest.mark.long
@_generated
@given(data=st.data(), defaults=st.sampled_from(DEFAULTS))
def test_nothing_is_dropped_without_a_word(
    site: Site, experiment: str, data: st.DataObject, defaults: Mapping[str, Any]
) -> None:
    made = data.draw(anything(experiment))
    found = imported(site, made, defaults)
    said = [f"{each.resource} {each.field} {each.why}" for each in found.differences]
    said += map(str, (*found.entry.notes, *found.problems))
    (endpoint,) = (child for child in found.children if child.type.endswith(":ServingEndpoint"))
    declared = create_body(dict(endpoint.inputs or {}))
    entities = {each["name"]: each for each in declared["config"]["served_entities"]}
    for each in made.config["served_entities"]:
        same = entities.get(each["name"], {})
        for key, value in each.items():
            if key == "environment_vars":
                lost = [name for name, text in value.items() if (same.get(key) or {}).get(name) != text]
            else:
                lost = [] if same.get(key) == value else [each["name"]]
            assert all(any(name in line or each["name"] in line for line in said) for name in lost)
    if made.notifications:
        assert any("emailNotifications" in line for line in said)
    written = json.dumps([dict(found.entry.args), said])
    assert PLAIN not in written


def test_what_others_own_or_cannot_be_an_agent_is_refused_by_name() -> None:
    config = {"served_entities": [entity(1, name="qa_1")]}
    base = {"name": "theirs", "id": "1", "config": config, "state": {"config_update": "NOT_UPDATING"}}
    assert list(refusals(Existing(base), "p/dev/qa")) == []
    tags = [{"key": "agent_deploy_stack", "value": "other/prod/qa"}]
    assert refused({**base, "tags": tags}) == ["other/prod/qa"]
    tags = [{"key": "agent_deploy_stack", "value": "p/dev/qa"}]
    assert refused({**base, "tags": tags}) == []
    assert refused({**base, "state": {"config_update": "IN_PROGRESS"}}) == ["being updated"]
    assert refused(serving({"name": "gpt", "external_model": {"name": "gpt-4o", "provider": "openai"}}, base)) == [
        "external_model gpt-4o"
    ]
    assert refused(serving({"name": "llama", "foundation_model": {"name": "system.ai.llama"}}, base)) == [
        "foundation_model system.ai.llama"
    ]
    assert refused(serving({"name": "old", "entity_name": "qa", "entity_version": "1"}, base)) == ["'qa'"]
    assert refused(serving({**entity(1), "entity_name": "main.default.other", "name": "x"}, base)) == [
        f"{MODEL}, main.default.other"
    ]
    assert refused(serving({**entity(1), "name": "qa_again"}, base)) == ["each version once"]
    assert refused({**base, "config": {}}) == ["serves nothing"]


def refused(remote: Mapping[str, Any]) -> list[str]:
    """What stands in the refusals, of what is expected there."""
    known = (
        "other/prod/qa", "being updated", "external_model gpt-4o", "foundation_model system.ai.llama", "'qa'",
        f"{MODEL}, main.default.other", "each version once", "serves nothing",
    )  # fmt: skip
    texts = [str(each) for each in refusals(Existing(remote), "p/dev/qa")]
    return [next((each for each in known if each in text), text) for text in texts]


def serving(one: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint with one served entity more."""
    return {**base, "config": {"served_entities": [*base["config"]["served_entities"], one]}}


def test_what_is_not_known_is_listed() -> None:
    """The local workspace refuses these, so that no endpoint there has them."""
    one = {**entity(1, name="qa_1"), "burst_scaling_enabled": True, "min_provisioned_throughput": 0}
    legacy = {"catalog_name": "main", "schema_name": "default", "table_name_prefix": "qa"}
    remote = {
        "name": "theirs",
        "config": {"served_entities": [one], "auto_capture_config": legacy, "new_in_config": 1},
        "ai_gateway": {"guardrails": {"input": {"safety": True}}, "inference_table_config": {"enabled": False}},
        "rate_limits": [{"calls": 5}],
        "telemetry_config": {"table_name": "x"},
        "route_optimized": False,
    }
    assert [field for field, _ in strangers(remote)] == [
        "rate_limits",
        "telemetry_config",
        "config.new_in_config",
        "config.auto_capture_config",
        "served entity qa_1, burst_scaling_enabled",
        "ai_gateway.guardrails",
    ]


def test_an_endpoint_that_is_not_there_is_told(site: Site) -> None:
    with pytest.raises(WorkspaceError, match="there is no serving endpoint 'nowhere'"):
        take_over(Context(configuration=site.workspace), "nowhere", Stack("p", "dev", {}))


def test_the_deployment_is_called_as_its_model(site: Site, experiment: str) -> None:
    found = imported(site, Made(config={"served_entities": [entity(1, name="main-default-qa_1")]}), {})
    assert (found.mark, found.found.owner) == ("p/dev/qa", "")
    assert deployment_name(found.found) == "qa"


def test_a_version_that_the_register_has_for_another_endpoint_is_named(site: Site, experiment: str) -> None:
    entities = [entity(number, name=f"qa_{number}") for number in (2, 1)]
    routes = [{"served_model_name": each["name"], "traffic_percentage": 50} for each in entities]
    made = Made(config={"served_entities": entities, "traffic_config": {"routes": routes}}, registered=False)
    ours, theirs = names = [f"of-others-{next(_numbers)}" for _ in range(2)]
    for name in names:
        made.make(site, name)
    for version, name in (("2", ours), ("1", theirs)):
        record = {"model_name": MODEL, "endpoint_name": name, "served_entity_name": f"qa_{version}"}
        agents_service.register(site.workspace, {**record, "model_version": version})
    found = take_over(Context(configuration=site.workspace), ours, Stack("p", "dev", {}), "qa")
    for name in names:
        site.workspace.delete(f"{PATH}/{name}")
    said = [str(each) for each in found.entry.notes if "register" in str(each)]
    assert said == [f"register, version 1: registered for endpoint {theirs}; the next update registers it for this one"]
