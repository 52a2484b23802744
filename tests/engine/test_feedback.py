"""The feedback model on the real engine: made once, shared, turned off and on, adopted; the documented curl request.

Agents here are small pyfunc models; what the feedback model accepts has its own tests (tests/workspace/serving).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import deltalake
import pytest

from agent_deploy.client.model_registry import ModelRegistry
from tests.engine.serving import MODEL, Site
from tests.engine.support import BIN, RUN_SECONDS, Stack, both_plugins, eventually
from tests.engine.test_agent_deployment import nothing_to_do, traffic
from tests.provider.test_feedback_model_version import theirs

FEEDBACK = "main.default.feedback"
# Word for word from Databricks, "Provide feedback on a deployed agent".
CURL = r"""
curl \
-u token:$DATABRICKS_TOKEN \
-X POST \
-H "Content-Type: application/json" \
-d '
{
"dataframe_records": [
{
"source": {
"id": "user@company.com",
"type": "human"
},
"request_id": "573d4a61-4adb-41bd-96db-0ec8cebc3744",
"text_assessments": [
{
"ratings": {
"answer_correct": {
"value": "positive"
},
"accurate": {
"value": "positive"
}
},
"free_text_comment": "The answer used the provided context to talk about Delta Live Tables"
}
],
"retrieval_assessments": [
{
"ratings": {
"groundedness": {
"value": "positive"
}
}
}
]
}
]
}' \
https://<workspace-host>.databricks.com/serving-endpoints/<your-agent-endpoint-name>/served-models/feedback/invocations
"""
PLACE = "https://<workspace-host>.databricks.com", "<your-agent-endpoint-name>"
PROGRAM = """
import json
from agent_deploy import AgentDeployment
for name, args in json.loads(DEPLOYMENTS).items():
    AgentDeployment(name, {"model_name": MODEL, "endpoint_name": name, **args})
"""


@pytest.fixture
def start(open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``start(site, **agents)`` is a stack with these deployments, by the names of their endpoints."""
    plugins = both_plugins(tmp_path / "plugins")

    def make(site: Site, **agents: dict[str, Any]) -> Stack:
        return open_stack(program(**agents), environment=site.environment, plugins=plugins)

    return make


def program(**agents: dict[str, Any]) -> str:
    """Deployments of version 1 with an inference table named after the endpoint."""
    full = {
        name: {
            "model_version": "1",
            "inference_tables": {"prefix": name, "derive": False},
            "scale_to_zero": True,
            **args,
        }
        for name, args in agents.items()
    }
    return PROGRAM.replace("DEPLOYMENTS", repr(json.dumps(full))).replace("MODEL", repr(MODEL))


