"""DSPy on a foundation model, by its own connection to Databricks."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would look for prices on the network
import dspy

host = os.environ["DATABRICKS_HOST"]
model = dspy.LM(
    "databricks/databricks-claude-sonnet-4",
    api_base=f"{host}/serving-endpoints",
    api_key=os.environ["DATABRICKS_TOKEN"],
)
said = model("What is a catalog?")
assert said[0].endswith("What is a catalog?"), said
print(json.dumps({"answer": said}))
