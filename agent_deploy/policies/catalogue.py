"""All policies, in the order of their ids; an id that is no longer judged is not given again."""

from __future__ import annotations

from collections.abc import Mapping

from agent_deploy.policies import access, endpoints, tables
from agent_deploy.policies.policy import Policy

PACK = "agent-deploy"

POLICIES: tuple[Policy, ...] = (
    endpoints.SCALES_TO_ZERO,
    endpoints.NOT_LOGGED,
    endpoints.PLAIN_CREDENTIAL,
    access.ALL_OF_THEM,
    access.FOR_ALL,
    endpoints.TAGS,
    endpoints.BUDGET,
    endpoints.ALL_AT_ONCE,
    access.LISTED,
    endpoints.SIZES,
    access.ROTATION,
    access.PUBLIC,
    endpoints.DESCRIBED,
    tables.RETENTION,
)
BY_ID: Mapping[str, Policy] = {policy.id: policy for policy in POLICIES}
