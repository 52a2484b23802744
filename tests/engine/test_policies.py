"""The policy pack on the real engine: `agent-deploy-policies`, given to `--policy-pack`, refuses, warns and mends."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.engine import serving
from tests.engine.serving import MODEL, Site, entity, spec, table
from tests.engine.support import BIN, Result, Stack, both_plugins

PACK = BIN / "agent-deploy-policies"
AGENT = """
import json
from agent_deploy import AgentDeployment

AgentDeployment("qa", json.loads(ARGS))
"""


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace with two versions that nobody asks."""
    found = Site(local_workspace_factory(serving_start="on_request"))
    found.register_bare(MODEL, 2)
    return found


@pytest.fixture
def judged(site: Site, open_stack: Callable[..., Stack]) -> Callable[..., Stack]:
    """``judged(program)`` is a stack ``prod``, whose commands `run` gives the pack."""

    def make(program: str, **options: Any) -> Stack:
        return open_stack(program, environment=site.environment, name="prod", **options)

    return make


def run(stack: Stack, command: str = "preview", settings: Mapping[str, Any] | None = None) -> Result:
    """One command of the engine with the policy pack, and with a configuration of it."""
    flags = ["--policy-pack", str(PACK)]
    if settings is not None:
        file = stack.folder / "policies.json"
        file.write_text(json.dumps(settings))
        flags += ["--policy-pack-config", str(file)]
    return stack.operate(command, *(["--skip-preview"] if command == "up" else []), *flags, check=False)


def violations(result: Result) -> dict[str, set[str]]:
    """Policy → the levels at which it was told."""
    found: dict[str, set[str]] = {}
    for event in result.events:
        if told := event.get("policyEvent"):
            found.setdefault(told["policyName"], set()).add(told["enforcementLevel"])
    return found


def good(name: str, **more: Any) -> dict[str, Any]:
    """Arguments of an endpoint that no policy about endpoints minds."""
    given = {
        "description": "Answers questions.",
        "budget_policy_id": "policy-1",
        "tags": {"owner": "search"},
        "ai_gateway": table(table_name_prefix=name),
    }
    return spec(name, **{**given, **more})


def test_what_is_mandatory_refuses_the_preview_with_id_and_remedy(
    site: Site, name: str, judged: Callable[..., Stack]
) -> None:
    sleepy = good(name, served_entities={"qa_1": entity(scale_to_zero_enabled=True)})
    stack = judged(serving.program(sleepy))
    preview = run(stack)
    assert preview.code != 0
    assert violations(preview)["AGD001"] == {"mandatory"}
    assert "qa_1 scales to zero and gets traffic" in preview.output
    assert "Say scale_to_zero=False for versions with traffic [AGD001]" in preview.output
    assert run(stack, "up").code != 0
    assert not site.exists(name)
    allowed = run(stack, settings={"AGD001": {"stacks": ["live"]}})
    assert (allowed.code, "AGD001" in violations(allowed)) == (0, False), allowed.output


def test_what_is_advisory_warns_and_lets_pass(name: str, judged: Callable[..., Stack]) -> None:
    preview = run(judged(serving.program(good(name, description=""))))
    assert preview.code == 0, preview.output
    # The rows are kept for ever, which only the whole stack shows.
    assert violations(preview) == {"AGD013": {"advisory"}, "AGD014": {"advisory"}}
    assert "[AGD013]" in preview.output


def test_a_good_program_passes_without_a_word_and_rotation_can_be_mended(
    site: Site, name: str, judged: Callable[..., Stack], tmp_path: Path
) -> None:
    warehouse = site.workspace.post("/api/2.0/sql/warehouses", {"name": name, "cluster_size": "Small"})["id"]
    args = {
        "model_name": MODEL,
        "model_version": "1",
        "endpoint_name": name,
        "description": "Answers questions.",
        "budget_policy_id": "policy-1",
        "tags": {"owner": "search"},
        "auth": "SERVICE_PRINCIPAL",
        "rotation_days": 30,
        "inference_tables": {"prefix": name, "retention_days": 30, "warehouse_id": warehouse},
    }
    stack = judged(AGENT.replace("ARGS", repr(json.dumps(args))), plugins=both_plugins(tmp_path / "plugins"))
    preview = run(stack)
    assert preview.code == 0, preview.output
    assert violations(preview) == {}
    assert set(preview.operations.values()) == {"create"}
    del args["rotation_days"]
    stack.write(AGENT.replace("ARGS", repr(json.dumps(args))))
    assert violations(run(stack)) == {"AGD011": {"advisory"}}
    mended = run(stack, settings={"AGD011": "remediate"})
    assert (mended.code, violations(mended)) == (0, {}), mended.output
    remediations = [event["policyRemediationEvent"] for event in mended.events if "policyRemediationEvent" in event]
    assert [each["policyName"] for each in remediations] == ["AGD011"]


def test_remediation_adds_what_is_missing_and_nothing_else(site: Site, name: str, judged: Callable[..., Stack]) -> None:
    settings = {"AGD006": {"enforcementLevel": "remediate", "tags": {"team": "search", "owner": "nobody"}}}
    stack = judged(serving.program(good(name)))
    up = run(stack, "up", settings)
    assert up.code == 0, up.output
    tags = {tag["key"]: tag["value"] for tag in site.endpoint(name)["tags"]}
    assert (tags["team"], tags["owner"]) == ("search", "search")
    again = run(stack, "preview", settings)
    assert (again.code, again.operations) == (0, {}), again.output
    refused = run(stack, "preview", {"AGD006": {"tags": {"team": ""}}})
    assert refused.code != 0
    assert "it lacks the tag team. Set them in tags [AGD006]" in refused.output
    stack.destroy()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"AGD001": {"stack": ["live"]}}, "policies.AGD001 'stack'"),
        ({"AGD999": "advisory"}, "policies 'AGD999'"),
        ({"AGD010": {"concurrency": "many"}}, "AGD010: concurrency: Invalid type"),
    ],
)
def test_a_wrong_setting_is_one_clear_error(
    name: str, judged: Callable[..., Stack], settings: Mapping[str, Any], told: str
) -> None:
    refused = run(judged(serving.program(good(name))), settings=settings)
    assert refused.code != 0
    assert told in refused.output
