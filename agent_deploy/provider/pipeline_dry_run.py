"""Whether the workspace would take a pipeline, asked by a dry run that creates nothing.

Whether there is serverless compute no other call tells reliably; the dry run answers as the creation would.
"""

from __future__ import annotations

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.look_ups import memory_of, patient
from agent_deploy.provider.resource import Context, Values


def check_pipeline(context: Context, arguments: Values) -> list[str]:
    """Why the wanted ``pipeline`` cannot be had, in the workspace's own words."""
    pipeline = arguments.get("pipeline")
    if not pipeline:
        return []
    policy = pipeline.get("policyId")
    compute = {"clusters": [{"label": "default", "policy_id": policy}]} if policy else {"serverless": True}
    body = {
        "name": "Logs of an agent (dry run)",
        "allow_duplicate_names": True,
        "catalog": pipeline["catalog"],
        "schema": pipeline["schema"],
        "dry_run": True,
        **compute,
    }
    key = ("pipeline", pipeline["catalog"], pipeline["schema"], policy)
    ask = lambda: patient(context).post("/api/2.0/pipelines", body, repeatable=True)  # noqa: E731 - asked once
    try:
        memory_of(context).once(key, ask)
    except ApiError as error:
        if error.status in (401, 403) or error.status >= 500:
            raise
        return [f"{pipeline['field']}: {_refused(str(error), policy)}"]
    return []


def _refused(words: str, policy: str | None) -> str:
    if policy:
        return f"the workspace refuses a pipeline with cluster policy {policy}: {words}"
    remedy = "Name a cluster_policy_id to run the pipeline on compute of your own, or say derive=False"
    return f"the workspace refuses a serverless pipeline: {words}. {remedy}"
