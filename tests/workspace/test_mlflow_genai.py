"""MLflow 3's unmodified client: prompts in Unity Catalog, registered scorers, traces found by their spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mlflow
import pytest
from databricks.sdk.errors import BadRequest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.genai.scorers import get_scorer, list_scorers, scorer
from mlflow.genai.scorers.registry import list_scorer_versions

from tests.workspace.conftest import Caller

PROMPTS = "/api/2.0/mlflow/unity-catalog/prompts"
SCORERS = "/api/2.0/managed-evals/scheduled-scorers"


@pytest.fixture
def experiment(mlflow_client: MlflowClient, name: str) -> Iterator[str]:
    """An experiment of the administrator's, active."""
    yield mlflow.set_experiment(f"/Users/admin@local/{name}").experiment_id
    mlflow.tracking.fluent._active_experiment_id = None


def grant(admin: Caller, kind: str, name: str, principal: str, *privileges: str) -> None:
    body = {"changes": [{"principal": principal, "add": list(privileges)}]}
    admin.http.patch(f"/api/2.1/unity-catalog/permissions/{kind}/{name}", json=body).raise_for_status()


class TestPrompts:
    def test_versions_aliases_and_tags(self, mlflow_client: MlflowClient, schema: str) -> None:
        prompt = f"{schema}.greeting"
        mlflow.genai.register_prompt(prompt, "Hello {{name}}", commit_message="first", tags={"team": "a"})
        chat = [{"role": "user", "content": "Hi {{name}}"}]
        assert mlflow.genai.register_prompt(prompt, chat).version == 2
        mlflow.genai.set_prompt_alias(prompt, "production", 1)
        loaded = mlflow.genai.load_prompt(f"prompts:/{prompt}@production")
        assert (loaded.version, loaded.format(name="Ann"), loaded.commit_message) == (1, "Hello Ann", "first")
        mlflow_client.set_prompt_version_tag(prompt, 1, "checked", "yes")
        assert mlflow_client.get_prompt_version(prompt, 1).tags["checked"] == "yes"
        mlflow_client.delete_prompt_version_tag(prompt, 1, "checked")
        assert "checked" not in mlflow_client.get_prompt_version(prompt, 1).tags
        mlflow_client.set_prompt_tag(prompt, "state", "new")
        assert mlflow_client.get_prompt(prompt).tags == {"team": "a", "state": "new"}
        mlflow_client.delete_prompt_tag(prompt, "state")
        catalog, _, name = schema.partition(".")
        place = f"catalog = '{catalog}' AND schema = '{name}'"
        assert [found.name for found in mlflow.genai.search_prompts(place)] == [prompt]
        assert list(mlflow.genai.search_prompts(f"{place} AND name = 'other'")) == []
        with pytest.raises(MlflowException, match="filter"):
            mlflow.genai.search_prompts(f"{place} AND name LIKE 'gr%'")
        assert sorted(int(each.version) for each in mlflow_client.search_prompt_versions(prompt)) == [1, 2]
        mlflow.genai.delete_prompt_alias(prompt, "production")
        assert mlflow_client.get_prompt_version_by_alias(prompt, "production") is None
        for version in ("1", "2"):
            mlflow_client.delete_prompt_version(prompt, version)
        mlflow_client.delete_prompt(prompt)
        assert mlflow_client.get_prompt(prompt) is None

    def test_a_prompt_is_a_function_to_unity_catalog(self, admin: Caller, stranger: Caller, schema: str) -> None:
        body = {"name": f"{schema}.p", "prompt": {"name": f"{schema}.p"}}
        version = {"prompt_version": {"name": f"{schema}.p", "template": '"x"'}}
        path = f"{PROMPTS}/{schema}.p"
        assert stranger.http.post(PROMPTS, json=body).status_code == 403
        assert admin.http.post(PROMPTS, json=body).status_code == 200
        assert admin.http.post(f"{path}/versions", json=version).json()["version"] == "1"
        assert admin.http.post(PROMPTS, json=body).json()["error_code"] == "ALREADY_EXISTS"
        assert stranger.http.get(path).status_code == 403
        grant(admin, "catalog", "main", stranger.name, "USE_CATALOG")
        grant(admin, "schema", schema, stranger.name, "USE_SCHEMA")
        assert stranger.http.get(f"{path}/versions/1").status_code == 403
        grant(admin, "function", f"{schema}.p", stranger.name, "EXECUTE")
        assert stranger.http.get(f"{path}/versions/1").json()["template"] == '"x"'
        assert stranger.http.post(f"{path}/versions", json=version).status_code == 403
        assert stranger.http.post(f"{path}/aliases/a", json={"version": "1"}).status_code == 403
        assert stranger.http.delete(path).status_code == 403
        grant(admin, "function", f"{schema}.p", stranger.name, "MANAGE")
        assert stranger.http.post(f"{path}/versions", json=version).json()["version"] == "2"
        with pytest.raises(BadRequest, match="1 prompt"):
            admin.sdk.schemas.delete(schema)


@scorer
def length(outputs: Any) -> int:
    """How long an answer is."""
    return len(str(outputs))


