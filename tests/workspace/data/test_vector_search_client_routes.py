"""What the vendor's client sends, by plain HTTP: questions by GET, indexes below their endpoint, embeddings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from databricks.sdk.service.vectorsearch import EndpointType

from tests.workspace.conftest import Caller

Until = Callable[[Callable[[], bool]], None]
BASE = "/api/2.0/vector-search"
MODEL = "databricks-gte-large-en"


def sent(caller: Caller, method: str, path: str, body: Any = None) -> httpx.Response:
    return caller.http.request(method, f"{BASE}/{path}", json=body)


def grant(admin: Caller, rows: Any, to: Caller, schema: str) -> None:
    for privilege in (f"USE CATALOG ON CATALOG main TO `{to.name}`", f"USE SCHEMA ON SCHEMA {schema} TO `{to.name}`"):
        rows(admin, f"GRANT {privilege}")


@pytest.fixture
def endpoint(admin: Caller, name: str) -> Iterator[str]:
    admin.sdk.vector_search_endpoints.create_endpoint_and_wait(name, EndpointType.STANDARD)
    yield name
    for index in admin.sdk.vector_search_indexes.list_indexes(name):
        admin.sdk.vector_search_indexes.delete_index(str(index.name))
    admin.sdk.vector_search_endpoints.delete_endpoint(name)


@pytest.fixture
def source(admin: Caller, schema: str, rows: Any) -> str:
    rows(admin, f"CREATE TABLE {schema}.texts (id STRING, body STRING)")
    rows(admin, f"INSERT INTO {schema}.texts VALUES ('1', 'The library opens at nine'), ('2', 'Grants are inherited')")
    return f"{schema}.texts"


def body_of(index: str, source: str, model: str = MODEL) -> dict[str, Any]:
    spec = {
        "source_table": source,
        "pipeline_type": "TRIGGERED",
        "embedding_source_columns": [{"name": "body", "embedding_model_endpoint_name": model}],
    }
    return {"name": index, "primary_key": "id", "index_type": "DELTA_SYNC", "delta_sync_index_spec": spec}


def is_ready(admin: Caller, endpoint: str, index: str, count: int) -> bool:
    status = sent(admin, "GET", f"endpoints/{endpoint}/indexes/{index}").json()["status"]
    return bool(status["ready"]) and status["indexed_row_count"] == count


def test_made_asked_synced_stopped_and_removed(
    admin: Caller, endpoint: str, source: str, rows: Any, until: Until
) -> None:
    index, below = f"{source}_index", f"endpoints/{endpoint}/indexes"
    assert sent(admin, "POST", below, body_of(index, source)).status_code == 200
    until(lambda: is_ready(admin, endpoint, index, 2))
    assert [each["name"] for each in sent(admin, "GET", below).json()["vector_indexes"]] == [index]
    assert sent(admin, "GET", f"endpoints/other/indexes/{index}").status_code == 404

    def first(text: str) -> Any:
        question = {"columns": ["id"], "query_text": text, "num_results": 1}
        answer = sent(admin, "GET", f"indexes/{index}/query", question)
        return answer.json()["result"]["data_array"][0][0] if answer.is_success else answer.json()["message"]

    assert first("when does the library open") == "1"
    assert len(sent(admin, "GET", f"indexes/{index}/scan", {"num_results": 5}).json()["data"]) == 2
    rows(admin, f"INSERT INTO {source} VALUES ('3', 'Ghosts live by the river')")
    assert sent(admin, "POST", f"indexes/{index}/sync").status_code == 200
    until(lambda: is_ready(admin, endpoint, index, 3))
    assert first("ghosts of the river") == "3"
    assert sent(admin, "POST", f"endpoints/{endpoint}/stop").status_code == 200
    assert "is stopped" in first("ghosts")
    assert sent(admin, "POST", f"endpoints/{endpoint}/start").status_code == 200
    assert first("ghosts") == "3"
    assert sent(admin, "DELETE", f"{below}/{index}").status_code == 200
    assert sent(admin, "GET", below).json().get("vector_indexes", []) == []


def test_a_question_by_get_needs_select(
    admin: Caller, stranger: Caller, endpoint: str, source: str, schema: str, rows: Any, until: Until
) -> None:
    index = f"{source}_index"
    sent(admin, "POST", f"endpoints/{endpoint}/indexes", body_of(index, source)).raise_for_status()
    until(lambda: is_ready(admin, endpoint, index, 2))
    grant(admin, rows, stranger, schema)
    question = {"columns": ["id"], "query_text": "library"}
    for path, body in (("query", question), ("scan", {})):
        refused = sent(stranger, "GET", f"indexes/{index}/{path}", body)
        assert (refused.status_code, "SELECT" in refused.json()["message"]) == (403, True)
    for method, path in (("GET", ""), ("DELETE", "")):
        assert sent(stranger, method, f"endpoints/{endpoint}/indexes/{index}{path}").status_code == 403
    assert sent(stranger, "POST", f"endpoints/{endpoint}/stop").status_code == 403
    rows(admin, f"GRANT SELECT ON TABLE {index} TO `{stranger.name}`")
    assert sent(stranger, "GET", f"indexes/{index}/query", question).json()["result"]["row_count"] == 2


def test_making_one_needs_the_model_that_embeds(
    admin: Caller, stranger: Caller, endpoint: str, source: str, schema: str, name: str, rows: Any
) -> None:
    grant(admin, rows, stranger, schema)
    for privilege in (f"SELECT ON TABLE {source}", f"CREATE TABLE ON SCHEMA {schema}"):
        rows(admin, f"GRANT {privilege} TO `{stranger.name}`")
    entry = {"service_principal_name": stranger.name, "permission_level": "CAN_USE"}
    endpoint_id = admin.sdk.vector_search_endpoints.get_endpoint(endpoint).id
    place = f"/api/2.0/permissions/vector-search-endpoints/{endpoint_id}"
    admin.http.patch(place, json={"access_control_list": [entry]}).raise_for_status()
    admin.http.post("/api/2.0/serving-endpoints", json={"name": name}).raise_for_status()
    below = f"endpoints/{endpoint}/indexes"
    refused = sent(stranger, "POST", below, body_of(f"{source}_mine", source, name))
    assert (refused.status_code, "CAN_QUERY" in refused.json()["message"]) == (403, True)
    missing = sent(stranger, "POST", below, body_of(f"{source}_mine", source, "databricks-none"))
    assert missing.status_code == 404
    assert sent(stranger, "POST", below, body_of(f"{source}_mine", source)).status_code == 200
