"""ServingEndpoint's check, diff and preview: what is told before anything is created, and what a preview shows."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.plugin.property_values import path_text
from agent_deploy.provider.plugin.resource import UNKNOWN, Kind, Values
from agent_deploy.rules.endpoint_fields import FIELDS, OWNER_TAG, Changing
from tests.provider.serving_api import HOST, ServingApi

QA = {"entityName": "main.default.qa", "entityVersion": "1"}
HINT = {"catalogName": "main", "schemaName": "default", "tableNamePrefixHint": "qa"}


def inputs(**more: Any) -> Values:
    return {"name": "e", "servedEntities": {"qa_1": dict(QA)}, "ownerMark": "p/s/e", **more}


@pytest.fixture
def api() -> ServingApi:
    return ServingApi()


def check(api: ServingApi, new: Values, old: Values | None = None, **context: Any) -> tuple[Values, str]:
    checked, failures = ServingEndpoint().check(api.context(**context), old or {}, new)
    texts = [f"{f.path}: {f.reason}" if f.path else f.reason for f in failures]
    return checked, "\n".join(texts)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "no spaces"}, "name 'no spaces': expected 1 to 63"),
        ({"servedEntities": {"-x": QA}}, "servedEntities[\"-x\"] key '-x'"),
        ({"servedEntities": {"-x": QA}}, "a letter or digit. Choose another name"),
        ({"servedEntities": {"x": {**QA, "entityName": "a.b"}}}, "entityName 'a.b': expected a Unity Catalog name"),
        ({"servedEntities": {"x": {**QA, "entityVersion": "latest"}}}, "entityVersion 'latest'"),
        ({"servedEntities": {"x": {**QA, "workloadSize": "small"}}}, "workload_size 'small'"),
        ({"servedEntities": {"x": {**QA, "size": "Small"}}}, 'servedEntities["x"].size: this field does not exist'),
        ({"servedEntities": {"x": {**QA, "environmentVars": {"a b": "1"}}}}, "key 'a b'"),
        ({"servedEntities": {"x": {**QA, "environmentVars": {"A": "{{secrets/a}}"}}}}, "a secret reference"),
        ({"servedEntities": {f"x{n}": QA for n in range(16)}, "traffic": {"x0": 100}}, "at most 15 served entities"),
        ({"servedEntities": {"a": QA, "b": QA}}, "traffic 0: expected percentages that sum to 100"),
        ({"traffic": {"qa_1": 99}}, "traffic 99: expected percentages that sum to 100"),
        ({"traffic": {"other": 100}}, "traffic['other'] 100: expected a version that is served (qa_1)"),
        ({"servedEntities": {}, "traffic": {"x": 100}}, "traffic"),
        ({"aiGateway": {"guardrails": {}}}, "aiGateway.guardrails: this field does not exist"),
        ({"aiGateway": {"usageTrackingConfig": {"on": True}}}, "usageTrackingConfig.on: this field does not exist"),
        ({"emailNotifications": {"onUpdateSucess": []}}, "Notifications.onUpdateSucess: this field does not exist"),
        ({"aiGateway": {"inferenceTableConfig": {"schemaName": "s"}}}, "inferenceTableConfig.catalogName: needed"),
        ({"tags": {"agent_deploy_stack": "x"}}, "owner's mark"),
        ({"colour": "red"}, "colour: this field does not exist"),
    ],
)
def test_mistakes_are_told_with_field_and_value(api: ServingApi, change: Values, told: str) -> None:
    _, said = check(api, inputs(**change))
    assert told in said
    assert api.calls == []


def test_all_mistakes_are_told_at_once(api: ServingApi) -> None:
    _, said = check(api, inputs(name="?", servedEntities={"x": {"entityName": "a", "entityVersion": "b"}}))
    assert len(said.splitlines()) == 3


def test_good_inputs_pass_with_one_look_at_a_new_ones_name(api: ServingApi) -> None:
    checked, said = check(api, inputs(servedEntities={"qa_1": {**QA, "entityVersion": 1}}))
    assert said == ""
    assert checked["servedEntities"]["qa_1"]["entityVersion"] == "1"
    assert api.calls == ["GET /e"]
    api.calls.clear()
    assert check(api, inputs(), inputs())[1] == ""
    assert api.calls == []


def test_two_endpoints_of_one_program_that_are_to_have_one_name_are_told(api: ServingApi) -> None:
    resource, said = ServingEndpoint(), []
    for urn, name in (("urn::a", "e"), ("urn::b", "e"), ("urn::b", "f"), ("urn::a", "e")):
        context = api.context()
        context.urn = urn
        said += [[failure.reason for failure in resource.check(context, {}, inputs(name=name))[1]]]
    assert [bool(reasons) for reasons in said] == [False, True, False, False]
    assert "Two endpoints of this program are to be called 'e': this one and that of 'a'" in said[1][0]
    assert "endpoint_name" in said[1][0]


def taken(api: ServingApi, mark: str) -> None:
    tags = [{"key": OWNER_TAG, "value": mark}] if mark else []
    api.workspace().post("/api/2.0/serving-endpoints", {"name": "e", "tags": tags})


@pytest.mark.parametrize(
    ("mark", "said"), [("", "no Pulumi stack has marked it"), ("theirs/dev/qa", "belongs to theirs/dev/qa")]
)
def test_a_name_that_is_taken_is_told_of_a_new_endpoint_alone(api: ServingApi, mark: str, said: str) -> None:
    taken(api, mark)
    assert said in check(api, inputs())[1]
    assert said in check(api, inputs(), inputs(name="before"))[1]
    # One that the state has, whatever its mark, and its replacement, which is checked as if it were new.
    resource, context = ServingEndpoint(), api.context()
    assert resource.check(context, inputs(), inputs())[1] == []
    assert resource.check(context, {}, inputs())[1] == []
    resource = ServingEndpoint()
    resource.diff(context, "e", inputs(), inputs(), inputs(routeOptimized=True))
    assert resource.check(context, {}, inputs(routeOptimized=True))[1] == []


@pytest.mark.parametrize(
    ("mark", "former"), [("p/s/old", "old"), ("p/s/a/b", "a/b"), ("p/t/old", ""), ("p/s", ""), ("s", ""), ("", "")]
)
def test_who_renames_a_deployment_is_told_of_aliases(api: ServingApi, mark: str, former: str) -> None:
    taken(api, mark)
    _, said = check(api, inputs())
    assert "exists already" in said
    remedy = f'pulumi.ResourceOptions(aliases=[pulumi.Alias(name="{former}")])'
    assert remedy in said if former else "aliases" not in said


def test_an_endpoint_that_an_interrupted_run_has_made_is_no_strangers(api: ServingApi) -> None:
    taken(api, "p/s/e")
    assert check(api, inputs())[1] == ""


def test_what_is_not_known_yet_is_passed_over(api: ServingApi) -> None:
    entity = {**QA, "environmentVars": {"A": UNKNOWN}, "workloadSize": UNKNOWN, "entityVersion": UNKNOWN}
    wanted = inputs(name=UNKNOWN, servedEntities={"qa_1": entity}, traffic={"qa_1": UNKNOWN})
    assert check(api, {**wanted, "aiGateway": {"inferenceTableConfig": {**HINT, "catalogName": UNKNOWN}}})[1] == ""
    assert check(api, {"name": UNKNOWN, "servedEntities": UNKNOWN, "traffic": UNKNOWN, "aiGateway": UNKNOWN})[1] == ""


def test_a_secret_that_is_no_reference_is_refused_without_being_shown(api: ServingApi) -> None:
    path = ("servedEntities", "qa_1", "environmentVars", "KEY")
    wanted = inputs(servedEntities={"qa_1": {**QA, "environmentVars": {"KEY": "hush", "OTHER": "{{secrets/s/k}}"}}})
    _, said = check(api, wanted, secret_paths=frozenset({path, (*path[:3], "OTHER")}))
    assert 'environmentVars["KEY"]: a secret would stand' in said
    assert "OTHER" not in said
    assert "hush" not in said


# ---- the table's prefix


def prefix(checked: Values) -> Any:
    return checked["aiGateway"]["inferenceTableConfig"].get("tableNamePrefix")


def hinted() -> Values:
    return inputs(aiGateway={"inferenceTableConfig": dict(HINT)})


def test_the_first_free_prefix_is_taken_and_then_kept(api: ServingApi) -> None:
    api.tables = {"main.default.qa_payload", "main.default.qa_1_payload"}
    first, _ = check(api, hinted())
    assert prefix(first) == "qa_2"
    api.tables.add("main.default.qa_2_payload")
    calls = len(api.calls)
    again, _ = check(api, hinted(), first)
    assert prefix(again) == "qa_2"
    assert len(api.calls) == calls


def test_an_interrupted_run_finds_its_own_prefix_again(api: ServingApi) -> None:
    checked, _ = check(api, hinted())
    ServingEndpoint().create(api.context(), checked)
    api.tables = {"main.default.qa_payload"}
    assert prefix(check(api, hinted())[0]) == "qa"


def test_two_endpoints_of_one_run_get_two_prefixes(api: ServingApi) -> None:
    resource = ServingEndpoint()
    found = []
    for urn in ("urn:a", "urn:b"):
        context = api.context()
        context.urn = urn
        found.append(prefix(resource.check(context, {}, {**hinted(), "name": urn[-1]})[0]))
    assert found == ["qa", "qa_1"]


def test_a_wanted_prefix_that_is_taken_is_an_error(api: ServingApi) -> None:
    api.tables = {"main.default.mine_payload"}
    table = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "mine"}
    _, said = check(api, inputs(aiGateway={"inferenceTableConfig": table}))
    assert "the table main.default.mine_payload exists" in said
    assert "leave it out" in said
    assert "inference_tables.prefix of an AgentDeployment" in said


def test_a_place_in_other_letters_is_the_same_place(api: ServingApi) -> None:
    resource, prefixes = ServingEndpoint(), []
    for urn, hint in (("urn:a", "QA"), ("urn:b", "qa")):
        context = api.context()
        context.urn = urn
        wanted = inputs(name=urn[-1], aiGateway={"inferenceTableConfig": {**HINT, "tableNamePrefixHint": hint}})
        prefixes.append(prefix(resource.check(context, {}, wanted)[0]))
    assert prefixes == ["QA", "qa_1"]
    # What is there keeps its name, and nothing is looked for or changed.
    api.calls.clear()
    place = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "qa"}
    shouted = {name: value.upper() for name, value in place.items()}
    old = inputs(aiGateway={"inferenceTableConfig": place})
    checked, said = check(api, inputs(aiGateway={"inferenceTableConfig": shouted}), old)
    assert (checked["aiGateway"]["inferenceTableConfig"], said, api.calls) == (place, "", [])


def test_an_interrupted_run_finds_its_own_prefix_in_other_letters(api: ServingApi) -> None:
    ServingEndpoint().create(api.context(), check(api, hinted())[0])
    api.tables = {"main.default.qa_payload", "main.default.QA_payload", "MAIN.default.qa_payload"}
    table = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "QA"}
    assert check(api, inputs(aiGateway={"inferenceTableConfig": table}))[1] == ""
    table = {**HINT, "catalogName": "MAIN"}
    adopted, _ = check(api, inputs(aiGateway={"inferenceTableConfig": table}))
    assert prefix(adopted) == "qa"
    api.calls.clear()
    ServingEndpoint().create(api.context(), adopted)
    assert "PUT /e/ai-gateway" not in api.calls


def test_a_long_hint_is_cut_to_what_the_platform_allows(api: ServingApi) -> None:
    api.tables = {f"main.default.{'x' * 63}_payload"}
    table = {**HINT, "tableNamePrefixHint": "x" * 70}
    found = prefix(check(api, inputs(aiGateway={"inferenceTableConfig": table}))[0])
    assert found == "x" * 61 + "_1"


# ---- diff


def diff(api: ServingApi, old: Values, new: Values) -> dict[str, str]:
    found = ServingEndpoint().diff(api.context(), "e", old, {**old, "ready": "READY"}, new)
    return {
        path_text(path): f"{change.kind.value}{'-replace' if change.replaces else ''}"
        for path, change in found.changes.items()
    }


TWO = {"qa_1": QA, "qa_2": {**QA, "entityVersion": "2"}}


@pytest.mark.parametrize(
    ("old", "new", "changes"),
    [
        ({}, {}, {}),
        ({"servedEntities": TWO, "traffic": {"qa_1": 100, "qa_2": 0}},
         {"servedEntities": TWO, "traffic": {"qa_1": 90, "qa_2": 10}},
         {"traffic.qa_1": "update", "traffic.qa_2": "update"}),
        ({}, {"servedEntities": TWO, "traffic": {"qa_1": 90, "qa_2": 10}},
         {"servedEntities.qa_2": "add", "traffic.qa_1": "update", "traffic.qa_2": "add"}),
        ({"servedEntities": {"a-b": {**QA, "environmentVars": {"K": "1"}}}},
         {"servedEntities": {"a-b": {**QA, "environmentVars": {"K": "2"}}}},
         {'servedEntities["a-b"].environmentVars.K': "update"}),
        ({}, {"traffic": {"qa_1": 100}}, {}),
        ({}, {"servedEntities": {"qa_1": {**QA, "workloadSize": "Small", "environmentVars": {}}}}, {}),
        ({"aiGateway": {"inferenceTableConfig": {"tableNamePrefix": "qa"}}},
         {"aiGateway": {"inferenceTableConfig":
                        {"tableNamePrefix": "qa", "tableNamePrefixHint": "z", "enabled": True}}}, {}),
        ({}, {"aiGateway": {}, "tags": {}, "description": "", "routeOptimized": False}, {}),
        ({}, {"routeOptimized": True}, {"routeOptimized": "add-replace"}),
        ({}, {"name": "f"}, {"name": "update-replace"}),
        ({"emailNotifications": {"onUpdateSucess": ["a@b.c"]}}, {"emailNotifications": {"onUpdateSuccess": ["a@b.c"]}},
         {"emailNotifications.onUpdateSuccess": "add"}),
        ({}, {"servedEntities": {}}, {"servedEntities.qa_1": "delete-replace", "traffic": "delete"}),
        ({"tags": {"a": "1"}}, {"tags": {"a": UNKNOWN}}, {"tags.a": "update"}),
    ],
)  # fmt: skip
def test_a_diff_names_what_changes_and_how(api: ServingApi, old: Values, new: Values, changes: dict[str, str]) -> None:
    assert diff(api, inputs(**old), inputs(**new)) == changes


def test_a_diff_goes_by_what_is_really_there(api: ServingApi) -> None:
    wanted = inputs(servedEntities=TWO, traffic={"qa_1": 0, "qa_2": 100})
    truth = {**inputs(traffic={"qa_1": 100}), "ready": "READY"}
    found = ServingEndpoint().diff(api.context(), "e", wanted, truth, wanted)
    assert found.changes[("servedEntities", "qa_2")].kind is Kind.ADD


def test_an_endpoint_of_the_same_name_goes_before_its_successor_comes(api: ServingApi) -> None:
    assert (
        ServingEndpoint()
        .diff(api.context(), "e", inputs(), inputs(), inputs(routeOptimized=True))
        .delete_before_replace
    )
    assert not ServingEndpoint().diff(api.context(), "e", inputs(), inputs(), inputs(name="f")).delete_before_replace


def test_every_rule_has_a_source_and_every_replacement_is_diffed_as_one() -> None:
    assert all(rule.source for rule in FIELDS)
    assert {rule.path for rule in FIELDS if rule.changing is Changing.REPLACES} == {"name", "routeOptimized"}


# ---- preview


def test_a_preview_knows_what_can_be_known(api: ServingApi) -> None:
    wanted, _ = check(api, hinted())
    seen = ServingEndpoint().preview(api.context(), None, wanted)
    assert seen["payloadTable"] == "main.default.qa_payload"
    assert seen["workspaceUrl"] == HOST
    assert seen["endpointId"] is UNKNOWN
    old = ServingEndpoint().create(api.context(), wanted).properties
    kept = ServingEndpoint().preview(api.context(), old, {**wanted, "tags": {"a": "1"}})
    assert UNKNOWN not in [kept[name] for name in ServingEndpoint.outputs]
    moved = ServingEndpoint().preview(api.context(), old, {**wanted, "servedEntities": TWO})
    assert moved["endpointId"] == old["endpointId"]
    assert moved["servedEntityStates"] is UNKNOWN
