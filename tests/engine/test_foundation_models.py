"""An agent that declares a foundation model and a function of `system.ai`: what it may ask in both modes, what not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from agent_deploy.cli.app import app
from agent_deploy.client.errors import ApiError
from tests.engine.serving import PATH, Site
from tests.engine.support import RUN_SECONDS, Stack, both_plugins, clean_environment
from tests.engine.test_agent_deployment import PROGRAM, nothing_to_do

MODEL, SIBLING = "main.default.clerk", "sibling"
DECLARED, UNDECLARED = "databricks-claude-sonnet-4", "databricks-gpt-5"
FUNCTION = "system.ai.python_exec"
_LOG = """
import pathlib, sys, tempfile
import databricks.sdk.version, mlflow
from mlflow.models.resources import DatabricksFunction, DatabricksServingEndpoint
folder = tempfile.TemporaryDirectory()
code = pathlib.Path(folder.name) / "agent.py"
code.write_text('''
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse
class Clerk(ResponsesAgent):
    def predict(self, request):
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.errors import PermissionDenied
        from databricks.sdk.service.serving import ChatMessage, ChatMessageRole
        endpoint = request.input[-1].content
        try:
            hello = [ChatMessage(content="hello", role=ChatMessageRole.USER)]
            said = WorkspaceClient().serving_endpoints.query(endpoint, messages=hello).choices[0].message.content
        except PermissionDenied as error:
            said = f"refused: {error}"
        return ResponsesAgentResponse(output=[self.create_text_output_item(said, "msg_1")])
set_model(Clerk())
''')
mlflow.set_experiment("/Shared/clerk")
with mlflow.start_run():
    mlflow.pyfunc.log_model(
        name="clerk", python_model=str(code), registered_model_name=sys.argv[1],
        pip_requirements=[f"mlflow=={mlflow.__version__}", f"databricks-sdk=={databricks.sdk.version.__version__}"],
        input_example={"input": [{"role": "user", "content": sys.argv[2]}]},
        resources=[DatabricksServingEndpoint(sys.argv[2]), DatabricksFunction(sys.argv[3])],
    )
"""


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Site:
    """A workspace with the agent, and an endpoint of somebody else that it does not declare."""
    found = Site(local_workspace_factory())
    done = subprocess.run(
        [sys.executable, "-c", _LOG, MODEL, DECLARED, FUNCTION], env={**clean_environment(), **found.environment},
        text=True, capture_output=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found.workspace.post(PATH, {"name": SIBLING})
    return found


def said(site: Site, endpoint: str, asked: str) -> str:
    """What the agent got from the endpoint that it was told to ask."""
    answer = site.workspace.post(
        f"/serving-endpoints/{endpoint}/invocations", {"input": [{"role": "user", "content": asked}]}
    )
    return str(answer["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("auth", ["PASSTHROUGH", "SERVICE_PRINCIPAL"])
def test_an_agent_asks_its_foundation_model(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path, auth: str
) -> None:
    endpoint = f"clerk-{auth.lower().replace('_', '-')}"
    tables = {"prefix": endpoint.replace("-", "_"), "derive": False}
    args: dict[str, Any] = {"model_name": MODEL, "model_version": "1", "endpoint_name": endpoint, "auth": auth}
    args |= {"inference_tables": tables, "feedback_model": False}
    stack = open_stack(
        PROGRAM.replace("ARGS", repr(json.dumps(args))),
        environment=site.environment,
        plugins=both_plugins(tmp_path / "plugins"),
    )
    stack.preview()
    stack.up()
    nothing_to_do(stack)
    assert said(site, endpoint, DECLARED) == f"[stand-in for {DECLARED}] hello"
    assert re.match(f"refused: .*CAN_QUERY.*{SIBLING}", said(site, endpoint, SIBLING))
    # A principal of the workspace is one of its users, who may all ask; a version's own identity has to declare it.
    other = said(site, endpoint, UNDECLARED)
    assert other.startswith("refused: " if auth == "PASSTHROUGH" else "[stand-in"), other
    # Nobody is given what everybody has; the version's own identity is in no listing.
    grants = site.workspace.get(f"/api/2.1/unity-catalog/permissions/function/{FUNCTION}").get("privilege_assignments")
    assert not grants
    stack.destroy()
    assert site.workspace.get(f"{PATH}/{DECLARED}")["state"]["ready"] == "READY"


def test_check_passes_and_nobody_changes_the_endpoint(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    passed = CliRunner().invoke(app, ["check", MODEL, "1"])
    assert passed.exit_code == 0, passed.output
    for change in (site.workspace.delete, lambda path: site.workspace.put(f"{path}/tags", {})):
        with pytest.raises(ApiError):
            change(f"{PATH}/{DECLARED}")
