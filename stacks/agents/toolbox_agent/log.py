"""Logs the toolbox agent with its own objects: ``python -m stacks.agents.toolbox_agent.log MODEL table=… …``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import databricks.sdk.version
import mlflow
from mlflow.models import resources as kinds
from mlflow.models.resources import Resource

from stacks.agents.registered_name import check_registered_name

HERE = Path(__file__).resolve().parent
EXPERIMENT = "/Shared/toolbox_agent"
# Kind of resource → MLflow's class for it.
CLASSES: Mapping[str, Callable[[str], Resource]] = {
    "sql_warehouse": kinds.DatabricksSQLWarehouse,
    "table": kinds.DatabricksTable,
    "function": kinds.DatabricksFunction,
    "vector_search_index": kinds.DatabricksVectorSearchIndex,
    "serving_endpoint": kinds.DatabricksServingEndpoint,
    "genie_space": kinds.DatabricksGenieSpace,
}


def log_version(model_name: str, own: Mapping[str, str]) -> str:
    """Log and register a version that declares its ``own`` objects, by kind; returns the version."""
    if not any(os.environ.get(name) for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID")):
        mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=model_name.rpartition(".")[2]):
        info = mlflow.pyfunc.log_model(
            name="agent",
            python_model=str(HERE / "agent.py"),
            model_config=dict(own),
            # Given, not inferred: inferring runs the agent once more in a process of its own.
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"databricks-sdk=={databricks.sdk.version.__version__}"],
            input_example={"input": [{"role": "user", "content": "What have you got?"}]},
            resources=[CLASSES[kind](name) for kind, name in own.items()],
            registered_model_name=model_name,
        )
    return str(info.registered_model_version)


def main() -> None:
    """Registers one version and says which."""
    parser = argparse.ArgumentParser(prog="python -m stacks.agents.toolbox_agent.log", description=__doc__)
    parser.add_argument("model_name", metavar="MODEL", help="catalog.schema.model")
    parser.add_argument("own", metavar="KIND=NAME", nargs="+", help=f"kinds: {', '.join(CLASSES)}")
    options = parser.parse_args()
    own = dict(given.partition("=")[::2] for given in options.own)
    if unknown := sorted(set(own) - set(CLASSES)):
        parser.error(f"unknown kinds {', '.join(unknown)}: expected {', '.join(CLASSES)}")
    check_registered_name(options.model_name)
    print(f"{options.model_name} version {log_version(options.model_name, own)}")  # noqa: T201


if __name__ == "__main__":
    main()
