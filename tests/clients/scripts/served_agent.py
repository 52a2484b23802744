"""An agent of ChatDatabricks, logged and registered by MLflow, served with the packages that it asks for."""

import json
import os
import tempfile
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import mlflow
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.serving import EndpointCoreConfigInput, ServedEntityInput
from mlflow.models.resources import DatabricksServingEndpoint

CHAT, PACKAGE = "databricks-claude-sonnet-4", "databricks-langchain"
AGENT = f"""
import sys, uuid
from importlib.metadata import version

from databricks_langchain import ChatDatabricks
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse


class Agent(ResponsesAgent):
    def predict(self, request):
        said = ChatDatabricks(endpoint="{CHAT}").invoke(request.input[-1].content).content
        text = f"{{version('{PACKAGE}')}} in {{sys.prefix}}: {{said}}"
        return ResponsesAgentResponse(output=[self.create_text_output_item(text, str(uuid.uuid4()))])


set_model(Agent())
"""

workspace, name = WorkspaceClient(), f"served-{uuid.uuid4().hex[:8]}"
model = f"main.default.{name.replace('-', '_')}"
mlflow.set_registry_uri("databricks-uc")
mlflow.set_experiment(f"/Users/{workspace.current_user.me().user_name}/{name}")
with tempfile.TemporaryDirectory() as folder, mlflow.start_run():
    file = Path(folder) / "agent.py"
    file.write_text(AGENT)
    wanted = [
        f"{each}=={version(each)}" for each in ("mlflow", PACKAGE, "mcp")
    ]  # it takes not every release of the last
    logged = mlflow.pyfunc.log_model(
        name="agent",
        python_model=str(file),
        pip_requirements=wanted,
        resources=[DatabricksServingEndpoint(CHAT)],
        registered_model_name=model,
    )

entity = ServedEntityInput(
    name="agent",
    entity_name=model,
    entity_version=str(logged.registered_model_version),
    workload_size="Small",
    scale_to_zero_enabled=True,
)
workspace.serving_endpoints.create(name=name, config=EndpointCoreConfigInput(name=name, served_entities=[entity]))
try:
    deadline = time.monotonic() + float(os.environ.get("BUILD_SECONDS", "200"))
    while "IN_PROGRESS" in str((seen := workspace.serving_endpoints.get(name)).state.config_update):
        assert time.monotonic() < deadline, seen
        time.sleep(0.5)
    log = workspace.serving_endpoints.build_logs(name, "agent").logs
    assert seen.state.ready.value == "READY", log
    asked = {"input": [{"role": "user", "content": "What is a catalog?"}]}
    answer = workspace.api_client.do("POST", f"/serving-endpoints/{name}/invocations", body=asked)
    text = answer["output"][0]["content"][0]["text"]
    assert text.startswith(f"{version(PACKAGE)} in "), text
    assert text.endswith("What is a catalog?"), text
    print(json.dumps({"answer": text}))
finally:
    workspace.serving_endpoints.delete(name)
