"""The real engine, cut at every call by which it changes the workspace: the next run goes on, and the end is the same.

The cut is an answer that nobody tries again on his own (400), so that the run ends there. Each run gets one write
further than the one before it: all writes of an operation are refused once, each on what the runs before have left.
tests/invariants cuts at every call, kills included, of our own resources; here are the vendor's and the engine, too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.serving import PATH
from tests.engine.support import Stack, both_plugins
from tests.engine.test_agent_deployment import nothing_to_do
from tests.engine.toolbox import Toolbox

MODEL = "main.default.cut"
NAME = "cut"
PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment
args = json.loads(ARGS)
args["environment"] = {"KEY": pulumi.Output.secret(args.pop("value"))}
AgentDeployment("qa", args)
"""
# A write that is refused; GET is the only method that writes nothing.
REFUSED = {"method": "[!G]*", "times": 1, "status": 400, "error_code": "INVALID_STATE"}
# All but the workspace's files: the vendor's resource makes the folder and tries again, whatever the refusal was.
NO_FILES = "/api/2.[0-9]/[!w]*"
MOST_WRITES, LEAST_WRITES = 30, 5


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Toolbox:
    """Two versions that declare a warehouse each; nothing is built before it is asked for."""
    found = Toolbox(local_workspace_factory(serving_start="on_request"))
    kind = "sql_warehouse"
    found.write_versions("main.default.callee", {})
    found.serve_callees("main.default.callee")
    found.write_versions(MODEL, *({kind: found.objects[letter][kind]} for letter in "ab"))
    return found


def program(version: str, value: str) -> str:
    """A deployment with all that has a life of its own: principal, secrets, permissions, endpoint."""
    args = {
        "model_name": MODEL,
        "endpoint_name": NAME,
        "model_version": version,
        "auth": "SERVICE_PRINCIPAL",
        "inference_tables": {"enabled": False},
        # These two are several writes, begun anew each time: tests/provider has what fails half-way in one.
        "feedback_model": False,
        "review_app": {"enabled": False},
        "permissions": [{"group_name": "users", "level": "CAN_QUERY"}],
        "value": value,
    }
    return PROGRAM.replace("ARGS", repr(json.dumps(args)))


def cut(site: Toolbox, operate: Callable[..., Any], path: str = "/api/*", least: int = LEAST_WRITES) -> None:
    """Repeats the run, each with its second write refused (the first run: its first one), until none is.

    Where a run begins anew with several writes, one that was refused before is let through.
    """
    nth, before_this = 1, set[str]()
    for write in range(1, MOST_WRITES):
        site.forget_requests()
        with site.fault(nth=nth, path=path, **REFUSED):
            done = operate("--parallel", "1", check=False)  # so that each run gets one write further, not some
            (rule,) = site.workspace.get("/_local/faults")["faults"]
        if not rule["fired"]:
            assert done.code == 0, done.output
            assert write > least
            return
        (refused,) = [f"{r['method']} {r['path']}" for r in site.asked("[!G]*", "/api/*") if r["fault"]]
        assert done.code != 0, f"{refused} was refused, and nobody told"
        nth = nth + 1 if refused in before_this else 2
        before_this.add(refused)
    raise AssertionError(f"more than {MOST_WRITES} writes")


def test_the_end_is_the_same_as_without_the_cuts(
    site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    plugins = both_plugins(tmp_path / "plugins")
    stack = open_stack("", environment=site.environment, plugins=plugins)
    before = site.standing()

    def stands(version: str) -> None:
        """What the program declares, all of it and no more."""
        letter = {"1": "a", "2": "b"}[version]
        principal = f"main-default-cut_{version}"
        warehouse = site.objects[letter]["sql_warehouse"]
        assert site.standing() - before == {
            ("principal", principal, "1 secrets"),
            ("list", f"sql/warehouses/{warehouse}", principal, "CAN_USE"),
            ("scope", f"{NAME}_{version}", "client-secret", "admin@local:MANAGE"),
            ("scope", NAME, "KEY", "admin@local:MANAGE"),
        }
        endpoint = site.endpoint(NAME)
        served = {entity["name"]: entity["entity_version"] for entity in endpoint["config"]["served_entities"]}
        assert served == {principal: version}
        listed = site.workspace.get(f"/api/2.0/permissions/serving-endpoints/{endpoint['id']}")["access_control_list"]
        assert "CAN_QUERY" in {e["all_permissions"][0]["permission_level"] for e in listed if "group_name" in e}
        # One key of each secret: what was replaced is gone.
        for scope in (NAME, f"{NAME}_{version}"):
            assert len(site.workspace.get("/api/2.0/secrets/list", {"scope": scope})["secrets"]) == 1
        nothing_to_do(stack)

    stack.write(program("1", "first"))
    cut(site, stack.up)
    stands("1")
    stack.write(program("2", "second"))
    cut(site, stack.up)
    stands("2")
    cut(site, stack.destroy)
    assert site.standing() == before
    assert stack.resources() == {}
    assert NAME not in {each["name"] for each in site.workspace.get(PATH)["endpoints"]}


TABLES = """
import json
from agent_deploy import InferenceTables
InferenceTables("logs", json.loads(ARGS))
"""


def test_inference_tables_of_an_endpoint_of_others_end_the_same(
    site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    theirs = {"usage_tracking_config": {"enabled": True}}
    site.workspace.post(PATH, {"name": "theirs", "ai_gateway": theirs})
    warehouse = site.objects["a"]["sql_warehouse"]
    args = {
        "endpoint_name": "theirs",
        "catalog": "main",
        "schema": "default",
        "prefix": "theirs",
        "retention_days": 30,
        "warehouse_id": warehouse,
        "delete_on_destroy": True,
    }
    stack = open_stack(
        TABLES.replace("ARGS", repr(json.dumps(args))),
        environment=site.environment,
        plugins=both_plugins(tmp_path / "plugins"),
    )
    before = derivations(site)
    cut(site, stack.up, NO_FILES, least=4)
    nothing_to_do(stack)
    made = derivations(site)
    made.subtract(before)
    assert +made == Counter(
        {
            ("pipeline", "Logs of main.default.theirs_payload"): 1,
            ("job", "Logs of main.default.theirs_payload"): 1,
            ("file", "derivation.py"): 1,
            ("file", "retention.sql"): 1,
        }
    )
    on = site.endpoint("theirs")["ai_gateway"]
    assert on["usage_tracking_config"] == theirs["usage_tracking_config"]
    assert on["inference_table_config"]["table_name_prefix"] == "theirs"
    cut(site, stack.destroy, NO_FILES, least=4)
    assert derivations(site) == before
    assert stack.resources() == {}
    assert site.endpoint("theirs")["ai_gateway"] == theirs


def derivations(site: Toolbox) -> Counter[tuple[str, str]]:
    """What the workspace has of pipelines, jobs and their files."""
    found = Counter(("pipeline", each["name"]) for each in site.workspace.get("/api/2.0/pipelines").get("statuses", []))
    found.update(("job", each["settings"]["name"]) for each in site.workspace.get("/api/2.2/jobs/list").get("jobs", []))
    folder = "/Users/admin@local/agent-deploy/main.default.theirs_payload"
    listed = site.workspace.find("/api/2.0/workspace/list", {"path": folder}) or {}
    found.update(("file", each["path"].rpartition("/")[2]) for each in listed.get("objects", []))
    return found
