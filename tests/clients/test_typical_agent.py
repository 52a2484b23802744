"""The typical agent with the vendor's clients, unmodified: logged in their environment, deployed by AgentDeployment,
asked and streamed in both modes; what it does not declare is refused to it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from tests.clients.environments import PINS, python_of, variables_of
from tests.engine.conftest import open_stack
from tests.engine.serving import PATH, Site
from tests.engine.support import Stack, both_plugins
from tests.engine.test_agent_deployment import PROGRAM, nothing_to_do
from tests.workspace.conftest import Caller

__all__ = ["open_stack"]
pytestmark = [pytest.mark.processes, pytest.mark.long]
MODEL = "main.default.typical_clerk"
HERE = Path(__file__).parent
_SECONDS = 240


@pytest.fixture(scope="module")
def site(local_workspace: LocalWorkspace) -> Site:
    """The workspace, with an endpoint of somebody else that the agent does not declare."""
    found = Site(local_workspace)
    found.workspace.post(PATH, {"name": "sibling"})
    return found


@pytest.fixture(scope="module")
def variables(
    local_workspace: LocalWorkspace, warehouse_id: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The agent is logged; what its deployment sets."""
    folder = tmp_path_factory.mktemp("clerk")
    done = subprocess.run(
        [python_of("newest"), HERE / "typical" / "log.py", MODEL, PINS / "newest.txt"],
        cwd=folder,
        env={
            **variables_of(local_workspace, folder, warehouse_id),
            "MLFLOW_REGISTRY_URI": "databricks-uc",
            "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",  # its environment has no pip
        },
        text=True, capture_output=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(said[-1]))


@pytest.mark.parametrize("auth", ["PASSTHROUGH", "SERVICE_PRINCIPAL"])
def test_it_is_deployed_asked_and_streamed(
    site: Site,
    admin: Caller,
    variables: dict[str, str],
    open_stack: Callable[..., Stack],
    tmp_path: Path,
    auth: str,
) -> None:
    endpoint = f"typical-{auth.lower().replace('_', '-')}"
    args: dict[str, Any] = {
        "model_name": MODEL,
        "model_version": "1",
        "endpoint_name": endpoint,
        "auth": auth,
        "environment": variables,
        "inference_tables": {"prefix": endpoint.replace("-", "_"), "derive": False},
        "feedback_model": False,
    }
    stack = open_stack(
        PROGRAM.replace("ARGS", repr(json.dumps(args))),
        environment=site.environment,
        plugins=both_plugins(tmp_path / "plugins"),
    )
    stack.up()
    nothing_to_do(stack)

    def asked(text: str, **more: Any) -> httpx.Response:
        body = {"input": [{"role": "user", "content": text}], **more}
        answer = admin.http.post(f"/serving-endpoints/{endpoint}/invocations", json=body, timeout=120)
        assert answer.status_code == 200, answer.text
        return answer

    def said(text: str) -> str:
        return str(asked(text).json()["output"][0]["content"][0]["text"])

    assert "The library opens at nine" in said("search_docs for when the library opens")
    assert said("price_of the book").endswith("book costs 3 euros")
    pieces = [line for line in asked("price_of the book", stream=True).text.splitlines() if "output_text.delta" in line]
    assert len(pieces) > 3
    assert "CAN_QUERY" in said("ask the sibling")
    # On behalf of who asks, whichever identity it has of its own.
    assert said("who am I") == admin.name
    stack.destroy()
