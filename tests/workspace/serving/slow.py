"""A model that never finishes loading, where its environment says so: it waits for what does not answer."""

import os
import time

import mlflow
from mlflow.pyfunc import PythonModel

print("connecting to the vector store", flush=True)
if os.environ.get("HANGS"):
    time.sleep(600)


class Slow(PythonModel):
    """Says that it is awake."""

    def predict(self, context: object, model_input: list[str], params: object = None) -> list[str]:
        return ["awake"]


mlflow.models.set_model(Slow())
