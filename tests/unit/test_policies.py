"""Each policy has a pair of stacks that it tells apart; settings, unknown values and secrets are heeded."""

from __future__ import annotations

import json
import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from policies_page import PAGE, page

from agent_deploy.policies import access, tables
from agent_deploy.policies.catalogue import BY_ID, POLICIES
from agent_deploy.policies.judging import choose, judge, mend
from agent_deploy.policies.pack.reading import resource
from agent_deploy.policies.policy import SEVERITIES, Policy, Resource
from agent_deploy.provider.package import package
from agent_deploy.provider.plugin.signatures import OUTPUT, SECRET, SIGNATURE, UNKNOWN_TEXT
from agent_deploy.resources.databricks import RESOURCES
from agent_deploy.rules.problems import InvalidInput
from tests.unit.policy_examples import PAIRS, endpoint, entity, grant, one, permissions, variables

TODAY = date(2026, 11, 30)
# Of the vendor, what a program may declare without this package's classes.
OF_THE_VENDOR = {access.GRANTS}


def ids(resources: list[Resource], settings: dict[str, Any] | None = None) -> list[str]:
    return [finding.policy.id for finding in judge(resources, settings)]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_each_policy_tells_its_good_stack_from_its_bad_one(policy: Policy) -> None:
    assert policy.id in PAIRS, "write a good and a bad example of it in policy_examples.py"
    pair = PAIRS[policy.id]
    settings = {policy.id: dict(pair.settings)} if pair.settings else {}
    assert policy.id not in ids(pair.good, settings)
    found = [finding for finding in judge(pair.bad, settings) if finding.policy is policy]
    assert len(found) == 1
    assert found[0].severity == policy.severity
    assert str(found[0]).endswith(f"{policy.remedy} [{policy.id}]")


def test_there_is_no_pair_without_a_policy() -> None:
    assert list(PAIRS) == list(BY_ID)


def test_ids_are_well_formed_in_order_and_each_of_one_policy() -> None:
    found = [policy.id for policy in POLICIES]
    assert all(re.fullmatch(r"AGD\d{3}", each) for each in found)
    assert found == sorted(set(found))


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.id)
def test_each_policy_says_what_why_and_by_whom(policy: Policy) -> None:
    assert policy.severity in SEVERITIES
    assert all((policy.title, policy.why, policy.source, policy.remedy))
    assert not policy.remedy.endswith(".")
    assert (policy.one is None) != (policy.all is None)
    assert bool(policy.types) == (policy.one is not None)
    assert "stacks" in policy.defaults


def test_the_page_is_what_the_policies_say() -> None:
    assert PAGE.read_text() == page(), "run tools/policies_page.py"


def test_the_types_that_are_judged_exist() -> None:
    there = {*package().resources, *(each.token for each in RESOURCES), *OF_THE_VENDOR}
    judged = {tables.JOB, tables.OWN_TABLE}.union(*(policy.types for policy in POLICIES))
    assert judged - there == set()


def test_a_whole_endpoint_is_not_minded() -> None:
    assert ids(endpoint()) == ["AGD014"]


def test_a_policy_holds_in_the_stacks_that_are_named() -> None:
    bad = PAIRS["AGD001"].bad
    assert "AGD001" in ids(bad)
    assert "AGD001" not in ids(bad, {"AGD001": {"stacks": ["live", "dev-*"]}})
    assert "AGD001" in ids(bad, {"AGD001": {"stacks": ["pr?d"]}})


