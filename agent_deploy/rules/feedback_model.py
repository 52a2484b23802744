"""The feedback model of a schema: its name, the files of a version, how one is told from another model. No I/O.

Source: observation of databricks-agents 1.13, which logs the same signature and serves it under the same name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agent_deploy.rules.feedback import COLUMNS
from agent_deploy.rules.groups import ACCOUNT_USERS
from agent_deploy.rules.names import split_model_name

MODEL = "feedback"
# Who may use it: everybody in the account, as databricks.agents.deploy() grants.
EXECUTED_BY = ACCOUNT_USERS
# Tags of the registered model: whose run made it, and, with a suffix for each, who uses it.
MADE_BY_TAG = "agent_deploy_made_by"
USED_BY_TAG = "agent_deploy_used_by_"

_REQUIREMENT = "mlflow"
_BUILD = "pip"


def full_name(catalog: str, schema: str) -> str:
    """``main``, ``default`` → ``main.default.feedback``."""
    return f"{catalog}.{schema}.{MODEL}"


def beside(model_name: str) -> str:
    """The feedback model of an agent's schema."""
    catalog, schema, _ = split_model_name(model_name)
    return full_name(catalog, schema)


def files(code: str, python_version: str, uuid: str, created: str) -> dict[str, str]:
    """Path → content of a version's files; ``code`` is the text of rules/feedback.py, ``created`` a UTC timestamp."""
    return {
        "code/feedback.py": code,
        "requirements.txt": f"{_REQUIREMENT}\n",
        "python_env.yaml": (
            f"python: {python_version}\nbuild_dependencies:\n- {_BUILD}\ndependencies:\n- -r requirements.txt\n"
        ),
        "conda.yaml": (
            f"channels:\n- conda-forge\ndependencies:\n- python={python_version}\n- {_BUILD}\n"
            f"- pip:\n  - {_REQUIREMENT}\nname: mlflow-env\n"
        ),
        # Last, as a version with an MLmodel file is complete.
        "MLmodel": _mlmodel(python_version, uuid, created),
    }


def is_feedback_model(mlmodel: object) -> bool:
    """Whether a parsed MLmodel file is that of a feedback model, ours or deploy()'s: by the columns that it takes."""
    signature = mlmodel.get("signature") if isinstance(mlmodel, Mapping) else None
    inputs = signature.get("inputs") if isinstance(signature, Mapping) else None
    try:
        columns = json.loads(inputs) if isinstance(inputs, str) else None
    except ValueError:
        return False
    if not isinstance(columns, list):
        return False
    return {column.get("name") for column in columns if isinstance(column, Mapping)} == set(COLUMNS)


def _mlmodel(python_version: str, uuid: str, created: str) -> str:
    document = {
        "flavors": {
            "python_function": {
                "code": "code",
                "env": {"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
                "loader_module": MODEL,
                "python_version": python_version,
            }
        },
        "model_uuid": uuid,
        "signature": {
            "inputs": json.dumps([_column(name) for name in COLUMNS]),
            "outputs": json.dumps([_column("result")]),
            "params": None,
        },
        "utc_time_created": created,
    }
    # JSON is YAML.
    return json.dumps(document, indent=1) + "\n"


def _column(name: str) -> dict[str, Any]:
    return {"type": "string", "name": name, "required": True}
