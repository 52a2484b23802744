"""`agent-deploy check` finds what the preview of an AgentDeployment finds, and nothing else, in whatever workspace."""

from __future__ import annotations

from typing import Any

import httpx
import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_deploy.cli.check import examine
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.verification.verify_deployment import verify_deployments
from tests.components.mocked import MODEL, Workspace, deploy, in_use
from tests.provider.permission_double import ANN, CATALOG, SCIM, Double

pytestmark = pytest.mark.long

FILES = "/api/2.0/fs/files/Models/main/default/qa/1/MLmodel"
# Securable → the privileges that a deployment may need there.
SECURABLES = {
    "catalog/main": ("USE_CATALOG", "MANAGE"),
    "schema/main.default": ("USE_SCHEMA", "CREATE_TABLE", "CREATE_MODEL", "MANAGE"),
    f"function/{MODEL}": ("EXECUTE",),
    "table/main.default.docs": ("SELECT", "MANAGE"),
}
DECLARED = (
    "{}",
    "resources: {api_version: '1', databricks: {table: [{name: main.default.docs}]}}",
    "resources: {api_version: '1', databricks: {table: [{name: docs}], teapot: [{name: x}]}}",
    "resources: {api_version: '1', databricks: {app: [{name: my-app}], genie_space: [{name: 01ef}]}}",
    "resources: {api_version: '1', databricks: {lakebase: [{name: db}], sql_warehouse: [{name: abc}]}}",
)
STATUSES = st.sampled_from([404, 403, 403, 501])


class Answered(Workspace):
    """Mocks whose verification is the provider's own."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.answers: list[dict[str, Any]] = []

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        answer = verify_deployments(self._context, args.args)
        self.answers += answer["deployments"]
        return answer, []


@st.composite
def workspaces(draw: st.DrawFn) -> Double:
    """Grants to the caller, his group or everybody, owners, and objects that are missing or may not be seen."""
    double = Double(groups=draw(st.sampled_from([("team",), ("team", "admins")])))
    version = {"version": 1, "status": draw(st.sampled_from(["READY", "READY", "PENDING"])), "run_id": "r"}
    text = draw(st.sampled_from(DECLARED))
    double.answers |= {
        f"{CATALOG}/models/{MODEL}/versions": {"model_versions": [{"version": 1}]},
        f"{CATALOG}/models/{MODEL}/versions/1": version,
        "/api/2.0/mlflow/runs/get": {"run": {"info": {"experiment_id": "77"}}},
        f"{SCIM}/Groups": {"Resources": [{"displayName": "team", "entitlements": [{"value": "workspace-access"}]}]},
        "/api/2.0/genie/spaces/01ef": {"space_id": "01ef"},
        FILES: lambda _: httpx.Response(200, text=text),
    }
    for securable, privileges in SECURABLES.items():
        who = st.sampled_from([ANN, "team", "account users", "others"])
        held = draw(st.dictionaries(who, st.sets(st.sampled_from([*privileges, "ALL_PRIVILEGES"]), min_size=1)))
        owner = draw(st.sampled_from(["", "others", "team", ANN]))
        double.grant(securable, owner, **{name: " ".join(sorted(each)) for name, each in held.items()})
    for path in ("sql/warehouses/abc", "apps/my-app", "genie/01ef", "database-instances/db", "experiments/77"):
        level = draw(st.sampled_from(["CAN_USE", "CAN_RUN", "CAN_MANAGE", "CAN_VIEW"]))
        if draw(st.booleans()):
            double.acl(path, ("group", draw(st.sampled_from(["team", "others"])), level))
    for path in draw(st.sets(st.sampled_from(sorted(each for each in double.answers if not each.endswith("/Me"))))):
        double.answers[path] = draw(STATUSES)
    return double


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(workspaces(), st.booleans(), st.sampled_from(["", "e"]), st.sampled_from(["1", "2", "champion"]))
def test_check_and_preview_agree_on_every_finding(
    double: Double, service_principal: bool, endpoint: str, version: str
) -> None:
    checked = examine(double.context, MODEL, version, endpoint=endpoint, service_principal=service_principal)
    mocks = in_use(Answered(double.context), preview=True)
    args: dict[str, Any] = {"versions": [{"version" if version.isdecimal() else "alias": version}]}
    args |= {"endpoint_name": endpoint} if endpoint else {}
    args |= {"auth": "SERVICE_PRINCIPAL"} if service_principal else {}
    told: list[str] = []
    try:
        deploy(args)
    except pulumi.RunError as error:
        told = [line.removeprefix("  - ") for line in str(error).splitlines()[1:]]
    sentences = {
        kind: [f"{each['object']}: {each['reason']}. {each['remedy']} [{each['id']}]" for each in checked[kind]]
        for kind in ("failures", "unverified")
    }
    assert told == list(dict.fromkeys([*checked["problems"], *sentences["failures"]]))
    [answer] = mocks.answers
    assert answer["unverified"] == sentences["unverified"]
    assert all(line.endswith("]") and " [AGV" in line for line in told)
