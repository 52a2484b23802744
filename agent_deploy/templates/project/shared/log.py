"""Logs the agent and registers it as the next version: `python log.py`. Its alias is what the stacks deploy."""

import os
import sys

import mlflow

MODEL = sys.argv[1] if len(sys.argv) > 1 else "main.default.${PROJECT}"
ALIAS = "candidate"

os.environ.setdefault("MLFLOW_TRACKING_URI", "databricks")
os.environ.setdefault("MLFLOW_REGISTRY_URI", "databricks-uc")
mlflow.set_experiment("/Shared/${PROJECT}")
with mlflow.start_run():
    logged = mlflow.pyfunc.log_model(
        name="agent",
        python_model="agent.py",
        input_example={"input": [{"role": "user", "content": "Where is my invoice?"}]},
        pip_requirements=[f"mlflow=={mlflow.__version__}"],
        resources=[],  # what the agent may touch under its own identity, such as DatabricksTable(…)
        registered_model_name=MODEL,
    )
version = str(logged.registered_model_version)
mlflow.MlflowClient().set_registered_model_alias(MODEL, ALIAS, version)
print(f"{MODEL}, version {version}, is {ALIAS} now")
