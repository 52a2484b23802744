"""`agent-deploy report` on recorded previews of every kind of change: golden Markdown, verdicts, what is refused."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.report.build import report_of
from agent_deploy.report.document import document
from agent_deploy.report.markdown import LIMIT, markdown
from agent_deploy.report.preview import PreviewError, read
from agent_deploy.report.structure import (
    DELETES,
    INTERRUPTS,
    SAFE,
    SCHEMA_VERSION,
    UNTOLD,
    WIDENS,
    Access,
    Report,
    SecretChange,
    Served,
)

FOLDER = Path(__file__).parent / "fixtures" / "report"
RENEW = "AGENT_DEPLOY_WRITE_GOLDEN"  # set: the golden files are written anew, to be looked at
# Recorded preview → all verdicts that apply, the gravest first.
VERDICTS = {
    "first_deployment": (UNTOLD,),
    "new_version": (UNTOLD,),
    "traffic_shift": (SAFE,),
    "environment_and_secret": (SAFE,),
    "permissions_narrow_first": (WIDENS,),
    "permissions_widened": (WIDENS,),
    "permissions_narrowed": (SAFE,),
    "size_up": (SAFE,),
    "service_principal": (WIDENS,),
    "tables_off": (SAFE,),
    "endpoint_renamed": (INTERRUPTS,),
    "teardown": (INTERRUPTS,),
    "unknown_value": (WIDENS, UNTOLD),
}
# As the engine writes it, whatever its type.
UNKNOWN_STRING = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
LOGGED = ("new_version", "permissions_widened", "service_principal")


def text(kind: str, ending: str = ".json") -> str:
    """A recorded preview."""
    return (FOLDER / f"{kind}{ending}").read_text("utf-8")


def report(kind: str, ending: str = ".json") -> Report:
    """The report of a recorded preview."""
    return report_of(read(text(kind, ending)))


def changed(kind: str, change: Any) -> str:
    """A recorded preview that ``change`` has altered."""
    found = json.loads(text(kind))
    change(found)
    return json.dumps(found)


@pytest.mark.parametrize("kind", VERDICTS)
def test_the_markdown_is_as_recorded(kind: str) -> None:
    golden, found = FOLDER / f"{kind}.md", markdown(report(kind))
    if RENEW in os.environ:
        golden.write_text(found, "utf-8")
    assert found == golden.read_text("utf-8")


@pytest.mark.parametrize("kind", VERDICTS)
def test_the_verdict_comes_first(kind: str) -> None:
    found = report(kind)
    assert found.verdict.kinds == VERDICTS[kind]
    assert found.verdict.kind == VERDICTS[kind][0]
    assert markdown(found).startswith("## ")


@pytest.mark.parametrize("kind", LOGGED)
def test_the_event_log_says_the_same_and_more(kind: str) -> None:
    of_preview, of_log = report(kind), report(kind, ".events.json")
    # What passthrough gives to a version that comes, the JSON does not have.
    assert of_log.verdict.kinds == tuple(each for each in of_preview.verdict.kinds if each != UNTOLD) or (SAFE,)
    assert {each.name for each in of_log.resources} == {each.name for each in of_preview.resources}
    assert of_log.agents[0].endpoint == "report"
    assert of_log.agents[0].touches == of_preview.agents[0].touches
    assert {(a.principal, a.privilege) for a in of_log.agents[0].admits} == {
        (a.principal, a.privilege) for a in of_preview.agents[0].admits
    }


def test_versions_and_traffic() -> None:
    model = "main.default.qa"
    assert report("new_version").agents[0].served == (
        Served("main-default-qa_1", model, "1", 100, 90),
        Served("main-default-qa_2", model, "2", None, 10),
    )
    assert [(each.before, each.after) for each in report("traffic_shift").agents[0].served] == [(90, 50), (10, 50)]


def test_a_changed_secret_is_told_by_its_reference() -> None:
    (agent,) = report("environment_and_secret").agents
    assert [each.change for each in agent.secrets] == ["rotated"]
    assert agent.secrets[0].reference.startswith("{{secrets/report/KEY-")
    assert {each.what for each in agent.settings} == {"variable KEY", "variable STYLE"}
    assert report("first_deployment").agents[0].secrets == (SecretChange("{{secrets/report/KEY-…}}", "added"),)


def test_who_may_newly_query_and_no_longer() -> None:
    held = (
        Access("other", "CAN_MANAGE", "serving-endpoints report"),
        Access("users", "CAN_QUERY", "serving-endpoints report"),
    )
    assert report("permissions_widened", ".events.json").agents[0].admits == held
    narrowed = report("permissions_narrowed").agents[0]
    assert [(each.principal, each.privilege) for each in narrowed.admits_no_more] == [
        ("other", "CAN_MANAGE"),
        ("users", "CAN_QUERY"),
    ]
    assert narrowed.admits == ()


def test_an_identity_of_its_own_is_told_with_what_it_may_newly_touch() -> None:
    (agent,) = report("service_principal").agents
    assert agent.authentication is not None
    assert (agent.authentication.before, agent.authentication.after) == ("PASSTHROUGH", "SERVICE_PRINCIPAL")
    touched = {(each.privilege, each.object) for each in agent.touches}
    assert touched >= {
        ("EXECUTE", "function main.default.lookup"),
        ("USE_CATALOG", "catalog main"),
        ("USE_SCHEMA", "schema main.default"),
    }
    assert {each.principal for each in agent.touches} == {
        f"new service principal main-default-qa_{version}" for version in (1, 2)
    }


def test_a_version_that_takes_the_place_of_another_costs_what_that_did() -> None:
    def all_alike(preview: Any) -> None:
        for step in preview["steps"]:
            for state in (step.get("oldState"), step.get("newState")):
                for entity in (state or {}).get("inputs", {}).get("servedEntities", {}).values():
                    entity |= {"scaleToZeroEnabled": False, "workloadSize": "Small"}
            if step["urn"].endswith("ServingEndpoint::agent"):
                del step["newState"]["inputs"]["servedEntities"]["main-default-qa_1"]

    (agent,) = report_of(read(changed("new_version", all_alike))).agents
    assert {each.version for each in agent.served} == {"1", "2"}
    assert not any("scale to zero" in cost or "size" in cost for cost in agent.costs), agent.costs


def test_a_single_version_without_routes_has_all_the_traffic() -> None:
    def imported(preview: Any) -> None:
        step = next(each for each in preview["steps"] if each["urn"].endswith("ServingEndpoint::agent"))
        del step["oldState"]["inputs"]["traffic"]

    served = report_of(read(changed("new_version", imported))).agents[0].served
    assert [(each.version, each.before) for each in served] == [("1", 100), ("2", None)]


def test_a_version_that_takes_the_place_of_another_says_which_variables_differ() -> None:
    def other(preview: Any) -> None:
        step = next(each for each in preview["steps"] if each["urn"].endswith("ServingEndpoint::agent"))
        entities = step["newState"]["inputs"]["servedEntities"]
        del entities["main-default-qa_1"]
        entities["main-default-qa_2"]["environmentVars"] |= {"ANSWER_STYLE": "a text of its own"}

    found = report_of(read(changed("new_version", other)))
    assert "variable ANSWER_STYLE" in {change.what for change in found.agents[0].settings}
    assert "a text of its own" not in markdown(found)


def whole_text(name: str) -> str:
    """As if it had been made with --show-sames of a stack that has nothing else."""
    document = json.loads(text(name))
    document["changeSummary"]["same"] = sum(step["op"] == "same" for step in document["steps"])
    return json.dumps(document)


def test_a_preview_of_what_changes_alone_says_so_and_is_not_judged(tmp_path: Path) -> None:
    document = json.loads(text("permissions_widened"))
    assert [step["op"] for step in document["steps"]].count("same") == 1  # the stack's own is in any preview
    file, settings = tmp_path / "preview.json", tmp_path / "policies.json"
    file.write_text(json.dumps(document))
    settings.write_text("{}")
    told = CliRunner().invoke(app, ["report", str(file)])
    assert (told.exit_code, "--show-sames" in told.output) == (0, True)
    judged = CliRunner().invoke(app, ["report", str(file), "--policies", str(settings)])
    assert (judged.exit_code, "--show-sames" in judged.output) == (2, True)
    whole = CliRunner().invoke(app, ["report", "-"], input=whole_text("permissions_widened"))
    assert "--show-sames" not in whole.output


def test_findings_stand_in_sentences(tmp_path: Path) -> None:
    settings = tmp_path / "policies.json"
    settings.write_text("{}")
    for form in ("text", "markdown"):
        arguments = ["report", "-", "--format", form, "--policies", str(settings)]
        told = CliRunner().invoke(app, arguments, input=whole_text("traffic_shift")).output
        assert re.search(r"AGD\d\d\d.*: .*[^.]\. [A-Z]", told), told
        assert "…" not in told


def test_what_policies_refuse_is_not_called_safe(tmp_path: Path) -> None:
    settings = tmp_path / "policies.json"
    settings.write_text('{"all": "mandatory"}')
    for form, begins in (("text", "Refused by policies (AGD"), ("markdown", "## 🔴 Refused by policies (AGD")):
        arguments = ["report", "-", "--format", form, "--policies", str(settings)]
        told = CliRunner().invoke(app, arguments, input=whole_text("traffic_shift"))
        assert (told.exit_code, told.output.startswith(begins)) == (5, True), told.output
        assert "the change itself: safe" in told.output.splitlines()[0]


def test_size_and_scale_are_told_as_cost() -> None:
    (agent,) = report("size_up").agents
    assert "more: main-default-qa_1 does not scale to zero" in agent.costs
    assert "more: main-default-qa_1 size Small → Large" in agent.costs


def test_tables_are_kept_unless_told_to_go() -> None:
    assert [each.change for each in report("tables_off").agents[0].tables] == ["turned off, rows kept"]

    def drop(found: dict[str, Any]) -> None:
        for step in found["steps"]:
            if step["op"] == "delete" and "ServingEndpoint::" in step["urn"]:
                table = {"catalogName": "main", "schemaName": "default", "tableNamePrefix": "qa"}
                step["oldState"]["inputs"]["aiGateway"] = {"inferenceTableConfig": {**table, "deleteOnDestroy": True}}

    found = report_of(read(changed("teardown", drop)))
    assert found.verdict.kinds == (DELETES, INTERRUPTS)
    assert [each.change for each in found.agents[0].tables] == ["dropped"]


def test_a_renamed_endpoint_is_a_replacement_that_says_who_answers_until_when() -> None:
    found = report("endpoint_renamed")
    assert found.agents[0].operation == "replaced"
    assert any("report answers until the new one is ready" in each.text for each in found.verdict.reasons)
    shown = markdown(found)
    assert "<b>" not in shown
    assert "http://y" not in shown


def test_the_json_has_a_versioned_schema() -> None:
    found = document(report("new_version"))
    assert found["schemaVersion"] == SCHEMA_VERSION
    assert found["verdict"]["kind"] == UNTOLD
    assert found["agents"][0]["served"][1]["after"] == 10
    assert found["findings"] == []
    assert found["agents"][0]["evaluation"] is None


def test_the_longest_report_keeps_its_verdict_and_says_what_it_left_out() -> None:
    def many(found: dict[str, Any]) -> None:
        step = next(each for each in found["steps"] if "::agent-permissions" in each["urn"])
        controls = step["newState"]["inputs"]["accessControls"]
        controls += [{"groupName": f"@group_{n}" * 9, "permissionLevel": "CAN_QUERY"} for n in range(2000)]

    shown = markdown(report_of(read(changed("permissions_widened", many))))
    assert len(shown) <= LIMIT
    assert shown.startswith("## 🟠 Widens access")
    assert "and 1982 more" in shown
    assert "Left out, to stay below 60,000 characters" in shown


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "holds no JSON"),
        ("[]", "holds no JSON"),
        ('{"resources": []}', "neither the output"),
        (text("new_version")[:900], "cut off"),
        ('{"steps": [{"operation": "create"}]}', "its schema is another"),
        ('{"steps": {}}', "no list"),
        ('{"steps": [{"op": "create", "urn": "x"}]}', "no URN"),
        ('{"preludeEvent": {}}', "it has no summary"),
        ('{"preludeEvent": {}}\n{"summaryEvent": {"isPreview": false}}', "of an update"),
    ],
)
def test_what_is_no_preview_is_refused(given: str, said: str) -> None:
    with pytest.raises(PreviewError, match=said):
        read(given)


def test_a_preview_of_another_project_or_stack_is_refused() -> None:
    for names in ({"project": "other"}, {"stack": "prod"}):
        with pytest.raises(PreviewError, match=f"not of '{next(iter(names.values()))}'"):
            read(text("new_version"), **names)


def test_a_preview_that_shows_secrets_is_refused_without_quoting_them() -> None:
    def show(found: dict[str, Any]) -> None:
        step = next(each for each in found["steps"] if "Secret::" in each["urn"])
        step["newState"]["inputs"]["value"] = "planted-secret"

    with pytest.raises(PreviewError, match="--show-secrets") as refused:
        read(changed("environment_and_secret", show))
    assert "planted-secret" not in str(refused.value)


def test_a_preview_that_failed_cannot_be_told() -> None:
    found = report_of(read(changed("new_version", lambda d: d.update(diagnostics=[{"severity": "error"}]))))
    assert found.verdict.kind == UNTOLD


@pytest.mark.parametrize(
    "path", [("traffic",), ("servedEntities",), ("servedEntities", "main-default-qa_2", "entityVersion")]
)
def test_what_decides_and_is_not_known_yet_cannot_be_told(path: tuple[str, ...]) -> None:
    def hide(found: dict[str, Any]) -> None:
        values = next(each for each in found["steps"] if "ServingEndpoint::" in each["urn"])["newState"]["inputs"]
        for part in path[:-1]:
            values = values[part]
        values[path[-1]] = UNKNOWN_STRING

    found = report_of(read(changed("new_version", hide)))
    assert found.verdict.kinds == (UNTOLD,)
    assert UNKNOWN_STRING not in markdown(found)


def test_a_database_that_goes_is_data_that_goes_unless_it_is_retained() -> None:
    urn = "urn:pulumi:test::project::databricks:index/schema:Schema::logs"
    for retained, kind in ((False, DELETES), (True, SAFE)):
        state = {"inputs": {"name": "logs"}, "retainOnDelete": retained}
        found = report_of(read(json.dumps({"steps": [{"op": "delete", "urn": urn, "oldState": state}]})))
        assert found.verdict.kind == kind


def test_drift_stands_apart_from_the_programs_own_changes() -> None:
    def drift(found: dict[str, Any]) -> None:
        step = next(each for each in found["steps"] if "ServingEndpoint::" in each["urn"])
        found["steps"].append({**step, "op": "refresh", "detailedDiff": {"tags.team": {"kind": "update"}}})

    found = report_of(read(changed("new_version", drift)))
    assert [(each.name, each.fields) for each in found.drift] == [("agent", ("tags.team",))]
    assert "refresh" not in {each.operation for each in found.resources}
    assert "Drift" in markdown(found)


def test_an_empty_preview_is_safe() -> None:
    found = report_of(read('{"steps": [], "changeSummary": {}}'))
    assert found.verdict.kind == SAFE
    assert not found.changes
    assert "Nothing changes" in markdown(found)


@pytest.mark.parametrize("form", ["text", "markdown", "json"])
def test_the_command_prints_each_form(form: str) -> None:
    done = CliRunner().invoke(app, ["report", "-", "--format", form], input=text("permissions_widened"))
    assert done.exit_code == 0
    assert "widens access" in done.output.lower()


def test_the_command_reads_event_logs_and_writes_files(tmp_path: Path) -> None:
    log, to = FOLDER / "new_version.events.json", tmp_path / "report.md"
    arguments = ["report", "--event-log", str(log), "--format", "markdown", "--output", str(to)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert to.read_text("utf-8").startswith("## ")


@pytest.mark.parametrize("arguments", [["-"], ["nowhere.json"], ["-", "--event-log", "x"]])
def test_the_command_refuses_with_exit_code_2_and_one_line(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["report", *arguments], input="no preview")
    assert done.exit_code == 2
    assert done.output.startswith("agent-deploy: ")
    assert len(done.output.splitlines()) == 1


def test_fixtures_hold_no_secret_and_no_path_of_a_machine() -> None:
    for path in FOLDER.iterdir():
        content = path.read_text("utf-8")
        assert not any(word in content for word in ("planted-secret", "/home/", "/root", "/tmp/", "sourcePosition")), (
            path
        )


@pytest.mark.parametrize(
    ("settings", "code", "ids"),
    [
        ("{}", 0, {"AGD007": "advisory"}),
        ('{"AGD007": "mandatory"}', 5, {"AGD007": "mandatory"}),
        ('{"AGD007": "disabled"}', 0, {}),
        ('{"AGD999": "mandatory"}', 2, None),
        ("[]", 2, None),
        ("{", 2, None),
    ],
)
def test_policies_judge_where_their_settings_are_given(
    tmp_path: Path, settings: str, code: int, ids: dict[str, str] | None
) -> None:
    file = tmp_path / "policies.json"
    file.write_text(settings)
    arguments = ["report", "-", "--json", "--policies", str(file)]
    done = CliRunner().invoke(app, arguments, input=whole_text("traffic_shift"))
    assert done.exit_code == code, done.output
    if ids is not None:
        found = {each["id"]: each["severity"] for each in json.loads(done.stdout)["findings"]}
        assert {id: found[id] for id in ids} == ids
        assert ("AGD007" in found) == bool(ids)


_LINES = st.sets(
    st.sampled_from([f"{p} on table main.default.{t}" for p in ("SELECT", "MODIFY") for t in "abc"]), max_size=4
)


@given(before=_LINES, after=_LINES, told=st.booleans())
def test_what_the_next_version_newly_touches_is_all_that_the_last_did_not(
    before: set[str], after: set[str], told: bool
) -> None:
    found = json.loads(text("new_version"))
    urn = "urn:pulumi:test::project::agent-deploy:index:AgentDeployment::agent"

    def state(number: str, lines: set[str]) -> dict[str, Any]:
        identity = {"version": number, "auth": "PASSTHROUGH", "access": sorted(lines)}
        return {"type": "agent-deploy:index:AgentDeployment", "inputs": {}, "outputs": {"identities": [identity]}}

    new = state("2", after) if told else {"type": "agent-deploy:index:AgentDeployment", "inputs": {}}
    found["steps"].append({"op": "update", "urn": urn, "oldState": state("1", before), "newState": new})
    (agent,) = report_of(read(json.dumps(found))).agents
    verdicts = report_of(read(json.dumps(found))).verdict.kinds
    touched = {f"{each.privilege} on {each.object}" for each in agent.touches}
    left = {f"{each.privilege} on {each.object}" for each in agent.touches_no_more}
    if told:
        assert (touched, left) == (after - before, before - after)
        assert (WIDENS in verdicts) is bool(after - before)
        assert UNTOLD not in verdicts
    else:
        assert (touched, left) == (set(), set())
        assert UNTOLD in verdicts
