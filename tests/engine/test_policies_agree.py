"""The policy pack, the report and the components judge alike: one preview of the real engine for each policy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.policies.catalogue import BY_ID
from agent_deploy.report.build import report_of
from agent_deploy.report.preview import read
from tests.engine.serving import MODEL, Site
from tests.engine.support import BIN, Result, Stack, both_plugins

PACK = BIN / "agent-deploy-policies"
PROGRAM = """
import json
from agent_deploy import AgentDeployment
from agent_deploy.resources.securable_grant import SecurableGrant

AgentDeployment("qa", json.loads(ARGS))
for name, grant in json.loads(GRANTS).items():
    SecurableGrant(name, **grant)
"""
SETTINGS = {
    "all": "advisory",
    "AGD006": {"tags": {"owner": ""}},
    "AGD009": {"groups": ["agent-users"]},
    "AGD010": {"sizes": ["Small"]},
}
CATALOG = {"securable_type": "catalog", "full_name": "main"}
# By policy: the arguments that it is against, None where one is left out; and grants beside the agent.
BAD: dict[str, dict[str, Any]] = {
    "AGD001": {"scale_to_zero": True},
    "AGD002": {"inference_tables": {"enabled": False}},
    "AGD003": {"description": "Ask with dapi0123456789abcdef0123456789abcdef."},
    "AGD004": {"grants": {"all": {**CATALOG, "principal": "agent-users", "privileges": ["ALL_PRIVILEGES"]}}},
    "AGD005": {"grants": {"open": {**CATALOG, "principal": "account users", "privileges": ["USE_CATALOG"]}}},
    "AGD006": {"tags": None},
    "AGD007": {"budget_policy_id": None},
    "AGD008": {"model_version": "2"},
    "AGD009": {"permissions": [{"group_name": "agent-others", "level": "CAN_QUERY"}]},
    "AGD010": {"workload_size": "Large"},
    "AGD011": {"rotation_days": None},
    "AGD012": {"permissions": [{"group_name": "users", "level": "CAN_QUERY"}]},
    "AGD013": {"description": None},
    "AGD014": {"inference_tables": {}},
}
# The owner is a tag as well, and everybody is no listed group either.
ALSO = {"AGD006": {"AGD013"}, "AGD012": {"AGD009"}}


@pytest.fixture
def judged(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Stack], tmp_path: Path
) -> tuple[Stack, dict[str, Any]]:
    """A stack, deployed with arguments that no policy minds, and these."""
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 2)
    for group in ("agent-users", "agent-others"):
        site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": group})
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": "w", "cluster_size": "Small"})["id"]
    good: dict[str, Any] = {
        "model_name": MODEL,
        "model_version": "1",
        "description": "Answers questions.",
        "budget_policy_id": "policy-1",
        "tags": {"owner": "search"},
        "auth": "SERVICE_PRINCIPAL",
        "rotation_days": 30,
        "permissions": [{"group_name": "agent-users", "level": "CAN_QUERY"}],
        "inference_tables": {"retention_days": 30, "warehouse_id": warehouse},
    }
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack(program(good), environment=site.environment, name="prod", plugins=plugins)
    (stack.folder / "policies.json").write_text(json.dumps(SETTINGS))
    stack.up()
    stack.run("config", "set", "agents:policies", json.dumps(SETTINGS))
    return stack, good


def program(args: dict[str, Any]) -> str:
    kept = {name: value for name, value in args.items() if value is not None and name != "grants"}
    grants = json.dumps(args.get("grants", {}))
    return PROGRAM.replace("ARGS", repr(json.dumps(kept))).replace("GRANTS", repr(grants))


def by_pack(result: Result) -> set[str]:
    return {event["policyEvent"]["policyName"] for event in result.events if "policyEvent" in event}


def by_components(result: Result) -> set[str]:
    warnings = (event["diagnosticEvent"] for event in result.events if "diagnosticEvent" in event)
    return {id for each in warnings if each["severity"] == "warning" for id in ids(each["message"])}


def by_report(result: Result) -> set[str]:
    found = read("\n".join(json.dumps(event) for event in result.events))
    return {each.id for each in report_of(found, SETTINGS).findings}


def ids(text: str) -> Iterable[str]:
    return re.findall(r"\[(AGD\d{3})\]", text)


def test_all_three_find_the_same(judged: tuple[Stack, dict[str, Any]]) -> None:
    stack, good = judged
    flags = ["--policy-pack", str(PACK), "--policy-pack-config", str(stack.folder / "policies.json"), "--show-sames"]
    assert set(BAD) == set(BY_ID)
    for id, changes in {"": {}, **BAD}.items():
        stack.write(program({**good, **changes}))
        result = stack.preview(*flags, check=False)
        expected = {id, *ALSO.get(id, set())} - {""}
        assert by_report(result) == expected, (id, result.output)
        told = expected - {each for each in expected if BY_ID[each].looks_back}
        assert (by_pack(result), by_components(result)) == (told, told), (id, result.output)


def test_what_is_mandatory_is_refused_before_anything_is_created(judged: tuple[Stack, dict[str, Any]]) -> None:
    stack, good = judged
    stack.write(program({**good, "tags": None, "rotation_days": None, "endpoint_name": "another"}))
    stack.run("config", "set", "agents:policies", json.dumps({**SETTINGS, "all": "mandatory"}))
    for command in (stack.preview, stack.up):
        refused = command(check=False)
        assert refused.code != 0
        assert "The stack's policies (agents:policies) refuse this" in refused.output
        # All of it by the preview; an update that comes without one ends at the first.
        if command == stack.preview:
            assert set(ids(refused.output)) == {"AGD006", "AGD011", "AGD013"}
        assert "Traceback" not in refused.output
    endpoints = [each for each in stack.resources().values() if each["type"].endswith(":ServingEndpoint")]
    assert [each["inputs"]["name"] for each in endpoints] == ["agents_main-default-qa"]


def test_what_is_to_be_mended_is(judged: tuple[Stack, dict[str, Any]]) -> None:
    stack, good = judged
    mended = {"enforcementLevel": "remediate", "tags": {"team": "search", "owner": "nobody"}}
    settings = {**SETTINGS, "AGD006": mended, "AGD011": "remediate"}
    stack.run("config", "set", "agents:policies", json.dumps(settings))
    stack.write(program({**good, "rotation_days": None}))
    assert by_components(stack.up()) == set()
    by_type = {each["type"].rpartition(":")[2]: each.get("inputs", {}) for each in stack.resources().values()}
    assert by_type["ServingEndpoint"]["tags"] == {"owner": "search", "team": "search"}
    assert by_type["ServicePrincipalSecret"]["timeRotating"]
    assert stack.preview().operations == {}


LATE = """
import json
from agent_deploy import AgentDeployment
from agent_deploy.resources.service_principal import ServicePrincipal

