"""The policy about how long inference tables are kept: it looks at a whole stack, as a job deletes their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from agent_deploy.policies.endpoints import ENDPOINT, table_is_on
from agent_deploy.policies.policy import ADVISORY, Policy, Resource, Values
from agent_deploy.rules.inference_tables import RETENTION_TASK
from agent_deploy.rules.values import Hidden

JOB: Final = "databricks:index/job:Job"
OWN_TABLE: Final = "agent-deploy:index:EndpointInferenceTable"
_OURS: Final = "agent-deploy:index:"


def _is_kept_for_ever(resources: Sequence[Resource], settings: Values) -> Iterator[tuple[Resource, str]]:
    by_urn = {resource.urn: resource for resource in resources if resource.urn}
    deleting = [_component(each, by_urn) for each in resources if each.type == JOB and _may_delete(each)]
    # A job that no component of ours declares may be about any table.
    covers_any = any(each.type == JOB for each in deleting)
    for resource in resources:
        logs = table_is_on(resource) if resource.type == ENDPOINT else resource.type == OWN_TABLE
        around = _component(resource, by_urn)
        # An endpoint alone may have its rows deleted by a component beside it.
        covered = bool(deleting) if around is resource else any(each is around for each in deleting)
        if logs and not (covered or covers_any):
            yield resource, "requests and answers are logged, and nothing ever deletes them"


def _component(resource: Resource, by_urn: Mapping[str, Resource]) -> Resource:
    """The outermost component of this package that the resource is in, or the resource itself."""
    while (parent := by_urn.get(resource.parent)) is not None and parent.type.startswith(_OURS):
        resource = parent
    return resource


def _may_delete(job: Resource) -> bool:
    tasks = job.properties.get("tasks")
    if isinstance(tasks, Hidden):
        return True  # not known yet
    given = tasks if isinstance(tasks, Sequence) else ()
    return any(isinstance(task, Hidden) or _key(task) == RETENTION_TASK for task in given)


def _key(task: object) -> object:
    return task.get("taskKey") if isinstance(task, Mapping) else None


RETENTION = Policy(
    "AGD014",
    "what people ask is not kept for ever",
    "Inference tables hold people's questions, word for word.",
    "GDPR, Article 5(1)(e): storage limitation",
    ADVISORY,
    "Set inference_tables.retention_days and its warehouse_id",
    all=_is_kept_for_ever,
)
