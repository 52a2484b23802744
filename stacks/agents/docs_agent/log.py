"""Logs the agent with MLflow and registers it as the next version: ``python -m stacks.agents.docs_agent.log MODEL``."""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import mlflow
from mlflow.models.resources import DatabricksTable, Resource

from stacks.agents.registered_name import check_registered_name

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
EXPERIMENT = "/Shared/docs_agent"
QUESTION = {"input": [{"role": "user", "content": "What is a local workspace?"}]}


def log_version(model_name: str, alias: str = "", resources: list[Resource] | None = None) -> str:
    """Log and register; returns the version. Traces and runs go to the active experiment, else to EXPERIMENT."""
    if not any(os.environ.get(name) for name in ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_ID")):
        mlflow.set_experiment(EXPERIMENT)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run(run_name=model_name.rpartition(".")[2]):
        info = mlflow.pyfunc.log_model(
            name="agent",
            python_model=str(HERE / "agent.py"),
            artifacts={"docs": str(_documentation(Path(folder)))},
            code_paths=[str(_code(Path(folder)))],
            # Given, not inferred: inferring runs the agent once more in a process of its own.
            pip_requirements=[f"mlflow=={mlflow.__version__}"],
            input_example=QUESTION,
            resources=resources if resources is not None else declared_resources(model_name),
            registered_model_name=model_name,
        )
    version = str(info.registered_model_version)
    if alias:
        mlflow.MlflowClient().set_registered_model_alias(model_name, alias, version)
    return version


def declared_resources(model_name: str) -> list[Resource]:
    """What the agent may touch under its own identity: the table of curated questions beside the model, if any.

    A resource that does not exist cannot be granted: declaring it would stop every deployment of the version.
    """
    from databricks.sdk import WorkspaceClient  # here, since it takes a second to import

    table = f"{model_name.rpartition('.')[0]}.docs_questions"
    return [DatabricksTable(table_name=table)] if WorkspaceClient().tables.exists(table).table_exists else []


def _documentation(folder: Path) -> Path:
    """README.md and docs/, as they lie in the repository, without anything else."""
    target = folder / "docs"
    for file in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))):
        copy = target / file.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    return target


def _code(folder: Path) -> Path:
    """The modules that agent.py imports, under the names by which it imports them."""
    target = folder / "stacks" / "agents" / "docs_agent"
    target.mkdir(parents=True)
    shutil.copyfile(HERE / "search.py", target / "search.py")
    return folder / "stacks"


def main() -> None:
    """Registers one version and says which."""
    parser = argparse.ArgumentParser(prog="python -m stacks.agents.docs_agent.log", description=__doc__)
    parser.add_argument("model_name", metavar="MODEL", help="catalog.schema.model")
    parser.add_argument("--alias", default="", help="alias to point to the new version")
    options = parser.parse_args()
    check_registered_name(options.model_name)
    # An advertisement of MLflow's for another place to keep traces.
    os.environ.setdefault("_MLFLOW_ENABLE_UC_TRACE_UPSELL", "false")
    print(f"{options.model_name} version {log_version(options.model_name, options.alias)}")  # noqa: T201


if __name__ == "__main__":
    main()
