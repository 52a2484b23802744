"""A model that cannot be loaded."""

import os

import mlflow
from mlflow.pyfunc import PythonModel

print("loading with", os.environ.get("API_KEY", "no key"))
if os.environ.get("IS_IN_DB_MODEL_SERVING_ENV"):
    raise ValueError("this model is broken on purpose, key " + os.environ.get("API_KEY", "none"))


class Broken(PythonModel):
    """Never served."""

    def predict(self, context: object, model_input: list[str], params: object = None) -> list[str]:
        return model_input


mlflow.models.set_model(Broken())
