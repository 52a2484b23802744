"""The previews that the tests of `agent-deploy report` read: each kind of change of an agent, made on the real engine.

`python -m tests.engine.previews` records them anew, for `tests/unit/fixtures/report`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent_deploy.local import LocalWorkspace
from tests.engine.serving import MODEL, Site
from tests.engine.support import ROOT, Stack, both_plugins, stack

FOLDER = ROOT / "tests" / "unit" / "fixtures" / "report"
FUNCTION = "main.default.lookup"  # models and functions share their names
PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment

args = json.loads(ARGS)
for key, value in args.pop("secrets", {}).items():
    args.setdefault("environment", {})[key] = pulumi.Output.secret(value)
AgentDeployment("agent", **args)
"""
UNKNOWN = """
import json
import pulumi
from agent_deploy import AgentDeployment
from agent_deploy.resources.databricks import ServicePrincipal

args = json.loads(ARGS)
args.pop("secrets")
asker = ServicePrincipal("asker", display_name="asker")
permissions = [{"service_principal_name": asker.application_id, "level": "CAN_QUERY"}]
AgentDeployment("agent", permissions=permissions, **args)
"""
USERS, OTHERS = {"group_name": "users"}, {"group_name": "other"}
FIRST: dict[str, Any] = {
    "model_name": MODEL,
    "endpoint_name": "report",
    "model_version": "1",
    "scale_to_zero": True,
    "environment": {"STYLE": "short"},
    "secrets": {"KEY": "planted-secret-one"},
    "feedback_model": False,
    "inference_tables": {"derive": False},
}
NARROW = [{**USERS, "level": "CAN_VIEW"}]
WIDE = [{**USERS, "level": "CAN_QUERY"}, {**OTHERS, "level": "CAN_MANAGE"}]
TWO = [{"version": "1", "traffic_percentage": 90}, {"version": "2", "traffic_percentage": 10}]
SHIFTED = [{"version": "1", "traffic_percentage": 50}, {"version": "2", "traffic_percentage": 50}]
IDENTITY = {"auth": "SERVICE_PRINCIPAL", "resources": [{"kind": "function", "name": FUNCTION}]}
# Kind of change → what changes from then on; None takes an argument out.
CHANGES: dict[str, dict[str, Any]] = {
    "first_deployment": {},
    "new_version": {"model_version": None, "versions": TWO},
    "traffic_shift": {"versions": SHIFTED},
    "environment_and_secret": {"environment": {"STYLE": "long"}, "secrets": {"KEY": "planted-secret-two"}},
    "permissions_narrow_first": {"permissions": NARROW},
    "permissions_widened": {"permissions": WIDE, "review_app": {"reviewers": [OTHERS]}},
    "permissions_narrowed": {"permissions": NARROW, "review_app": None},
    "size_up": {"scale_to_zero": False, "workload_size": "Large"},
    "service_principal": IDENTITY,
    "tables_off": {"inference_tables": {"enabled": False}},
    "endpoint_renamed": {"endpoint_name": "renamed", "tags": {"team": "a|b <b>"}, "description": "# [x](http://y)"},
}


# Those that are previewed and not made: what comes after starts from what was before.
ASIDE = ("size_up",)
# Those of which the event log is kept as well.
LOGGED = ("new_version", "permissions_widened", "service_principal")
# Of a state, what the report may read; the rest are paths of a machine and noise.
KEPT = ("urn", "custom", "id", "type", "inputs", "outputs", "parent", "retainOnDelete", "protect", "delete")


def record(opened: Stack, wanted: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Kind of change, the preview's JSON and the event log of it."""
    if "unknown_value" in wanted:
        opened.write(UNKNOWN.replace("ARGS", repr(json.dumps(FIRST))))
        yield "unknown_value", *preview(opened)
    args, made = dict(FIRST), None
    for kind, changes in CHANGES.items():
        changed = {key: value for key, value in {**args, **changes}.items() if value is not None}
        if kind in wanted:
            if kind != "first_deployment" and made != args:
                opened.write(program(args))
                opened.up()
                made = args
            opened.write(program(changed))
            yield kind, *preview(opened)
        args = args if kind in ASIDE else changed
    if "teardown" in wanted:
        if made is None:
            opened.write(program(args))
            opened.up()
        opened.write("")
        yield "teardown", *preview(opened)


def program(args: Mapping[str, Any]) -> str:
    """One agent with these arguments."""
    return PROGRAM.replace("ARGS", repr(json.dumps(args)))


def preview(opened: Stack) -> tuple[str, str]:
    """What `pulumi preview --json` says, and the engine's event log of the same run."""
    log = opened.folder / "report-events.json"
    log.unlink(missing_ok=True)
    said = opened.run("preview", "--json", "--non-interactive", "--event-log", str(log)).output
    return said, log.read_text()


def prepare(site: Site) -> None:
    """What the programs name: a model's versions, a group, a function."""
    site.register_bare(MODEL, 3)
    site.register_bare(FUNCTION, 1)
    site.workspace.post("/api/2.0/preview/scim/v2/Groups", {"displayName": "other"})


def small_digest(said: str) -> str:
    """The preview without what differs from machine to machine."""
    document = json.loads(said[said.index("{") :])
    kept = {"steps": [_small_step(step) for step in document["steps"]], "changeSummary": document["changeSummary"]}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def _small_step(step: Mapping[str, Any]) -> dict[str, Any]:
    fields = ("op", "urn", "oldState", "newState", "diffReasons", "replaceReasons", "detailedDiff")
    return {name: _small(step[name]) if "State" in name else step[name] for name in fields if name in step}


def _small(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: state[name] for name in KEPT if name in state}


def small_log(log: str) -> str:
    """The event log without diagnostics, for the same reason."""
    lines = []
    for event in map(json.loads, filter(str.strip, log.splitlines())):
        event.pop("timestamp")
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            if kind in event:
                metadata = event[kind]["metadata"]
                for which in ("old", "new"):
                    metadata[which] = _small(metadata[which]) if metadata.get(which) else None
        if "diagnosticEvent" not in event:
            lines.append(json.dumps(event, ensure_ascii=False))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the previews of the kinds that are named, or of all."""
    wanted = sys.argv[1:] or ["unknown_value", *CHANGES, "teardown"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, LocalWorkspace(serving_start="on_request") as local:
        folder = Path(temporary)
        site = Site(local)
        prepare(site)
        with stack(folder / "s", PROGRAM, environment=site.environment, plugins=both_plugins(folder / "p")) as opened:
            for kind, said, log in record(opened, wanted):
                (FOLDER / f"{kind}.json").write_text(small_digest(said))
                if kind in LOGGED:
                    (FOLDER / f"{kind}.events.json").write_text(small_log(log))
                print(kind, file=sys.stderr)


if __name__ == "__main__":
    main()
