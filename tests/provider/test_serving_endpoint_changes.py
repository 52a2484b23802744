"""ServingEndpoint's create, read, update and delete against an API in memory: calls, waiting, failures, drift."""

from __future__ import annotations

import copy
import re
import threading
import time
from typing import Any

import httpx
import pytest

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.endpoint import waiting as endpoint_waiting
from agent_deploy.provider.endpoint.serving_endpoint import ServingEndpoint
from agent_deploy.provider.plugin.resource import Cancelled, PartialFailure, UserError, Values
from tests.provider.serving_api import ServingApi

QA = {"entityName": "main.default.qa", "entityVersion": "1"}
TABLE = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "qa"}


def inputs(**more: Any) -> Values:
    return {"name": "e", "servedEntities": {"qa_1": dict(QA)}, "ownerMark": "p/s/e", **more}


@pytest.fixture
def api() -> ServingApi:
    return ServingApi()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_waiting, "FIRST_POLL", 0.001)
    monkeypatch.setattr(endpoint_waiting, "LAST_POLL", 0.005)


def create(api: ServingApi, wanted: Values, **context: Any) -> Values:
    return ServingEndpoint().create(api.context(**context), wanted).properties


def update(api: ServingApi, old: Values, wanted: Values, **context: Any) -> Values:
    before = {key: value for key, value in old.items() if key in ServingEndpoint.inputs}
    return ServingEndpoint().update(api.context(**context), "e", before, old, wanted)


def read(api: ServingApi, old_inputs: Values) -> Values | None:
    found = ServingEndpoint().read(api.context(), "e", old_inputs, old_inputs)
    return None if found is None else found.inputs


# ---- create


def test_creation_sends_everything_in_one_call_and_waits(api: ServingApi) -> None:
    wanted = inputs(
        servedEntities={
            "feedback": {"entityName": "main.default.feedback", "entityVersion": "1"},
            "qa_10": {**QA, "entityVersion": "10", "environmentVars": {"A": "{{secrets/s/k}}"}},
            "qa_9": {**QA, "entityVersion": "9", "workloadSize": "Large", "scaleToZeroEnabled": True},
        },
        traffic={"qa_9": 90, "qa_10": 10},
        tags={"b": "2", "a": "1"},
        description="d",
        budgetPolicyId="p",
        aiGateway={"inferenceTableConfig": {**TABLE, "tableNamePrefixHint": "qa"}},
        emailNotifications={"onUpdateFailure": ["x@example.org"]},
    )
    told: list[str] = []
    properties = create(api, wanted, told=told)
    assert api.calls == ["POST /", "GET /e", "GET /e"]
    assert api.body_of("POST /") == {
        "name": "e",
        "description": "d",
        "budget_policy_id": "p",
        "tags": [
            {"key": "a", "value": "1"}, {"key": "agent_deploy_stack", "value": "p/s/e"}, {"key": "b", "value": "2"},
        ],
        "email_notifications": {"on_update_success": [], "on_update_failure": ["x@example.org"]},
        "ai_gateway": {
            "inference_table_config": {
                "enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "qa",
            }
        },
        "config": {
            "served_entities": [
                {"name": "qa_9", "entity_name": "main.default.qa", "entity_version": "9",
                 "workload_size": "Large", "scale_to_zero_enabled": True},
                {"name": "qa_10", "entity_name": "main.default.qa", "entity_version": "10", "workload_size": "Small",
                 "scale_to_zero_enabled": False, "environment_vars": {"A": "{{secrets/s/k}}"}},
                {"name": "feedback", "entity_name": "main.default.feedback", "entity_version": "1",
                 "workload_size": "Small", "scale_to_zero_enabled": False},
            ],
            "traffic_config": {"routes": [
                {"served_model_name": "qa_9", "traffic_percentage": 90},
                {"served_model_name": "qa_10", "traffic_percentage": 10},
                {"served_model_name": "feedback", "traffic_percentage": 0},
            ]},
        },
    }  # fmt: skip
    assert {key: properties[key] for key in wanted} == wanted
    assert properties["payloadTable"] == "main.default.qa_payload"
    assert properties["endpointId"] == "abc123"
    assert any("qa_9 creating" in text for text in told)


