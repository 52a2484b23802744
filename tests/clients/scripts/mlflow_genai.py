# requires: mlflow>=3.12
"""MLflow 3 as an agent's author uses it: prompts, registered scorers, traces found by their spans."""

import json
import os
import uuid
from typing import Any

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.genai.scorers import get_scorer, list_scorers, scorer

os.environ.setdefault("MLFLOW_ENABLE_ASYNC_TRACE_LOGGING", "false")
mlflow.set_tracking_uri("databricks")
mlflow.set_registry_uri("databricks-uc")
unique = uuid.uuid4().hex[:8]
mlflow.set_experiment(f"/Shared/genai-{unique}")
result: dict[str, Any] = {"mlflow": mlflow.__version__}

# Prompts.
prompt = f"main.default.prompt_{unique}"
mlflow.genai.register_prompt(name=prompt, template="Hello {{name}}", tags={"team": "support"})
mlflow.genai.register_prompt(name=prompt, template=[{"role": "user", "content": "Hi {{name}}"}], commit_message="chat")
mlflow.genai.set_prompt_alias(prompt, alias="production", version=1)
loaded = mlflow.genai.load_prompt(f"prompts:/{prompt}@production")
assert loaded.format(name="whale") == "Hello whale", loaded
assert loaded.version == 1
assert mlflow.genai.load_prompt(prompt, version=2).format(name="x") == [{"role": "user", "content": "Hi x"}]
found = mlflow.genai.search_prompts(filter_string="catalog = 'main' AND schema = 'default'")
assert prompt in [each.name for each in found], found
client = mlflow.MlflowClient()
client.set_prompt_version_tag(prompt, 1, "checked", "yes")
assert client.get_prompt_version(prompt, 1).tags["checked"] == "yes"
assert sorted(int(each.version) for each in client.search_prompt_versions(prompt)) == [1, 2]
mlflow.genai.delete_prompt_alias(prompt, alias="production")
for version in (1, 2):
    client.delete_prompt_version(prompt, str(version))
client.delete_prompt(prompt)
assert mlflow.genai.load_prompt(prompt, version=1, allow_missing=True) is None
result["prompts"] = "ok"


# Scorers.
@scorer
def length(outputs: Any) -> int:
    """How long an answer is."""
    return len(str(outputs))


try:
    length.register(name=f"length_{unique}")
except ImportError:
    # Before 3.17 this part of MLflow was in a package that is not public.
    if tuple(map(int, mlflow.__version__.split(".")[:2])) >= (3, 17):
        raise
    result["scorers"] = "not in this MLflow"
else:
    [listed] = list_scorers()
    assert listed.name == f"length_{unique}"
    assert get_scorer(name=f"length_{unique}")(outputs="four") == 4
    result["scorers"] = "ok"


# Traces.
@mlflow.trace
def answer(question: str) -> str:
    """Two spans."""
    with mlflow.start_span("inner", span_type="RETRIEVER") as span:
        span.set_inputs({"question": question})
    return f"answer {question}"


answer("whales")
mlflow.flush_trace_async_logging()
counts: dict[str, Any] = {}
for text in (
    "",
    "span.name = 'inner'",
    "span.name = 'other'",
    "span.type = 'RETRIEVER'",
    "span.type = 'LLM'",
    "trace.text LIKE '%whales%'",
    "trace.text LIKE '%dolphins%'",
    "trace.name = 'answer'",
    "span.content LIKE '%inner%' AND trace.status = 'OK'",
):
    counts[text] = len(mlflow.search_traces(filter_string=text or None, return_type="list"))
assert list(counts.values()) == [1, 1, 0, 1, 0, 1, 0, 1, 1], counts
for wrong in ("span.colour = 'blue'", "whatever = 1", "name = 'answer'"):
    try:
        counts[wrong] = len(mlflow.search_traces(filter_string=wrong, return_type="list"))
    except MlflowException as error:
        counts[wrong] = error.error_code
result["searches"] = counts
[trace] = mlflow.search_traces(return_type="list")
assert sorted(span.name for span in mlflow.get_trace(trace.info.trace_id).data.spans) == ["answer", "inner"]
try:
    mlflow.genai.datasets.search_datasets(experiment_ids=trace.info.experiment_id)
except MlflowException as error:
    result["datasets"] = error.error_code
assert result["datasets"] == "ENDPOINT_NOT_FOUND"
print(json.dumps(result))
