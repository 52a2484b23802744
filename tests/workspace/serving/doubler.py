"""A plain pyfunc model with a signature: doubles a column."""

from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel


class Doubler(PythonModel):
    """Rows in, rows out."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input["x"] * 2


mlflow.models.set_model(Doubler())