made = ServicePrincipal("made", display_name="made")
AgentDeployment("qa", {**json.loads(ARGS), "tags": {"owner": "search", "who": made.application_id}})
"""


def test_what_is_mended_hides_nothing_of_what_is_known(judged: tuple[Stack, dict[str, Any]]) -> None:
    stack, good = judged
    settings = {"AGD006": {"enforcementLevel": "remediate", "tags": {"team": "search"}}}
    stack.run("config", "set", "agents:policies", json.dumps({**SETTINGS, **settings}))
    stack.write(LATE.replace("ARGS", repr(json.dumps(good))))
    steps = json.loads(stack.run("preview", "--json").output)["steps"]
    (tags,) = [each["newState"]["inputs"]["tags"] for each in steps if each["urn"].endswith("ServingEndpoint::qa")]
    assert (tags["owner"], tags["team"], set(tags)) == ("search", "search", {"owner", "team", "who"})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('{"AGD999": "advisory"}', "policies 'AGD999'"),
        ('{"AGD001": {"stack": []}}', "policies.AGD001 'stack'"),
        ('["AGD001"]', "expected policies by their ids"),
    ],
)
def test_a_wrong_setting_is_told(judged: tuple[Stack, dict[str, Any]], settings: str, told: str) -> None:
    stack, _ = judged
    stack.run("config", "set", "agents:policies", settings)
    refused = stack.preview(check=False)
    assert (refused.code != 0, told in refused.output, "Traceback" in refused.output) == (True, True, False)
