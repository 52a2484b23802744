"""A user's unit test of a program with a component works as Pulumi's guide shows it, with mocks of any kind."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest

from agent_deploy import AgentDeployment, AgentServicePrincipal, FeedbackModel, InferenceTables, testing
from agent_deploy.components.errors import DeploymentError

pytestmark = pytest.mark.processes

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
SECRET = {"KEY": "hush"}
READERS = {"readers": ["auditors"], "retention_days": 30, "warehouse_id": "w"}


class Guide(pulumi.runtime.Mocks):
    """The mocks of Pulumi's guide."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        return f"{args.name}_id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        return {}


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("mocks", [Guide, testing.Mocks])
@pytest.mark.parametrize(
    ("component", "args"),
    [
        (AgentDeployment, {"model_name": "main.default.qa", "versions": [{"alias": "champion"}, {"version": "1"}]}),
        (AgentDeployment, {"model_name": "main.default.qa", "model_version": "1", "auth": "SERVICE_PRINCIPAL"}),
        (FeedbackModel, {"catalog": "main", "schema": "default"}),
        (InferenceTables, {"endpoint_name": "docs", **READERS}),
        (InferenceTables, {"endpoint_name": "docs", "payload_table": "main.default.qa_payload"}),
        (
            AgentServicePrincipal,
            {"display_name": "docs", "resources": [{"kind": "table", "name": "main.default.docs"}]},
        ),
    ],
)
def test_every_component_can_be_declared(component: Any, args: dict[str, Any], mocks: Any, preview: bool) -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(mocks(), preview=preview)
    more: dict[str, Any] = {}
    if component is AgentDeployment:
        more = {"inference_tables": READERS, "permissions": [{"group_name": "users", "level": "CAN_QUERY"}]}
        more |= {"traffic": {"champion": 90, "1": 10}} if len(args.get("versions", ())) > 1 else {}

    @pulumi.runtime.test
    def program() -> None:
        environment = {"environment": {"KEY": pulumi.Output.secret("hush")}} if component is AgentDeployment else {}
        component("it", **args, **more, **environment)

    program()


def test_what_a_verification_finds_ends_the_program() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    pulumi.runtime.set_mocks(testing.Mocks(problems=["versions[0]: there is no such version"]))

    @pulumi.runtime.test
    def program() -> None:
        AgentDeployment("it", model_name="main.default.qa", model_version="1")

    with pytest.raises(DeploymentError, match="there is no such version"):
        program()


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    _, example = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "test_program.py").write_text(example)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_program.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout
    (tmp_path / "test_program.py").write_text(example.replace("is True", "is False"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 1
