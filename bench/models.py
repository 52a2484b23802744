"""The model that benchmarks serve: a ResponsesAgent that answers at once, so that what is measured is the way to it."""

from __future__ import annotations

from pathlib import Path

_AGENT = '''
"""Answers every question with itself."""
import mlflow
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentResponse


class Echo(ResponsesAgent):
    def predict(self, request):
        text = str(request.input[-1].content)
        item = self.create_text_output_item(text=text, id="answer")
        return ResponsesAgentResponse(output=[item])


mlflow.models.set_model(Echo())
'''

REQUEST = {"input": [{"role": "user", "content": "How fast is it?"}]}


def save(folder: Path) -> Path:
    """The model as MLflow saves it, below ``folder``."""
    import mlflow

    code = folder / "echo_agent.py"
    code.write_text(_AGENT)
    mlflow.pyfunc.save_model(path=str(folder / "model"), python_model=str(code), pip_requirements=["mlflow"])
    return folder / "model"


def register(name: str, folder: Path, environment: dict[str, str]) -> str:
    """Logs and registers it in the workspace that ``environment`` names; returns the version."""
    import os
    import subprocess
    import sys

    code = folder / "echo_agent.py"
    code.write_text(_AGENT)
    program = (
        "import sys, mlflow\n"
        "mlflow.set_experiment('/Users/admin@local/bench')\n"
        "info = mlflow.pyfunc.log_model(name='echo', python_model=sys.argv[1], registered_model_name=sys.argv[2],"
        " pip_requirements=['mlflow'])\n"
        "print('version', info.registered_model_version)\n"
    )
    command = [sys.executable, "-c", program, str(code), name]
    result = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return result.stdout.rsplit("version ", 1)[1].split()[0]
