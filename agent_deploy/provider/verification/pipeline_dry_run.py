"""Whether the workspace would take a pipeline, asked by a dry run that creates nothing.

Whether there is serverless compute no other call tells reliably; the dry run answers as the creation would.
"""

from __future__ import annotations

from agent_deploy.client.errors import ApiError
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.look_ups import memory_of
from agent_deploy.provider.workspace.permission_facts import UnknownPrincipal, facts_of
from agent_deploy.rules import findings
from agent_deploy.rules.findings import Finding
from agent_deploy.rules.inference_tables import kind_of_runner
from agent_deploy.rules.unity_catalog import Securable
from agent_deploy.rules.verifiable import WantedDeployment

# Kind of principal → how the API names it.
_WIRE = {"user": "user_name", "service_principal": "service_principal_name"}


def check_pipeline(context: Context, asked: WantedDeployment) -> list[Finding]:
    """Why the wanted pipeline cannot be had, in the workspace's own words."""
    pipeline = asked.pipeline
    if not pipeline:
        return []
    policy, runner = pipeline.policy_id, _known(context, pipeline.run_as)
    compute = {"clusters": [{"label": "default", "policy_id": policy}]} if policy else {"serverless": True}
    body = {
        "name": "Logs of an agent (dry run)",
        "allow_duplicate_names": True,
        "catalog": pipeline.catalog,
        "schema": pipeline.schema,
        "dry_run": True,
        **compute,
        **({"run_as": {_WIRE[kind_of_runner(runner)]: runner}} if runner else {}),
    }
    key = ("pipeline", pipeline.catalog, pipeline.schema, policy, runner)
    ask = lambda: looked_up(context).post("/api/2.0/pipelines", body, repeatable=True)  # noqa: E731 - asked once
    try:
        memory_of(context).once(key, ask)
    except ApiError as error:
        if error.status == 403 and runner:
            return [findings.RUN_AS.found(f"{pipeline.run_as_field}: {_not_to_be_used(str(error), runner)}")]
        if error.status in (401, 403) or error.status >= 500:
            raise
        schema = Securable.of("schema", f"{pipeline.catalog}.{pipeline.schema}")
        return [findings.PIPELINE.found(f"{pipeline.field}: {_refused(str(error), policy)}", schema)]
    return []


def _known(context: Context, runner: str | None) -> str | None:
    """None as well for one that the workspace does not know, which is told of its name."""
    try:
        return facts_of(context).principal(runner).name if runner else None
    except UnknownPrincipal:
        return None


def _not_to_be_used(words: str, runner: str) -> str:
    remedy = "Have an administrator of the account make you a user of that service principal, or leave run_as out"
    return f"the workspace refuses a pipeline that runs as {runner}: {words}. {remedy}"


def _refused(words: str, policy: str | None) -> str:
    if policy:
        return f"the workspace refuses a pipeline with cluster policy {policy}: {words}"
    remedy = "Name a cluster_policy_id to run the pipeline on compute of your own, or say derive=False"
    return f"the workspace refuses a serverless pipeline: {words}. {remedy}"
