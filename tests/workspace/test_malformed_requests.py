"""Requests that do not fit their API are the client's mistake: 400 with the field's name, never 500."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.shapes import ANY_OBJECT, FLAG, ID, NUMBER, OBJECTS, TEXT, TEXTS, Shape, check
from tests.workspace.conftest import Caller

UC, ENDPOINTS, SCIM = "/api/2.1/unity-catalog", "/api/2.0/serving-endpoints", "/api/2.0/preview/scim/v2"
SPEC = {"name": "main.default.i", "endpoint_name": "e", "primary_key": "id", "index_type": "DIRECT_ACCESS"}
ENTITY = {"entity_name": "main.default.m", "entity_version": "1", "workload_size": "Small"}


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", ENDPOINTS, {"name": "e", "config": "abc"}, "config"),
        ("POST", ENDPOINTS, {"name": "e", "config": {"served_models": [5]}}, "config.served_models[0]"),
        (
            "POST",
            ENDPOINTS,
            {"name": "e", "config": {"served_entities": [ENTITY], "traffic_config": {"routes": ["a"]}}},
            "config.traffic_config.routes[0]",
        ),
        (
            "POST",
            ENDPOINTS,
            {"name": "e", "ai_gateway": {"usage_tracking_config": True}},
            "ai_gateway.usage_tracking_config",
        ),
        ("PATCH", f"{ENDPOINTS}/e/tags", {"delete_tags": "a"}, "delete_tags"),
        ("GET", f"{UC}/catalogs?max_results=abc", None, "max_results"),
        ("PATCH", f"{UC}/catalogs/main", {"owner": 5}, "owner"),
        ("POST", f"{UC}/functions", {"function_info": "x"}, "function_info"),
        ("POST", f"{UC}/connections", {"name": "c", "options": ["x"]}, "options"),
        ("PATCH", f"{UC}/permissions/catalog/main", {"changes": ["x"]}, "changes[0]"),
        ("PATCH", f"{UC}/permissions/catalog/main", {"changes": [{"add": "SELECT"}]}, "changes[0].add"),
        ("GET", "/api/2.2/jobs/list?limit=abc", None, "limit"),
        ("GET", "/api/2.2/jobs/list?page_token=abc", None, "page_token"),
        ("POST", "/api/2.2/jobs/create", {"tasks": ["a"]}, "tasks[0]"),
        ("POST", "/api/2.2/jobs/create", {"tasks": [{"task_key": ["a"]}]}, "tasks[0].task_key"),
        ("POST", "/api/2.2/jobs/create", {"schedule": "daily"}, "schedule"),
        ("POST", "/api/2.2/jobs/create", {"continuous": "yes"}, "continuous"),
        ("POST", "/api/2.2/jobs/create", {"max_concurrent_runs": "x"}, "max_concurrent_runs"),
        ("POST", "/api/2.2/jobs/create", {"tasks": [{"task_key": "a", "depends_on": ["b"]}]}, "tasks[0].depends_on[0]"),
        ("POST", "/api/2.2/jobs/update", {"job_id": 1, "new_settings": "x"}, "new_settings"),
        ("PUT", "/api/2.0/permissions/directories/1", {"access_control_list": ["x"]}, "access_control_list[0]"),
        ("POST", "/api/2.0/secrets/put", {"scope": ["a"]}, "scope"),
        ("POST", "/api/2.0/pipelines", {"name": "p", "clusters": ["x"]}, "clusters[0]"),
        ("POST", "/api/2.0/workspace/import", {"path": "/Shared/x", "content": 5}, "content"),
        ("POST", "/api/2.0/policies/clusters/create", {"name": "p", "definition": 5}, "definition"),
        ("POST", "/api/2.0/sql/statements", {"parameters": 5}, "parameters"),
        (
            "POST",
            "/api/2.0/vector-search/indexes",
            {**SPEC, "direct_access_index_spec": {"embedding_vector_columns": ["x"]}},
            "direct_access_index_spec.embedding_vector_columns[0]",
        ),
        ("POST", "/api/2.0/vector-search/indexes/i/query", {"score_threshold": "high"}, "score_threshold"),
        ("POST", "/api/2.0/fs/create-download-url", b"no JSON", "JSON"),
        ("POST", "/api/2.0/fs/create-download-url", {"path": 5}, "path"),
        ("POST", "/api/2.0/fs/create-upload-url", {}, "path"),
        ("POST", "/api/2.0/mlflow/artifacts/credentials-for-foo", {"run_id": "r"}, "purpose"),
        ("POST", "/api/2.0/mlflow/logged-models/m/artifacts/credentials-for-foo", {}, "purpose"),
        ("POST", f"{SCIM}/Users", {"userName": ["x"]}, "userName"),
        ("PATCH", f"{SCIM}/Users/0", {"Operations": ["x"]}, "Operations[0]"),
    ],
)
def test_the_field_is_named(admin: Caller, method: str, path: str, body: Any, field: str) -> None:
    sent = {"content": body} if isinstance(body, bytes) else {"json": body}
    answer = admin.http.request(method, path, **sent)
    told = answer.json()
    assert (answer.status_code, told["error_code"] in ("MALFORMED_REQUEST", "INVALID_PARAMETER_VALUE")) == (400, True)
    assert field in told["message"]


def test_a_directory_below_a_file_is_refused(admin: Caller, name: str) -> None:
    volume = {"catalog_name": "main", "schema_name": "default", "name": name, "volume_type": "MANAGED"}
    admin.http.post(f"{UC}/volumes", json=volume).raise_for_status()
    path = f"Volumes/main/default/{name}/file"
    admin.http.put(f"/api/2.0/fs/files/{path}", content=b"x").raise_for_status()
    answer = admin.http.put(f"/api/2.0/fs/directories/{path}/sub/sub")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "is a file" in answer.json()["message"]


def test_a_patch_in_scim_may_bring_any_value(admin: Caller, name: str) -> None:
    group = admin.http.post(f"{SCIM}/Groups", json={"displayName": name}).json()["id"]
    operations = [
        {"op": "add", "path": "members", "value": 5},
        {"op": "add", "path": "members", "value": [["x"]]},
        {"op": "remove", "path": 'members[value eq "1"]'},
        {"op": "replace", "path": "displayName", "value": 5},
    ]
    for operation in operations:
        answer = admin.http.patch(f"{SCIM}/Groups/{group}", json={"Operations": [operations[0], operation]})
        assert answer.status_code == 400
    admin.http.delete(f"{SCIM}/Groups/{group}").raise_for_status()


def test_a_form_that_is_no_text_is_refused_as_oauth_refuses(admin: Caller) -> None:
    answer = admin.http.post("/oidc/v1/token", content=b"grant_type=\xff\xfe")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


class TestShapes:
    @pytest.mark.parametrize(
        ("value", "shape"),
        [
            ({"a": None, "b": {"c": "x"}, "other": 5}, {"a": TEXT, "b": {"c": TEXT}}),
            ([], OBJECTS),
            ([{"a": 1}], OBJECTS),
            (["a"], TEXTS),
            ({"a": 1}, ANY_OBJECT),
            (1, ID),
            ("1", ID),
            (0.5, NUMBER),
            (True, FLAG),
        ],
    )
    def test_what_fits_passes(self, value: Any, shape: Shape) -> None:
        check(value, shape)

    @pytest.mark.parametrize(
        ("value", "shape", "message"),
        [
            ([None], OBJECTS, "f[0]: expected an object, but got null."),
            ({"a": [{"b": 5}]}, {"a": [{"b": TEXT}]}, "f.a[0].b: expected a string, but got a number."),
            ("x", TEXTS, "f: expected a list, but got a string."),
            (True, NUMBER, "f: expected a number, but got a boolean."),
            (True, ID, "f: expected a string or a number, but got a boolean."),
            (1, FLAG, "f: expected a boolean, but got a number."),
            ({}, TEXT, "f: expected a string, but got an object."),
            ([], NUMBER, "f: expected a number, but got a list."),
        ],
    )
    def test_what_does_not_is_named_but_not_shown(self, value: Any, shape: Shape, message: str) -> None:
        with pytest.raises(ApiError) as refused:
            check(value, shape, "f")
        assert (refused.value.status, refused.value.error_code) == (400, "MALFORMED_REQUEST")
        assert refused.value.message == message
