"""Updates: what serves goes on serving, what did not change keeps its process, what fails says why."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.workspace.conftest import Caller
from tests.workspace.serving.conftest import AGENT_ENVIRONMENT, Endpoint, ok, question, register, served, text_of, wait

Create = Callable[..., Endpoint]


def state_of(config: dict[str, Any], name: str) -> dict[str, str]:
    """The state of one entity in a config."""
    (entity,) = [entity for entity in config["served_entities"] if entity["name"] == name]
    state: dict[str, str] = entity["state"]
    return state


@pytest.fixture
def faults(admin: Caller) -> Iterator[Callable[..., None]]:
    """Inject faults; all are taken back after the test."""

    def add(**rule: Any) -> None:
        ok(admin.http.post("/_local/faults", json=rule))

    yield add
    admin.http.delete("/_local/faults")


def test_a_second_version_joins_and_the_first_keeps_its_process(endpoint: Endpoint, agent: str) -> None:
    before = endpoint.say("pid")
    routes = [{"served_entity_name": "first", "traffic_percentage": 20}]
    routes.append({"served_entity_name": "second", "traffic_percentage": 80})
    updating = ok(endpoint.put(served(agent), served(agent, "2", "second"), routes=routes))
    assert updating["state"] == {"ready": "READY", "config_update": "IN_PROGRESS"}
    assert [entity["name"] for entity in updating["config"]["served_entities"]] == ["first"]
    assert [entity["name"] for entity in updating["pending_config"]["served_entities"]] == ["first", "second"]
    seen = endpoint.settled()
    assert "pending_config" not in seen
    assert seen["config"]["config_version"] == 2
    assert endpoint.say("pid", "first") == before
    assert endpoint.say("pid", "second") != before
    answers = Counter(endpoint.post(question("say x")).headers["served-model-name"] for _ in range(100))
    assert 60 <= answers["second"] <= 95  # 80 expected; beyond four standard deviations the split is wrong
    assert answers["first"] + answers["second"] == 100


def test_traffic_and_scaling_change_without_a_new_process(endpoint: Endpoint, agent: str) -> None:
    before = endpoint.say("pid")
    ok(endpoint.put(served(agent, scale_to_zero_enabled=True)))
    seen = endpoint.settled()
    assert seen["config"]["served_entities"][0]["scale_to_zero_enabled"] is True
    assert endpoint.say("pid") == before


def test_another_environment_is_another_process(endpoint: Endpoint, agent: str) -> None:
    before = endpoint.say("pid")
    ok(endpoint.put(served(agent, environment_vars={"COLOUR": "blue"})))
    endpoint.settled()
    assert endpoint.say("pid") != before
    assert endpoint.say("env COLOUR") == "blue"


def test_no_request_fails_while_an_entity_is_replaced(endpoint: Endpoint, agent: str, admin: Caller) -> None:
    stop, statuses = threading.Event(), Counter[int]()

    def ask() -> None:
        while not stop.is_set():
            statuses[endpoint.post(question("say x")).status_code] += 1

    callers = [threading.Thread(target=ask) for _ in range(3)]
    for caller in callers:
        caller.start()
    for colour in ("blue", "green"):
        ok(endpoint.put(served(agent, environment_vars={"COLOUR": colour})))
        endpoint.settled()
    stop.set()
    for caller in callers:
        caller.join()
    assert set(statuses) == {200}
    assert endpoint.say("env COLOUR") == "green"


def test_a_request_in_flight_ends_on_the_process_that_leaves(endpoint: Endpoint, agent: str, tmp_path: Path) -> None:
    old, answers = endpoint.processes()["first"]["pid"], []
    signal = tmp_path / "go-on"

    def ask() -> None:
        answers.append(endpoint.post(question(f"wait {signal}")))

    caller = threading.Thread(target=ask)
    caller.start()
    wait(endpoint.processes, lambda running: running["first"]["requests"] == 1)
    ok(endpoint.put(served(agent, environment_vars={"COLOUR": "blue"})))
    endpoint.settled()
    assert endpoint.say("pid") != str(old)
    assert Path(f"/proc/{old}").exists()
    signal.touch()
    caller.join()
    assert text_of(ok(answers[0])) == "waited"
    wait(lambda: Path(f"/proc/{old}").exists(), lambda there: not there)


def test_a_failing_build_leaves_what_serves(
    endpoint: Endpoint, schema: str, agent: str, admin: Caller, models: Path
) -> None:
    before = endpoint.say("pid")
    register(admin.http, f"{schema}.broken", models / "broken")
    broken = served(f"{schema}.broken", "1", "broken")
    routes = [{"served_model_name": "broken", "traffic_percentage": 100}]
    ok(endpoint.put(served(agent), broken, routes=routes))
    seen = endpoint.settled()
    assert seen["state"] == {"ready": "READY", "config_update": "UPDATE_FAILED"}
    assert [entity["name"] for entity in seen["config"]["served_entities"]] == ["first"]
    assert endpoint.say("pid") == before
    state = state_of(seen["pending_config"], "broken")
    assert state["deployment"] == "DEPLOYMENT_FAILED"
    assert "this model is broken on purpose" in state["deployment_state_message"]
    assert "ValueError: this model is broken on purpose" in endpoint.log("broken", "build-logs")
    ok(
        endpoint.put(
            served(agent),
            served(agent, "2", "second"),
            routes=[{"served_model_name": "second", "traffic_percentage": 100}],
        )
    )
    assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert endpoint.say("pid", "first") == before


def test_a_first_build_that_fails_can_be_mended(create: Create, agent: str, faults: Callable[..., None]) -> None:
    faults(match="build", entity="first", fail="No space left on the image's disk.", times=1)
    endpoint = create(
        served(agent), served(agent, "2", "second"), routes=[{"served_model_name": "first", "traffic_percentage": 100}]
    )
    seen = endpoint.get()
    assert seen["state"] == {"ready": "NOT_READY", "config_update": "UPDATE_FAILED"}
    assert state_of(seen["config"], "first")["deployment_state_message"] == "No space left on the image's disk."
    assert state_of(seen["config"], "second")["deployment"] == "DEPLOYMENT_ABORTED"
    assert endpoint.processes() == {}
    assert endpoint.post(question("say x")).status_code == 400
    ok(endpoint.put(served(agent)))
    assert endpoint.settled()["state"] == {"ready": "READY", "config_update": "NOT_UPDATING"}
    assert endpoint.say("say mended") == "mended"


def test_secrets_are_resolved_and_shown_nowhere(
    create: Create, agent: str, schema: str, admin: Caller, name: str, models: Path, local_workspace: Any
) -> None:
    secret = f"s3cr3t-{name}"
    admin.sdk.secrets.create_scope(name)
    admin.sdk.secrets.put_secret(name, "key", string_value=secret)
    variables = {"API_KEY": f"{{{{secrets/{name}/key}}}}"}
    endpoint = create(served(agent, environment_vars=variables))
    assert endpoint.say("env API_KEY") == secret
    assert endpoint.say("print API_KEY") == "printed"
    assert "[REDACTED]" in wait(lambda: endpoint.log("first"), lambda log: log.count("REDACTED") >= 2)
    failure = endpoint.post(question("fail API_KEY"))
    assert failure.status_code == 500
    assert secret not in failure.text
    pid = endpoint.processes()["first"]["pid"]
    assert secret not in Path(f"/proc/{pid}/cmdline").read_text()
    register(admin.http, f"{schema}.broken", models / "broken")
    ok(endpoint.put(served(f"{schema}.broken", environment_vars=variables)))
    seen = endpoint.settled()
    assert seen["state"]["config_update"] == "UPDATE_FAILED"
    assert secret not in str(seen)
    assert secret not in endpoint.log("first", "build-logs")
    files = [file for file in local_workspace.folder.rglob("*") if file.is_file()]
    assert [str(file) for file in files if secret.encode() in file.read_bytes()] == []


def test_a_secret_that_cannot_be_resolved_fails_the_entity(create: Create, agent: str, name: str) -> None:
    endpoint = create(served(agent, environment_vars={"API_KEY": f"{{{{secrets/{name}/key}}}}"}))
    state = state_of(endpoint.get()["config"], "first")
    assert state["deployment"] == "DEPLOYMENT_FAILED"
    for word in ("API_KEY", name, "does not exist"):
        assert word in state["deployment_state_message"]


def test_the_environment_is_the_entity_s_and_the_platform_s(endpoint: Endpoint) -> None:
    names = set(endpoint.say("names").split())
    shell = {"PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED"}
    platform = {
        "PYTHONDONTWRITEBYTECODE",
        *("IS_IN_DB_MODEL_SERVING_ENV", "IS_IN_DATABRICKS_MODEL_SERVING_ENV"),
        *("DB_MODEL_SERVING_HOST_URL", "DATABRICKS_MODEL_SERVING_HOST_URL", "SERVING_CREDENTIALS_DIR"),
        *("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"),
        *("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "MLFLOW_DISABLE_TELEMETRY"),
    }
    noted_by_mlflow = {"_MLFLOW_IS_IN_SERVING_ENVIRONMENT"}
    # Where programs and certificates lie, if this machine says so.
    machine = {"TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "LD_LIBRARY_PATH"} & {*os.environ}
    assert names == {*AGENT_ENVIRONMENT, *shell, *platform, *machine, *noted_by_mlflow}


def test_the_model_s_own_identity(create: Create, agent: str, admin: Caller) -> None:
    endpoint, other = create(served(agent)), create(served(agent, "2"))
    identity = endpoint.say("me")
    assert identity not in (admin.name, other.say("me"))
    assert identity not in [str(p.application_id) for p in admin.sdk.service_principals.list()]
    ok(endpoint.http.delete(endpoint.url))
    again = create(served(agent))
    assert again.say("me") != identity  # the first one went with the version


def test_traces_reach_the_experiment(
    create: Create, agent: str, admin: Caller, name: str, monkeypatch: pytest.MonkeyPatch, local_workspace: Any
) -> None:
    for variable, value in local_workspace.env().items():
        monkeypatch.setenv(variable, value)
    client = MlflowClient("databricks")
    experiment = client.create_experiment(f"/Users/{admin.name}/{name}")
    endpoint = create(served(agent, environment_vars={"MLFLOW_EXPERIMENT_ID": experiment}))
    response = endpoint.post(question("say traced"))
    (trace,) = wait(lambda: client.search_traces(locations=[experiment]), lambda traces: len(traces) == 1, 60)
    assert trace.info.client_request_id == response.headers["x-request-id"]
    assert [span.name for span in trace.data.spans] == ["predict", "thinking"]
