"""Vector search by the unmodified SDK: endpoints, both types of index, each kind of question, who may ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from databricks.sdk.errors import DatabricksError, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service import vectorsearch
from databricks.sdk.service.vectorsearch import (
    DeltaSyncVectorIndexSpecRequest,
    DirectAccessVectorIndexSpec,
    EmbeddingSourceColumn,
    EmbeddingVectorColumn,
    EndpointStatusState,
    EndpointType,
    PipelineType,
    VectorIndexType,
)

from tests.workspace.conftest import Caller

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def endpoint(admin: Caller, name: str) -> Iterator[str]:
    """An endpoint that only administrators may use."""
    created = admin.sdk.vector_search_endpoints.create_endpoint_and_wait(name, EndpointType.STANDARD)
    assert created.endpoint_status
    assert created.endpoint_status.state == EndpointStatusState.ONLINE
    yield name
    for index in admin.sdk.vector_search_indexes.list_indexes(name):
        admin.sdk.vector_search_indexes.delete_index(str(index.name))
    admin.sdk.vector_search_endpoints.delete_endpoint(name)


@pytest.fixture
def docs(admin: Caller, schema: str, rows: Any) -> str:
    """A table of texts and the embeddings that its maker gave them."""
    rows(admin, f"CREATE TABLE {schema}.docs (id INT, kind STRING, body STRING, place ARRAY<FLOAT>)")
    rows(
        admin,
        f"INSERT INTO {schema}.docs VALUES"
        " (1, 'manual', 'How a warehouse is started and stopped', array(0.0, 0.0)),"
        " (2, 'manual', 'Grants are inherited from the schema', array(1.0, 0.0)),"
        " (3, 'story', 'The old warehouse by the river, a warehouse of ghosts', array(0.0, 2.0)),"
        " (4, 'story', 'Nothing of interest', NULL)",
    )
    return f"{schema}.docs"


def delta_sync(caller: Caller, endpoint: str, index: str, source: str, **more: Any) -> None:
    spec = DeltaSyncVectorIndexSpecRequest(source_table=source, **{"pipeline_type": PipelineType.TRIGGERED, **more})
    caller.sdk.vector_search_indexes.create_index(
        index, endpoint, "id", VectorIndexType.DELTA_SYNC, delta_sync_index_spec=spec
    )


def is_ready(caller: Caller, index: str, count: int) -> bool:
    status = caller.sdk.vector_search_indexes.get_index(index).status
    assert status
    return bool(status.ready) and status.indexed_row_count == count


OWN_VECTORS = [EmbeddingVectorColumn(name="place", embedding_dimension=2)]


@pytest.fixture
def index(admin: Caller, endpoint: str, docs: str, until: Until) -> str:
    """An index over the texts with their own embeddings."""
    full_name = f"{docs}_index"
    delta_sync(admin, endpoint, full_name, docs, embedding_vector_columns=OWN_VECTORS)
    until(lambda: is_ready(admin, full_name, 4))
    return full_name


def ask(caller: Caller, index: str, columns: list[str], **question: Any) -> list[Any]:
    answer = caller.sdk.vector_search_indexes.query_index(index, columns, **question)
    assert answer.result
    return list(answer.result.data_array or [])


class TestQuestions:
    def test_by_vector_the_nearest_comes_first(self, admin: Caller, index: str) -> None:
        found = ask(admin, index, ["id", "body"], query_vector=[0.9, 0.0], num_results=2)
        assert [row[0] for row in found] == [2, 1]
        assert found[0][2] == pytest.approx(1 / (1 + 0.1**2))
        assert found[1][2] == pytest.approx(1 / (1 + 0.9**2))
        answer = admin.sdk.vector_search_indexes.query_index(index, ["id"], query_vector=[0.0, 0.0])
        assert answer.manifest
        assert [column.name for column in answer.manifest.columns or []] == ["id", "score"]

    def test_by_words_the_best_match_comes_first(self, admin: Caller, index: str) -> None:
        found = ask(admin, index, ["id"], query_text="ghosts in a warehouse?", query_type="FULL_TEXT")
        assert [row[0] for row in found] == [3, 1]
        assert found[0][1] == 1.0 > found[1][1]
        assert ask(admin, index, ["id"], query_text="inherit grant", query_type="FULL_TEXT")[0][0] == 2
        only = ask(admin, index, ["id"], query_text="story", query_type="FULL_TEXT", query_columns=["body"])
        assert only == []

    def test_by_both(self, admin: Caller, index: str) -> None:
        found = ask(admin, index, ["id"], query_text="warehouse", query_vector=[0.0, 2.0], query_type="HYBRID")
        assert found[0][0] == 3
        assert sorted(row[0] for row in found) == [1, 2, 3]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({"kind": "story"}, [3]),
            ({"kind NOT": "story"}, [1, 2]),
            ({"id": [1, 3]}, [1, 3]),
            ({"id <": 3, "id >=": 2}, [2]),
            ({"body LIKE": "grants"}, [2]),
            ({"id OR kind": [1, "story"]}, [1, 3]),
        ],
    )
    def test_filters(self, admin: Caller, index: str, filters: dict[str, Any], expected: list[int]) -> None:
        found = ask(admin, index, ["id"], query_vector=[0.0, 0.0], filters_json=json.dumps(filters))
        assert sorted(row[0] for row in found) == expected

    def test_threshold_and_order(self, admin: Caller, index: str) -> None:
        assert len(ask(admin, index, ["id"], query_vector=[0.0, 0.0], score_threshold=0.4)) == 2
        ordered = ask(admin, index, ["id"], query_vector=[0.0, 0.0], sort_columns=["kind DESC", "id DESC"])
        assert [row[0] for row in ordered] == [3, 2, 1]

    @pytest.mark.parametrize(
        ("question", "message"),
        [
            ({"columns": ["nothing"], "query_vector": [0.0, 0.0]}, "has no column nothing"),
            ({"columns": ["id"], "query_vector": [0.0]}, "embeddings have 2"),
            ({"columns": ["id"], "query_text": "x"}, "query_vector"),
            ({"columns": ["id"], "query_vector": [0.0, 0.0], "query_type": "MAGIC"}, "query_type"),
            ({"columns": ["id"], "query_vector": [0.0, 0.0], "filters_json": '{"who": 1}'}, "no column 'who'"),
            ({"columns": ["id"], "query_vector": [0.0, 0.0], "filters_json": "{"}, "not JSON"),
        ],
    )
    def test_mistakes_are_told(self, admin: Caller, index: str, question: dict[str, Any], message: str) -> None:
        with pytest.raises(InvalidParameterValue, match=message):
            admin.sdk.vector_search_indexes.query_index(index, **question)

    def test_by_sql(self, admin: Caller, index: str, rows: Any) -> None:
        found = rows(
            admin,
            f"SELECT id, search_score FROM vector_search(index => '{index}', query_vector => array(1.0, 0.0),"
            " num_results => 1) ORDER BY id",
        )
        assert found == [["2", "1.0"]]

    def test_texts_are_embedded_by_the_model_that_is_named(
        self, admin: Caller, endpoint: str, docs: str, until: Until
    ) -> None:
        managed = [EmbeddingSourceColumn(name="body", embedding_model_endpoint_name="databricks-gte-large-en")]
        delta_sync(admin, endpoint, f"{docs}_managed", docs, embedding_source_columns=managed, columns_to_sync=["kind"])
        until(lambda: is_ready(admin, f"{docs}_managed", 4))
        assert ask(admin, f"{docs}_managed", ["id", "kind"], query_text="ghosts")[0][:2] == [3, "story"]
        status = admin.sdk.vector_search_indexes.get_index(f"{docs}_managed").status
        assert status
        assert not status.message
        with pytest.raises(InvalidParameterValue, match="place"):
            ask(admin, f"{docs}_managed", ["place"], query_text="ghosts")


class TestRows:
    def test_a_triggered_index_changes_when_it_is_synced(
        self, admin: Caller, index: str, docs: str, rows: Any, until: Until
    ) -> None:
        rows(admin, f"INSERT INTO {docs} VALUES (5, 'new', 'A comet', array(5.0, 5.0))")
        assert ask(admin, index, ["id"], query_text="comet", query_type="FULL_TEXT") == []
        admin.sdk.vector_search_indexes.sync_index(index)
        until(lambda: is_ready(admin, index, 5))
        assert ask(admin, index, ["id"], query_text="comet", query_type="FULL_TEXT") == [[5, 1.0]]

    def test_a_continuous_one_by_itself(self, admin: Caller, endpoint: str, docs: str, rows: Any, until: Until) -> None:
        live = f"{docs}_live"
        continuous = PipelineType.CONTINUOUS
        delta_sync(admin, endpoint, live, docs, embedding_vector_columns=OWN_VECTORS, pipeline_type=continuous)
        until(lambda: is_ready(admin, live, 4))
        rows(admin, f"DELETE FROM {docs} WHERE id <> 2")
        assert [row[0] for row in ask(admin, live, ["id"], query_vector=[0.0, 0.0])] == [2]

    def test_direct_access(self, admin: Caller, endpoint: str, schema: str, until: Until) -> None:
        indexes, index = admin.sdk.vector_search_indexes, f"{schema}.direct"
        spec = DirectAccessVectorIndexSpec(
            embedding_vector_columns=[EmbeddingVectorColumn(name="v", embedding_dimension=2)],
            schema_json=json.dumps({"id": "integer", "text": "string", "v": "array<float>"}),
        )
        indexes.create_index(index, endpoint, "id", VectorIndexType.DIRECT_ACCESS, direct_access_index_spec=spec)
        until(lambda: is_ready(admin, index, 0))
        given = [{"id": 1, "text": "one", "v": [1.0, 0.0]}, {"id": 2, "text": "two", "v": [0.0, 1.0]}]
        done = indexes.upsert_data_vector_index(index, json.dumps(given))
        assert done.status == vectorsearch.UpsertDataStatus.SUCCESS
        assert ask(admin, index, ["text"], query_vector=[0.0, 1.0], num_results=1) == [["two", 1.0]]
        half = indexes.upsert_data_vector_index(
            index, json.dumps([{"id": 2, "text": "zwei", "v": [0.0, 1.0]}, {"id": 3, "text": "bad", "v": [1.0]}])
        )
        assert half.status == vectorsearch.UpsertDataStatus.PARTIAL_SUCCESS
        assert half.result
        assert half.result.failed_primary_keys == ["3"]
        page = indexes.scan_index(index, num_results=1)
        assert (len(page.data or []), page.last_primary_key) == (1, "1")
        rest = indexes.scan_index(index, last_primary_key="1")
        assert rest.data
        fields = {field.key: field.value for field in rest.data[0].fields or []}
        assert fields["text"] is not None
        assert fields["text"].string_value == "zwei"
        indexes.delete_data_vector_index(index, ["1"])
        assert [row[0] for row in ask(admin, index, ["id"], query_vector=[0.0, 0.0])] == [2]
        with pytest.raises(InvalidParameterValue, match="delta sync"):
            indexes.sync_index(index)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"primary_key": "nokey"}, "nokey"),
            ({"name": "two.levels"}, "catalog.schema.index"),
            ({"index_type": "OTHER"}, "index_type"),
            ({"delta_sync_index_spec": {"source_table": "x", "pipeline_type": "TRIGGERED"}}, "source_table"),
        ],
    )
    def test_a_bad_index_is_refused(
        self, admin: Caller, endpoint: str, docs: str, change: dict[str, Any], message: str
    ) -> None:
        spec = {"source_table": docs, "pipeline_type": "TRIGGERED"}
        good = {"name": f"{docs}_bad", "endpoint_name": endpoint, "primary_key": "id", "index_type": "DELTA_SYNC"}
        body = {**good, "delta_sync_index_spec": spec, **change}
        refused = admin.http.post("/api/2.0/vector-search/indexes", json=body)
        assert refused.status_code == 400
        assert message in refused.json()["message"]
        assert list(admin.sdk.vector_search_indexes.list_indexes(endpoint)) == []


class TestPermissions:
    def test_a_question_needs_select_on_this_index(
        self, agent: Caller, admin: Caller, index: str, endpoint: str, docs: str, rows: Any, failure: Any, until: Until
    ) -> None:
        sibling = f"{docs}_sibling"
        delta_sync(admin, endpoint, sibling, docs, embedding_vector_columns=OWN_VECTORS)
        until(lambda: is_ready(admin, sibling, 4))
        in_sql = "SELECT count(*) FROM vector_search(index => '{}', query_vector => array(0.0, 0.0))"
        with pytest.raises(PermissionDenied, match="SELECT"):
            ask(agent, index, ["id"], query_vector=[0.0, 0.0])
        assert failure(agent, in_sql.format(index)).startswith("42501")
        rows(admin, f"GRANT SELECT ON TABLE {index} TO `{agent.name}`")
        assert len(ask(agent, index, ["id"], query_vector=[0.0, 0.0])) == 3
        assert rows(agent, in_sql.format(index)) == [["3"]]
        assert agent.sdk.vector_search_indexes.get_index(index).name == index
        for refused in (
            lambda: ask(agent, sibling, ["id"], query_vector=[0.0, 0.0]),
            lambda: agent.sdk.vector_search_indexes.scan_index(sibling),
            lambda: agent.sdk.vector_search_indexes.get_index(sibling),
            lambda: agent.sdk.vector_search_indexes.sync_index(index),
            lambda: agent.sdk.vector_search_indexes.delete_index(index),
            lambda: agent.sdk.vector_search_indexes.list_indexes(endpoint).__iter__().__next__(),
        ):
            with pytest.raises(PermissionDenied):
                refused()
        assert failure(agent, f"SELECT * FROM {docs}").startswith("42501")
        rows(admin, f"REVOKE SELECT ON TABLE {index} FROM `{agent.name}`")
        with pytest.raises(PermissionDenied):
            ask(agent, index, ["id"], query_vector=[0.0, 0.0])

    def test_use_on_the_parents_is_needed_too(self, stranger: Caller, admin: Caller, index: str, rows: Any) -> None:
        rows(admin, f"GRANT SELECT ON TABLE {index} TO `{stranger.name}`")
        with pytest.raises(PermissionDenied, match="USE CATALOG"):
            ask(stranger, index, ["id"], query_vector=[0.0, 0.0])

    def test_making_one_needs_endpoint_schema_and_source(
        self, agent: Caller, admin: Caller, endpoint: str, docs: str, schema: str, rows: Any
    ) -> None:
        own = f"{schema}.own"

        def attempt() -> None:
            delta_sync(agent, endpoint, own, docs, embedding_vector_columns=OWN_VECTORS)

        with pytest.raises(PermissionDenied, match="CAN_USE"):
            attempt()
        endpoint_id = admin.sdk.vector_search_endpoints.get_endpoint(endpoint).id
        entry = {"service_principal_name": agent.name, "permission_level": "CAN_USE"}
        path = f"/api/2.0/permissions/vector-search-endpoints/{endpoint_id}"
        admin.http.patch(path, json={"access_control_list": [entry]}).raise_for_status()
        with pytest.raises(PermissionDenied, match="CREATE TABLE"):
            attempt()
        rows(admin, f"GRANT CREATE TABLE ON SCHEMA {schema} TO `{agent.name}`")
        with pytest.raises(PermissionDenied, match="SELECT"):
            attempt()
        rows(admin, f"GRANT SELECT ON TABLE {docs} TO `{agent.name}`")
        attempt()
        assert [found.name for found in agent.sdk.vector_search_indexes.list_indexes(endpoint)] == [own]
        agent.sdk.vector_search_indexes.delete_index(own)

    def test_rows_of_a_direct_index_need_modify(
        self, agent: Caller, admin: Caller, endpoint: str, schema: str, rows: Any, until: Until
    ) -> None:
        index = f"{schema}.direct"
        spec = DirectAccessVectorIndexSpec(schema_json=json.dumps({"id": "integer", "text": "string"}))
        admin.sdk.vector_search_indexes.create_index(
            index, endpoint, "id", VectorIndexType.DIRECT_ACCESS, direct_access_index_spec=spec
        )
        until(lambda: is_ready(admin, index, 0))
        rows(admin, f"GRANT SELECT ON TABLE {index} TO `{agent.name}`")
        given = json.dumps([{"id": 1, "text": "one"}])
        with pytest.raises(PermissionDenied, match="MODIFY"):
            agent.sdk.vector_search_indexes.upsert_data_vector_index(index, given)
        with pytest.raises(PermissionDenied, match="MODIFY"):
            agent.sdk.vector_search_indexes.delete_data_vector_index(index, ["1"])
        rows(admin, f"GRANT MODIFY ON TABLE {index} TO `{agent.name}`")
        agent.sdk.vector_search_indexes.upsert_data_vector_index(index, given)
        assert ask(agent, index, ["text"], query_text="one") == [["one", 1.0]]

    def test_an_endpoint_is_seen_and_changed_by_its_acl(self, stranger: Caller, admin: Caller, endpoint: str) -> None:
        endpoints = stranger.sdk.vector_search_endpoints
        assert endpoint not in [found.name for found in endpoints.list_endpoints()]
        with pytest.raises(PermissionDenied):
            endpoints.get_endpoint(endpoint)
        endpoint_id = admin.sdk.vector_search_endpoints.get_endpoint(endpoint).id
        entry = {"service_principal_name": stranger.name, "permission_level": "CAN_USE"}
        path = f"/api/2.0/permissions/vector-search-endpoints/{endpoint_id}"
        admin.http.patch(path, json={"access_control_list": [entry]}).raise_for_status()
        assert endpoints.get_endpoint(endpoint).name == endpoint
        with pytest.raises(PermissionDenied):
            endpoints.delete_endpoint(endpoint)

    def test_its_policy_is_its_managers_business(self, stranger: Caller, admin: Caller, endpoint: str) -> None:
        with pytest.raises(PermissionDenied):
            stranger.sdk.vector_search_endpoints.update_endpoint_budget_policy(endpoint, "policy")
        admin.sdk.vector_search_endpoints.update_endpoint_budget_policy(endpoint, "policy")
        assert admin.sdk.vector_search_endpoints.get_endpoint(endpoint).effective_budget_policy_id == "policy"


class TestWhatGoes:
    def test_an_endpoint_with_indexes_stays(self, admin: Caller, index: str, endpoint: str) -> None:
        with pytest.raises(InvalidParameterValue, match="index"):
            admin.sdk.vector_search_endpoints.delete_endpoint(endpoint)

    def test_a_deleted_index_is_gone_from_everywhere(self, admin: Caller, index: str, endpoint: str) -> None:
        admin.sdk.vector_search_indexes.delete_index(index)
        with pytest.raises(NotFound):
            admin.sdk.vector_search_indexes.get_index(index)
        assert admin.sdk.tables.exists(index).table_exists is False

    def test_dropped_as_a_table_it_is_no_index_any_more(
        self, admin: Caller, index: str, endpoint: str, rows: Any
    ) -> None:
        assert str(admin.sdk.tables.get(index).data_source_format) == "DataSourceFormat.VECTOR_INDEX_FORMAT"
        rows(admin, f"DROP TABLE {index}")
        with pytest.raises(NotFound):
            ask(admin, index, ["id"], query_vector=[0.0, 0.0])
        assert list(admin.sdk.vector_search_indexes.list_indexes(endpoint)) == []

    def test_names_are_taken_once(self, admin: Caller, index: str, endpoint: str, docs: str) -> None:
        with pytest.raises(DatabricksError, match="already exists"):
            delta_sync(admin, endpoint, index, docs)
        with pytest.raises(DatabricksError, match="already exists"):
            admin.sdk.vector_search_endpoints.create_endpoint(endpoint, EndpointType.STANDARD)

    def test_an_index_is_not_read_as_a_table(self, admin: Caller, index: str, failure: Any) -> None:
        assert failure(admin, f"SELECT * FROM {index}").startswith("0A000")
        assert failure(admin, f"DELETE FROM {index}").startswith("42809")