def test_progress_is_which_entity_is_where_since_when_with_the_newest_line_of_its_log(
    api: ServingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_waiting, "LOG_EVERY", 0.0)
    api.polls = 3
    told: list[str] = []
    create(api, inputs(), told=told)
    assert any(re.fullmatch(r"qa_1 creating for \d+ s: step 2", text) for text in told), told


def test_without_entities_the_endpoint_only_has_to_exist(api: ServingApi) -> None:
    properties = create(api, {"name": "e"})
    assert api.body_of("POST /") == {"name": "e", "tags": []}
    assert properties["configVersion"] == 0


def test_provisioned_concurrency_takes_the_place_of_a_size(api: ServingApi) -> None:
    wanted = inputs(servedEntities={"qa_1": {**QA, "minProvisionedConcurrency": 4, "maxProvisionedConcurrency": 16}})
    properties = create(api, wanted)
    sent = api.body_of("POST /")["config"]["served_entities"][0]
    assert "workload_size" not in sent
    assert (sent["min_provisioned_concurrency"], sent["max_provisioned_concurrency"]) == (4, 16)
    update(api, properties, wanted)
    assert api.changes == ["POST /"]


def test_a_failing_entity_ends_the_wait_with_its_message_and_log(api: ServingApi) -> None:
    api.failing = {"qa_1": "container exited with 1"}
    with pytest.raises(PartialFailure) as raised:
        create(api, inputs())
    failure = raised.value
    assert failure.id == "e"
    assert failure.properties["configUpdate"] == "UPDATE_FAILED"
    for part in ("qa_1 is DEPLOYMENT_FAILED: container exited with 1", "| step 2", "Nothing serves"):
        assert part in failure.reasons[0]


def test_a_timeout_keeps_the_endpoint_and_says_how_to_go_on(api: ServingApi) -> None:
    api.polls = 10**6
    with pytest.raises(
        PartialFailure, match=r"not ready within the time allowed.*qa_1 is DEPLOYMENT_CREATING"
    ) as raised:
        create(api, inputs(), timeout=0.05)
    assert "custom_timeouts" in raised.value.reasons[0]
    assert "end of the build log of qa_1:\n  | " in raised.value.reasons[0]
    assert "| step 2" in raised.value.reasons[0]
    assert raised.value.properties["endpointId"] == "abc123"