class TestScorers:
    def test_they_are_registered_scheduled_and_read_back(self, experiment: str) -> None:
        registered = length.register(name="length")
        [listed] = list_scorers()
        assert listed.name == registered.name == "length"
        assert get_scorer(name="length")(outputs="four") == 4
        get_scorer(name="length").register(name="copy")
        assert sorted(each.name for each in list_scorers()) == ["copy", "length"]
        assert [version for _, version in list_scorer_versions(name="length")] == [1]

    def test_a_changed_definition_is_a_version(self, admin: Caller, experiment: str) -> None:
        def sent(text: str, rate: float) -> Any:
            entry = {"name": "s", "serialized_scorer": f'{{"name": "s", "text": "{text}"}}', "sample_rate": rate}
            return {"scheduled_scorers": {"scorers": [entry]}, "update_mask": "scheduled_scorers.scorers"}

        path = f"{SCORERS}/{experiment}"
        assert admin.http.patch(path, json=sent("a", 0)).json()["error_code"] == "NOT_FOUND"
        assert admin.http.post(path, json=sent("a", 0)).status_code == 200
        assert admin.http.post(path, json=sent("a", 0)).status_code == 409
        for text, rate, version in (("a", 0.5, 1), ("b", 0.5, 2)):
            [found] = admin.http.patch(path, json=sent(text, rate)).json()["scheduled_scorers"]["scorers"]
            assert (found["scorer_version"], found["sample_rate"]) == (version, rate)
        versions = f"/api/2.0/managed-evals/experiments/{experiment}/scorers/cw/versions"
        assert [found["scorer_version"] for found in admin.http.get(versions).json()["scorer_versions"]] == [1, 2]
        assert '"a"' in admin.http.get(f"{versions}/1").json()["serialized_scorer"]
        assert admin.http.delete(f"{versions}/1").status_code == 200
        assert admin.http.get(f"{versions}/1").status_code == 404
        assert admin.http.get(versions.replace("cw", "x")).status_code == 400

    def test_the_experiments_permissions_count(self, admin: Caller, stranger: Caller, experiment: str) -> None:
        path = f"{SCORERS}/{experiment}"
        body: dict[str, Any] = {"scheduled_scorers": {"scorers": []}}
        for level, reads, writes in (("", 403, 403), ("CAN_READ", 200, 403), ("CAN_EDIT", 200, 200)):
            if level:
                entry = {"service_principal_name": stranger.name, "permission_level": level}
                acl = {"access_control_list": [entry]}
                admin.http.patch(f"/api/2.0/permissions/experiments/{experiment}", json=acl).raise_for_status()
            assert stranger.http.get(path).status_code == reads
            assert stranger.http.post(path, json=body).status_code == writes


def found(filter_string: str) -> int:
    return len(mlflow.search_traces(filter_string=filter_string, return_type="list"))


class TestSpanFilters:
    def test_traces_are_found_by_their_spans(self, mlflow_client: MlflowClient, experiment: str) -> None:
        @mlflow.trace
        def answer(question: str) -> str:
            with mlflow.start_span("inner", span_type="RETRIEVER") as span:
                span.set_inputs({"question": question})
            return f"answer {question}"

        answer("whales")
        mlflow.flush_trace_async_logging()
        expected = {"inner": 1, "other": 0}
        assert {name: found(f"span.name = '{name}'") for name in expected} == expected
        answer("dolphins")  # after the first search: what is new is found as well
        mlflow.flush_trace_async_logging()
        assert found("span.type = 'RETRIEVER'") == 2
        assert found("span.type = 'LLM'") == 0
        assert found("trace.text LIKE '%dolphins%'") == 1
        assert found("span.content LIKE '%whales%' AND trace.status = 'OK'") == 1
        # They stay whole, their spans where clients load them.
        for trace in mlflow.search_traces(return_type="list"):
            loaded = mlflow.get_trace(trace.info.trace_id)
            assert sorted(span.name for span in loaded.data.spans) == ["answer", "inner"]
            assert "mlflow.trace.spansLocation" not in loaded.info.tags
            mlflow_client.delete_traces(experiment, trace_ids=[trace.info.trace_id])
        assert found("span.name = 'inner'") == 0

    @pytest.mark.parametrize("text", ["span.colour = 'blue'", "whatever = 1", "span.name > 'a'", "span.content = 'a'"])
    def test_what_cannot_be_filtered_by_is_an_error(self, experiment: str, text: str) -> None:
        with pytest.raises(MlflowException) as raised:
            found(text)
        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_a_file_that_holds_no_spans_is_passed_over(self, admin: Caller, experiment: str) -> None:
        with mlflow.start_span("kept"):
            pass
        mlflow.flush_trace_async_logging()
        [trace] = mlflow.search_traces(return_type="list")
        base = f"/api/2.0/fs/files/WorkspaceInternal/Mlflow/Artifacts/{experiment}/Traces/{trace.info.trace_id}"
        for content in (b"no JSON", b"[]", b'{"spans": [{}]}', b'{"spans": []}'):
            written = admin.http.put(f"{base}/artifacts/traces.json?overwrite=true", content=content)
            assert written.status_code in (200, 204)
            assert found("span.name = 'kept'") == 0


def test_experiments_are_listed_as_the_sdk_asks_for_them(admin: Caller, stranger: Caller, experiment: str) -> None:
    for listed in (admin.sdk.experiments.search_experiments, admin.sdk.experiments.list_experiments):
        assert experiment in [found.experiment_id for found in listed()]
    assert experiment not in [found.experiment_id for found in stranger.sdk.experiments.list_experiments()]
    one = admin.http.get("/api/2.0/mlflow/experiments/list", params={"max_results": 1}).json()
    assert len(one["experiments"]) == 1
