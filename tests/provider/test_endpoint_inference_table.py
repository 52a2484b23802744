"""EndpointInferenceTable against an API in memory: whose a table is, also after a run that failed half-way."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.provider.endpoint.endpoint_inference_table import EndpointInferenceTable
from agent_deploy.provider.plugin.resource import UserError, Values
from tests.provider.serving_api import ServingApi

PLACE = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "qa"}
WANTED: Values = {"endpointName": "theirs", **PLACE}
ON = {"enabled": True, "catalog_name": "main", "schema_name": "default", "table_name_prefix": "qa"}
USAGE = {"usage_tracking_config": {"enabled": True}}


def api_with(**gateway: Any) -> ServingApi:
    api = ServingApi()
    api.workspace().post("/api/2.0/serving-endpoints", {"name": "theirs", "ai_gateway": gateway})
    api.calls.clear()
    return api


def create(api: ServingApi) -> Values:
    return EndpointInferenceTable().create(api.context(), dict(WANTED)).properties


def delete(api: ServingApi, state: Values) -> str:
    context = api.context()
    EndpointInferenceTable().delete(context, "theirs", WANTED, state)
    return "\n".join(context.told)


def test_a_table_that_was_turned_on_is_turned_off_and_the_rest_stays() -> None:
    api = api_with(**USAGE)
    state = create(api)
    assert (state["payloadTable"], state["switchedOn"]) == ("main.default.qa_payload", True)
    assert api.endpoints["theirs"]["ai_gateway"] == {**USAGE, "inference_table_config": ON}
    assert "DROP TABLE `main`.`default`.`qa_payload`" in delete(api, state)
    assert api.endpoints["theirs"]["ai_gateway"] == USAGE


def test_a_table_that_was_on_is_used_left_on_and_not_offered_for_removal() -> None:
    api = api_with(inference_table_config=ON)
    state = create(api)
    assert (state["payloadTable"], state["switchedOn"], api.changes) == ("main.default.qa_payload", False, [])
    with pytest.raises(UserError, match="one endpoint has one table"):
        EndpointInferenceTable().diff(api.context(), "theirs", WANTED, state, {**WANTED, "schemaName": "logs"})
    assert delete(api, state) == ""
    assert api.endpoints["theirs"]["ai_gateway"] == {"inference_table_config": ON}


def test_another_endpoint_is_a_replacement_also_of_a_table_that_was_on() -> None:
    api = api_with(inference_table_config=ON)
    state = create(api)
    moved = {**WANTED, "endpointName": "other", "tableNamePrefix": "other"}
    assert EndpointInferenceTable().diff(api.context(), "theirs", WANTED, state, moved).replaces


def test_without_any_prefix_the_table_is_named_after_its_endpoint() -> None:
    api = api_with()
    api.tables = {"main.default.theirs_payload"}
    required = {"endpointName": "theirs", "catalogName": "main", "schemaName": "default"}
    resource = EndpointInferenceTable()
    checked, failures = resource.check(api.context(), {}, required)
    assert failures == []
    assert resource.check(api.context(), checked, required) == (checked, [])
    assert resource.create(api.context(), checked).properties["payloadTable"] == "main.default.theirs_1_payload"


def test_a_place_in_other_letters_moves_nothing() -> None:
    api = api_with()
    state = create(api)
    shouted = {"endpointName": "theirs", **{name: value.upper() for name, value in PLACE.items()}}
    resource = EndpointInferenceTable()
    assert resource.check(api.context(), dict(WANTED), dict(shouted)) == (WANTED, [])
    api.calls.clear()
    resource.update(api.context(), "theirs", WANTED, state, shouted)
    assert api.changes == []


def test_nothing_that_may_fail_comes_between_the_write_and_the_state() -> None:
    api = api_with()
    create(api)
    assert api.calls[-1] == "PUT /theirs/ai-gateway"