def test_levels_are_set_for_one_or_for_all() -> None:
    bad = PAIRS["AGD002"].bad
    assert [finding.severity for finding in judge(bad, {"AGD002": "advisory"})] == ["advisory"]
    assert ids(bad, {"all": "disabled"}) == []
    assert ids(bad, {"all": "disabled", "AGD002": {"enforcementLevel": "mandatory"}}) == ["AGD002"]
    assert [finding.severity for finding in judge(bad, {"AGD002": "remediate"})] == ["mandatory"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"AGD015": "advisory"}, "policies 'AGD015': expected one of AGD001"),
        ({"AGD001": "loud"}, "policies.AGD001 'loud': expected one of advisory, mandatory, disabled, remediate"),
        ({"AGD001": {"stack": ["prod"]}}, "policies.AGD001 'stack': expected one of enforcementLevel, stacks"),
        ({"AGD009": {"groups": "users"}}, "policies.AGD009.groups 'users': expected a list of strings"),
        ({"AGD009": {"groups": [1]}}, "policies.AGD009.groups [1]: expected a list of strings"),
        ({"AGD006": {"tags": ["team"]}}, "policies.AGD006.tags ['team']: expected a map of strings"),
        ({"AGD011": {"days": 0}}, "policies.AGD011.days 0: expected 1 or more"),
        ({"AGD011": {"days": True}}, "policies.AGD011.days True: expected a whole number"),
        ({"all": {"stacks": ["prod"]}}, "policies.all 'stacks': expected one of enforcementLevel"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        choose(settings)
    assert str(refused.value).startswith(told)


def test_what_is_not_known_is_not_minded() -> None:
    fields = ("servedEntities", "traffic", "tags", "description", "budgetPolicyId", "aiGateway")
    for hidden in (UNKNOWN_TEXT, {SIGNATURE: OUTPUT}):
        unknown: dict[str, Any] = dict.fromkeys(fields, hidden)
        assert ids(endpoint(**unknown)) == []
    asleep = {"qa_1": entity(scaleToZeroEnabled=True)}
    assert "AGD001" not in ids(endpoint(servedEntities=asleep, traffic={"qa_1": UNKNOWN_TEXT}))
    assert ids([one(access.OWN_SECRET, timeRotating=UNKNOWN_TEXT)]) == []
    assert ids([one(access.GRANT, principal=UNKNOWN_TEXT, privileges=["ALL_PRIVILEGES"])]) == []
    assert ids([one(access.PERMISSIONS, servingEndpointId="1", accessControls=[{"groupName": UNKNOWN_TEXT}])]) == []
    assert "AGD014" not in ids([*endpoint(), one(tables.JOB, tasks=UNKNOWN_TEXT)])


def test_a_pulumi_secret_in_the_environment_of_an_endpoint_is_plain_text_unless_it_is_a_reference() -> None:
    def secret(value: str) -> list[Resource]:
        return variables(STYLE={SIGNATURE: SECRET, "value": value})  # type: ignore[arg-type]

    assert ids(secret("{{secrets/search/key}}")) == ["AGD014"]
    [finding, _] = judge(secret("a-value-that-nobody-may-see"))
    assert finding.policy.id == "AGD003"
    assert "a-value" not in str(finding)
    # A preview's JSON does not show it, and neither it nor a ciphertext can be told from a reference.
    assert ids(variables(API_KEY="[secret]")) == ["AGD014"]
    assert ids(variables(API_KEY={SIGNATURE: SECRET, "ciphertext": "v1:abc"})) == ["AGD014"]  # type: ignore[arg-type]


def test_no_finding_shows_a_credential() -> None:
    token = "dapi0123456789abcdef"
    found = judge([*variables(OPENAI=token), *endpoint(description=token), *endpoint(tags={"owner": token})])
    assert [finding.policy.id for finding in found].count("AGD003") == 3
    assert token not in json.dumps([str(finding) for finding in found])


def test_further_ways_to_give_too_much() -> None:
    several = [one(access.GRANTS, grants=[{"principal": "users", "privileges": ["ALL_PRIVILEGES"]}])]
    assert ids(several) == ["AGD004", "AGD005"]
    ours = one(access.OWN_GRANT, securableType="schema", fullName="m.d", principal="a", privileges=["ALL_PRIVILEGES"])
    assert ids([ours]) == ["AGD004"]
    assert ids(grant("account users", "EXECUTE", "MODIFY", model="main.default.feedback")) == ["AGD005"]
    assert ids(grant("agents", "MANAGE", table="main.default.docs"), {"AGD004": {"privileges": ["MANAGE"]}}) == [
        "AGD004"
    ]
    level = {"objectType": "serving-endpoints", "principalKind": "group", "principal": "users", "level": "CAN_QUERY"}
    assert ids([one(access.OWN_PERMISSION, **level)], {"AGD009": {"groups": ["team"]}}) == ["AGD009", "AGD012"]
    assert ids([one(access.SECRET_ACL, scope="s", principal="users", permission="READ")]) == ["AGD012"]
    assert ids([one(access.FILE, path="/Shared/code.py"), one(access.OWN_FILE, folder="/Shared")]) == ["AGD012"] * 2


def test_who_only_sees_an_endpoint_or_is_listed_is_not_minded() -> None:
    settings = {"AGD009": {"servicePrincipals": ["app-1"]}}
    assert ids(permissions(groupName="auditors", permissionLevel="CAN_VIEW"), settings) == []
    assert ids(permissions(servicePrincipalName="app-1", permissionLevel="CAN_QUERY"), settings) == []
    assert ids(permissions(userName="a@company.com", permissionLevel="CAN_QUERY"), settings) == ["AGD009"]
    assert ids([one(access.PERMISSIONS, jobId="1", accessControls=[])], settings) == []


def test_the_first_version_of_an_endpoint_takes_all_the_traffic() -> None:
    assert "AGD008" not in ids(endpoint())
    assert "AGD008" not in ids(endpoint({"servedEntities": {}}))


def test_too_long_a_rotation_and_too_much_concurrency() -> None:
    slow = [one(access.OWN_SECRET, timeRotating="2026-01-01/365d")]
    assert ids(slow) == ["AGD011"]
    assert ids(slow, {"AGD011": {"days": 400}}) == []
    many = endpoint(servedEntities={"qa_1": entity(maxProvisionedConcurrency=128)})
    assert "AGD010" in ids(many)
    assert "AGD010" not in ids(many, {"AGD010": {"concurrency": 128}})


def test_remediation_rotates_and_adds_tags_only_where_it_is_set_to() -> None:
    level = {"enforcementLevel": "remediate"}
    chosen = choose({"AGD006": {**level, "tags": {"team": "search", "owner": "x", "cost": ""}}, "AGD011": level})
    [never] = PAIRS["AGD011"].bad
    assert [(policy.id, change) for policy, change in mend(never, chosen, TODAY)] == [
        ("AGD011", {"timeRotating": "2026-09-17/90d"})
    ]
    [bare] = endpoint()
    assert [change for _, change in mend(bare, chosen, TODAY)] == [{"tags": {"team": "search"}}]
    assert list(mend(never, choose(), TODAY)) == []


def test_a_stack_is_read_out_of_the_urn() -> None:
    assert resource("t", "n", {}, "urn:pulumi:prod::project::t::n").stack == "prod"
    assert resource("t", "n", {}).stack == ""