def test_an_interruption_ends_the_wait_at_once(api: ServingApi) -> None:
    api.polls = 10**6
    cancelled = threading.Event()
    threading.Timer(0.05, cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(PartialFailure, match="interrupted"):
        create(api, inputs(), cancelled=cancelled)
    assert time.monotonic() - began < 60  # and not after the 45 minutes of a creation


def test_a_short_outage_in_the_middle_of_a_wait_is_waited_for(api: ServingApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent_deploy.client.retries.CONNECT_PATIENCE", 0.0)
    told: list[str] = []
    api.answers["GET /e"] = [httpx.ConnectError("refused")]
    assert create(api, inputs(), told=told)["ready"] == "READY"
    assert any("cannot be reached, trying on" in text for text in told)
    monkeypatch.setattr(endpoint_waiting, "OUTAGE_SECONDS", 0.0)
    api.endpoints.clear()
    api.answers["GET /e"] = [httpx.ConnectError("refused"), httpx.ConnectError("refused")]
    with pytest.raises(PartialFailure, match="No Databricks workspace answers"):
        create(api, inputs())


def test_a_refused_creation_leaves_nothing_in_the_state(api: ServingApi) -> None:
    api.answers["POST /"] = [(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "no such model"})]
    with pytest.raises(ApiError, match="no such model"):
        create(api, inputs())


def test_an_endpoint_of_the_same_stack_is_taken_over(api: ServingApi) -> None:
    create(api, inputs(tags={"team": "x"}))
    api.calls.clear()
    api.bodies.clear()
    create(api, inputs(tags={"team": "y"}, servedEntities={"qa_1": {**QA, "workloadSize": "Medium"}}))
    assert api.changes == ["POST /", "PUT /e/config", "PATCH /e/tags"]
    assert api.endpoints["e"]["config"]["served_entities"][0]["workload_size"] == "Medium"


@pytest.mark.parametrize(
    ("tags", "said"),
    [([], "no Pulumi stack"), ([{"key": "agent_deploy_stack", "value": "theirs"}], "belongs to theirs")],
)
def test_an_endpoint_of_somebody_else_is_left_alone(api: ServingApi, tags: list[Any], said: str) -> None:
    api.workspace().post("/api/2.0/serving-endpoints", {"name": "e", "tags": tags})
    before = copy.deepcopy(api.endpoints)
    with pytest.raises(UserError, match=f"{said}.*me created it.*import_='e'"):
        create(api, inputs())
    assert api.endpoints == before


@pytest.mark.parametrize("made", [True, False])
def test_a_lost_answer_to_the_creation_is_looked_into(api: ServingApi, made: bool) -> None:
    if made:
        create(api, inputs())
    api.answers["POST /"] = [httpx.ReadError("reset")]
    if made:
        assert create(api, inputs())["endpointId"] == "abc123"
    else:
        with pytest.raises(Exception, match=r"connection .* broke"):
            create(api, inputs())


# ---- update


CHANGES: list[tuple[str, Values, Values, list[str]]] = [
    ("nothing", {}, {}, []),
    ("size", {}, {"servedEntities": {"qa_1": {**QA, "workloadSize": "Large"}}}, ["PUT /e/config"]),
    ("the default said", {}, {"servedEntities": {"qa_1": {**QA, "workloadSize": "Small"}}}, []),
    ("the traffic said", {}, {"traffic": {"qa_1": 100}}, []),
    ("tag", {"tags": {"a": "1", "b": "1"}}, {"tags": {"a": "2"}}, ["PATCH /e/tags"]),
    ("description", {"description": "x"}, {"description": "y"}, ["PATCH /e/description"]),
    ("policy", {"budgetPolicyId": "x"}, {"budgetPolicyId": "y"}, ["PATCH /e/budget-policy"]),
    ("addresses", {}, {"emailNotifications": {"onUpdateSuccess": ["a"]}}, ["PATCH /e/notifications"]),
    ("table on", {}, {"aiGateway": {"inferenceTableConfig": TABLE}}, ["PUT /e/ai-gateway"]),
    ("table off", {"aiGateway": {"inferenceTableConfig": TABLE}}, {"aiGateway": {}}, ["PUT /e/ai-gateway"]),
    ("table said off", {"aiGateway": {"inferenceTableConfig": TABLE}},
     {"aiGateway": {"inferenceTableConfig": {**TABLE, "enabled": False}}}, ["PUT /e/ai-gateway"]),
    ("table moved", {"aiGateway": {"inferenceTableConfig": TABLE}},
     {"aiGateway": {"inferenceTableConfig": {**TABLE, "tableNamePrefix": "b"}}}, ["PUT /e/ai-gateway"] * 2),
    ("usage alone", {"aiGateway": {"inferenceTableConfig": TABLE}},
     {"aiGateway": {"inferenceTableConfig": TABLE, "usageTrackingConfig": {"enabled": True}}}, ["PUT /e/ai-gateway"]),
    ("all", {"tags": {"a": "1"}},
     {"servedEntities": {"qa_2": {**QA, "entityVersion": "2"}}, "tags": {"b": "1"}, "description": "y",
      "aiGateway": {"inferenceTableConfig": TABLE}, "budgetPolicyId": "p"},
     ["PUT /e/config", "PATCH /e/tags", "PUT /e/ai-gateway", "PATCH /e/description", "PATCH /e/budget-policy"]),
]  # fmt: skip


@pytest.mark.parametrize(("what", "before", "after", "calls"), CHANGES, ids=[row[0] for row in CHANGES])
def test_an_update_sends_what_differs_in_one_order(
    api: ServingApi, what: str, before: Values, after: Values, calls: list[str]
) -> None:
    old = create(api, inputs(**before))
    api.calls.clear()
    api.bodies.clear()
    wanted = inputs(**after)
    new = update(api, old, wanted)
    assert api.changes == calls
    # And then there is nothing more to do, nor any drift.
    api.calls.clear()
    api.bodies.clear()
    update(api, new, wanted)
    assert api.changes == []
    if what != "table said off":  # what the API forgets of a table that is off comes from the state
        assert not differs(api, wanted)


def differs(api: ServingApi, wanted: Values) -> dict[Any, Any]:
    found = ServingEndpoint().read(api.context(), "e", wanted, wanted)
    assert found is not None
    return ServingEndpoint().diff(api.context(), "e", found.inputs, found.properties, wanted).changes


@pytest.mark.parametrize("names", [("qa_1", "renamed"), ("qa_1", "qa_2", "renamed")])
def test_a_route_is_sent_for_every_entity_whatever_its_name_was(api: ServingApi, names: tuple[str, ...]) -> None:
    """The vendor's resource sends the routes of before, to names that are no longer there."""
    *first, last = names
    old = create(api, inputs(servedEntities={first[0]: QA}))
    kept = {name: {**QA, "entityVersion": str(index + 2)} for index, name in enumerate(first[1:])}
    wanted = inputs(servedEntities={**kept, last: QA}, **({"traffic": {last: 90, first[1]: 10}} if kept else {}))
    update(api, old, wanted)
    body = api.body_of("PUT /e/config")
    routed = {route["served_model_name"]: route["traffic_percentage"] for route in body["traffic_config"]["routes"]}
    assert routed == wanted.get("traffic", {last: 100})
    assert set(routed) == {entity["name"] for entity in body["served_entities"]}


def test_a_changed_tag_is_only_added(api: ServingApi) -> None:
    old = create(api, inputs(tags={"a": "1", "gone": "1"}))
    update(api, old, inputs(tags={"a": "2"}))
    assert api.body_of("PATCH /e/tags") == {"add_tags": [{"key": "a", "value": "2"}], "delete_tags": ["gone"]}


def test_tags_that_others_have_put_stay(api: ServingApi) -> None:
    old = create(api, inputs(tags={"a": "1"}))
    api.endpoints["e"]["tags"].append({"key": "theirs", "value": "1"})
    update(api, old, inputs(tags={"a": "2"}))
    assert {"key": "theirs", "value": "1"} in api.endpoints["e"]["tags"]


def test_a_table_that_ignores_false_is_turned_off_by_a_gateway_without_it(api: ServingApi) -> None:
    api.hears_disabled = False
    old = create(api, inputs(aiGateway={"inferenceTableConfig": TABLE}))
    update(api, old, inputs(aiGateway={}))
    assert "ai_gateway" not in api.endpoints["e"]


def test_an_equal_update_after_a_failure_really_tries_again(api: ServingApi) -> None:
    old = create(api, inputs())
    two = inputs(servedEntities={"qa_1": QA, "qa_2": {**QA, "entityVersion": "2"}}, traffic={"qa_1": 0, "qa_2": 100})
    api.failing = {"qa_2": "broken"}
    with pytest.raises(PartialFailure, match=r"Still serving: qa_1 \(100 %\)") as raised:
        update(api, old, two)
    truth = raised.value.properties
    assert set(truth["servedEntities"]) == {"qa_1"}
    api.failing = {}
    api.calls.clear()
    api.bodies.clear()
    update(api, truth, two)
    assert api.changes == ["PUT /e/config"]


def test_what_failed_to_change_serves_on_as_it_was(api: ServingApi) -> None:
    old = create(api, inputs())
    larger = {"qa_1": {**QA, "workloadSize": "Large"}, "qa_2": {**QA, "entityVersion": "2"}}
    api.failing = {"qa_1": "no room", "qa_2": "broken"}
    with pytest.raises(PartialFailure, match=r"Still serving: qa_1 \(100 %\)"):
        update(api, old, inputs(servedEntities=larger, traffic={"qa_1": 0, "qa_2": 100}))


def test_a_rollback_after_a_failure_heals(api: ServingApi) -> None:
    one = inputs()
    old = create(api, one)
    api.failing = {"qa_2": "broken"}
    with pytest.raises(PartialFailure) as raised:
        update(api, old, inputs(servedEntities={"qa_2": {**QA, "entityVersion": "2"}}))
    update(api, raised.value.properties, one)
    assert api.endpoints["e"]["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}


def test_an_update_that_is_under_way_already_is_waited_for(api: ServingApi) -> None:
    old = create(api, inputs())
    wanted = inputs(servedEntities={"qa_1": {**QA, "workloadSize": "Large"}})
    api.polls = 10**6
    with pytest.raises(PartialFailure) as raised:
        update(api, old, wanted, timeout=0.05)
    assert raised.value.properties["servedEntities"] == {"qa_1": {**QA, "workloadSize": "Small"}}
    api.polls, api.calls[:], api.bodies[:] = 3, [], []
    api.endpoints["e"]["looks"] = 0
    properties = update(api, raised.value.properties, wanted)
    assert api.changes == []
    assert properties["ready"] == "READY"


def test_another_update_is_waited_for_and_then_ours_is_sent(api: ServingApi) -> None:
    old = create(api, inputs())
    api.endpoints["e"]["state"]["config_update"] = "NOT_UPDATING"
    theirs = {"served_entities": [{"name": "x", "entity_name": "main.default.x", "entity_version": "1"}],
              "traffic_config": {"routes": [{"served_model_name": "x", "traffic_percentage": 100}]}}  # fmt: skip
    api.workspace().put("/api/2.0/serving-endpoints/e/config", theirs)
    told: list[str] = []
    update(api, old, inputs(servedEntities={"qa_1": {**QA, "workloadSize": "Large"}}), told=told)
    assert [call for call in api.changes if "config" in call] == ["PUT /e/config"] * 3  # theirs, the refused, ours
    assert any("another run" in text for text in told)
    assert [each["name"] for each in api.endpoints["e"]["config"]["served_entities"]] == ["qa_1"]


def test_a_repeated_request_that_met_its_own_copy_is_not_sent_a_third_time(
    api: ServingApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = create(api, inputs())
    wanted = inputs(servedEntities={"qa_1": {**QA, "workloadSize": "Large"}})
    original = api._config

    def lost_answer(endpoint: dict[str, Any], body: dict[str, Any]) -> Any:
        answer = original(endpoint, body)
        if answer[0] == 200:
            raise httpx.ReadError("reset")
        return answer

    monkeypatch.setattr(api, "_config", lost_answer)
    api.calls.clear()
    api.bodies.clear()
    update(api, old, wanted)
    assert api.changes == ["PUT /e/config"] * 2


def test_a_failure_after_the_config_was_changed_tells_what_is_there(api: ServingApi) -> None:
    old = create(api, inputs(tags={"a": "1"}))
    api.answers["PATCH /e/tags"] = [(400, {"error_code": "BAD", "message": "too many tags"})]
    wanted = inputs(servedEntities={"qa_1": {**QA, "workloadSize": "Large"}}, tags={"a": "2"})
    with pytest.raises(PartialFailure, match="too many tags") as raised:
        update(api, old, wanted)
    assert raised.value.properties["servedEntities"]["qa_1"]["workloadSize"] == "Large"
    assert raised.value.properties["tags"] == {"a": "1"}


def test_a_failure_before_anything_was_changed_leaves_the_state_alone(api: ServingApi) -> None:
    old = create(api, inputs())
    api.answers["PUT /e/config"] = [(400, {"error_code": "BAD", "message": "no such version"})]
    with pytest.raises(ApiError, match="no such version"):
        update(api, old, inputs(servedEntities={"qa_1": {**QA, "entityVersion": "99"}}))
    cancelled = threading.Event()
    cancelled.set()
    api.endpoints["e"]["state"]["config_update"] = "IN_PROGRESS"
    api.endpoints["e"]["pending_config"], api.endpoints["e"]["looks"] = api.endpoints["e"]["config"], -(10**6)
    with pytest.raises(Cancelled):
        update(api, old, inputs(), cancelled=cancelled)


def test_the_policy_in_the_state_is_what_the_workspace_was_given_last(api: ServingApi) -> None:
    old = create(api, inputs(budgetPolicyId="old", tags={"a": "1"}))
    api.answers["PATCH /e/budget-policy"] = [(403, {"error_code": "PERMISSION_DENIED", "message": "not yours"})]
    with pytest.raises(PartialFailure, match="not yours") as raised:
        update(api, old, inputs(budgetPolicyId="new", tags={"a": "2"}))
    assert raised.value.properties["budgetPolicyId"] == "old"
    api.calls.clear()
    api.bodies.clear()
    update(api, raised.value.properties, inputs(budgetPolicyId="new", tags={"a": "2"}))
    assert api.changes == ["PATCH /e/budget-policy"]


# ---- read and delete


def test_defaults_of_the_platform_are_no_drift_and_hand_made_changes_are(api: ServingApi) -> None:
    wanted = inputs(tags={"a": "1"}, aiGateway={"inferenceTableConfig": TABLE}, description="d")
    create(api, wanted)
    assert read(api, wanted) == wanted
    remote = api.endpoints["e"]
    remote["config"]["served_entities"][0]["environment_vars"] = {"X": "1"}
    remote["config"]["served_entities"][0]["scale_to_zero_enabled"] = True
    remote["description"] = ""
    remote["ai_gateway"]["inference_table_config"]["enabled"] = False
    remote["tags"] = [tag for tag in remote["tags"] if tag["key"] != "a"]
    changed = {path[-1] for path in differs(api, wanted)}
    assert changed == {"environmentVars", "scaleToZeroEnabled", "description", "enabled", "a"}


def test_an_import_takes_everything_but_the_defaults(api: ServingApi) -> None:
    create(api, inputs(servedEntities={"qa_1": {**QA, "workloadSize": "Large"}}, tags={"a": "1"}, description="d"))
    assert read(api, {}) == inputs(
        servedEntities={"qa_1": {**QA, "workloadSize": "Large"}}, tags={"a": "1"}, description="d"
    )


def test_what_is_gone_is_gone(api: ServingApi) -> None:
    assert read(api, inputs()) is None
    ServingEndpoint().delete(api.context(), "e", {}, {})
    create(api, inputs())
    ServingEndpoint().delete(api.context(), "e", {}, {})
    assert api.endpoints == {}


def test_an_unhealthy_endpoint_is_read_as_such(api: ServingApi) -> None:
    create(api, inputs())
    api.endpoints["e"]["state"]["ready"] = "NOT_READY"
    with pytest.raises(PartialFailure, match="is NOT_READY"):
        read(api, inputs())


def test_a_deletion_during_an_update_waits_and_tries_again(api: ServingApi) -> None:
    create(api, inputs())
    busy = (409, {"error_code": "RESOURCE_CONFLICT", "message": "is currently updating"})
    api.answers["DELETE /e"] = [busy, busy]
    ServingEndpoint().delete(api.context(), "e", {}, {})
    assert api.changes.count("DELETE /e") == 3
    assert api.endpoints == {}


def test_a_successor_waits_for_the_end_of_what_was_deleted_and_does_not_take_it_over(api: ServingApi) -> None:
    resource, api.lingers = ServingEndpoint(), 3
    first = resource.create(api.context(), inputs()).properties
    api.endpoints["e"]["id"] = first["endpointId"] = "the first"
    resource.delete(api.context(), "e", inputs(), first)
    assert "e" in api.endpoints
    api.calls.clear()
    context = api.context()
    second = resource.create(context, inputs()).properties
    assert second["endpointId"] == "abc123"
    assert api.changes == ["POST /", "POST /"]
    assert "waiting for e to disappear" in context.told


def test_payloads_are_called_kept_only_where_there_are_any(api: ServingApi) -> None:
    wanted = inputs(aiGateway={"inferenceTableConfig": TABLE})
    for tables in (set(), {"main.default.qa_payload"}):
        properties = create(api, wanted)
        api.tables = tables
        context = api.context()
        ServingEndpoint().delete(context, "e", wanted, properties)
        said = [line for line in context.told if "Kept" in line]
        assert len(said) == len(tables)
    api.answers["GET /exists"] = [(500, {"error_code": "INTERNAL_ERROR", "message": "x"})] * 4
    properties = create(api, wanted)
    context = api.context()
    ServingEndpoint().delete(context, "e", wanted, properties)
    assert "Kept" in "".join(context.told)
