"""ServingEndpoint under the real engine against the local workspace: its whole life, and what it refuses."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint.serving_endpoint import LOOK_TIMEOUT
from agent_deploy.rules.endpoint_fields import FIELDS, Changing, rule_for
from tests.engine.serving import MODEL, PATH, Site, entity, program, spec, table
from tests.engine.support import Stack


def test_from_nothing_to_nothing(site: Site, open_stack: Callable[..., Stack], name: str) -> None:
    arguments = spec(name, ai_gateway=table(table_name_prefix_hint=name), tags={"team": "x"}, description="first")
    stack = open_stack(program(arguments), environment=site.environment)
    assert f"main.default.{name}_payload" in stack.preview().output
    assert not site.exists(name)
    made = stack.up()
    assert any(re.search(r"qa_1 creating for \d+ s", text) for text in made.progress), made.progress
    remote = site.endpoint(name)
    assert remote["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert remote["ai_gateway"]["inference_table_config"]["table_name_prefix"] == name
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.up("--expect-no-changes")
    state = stack.resources()["qa"]["outputs"]
    assert state["endpointId"] == remote["id"]
    assert state["servedEntityStates"] == {"qa_1": {"deployment": "DEPLOYMENT_READY", "message": ""}}

    stack.destroy()
    assert not site.exists(name)
    # Payloads are kept; the endpoint's successor gets a table of its own, and keeps it.
    stack.up()
    assert stack.resources()["qa"]["outputs"]["payloadTable"] == f"main.default.{name}_1_payload"
    stack.preview("--expect-no-changes")
    # Gone by hand: destroy has nothing to do, and says so.
    site.workspace.delete(f"{PATH}/{name}")
    stack.destroy()


Step = tuple[str, dict[str, Any], set[str], list[str]]
BASE_ENTITY = entity(environment_vars={"GREETING": "hello"})
CANARY = {"qa_1": BASE_ENTITY, "qa_2": entity(2)}
OTHER = "main.default.other"
PROFILE = "arn:aws:iam::123456789012:instance-profile/agents"
ELSEWHERE = {"catalog_name": "elsewhere", "schema_name": "logs"}
TRACKED = {"usage_tracking_config": {"enabled": True}}
# What changes, the new arguments (None takes one out), the paths that the preview must name, the calls that it takes.
STEPS: list[Step] = [
    ("a canary", {"served_entities": CANARY, "traffic": {"qa_1": 90, "qa_2": 10}},
     {"servedEntities.qa_2", "traffic.qa_1", "traffic.qa_2"}, ["PUT config"]),
    ("its promotion", {"traffic": {"qa_1": 0, "qa_2": 100}}, {"traffic.qa_1", "traffic.qa_2"}, ["PUT config"]),
    ("a variable", {"served_entities": {**CANARY, "qa_2": entity(2, environment_vars={"GREETING": "hi"})}},
     {"servedEntities.qa_2.environmentVars"}, ["PUT config"]),
    ("its value, size, and zero", {"served_entities": {"qa_2": entity(2, workload_size="Medium",
                                   scale_to_zero_enabled=True, environment_vars={"GREETING": "hey"})},
                                   "traffic": {"qa_2": 100}},
     {"servedEntities.qa_1", "servedEntities.qa_2.environmentVars.GREETING", "servedEntities.qa_2.workloadSize",
      "servedEntities.qa_2.scaleToZeroEnabled"}, ["PUT config"]),
    ("another version on other compute", {"served_entities": {"qa_2": entity(3, workload_type="GPU_SMALL",
                                          workload_size="Medium", instance_profile_arn=PROFILE)}},
     {"servedEntities.qa_2.entityVersion", "servedEntities.qa_2.environmentVars", "servedEntities.qa_2.workloadType",
      "servedEntities.qa_2.scaleToZeroEnabled", "servedEntities.qa_2.instanceProfileArn"}, ["PUT config"]),
    ("another model, from 4 requests to 8", {"served_entities": {"qa_2": {
        "entity_name": OTHER, "entity_version": "1",
        "min_provisioned_concurrency": 4, "max_provisioned_concurrency": 8}}},
     {"servedEntities.qa_2.entityName", "servedEntities.qa_2.entityVersion", "servedEntities.qa_2.workloadType",
      "servedEntities.qa_2.workloadSize", "servedEntities.qa_2.instanceProfileArn",
      "servedEntities.qa_2.minProvisionedConcurrency", "servedEntities.qa_2.maxProvisionedConcurrency"},
     ["PUT config"]),
    ("what is told", {"tags": {"team": "y", "new": "1"}, "description": "second", "budget_policy_id": "p-1",
                      "email_notifications": {"on_update_failure": ["a@example.org"]}},
     {"tags.team", "tags.new", "description", "budgetPolicyId", "emailNotifications"},
     ["PATCH tags", "PATCH description", "PATCH budget-policy", "PATCH notifications"]),
    ("and taken back", {"tags": {"team": "y"}, "description": None, "owner_mark": "project/test/renamed",
                        "email_notifications": {"on_update_success": ["b@example.org"]}},
     {"tags.new", "description", "ownerMark", "emailNotifications.onUpdateSuccess",
      "emailNotifications.onUpdateFailure"}, ["PATCH tags", "PATCH description", "PATCH notifications"]),
    ("no table", {"ai_gateway": {}}, {"aiGateway.inferenceTableConfig"}, ["PUT ai-gateway"]),
    ("a table again, and its use", {"ai_gateway": {**table(table_name_prefix="other_PREFIX"), **TRACKED}},
     {"aiGateway.inferenceTableConfig", "aiGateway.usageTrackingConfig"}, ["PUT ai-gateway"]),
    ("another table", {"ai_gateway": {**table(table_name_prefix="third_PREFIX", **ELSEWHERE), **TRACKED}},
     {"aiGateway.inferenceTableConfig.catalogName", "aiGateway.inferenceTableConfig.schemaName",
      "aiGateway.inferenceTableConfig.tableNamePrefix"}, ["PUT ai-gateway", "PUT ai-gateway"]),
    ("what becomes of it", {"ai_gateway": {**table(table_name_prefix="third_PREFIX", **ELSEWHERE,
                                                   delete_on_destroy=True), **TRACKED}},
     {"aiGateway.inferenceTableConfig.deleteOnDestroy"}, []),
    ("neither", {"ai_gateway": {**table(table_name_prefix="third_PREFIX", **ELSEWHERE, delete_on_destroy=True,
                                        enabled=False), "usage_tracking_config": {"enabled": False}}},
     {"aiGateway.inferenceTableConfig.enabled", "aiGateway.usageTrackingConfig.enabled"}, ["PUT ai-gateway"]),
]  # fmt: skip


def test_the_steps_change_every_field_that_changes_in_place() -> None:
    in_place = {rule.path for rule in FIELDS if rule.changing is Changing.IN_PLACE}
    leaves = {path for path in in_place if not any(other.startswith(f"{path}.") for other in in_place)}
    changed = {rule_for(path.split(".")).path for _, _, paths, _ in STEPS for path in paths}
    assert sorted(leaves - changed) == []


def test_each_field_changes_in_place_with_no_call_too_many(
    site: Site, deployed: Callable[..., Stack], name: str
) -> None:
    site.register(OTHER, 1)
    catalog, schema = ELSEWHERE.values()
    site.workspace.post("/api/2.1/unity-catalog/catalogs", {"name": catalog})
    site.workspace.post("/api/2.1/unity-catalog/schemas", {"name": schema, "catalog_name": catalog})
    arguments = spec(name, ai_gateway=table(table_name_prefix_hint=name), tags={"team": "x"}, description="first")
    arguments["served_entities"] = {"qa_1": BASE_ENTITY}
    stack = deployed(arguments)
    for what, change, paths, calls in STEPS:
        given = json.loads(json.dumps(change).replace("PREFIX", name))
        arguments = {key: value for key, value in {**arguments, **given}.items() if value is not None}
        stack.write(program(arguments))
        assert set(stack.preview().changed_paths["qa"]) == paths, what
        site.forget_requests()
        assert stack.up().operations == {"qa": "update"}, what
        changing = [each for each in site.asked("*", f"{PATH}/{name}*") if each["method"] != "GET"]
        assert [f"{each['method']} {each['path'].rsplit('/', 1)[1]}" for each in changing] == calls, what
    # Each step's preview named nothing but its own change, so that nothing was left of the one before; nor of the last.
    site.forget_requests()
    stack.preview("--expect-no-changes")
    assert site.asked("*", "*/serving-endpoints*") == []
    stack.refresh("--expect-no-changes")
    remote = site.endpoint(name)
    [served] = remote["config"]["served_entities"]
    assert (served["entity_name"], served["max_provisioned_concurrency"]) == (OTHER, 8)
    assert remote["ai_gateway"]["inference_table_config"]["enabled"] is False


def test_the_preview_shows_shares_as_old_and_new(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    arguments = spec(name)
    stack = deployed(arguments)
    arguments |= {"served_entities": {"qa_1": entity(), "qa_2": entity(2)}, "traffic": {"qa_1": 90, "qa_2": 10}}
    stack.write(program(arguments))
    shown = stack.preview().output
    assert re.search(r"qa_1: 100 => 90", shown)
    assert re.search(r"\+ qa_2: 10", shown)


def test_changes_by_hand_are_drift_and_are_mended(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    arguments = spec(name, tags={"team": "x"}, description="declared", ai_gateway=table(table_name_prefix_hint=name))
    stack = deployed(arguments)
    by_hand = {
        "served_entities": [{"name": "qa_1", "entity_name": MODEL, "entity_version": "1", "workload_size": "Small",
                             "environment_vars": {"BY": "HAND"}},
                            {"name": "qa_3", "entity_name": MODEL, "entity_version": "3", "workload_size": "Small"}],
        "traffic_config": {"routes": [{"served_model_name": "qa_1", "traffic_percentage": 60},
                                      {"served_model_name": "qa_3", "traffic_percentage": 40}]},
    }  # fmt: skip
    site.workspace.put(f"{PATH}/{name}/config", by_hand)
    site.settled(name)
    added = [{"key": "team", "value": "z"}, {"key": "by", "value": "hand"}]
    site.workspace.patch(f"{PATH}/{name}/tags", {"add_tags": added})
    site.workspace.patch(f"{PATH}/{name}/description", {"description": "by hand"})
    site.workspace.put(f"{PATH}/{name}/ai-gateway", {"inference_table_config": {"enabled": False}})
    seen = stack.refresh()
    assert set(seen.changed_paths["qa"]) == {
        "servedEntities.qa_1.environmentVars",
        "servedEntities.qa_3",
        "traffic.qa_1",
        "traffic.qa_3",
        "tags.team",
        "tags.by",
        "description",
        "aiGateway.inferenceTableConfig.enabled",
    }
    stack.up()
    remote = site.endpoint(name)
    assert [each["name"] for each in remote["config"]["served_entities"]] == ["qa_1"]
    assert {tag["key"]: tag["value"] for tag in remote["tags"]}["team"] == "x"
    assert "by" not in {tag["key"] for tag in remote["tags"]}
    assert remote["description"] == "declared"
    assert remote["ai_gateway"]["inference_table_config"]["enabled"] is True
    stack.refresh("--expect-no-changes")
    # Gone by hand: seen, and made again.
    site.workspace.delete(f"{PATH}/{name}")
    assert stack.refresh().operations == {"qa": "delete"}
    assert stack.up().operations == {"qa": "create"}


def test_an_endpoint_made_by_hand_is_imported(site: Site, open_stack: Callable[..., Stack], name: str) -> None:
    config = {
        "served_entities": [{"name": "qa_1", "entity_name": MODEL, "entity_version": "1", "workload_size": "Medium"}]
    }
    site.workspace.post(PATH, {"name": name, "config": config, "tags": [{"key": "team", "value": "x"}]})
    site.settled(name)
    arguments = spec(name, tags={"team": "x"})
    arguments["served_entities"] = {"qa_1": {"entity_name": MODEL, "entity_version": "1", "workload_size": "Medium"}}
    del arguments["owner_mark"], arguments["traffic"]
    stack = open_stack("", environment=site.environment)
    stack.run(
        "import", "agent-deploy:index:ServingEndpoint", "qa", name, "--yes", "--protect=false", "--generate-code=false"
    )
    stack.write(program(arguments))
    stack.up("--expect-no-changes")
    # By the resource option, with a mark of its own: taken over in one run.
    other = open_stack(program({**arguments, "owner_mark": "a/b/c"}, import_=repr(name)), environment=site.environment)
    other.up()
    assert "a/b/c" in {tag["value"] for tag in site.endpoint(name)["tags"]}
    other.write(program({**arguments, "owner_mark": "a/b/c"}))
    other.up("--expect-no-changes")
    other.destroy()
    assert not site.exists(name)


def test_a_name_that_somebody_else_has_is_left_alone(site: Site, open_stack: Callable[..., Stack], name: str) -> None:
    site.workspace.post(PATH, {"name": name, "tags": [{"key": "agent_deploy_stack", "value": "theirs/prod/qa"}]})
    stack = open_stack(program(spec(name)), environment=site.environment)
    refused = stack.preview(check=False)
    assert "belongs to theirs/prod/qa" in refused.output
    assert "import_" in refused.output
    assert "belongs to theirs/prod/qa" in stack.up(check=False).output
    assert stack.resources() == {}
    assert "config" not in site.endpoint(name)


def test_what_cannot_change_is_replaced_and_says_so(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    stack = deployed(spec(name))
    first = site.endpoint(name)["id"]
    stack.write(program(spec(name, route_optimized=True)))
    previewed = stack.preview()
    assert previewed.changed_paths["qa"] == {"routeOptimized": "add-replace"}
    stack.up()
    remote = site.endpoint(name)
    assert remote["route_optimized"] is True
    assert remote["id"] != first
    stack.preview("--expect-no-changes")
    stack.write(program(spec(f"{name}_b", route_optimized=True)))
    assert stack.preview().changed_paths["qa"]["name"] == "update-replace"
    stack.up()
    assert site.exists(f"{name}_b")
    assert not site.exists(name)


def test_an_endpoint_ahead_of_its_first_version(site: Site, deployed: Callable[..., Stack], name: str) -> None:
    stack = deployed({"name": name, "owner_mark": "m"})
    assert "config" not in site.endpoint(name)
    stack.preview("--expect-no-changes")
    stack.refresh("--expect-no-changes")
    stack.write(program(spec(name, owner_mark="m")))
    assert stack.up().operations == {"qa": "update"}
    assert site.endpoint(name)["state"]["ready"] == "READY"


def test_all_mistakes_are_told_at_preview(site: Site, open_stack: Callable[..., Stack], name: str) -> None:
    wrong = spec("bad name!")
    wrong["served_entities"] = {
        "qa_1": entity(workload_size="Gigantic", environment_vars={"lower": "x", "REF": "{{secrets/half}}"}),
        "qa_2": {"entity_name": "two.levels", "entity_version": "2"},
    }
    wrong["traffic"] = {"qa_1": 50, "qa_9": 10}
    said = open_stack(program(wrong), environment=site.environment).preview(check=False)
    assert said.code != 0
    for part in ("bad name!", "Gigantic", "'lower'", "['REF']", "two.levels", "qa_9", "Traceback"):
        assert (part in said.output) is (part != "Traceback"), part


@pytest.mark.parametrize("secret", [True, False])
def test_a_secret_in_plain_text_is_refused(
    site: Site, open_stack: Callable[..., Stack], name: str, secret: bool
) -> None:
    value = "pulumi.Output.secret('hush-hush-hush')" if secret else "'plain-plain'"
    text = (
        "import pulumi\nfrom agent_deploy import ServingEndpoint\n"
        f"spec = {spec(name)!r}\n"
        f"spec['served_entities']['qa_1']['environment_vars'] = {{'KEY': {value}}}\n"
        "ServingEndpoint('qa', **spec)\n"
    )
    stack = open_stack(text, environment=site.environment)
    said = stack.preview(check=False)
    assert (said.code != 0) is secret
    if secret:
        assert "would stand in the endpoint's config as plain text" in said.output
        assert "hush-hush-hush" not in said.output + said.messages + stack.state_text()


def test_no_workspace_and_a_refused_token_are_told_within_seconds(
    site: Site, open_stack: Callable[..., Stack], name: str
) -> None:
    arguments = spec(name, ai_gateway=table(table_name_prefix=name))
    nowhere = {"DATABRICKS_HOST": "http://127.0.0.1:9", "DATABRICKS_TOKEN": "dapi-secret-token"}
    stack = open_stack(program(arguments), environment=nowhere)
    began = time.monotonic()
    said = stack.preview(check=False)
    # Asking again and again would take a look's whole time; the engine's own start is included.
    assert time.monotonic() - began < LOOK_TIMEOUT
    assert "No Databricks workspace answers at http://127.0.0.1:9" in said.output
    refused = open_stack(program(arguments), environment={**site.environment, "DATABRICKS_TOKEN": "dapi-secret-token"})
    said = refused.preview(check=False)
    assert "refused the credentials from the environment variable DATABRICKS_TOKEN" in said.output
    unset = open_stack(program(arguments), environment={})
    assert "No Databricks workspace is configured" in unset.preview(check=False).output
    assert "dapi-secret-token" not in said.output + refused.state_text()


@pytest.mark.parametrize("way", ["token", "service principal", "profile"])
def test_the_stacks_configuration_names_the_workspace(
    site: Site, open_stack: Callable[..., Stack], local_workspace: Any, name: str, tmp_path: Path, way: str
) -> None:
    config, secrets = {"databricks:host": site.host}, {"databricks:token": local_workspace.token}
    creator = site.workspace.get("/api/2.0/preview/scim/v2/Me")["userName"]
    if way == "service principal":
        made = site.workspace.post("/api/2.0/preview/scim/v2/ServicePrincipals", {"displayName": name})
        creator = made["applicationId"]
        path = f"/api/2.0/accounts/servicePrincipals/{made['id']}/credentials/secrets"
        config["databricks:clientId"] = creator
        secrets = {"databricks:clientSecret": site.workspace.post(path, {})["secret"]}
    profiles = tmp_path / "databrickscfg"
    if way == "profile":
        nobodys = "[DEFAULT]\nhost = http://127.0.0.1:9\ntoken = nobodys\n"
        profiles.write_text(f"{nobodys}[team]\nhost = {site.host}\ntoken = {local_workspace.token}\n")
        config, secrets = {"databricks:profile": "team"}, {}
    arguments = program({"name": name, "owner_mark": "m"})
    stack = open_stack(arguments, config=config, environment={"DATABRICKS_CONFIG_FILE": str(profiles)})
    for key, value in secrets.items():
        stack.set_secret(key, value)
    stack.up()
    assert site.endpoint(name)["creator"] == creator
    assert [value for value in (local_workspace.token, *secrets.values()) if value in stack.state_text()] == []


def test_the_default_provider_of_another_language_has_only_its_own_configuration(
    site: Site, open_stack: Callable[..., Stack], local_workspace: Any, name: str
) -> None:
    arguments = {"name": name, "ownerMark": "m"}
    bare = f"import pulumi\npulumi.CustomResource('agent-deploy:index:ServingEndpoint', 'qa', {arguments!r})\n"
    stack = open_stack(bare, config={"databricks:host": site.host})
    stack.set_secret("databricks:token", local_workspace.token)
    assert "`agent-deploy:host` and `agent-deploy:token` for a program that is not" in stack.preview(check=False).output
    stack.set_secret("agent-deploy:host", site.host)
    stack.set_secret("agent-deploy:token", local_workspace.token)
    stack.up()
    assert site.exists(name)


def test_a_changed_secret_is_a_new_key_and_the_old_one_goes_last(
    site: Site, open_stack: Callable[..., Stack], name: str
) -> None:
    site.workspace.post("/api/2.0/secrets/scopes/create", {"scope": name})
    text = (
        "import pulumi\nfrom agent_deploy import Secret, ServingEndpoint\n"
        f"secret = Secret('s', scope={name!r}, name='KEY', value='first-value-xyz')\n"
        f"entity = {entity()!r}\nentity['environment_vars'] = {{'GREETING': secret.reference}}\n"
        f"ServingEndpoint('qa', name={name!r}, served_entities={{'qa_1': entity}}, owner_mark='m')\n"
    )
    stack = open_stack(text, environment=site.environment)
    stack.up()
    (first,) = keys(site.workspace, name)
    assert re.fullmatch(r"KEY-[0-9a-f]{7}", first)
    stack.preview("--expect-no-changes")
    stack.write(text.replace("first-value-xyz", "second-value-xyz"))
    site.forget_requests()
    stack.up()
    order = [each["path"].rsplit("/", 1)[1] for each in site.asked("*", "*") if each["method"] != "GET"]
    assert order == ["put", "config", "delete"]
    (second,) = keys(site.workspace, name)
    assert second != first
    answer = site.workspace.post(f"/serving-endpoints/{name}/invocations", {"inputs": ["you"]})
    assert answer == {"predictions": ["second-value-xyz you"]}
    # Deleted by hand: seen, and put again under another key.
    site.workspace.post("/api/2.0/secrets/delete", {"scope": name, "key": second})
    assert stack.refresh().operations["s"] == "delete"
    stack.up()
    assert "value-xyz" not in stack.state_text()
    stack.destroy()
    assert keys(site.workspace, name) == []


def keys(workspace: Workspace, scope: str) -> list[str]:
    listed = workspace.get("/api/2.0/secrets/list", {"scope": scope})
    return [secret["key"] for secret in listed.get("secrets") or []]


def test_functions_tell_mistakes_as_data(site: Site, open_stack: Callable[..., Stack], name: str) -> None:
    site.workspace.post("/api/2.0/secrets/scopes/create", {"scope": name})
    site.workspace.post("/api/2.0/secrets/put", {"scope": name, "key": "k", "string_value": "v"})
    references = [
        {"field": "environment['K']", "value": f"{{{{secrets/{name}/k}}}}"},
        {"field": "environment['OTHER']", "value": f"{{{{secrets/{name}/other}}}}"},
    ]
    versions = [{"field": "good", "version": "2"}, {"field": "no_version", "version": "99"}]
    versions.append({"field": "no_alias", "alias": "champion"})
    wanted = {"modelName": MODEL, "versions": versions, "references": references}
    nobody = {"modelName": "main.default.nobody", "versions": [{"field": "versions[0]", "version": "1"}]}
    text = (
        "import pulumi\n"
        f"asked = {{'deployments': [{wanted!r}, {nobody!r}]}}\n"
        "found = pulumi.runtime.invoke('agent-deploy:index:verifyDeployments', asked).value\n"
        "pulumi.export('verified', found['deployments'])\n"
    )
    stack = open_stack(text, environment=site.environment)
    stack.up()
    verified, without_model = stack.outputs()["verified"]
    assert verified["experimentId"] != ""
    assert verified["numbers"] == ["2", "", ""]
    no_version, no_alias, no_key = verified["problems"]
    # Others may have registered more in the meantime.
    assert no_version.startswith(f"no_version: {MODEL} has no version 99 (there: 1, 2, 3")
    assert no_alias.startswith(f"no_alias: {MODEL} has no alias 'champion'")
    assert no_key.startswith("environment['OTHER']: ")
    assert "no registered model main.default.nobody" in without_model["problems"][0]