def documented_request(site: Site, endpoint: str) -> dict[str, Any]:
    """The answer to the documented curl request, in which only host and endpoint are filled in."""
    command = CURL.replace(PLACE[0], site.host).replace(PLACE[1], endpoint)
    done = subprocess.run(
        ["bash", "-c", command],
        env={"PATH": "/usr/bin:/bin", "DATABRICKS_TOKEN": site.environment["DATABRICKS_TOKEN"]},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rows(folder: Path, endpoint: str) -> list[dict[str, Any]]:
    """The payload table's rows, once there are any."""
    path = folder / "tables" / "main" / "default" / f"{endpoint}_payload"

    def read() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = deltalake.DeltaTable(path).to_pyarrow_table().to_pylist()
        return found

    found: list[dict[str, Any]] = eventually(read)
    return found


def assessments(folder: Path, endpoint: str) -> list[dict[str, Any]]:
    """The assessment logs after a refresh, those of the answer first."""
    tables = [str(BIN / "agent-deploy"), "tables"]
    where = [endpoint, "--folder", str(folder)]
    subprocess.run([*tables, "refresh", *where], capture_output=True, timeout=RUN_SECONDS, check=True)
    shown = [*tables, "show", endpoint, "assessments", "--json", *where[1:]]
    done = subprocess.run(shown, capture_output=True, text=True, timeout=RUN_SECONDS, check=True)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(found, key=lambda row: row["text_assessment"] is None)


def test_one_is_made_for_two_stacks_and_leaves_with_the_last(
    local_workspace_factory: Callable[..., Any], start: Callable[..., Stack]
) -> None:
    local = local_workspace_factory()
    site = Site(local)
    site.register(MODEL, 2)
    registry = ModelRegistry(site.workspace, FEEDBACK)
    first, second = start(site, one={}), start(site, two={})
    preview = first.preview()
    assert preview.operations["one-feedback"] == "create"
    assert registry.model() is None
    first.up()
    nothing_to_do(first)
    second.up()
    nothing_to_do(second)
    assert [*registry.ready_versions()] == [1]

    entities = {each["name"]: each for each in site.endpoint("one")["config"]["served_entities"]}
    feedback = entities["feedback"]
    assert (feedback["entity_name"], feedback["entity_version"]) == (FEEDBACK, "1")
    assert (feedback["workload_size"], feedback["scale_to_zero_enabled"]) == ("Small", True)
    assert "environment_vars" not in feedback
    assert traffic(site, "one") == {"main-default-qa_1": 100, "feedback": 0}
    assert documented_request(site, "one") == {"predictions": {"result": "ok"}}
    [row] = rows(local.folder, "one")
    assert row["status_code"] == 200
    sent = json.loads(CURL.split("-d '")[1].split("'")[0])
    assert json.loads(row["request"]) == sent

    [assessed, of_documents] = assessments(local.folder, "one")
    assert assessed["request_id"] == of_documents["request_id"] == sent["dataframe_records"][0]["request_id"]
    assert assessed["source"] == {"type": "human", "id": "user@company.com", "tags": None}
    assert assessed["text_assessment"]["ratings"]["accurate"]["value"] == "positive"
    assert of_documents["retrieval_assessment"]["ratings"]["groundedness"]["value"] == "positive"

    # A version that leaves is kept for a rollback; the feedback model is none.
    first.write(program(one={"model_version": "2", "keep_previous": 1}))
    first.up()
    assert traffic(site, "one") == {"main-default-qa_1": 0, "main-default-qa_2": 100, "feedback": 0}
    first.write(program(one={"model_version": "2", "feedback_model": False}))
    off = first.up()
    assert off.operations["one-feedback"] == "delete"
    assert "it is still used by project/test/two-feedback" in off.messages
    assert traffic(site, "one") == {"main-default-qa_2": 100}
    first.write(program(one={"model_version": "2"}))
    first.up()
    nothing_to_do(first)
    destroyed = first.destroy()
    assert f"{FEEDBACK} is kept: it is still used by project/test/two-feedback" in destroyed.messages
    assert not site.exists("one")
    assert documented_request(site, "two") == {"predictions": {"result": "ok"}}
    second.destroy()
    assert registry.model() is None
    assert first.resources() == second.resources() == {}


def test_one_that_was_there_is_adopted_by_two_agents_and_stays(
    local_workspace_factory: Callable[..., Any], start: Callable[..., Stack]
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 1)
    site.register_bare(FEEDBACK, 2, mlmodel=theirs())
    before = ModelRegistry(site.workspace, FEEDBACK).model()
    stack = start(site, one={}, two={})
    stack.up()
    nothing_to_do(stack)
    for name in ("one", "two"):
        entities = {each["name"]: each for each in site.endpoint(name)["config"]["served_entities"]}
        assert entities["feedback"]["entity_version"] == "2"
    stack.write(program(two={}))
    stack.up()
    assert not site.exists("one")
    nothing_to_do(stack)
    assert f"{FEEDBACK} is kept: it was there before" in stack.destroy().messages
    assert ModelRegistry(site.workspace, FEEDBACK).model() == before
    assert [*ModelRegistry(site.workspace, FEEDBACK).ready_versions()] == [1, 2]


def test_a_strangers_model_of_that_name_stops_the_preview_and_nothing_is_written(
    local_workspace_factory: Callable[..., Any], start: Callable[..., Stack]
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 1)
    site.register_bare(FEEDBACK, 1)
    stack = start(site, one={})
    site.forget_requests()
    for run in (stack.preview, stack.up):
        failed = run(check=False)
        assert failed.code != 0
        assert f"{FEEDBACK} version 1 is another kind of model" in failed.output
        assert "Traceback" not in failed.output
    written = [each for each in site.asked("*", "/api/*") if each["method"] != "GET"]
    assert written == []
    stack.write(program(one={"feedback_model": False}))
    stack.up()
    stack.destroy()


ALONE = """
import pulumi
from agent_deploy import FeedbackModel, ServingEndpoint
ratings = FeedbackModel("ratings", {"catalog": "main", "schema": "alone"})
entities = {
    "qa": {"entity_name": MODEL, "entity_version": "1"},
    "feedback": {"entity_name": ratings.model_name, "entity_version": ratings.version},
}
ServingEndpoint("own", name="own", served_entities=entities, traffic={"qa": 100, "feedback": 0}, owner_mark="own")
pulumi.export("created", ratings.created)
"""


def test_one_alone_takes_ratings_beside_an_endpoint_that_is_written_by_hand(
    local_workspace_factory: Callable[..., Any], start: Callable[..., Stack]
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    site.register_bare(MODEL, 1)
    site.workspace.post("/api/2.1/unity-catalog/schemas", {"catalog_name": "main", "name": "alone"})
    stack = start(site)
    stack.write(ALONE.replace("MODEL", repr(MODEL)))
    stack.up()
    assert stack.outputs() == {"created": True}
    served = {entity["name"]: entity["entity_name"] for entity in site.endpoint("own")["config"]["served_entities"]}
    assert served["feedback"] == "main.alone.feedback"
    assert documented_request(site, "own")["predictions"] is not None
    nothing_to_do(stack)
    stack.destroy()
    assert ModelRegistry(site.workspace, "main.alone.feedback").model() is None
