"""Where a served model finds its token: the variable and the file that databricks-sdk reads in a serving container."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

CREDENTIALS_VARIABLE = "SERVING_CREDENTIALS_DIR"
TOKEN_FILE = "model-dependencies-oauth-token"
_READS_THE_VARIABLE = Version("0.156")  # of databricks-sdk; some older ones do, too


def tell_clients() -> None:
    """Before the model is loaded: MLflow and an older databricks-sdk look at a path of the container's, not here."""
    if not (folder := os.environ.get(CREDENTIALS_VARIABLE)):
        return
    from mlflow.utils import databricks_utils

    path = os.path.join(folder, TOKEN_FILE)
    databricks_utils._MODEL_DEPENDENCY_OAUTH_TOKEN_FILE_PATH = path
    try:
        if Version(version("databricks-sdk")) >= _READS_THE_VARIABLE:
            return
    except PackageNotFoundError:
        return
    from databricks.sdk import credentials_provider

    provider = getattr(credentials_provider, "ModelServingAuthProvider", None)
    if provider is not None:  # since 0.32.3
        provider._MODEL_DEPENDENCY_OAUTH_TOKEN_FILE_PATH = path
