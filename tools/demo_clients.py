"""Asks an endpoint with the databricks SDK and with MLflow's client, both as they are: ENDPOINT QUESTION."""

from __future__ import annotations

import sys

from databricks.sdk import WorkspaceClient
from mlflow.deployments import get_deploy_client


def main(endpoint: str, question: str) -> None:
    """Prints both answers."""
    message = {"role": "user", "content": question}
    client = WorkspaceClient()
    state = client.serving_endpoints.get(endpoint).state
    answer = client.api_client.do("POST", f"/serving-endpoints/{endpoint}/invocations", body={"input": [message]})
    print(f"databricks-sdk: the endpoint is {state.ready.value if state and state.ready else 'unknown'}")  # noqa: T201
    print(f"databricks-sdk: {_text(answer)}")  # noqa: T201
    answer = get_deploy_client("databricks").predict(endpoint=endpoint, inputs={"input": [message]})
    print(f"mlflow: {_text(answer)}")  # noqa: T201


def _text(answer: object) -> str:
    assert isinstance(answer, dict)
    return str(answer["output"][0]["content"][0]["text"]).splitlines()[0]


if __name__ == "__main__":
    main(*sys.argv[1:])
