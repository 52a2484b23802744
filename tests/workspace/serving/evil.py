"""A model that runs what it is sent, and answers with what that printed or raised."""

import contextlib
import io

import mlflow
from mlflow.pyfunc import PythonModel


class Evil(PythonModel):
    """Its input is code."""

    def predict(self, context: object, model_input: list[str], params: object = None) -> list[str]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            try:
                exec(model_input[0], {"print": print})
            except Exception as error:  # noqa: BLE001 - whatever it is, is the answer
                print(f"raised {type(error).__name__}: {error}")
        return [printed.getvalue()]


mlflow.models.set_model(Evil())
