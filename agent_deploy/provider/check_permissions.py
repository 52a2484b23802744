"""The function checkPermissions: whether the deployer may use what agents declare, and do what a deployment takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.provider.permission_facts import UnknownPrincipal, facts_of
from agent_deploy.provider.resource import Context, Values
from agent_deploy.rules.declared_resources import from_program
from agent_deploy.rules.resources import Access, Target
from agent_deploy.rules.verification import Need, Requirements, needs, open_to_all, verdict


def check_permissions(context: Context, arguments: Values) -> Values:
    """See the schema. Mistakes of the user and an unreachable workspace are told in ``problem``."""
    result: Values = {
        "principal": "", "failures": [], "unverified": [], "openToAll": [], "checks": [], "checked": 0, "problem": ""
    }  # fmt: skip
    resources, problems = from_program("resources", arguments.get("resources") or [])
    if problems:
        return {**result, "problem": "\n".join(str(problem) for problem in problems)}
    wanted = requirements_of(arguments.get("requirements") or {})
    all_needs = needs(resources, wanted)
    facts = facts_of(context)
    try:
        principal = facts.principal(arguments.get("principal") or None, bool(wanted.endpoint_name))
        known = facts.gather(by_target(all_needs), principal)
    except (WorkspaceError, UnknownPrincipal) as error:
        return {**result, "problem": str(error)}
    found = verdict(all_needs, known, principal, wanted)
    return {
        **result,
        "principal": principal.name,
        "failures": [asdict(failure) for failure in found.failures],
        "unverified": [asdict(failure) for failure in found.unverified],
        "openToAll": [privilege(each) for each in open_to_all(all_needs, known)],
        "checks": [{**asdict(check), "outcome": check.outcome.value} for check in found.checks],
        "checked": len(found.checks),
    }


def requirements_of(given: Mapping[str, Any]) -> Requirements:
    """The schema's DeploymentRequirements."""
    return Requirements(
        model_name=given.get("modelName") or None,
        endpoint_name=given.get("endpointName") or None,
        inference_schema=given.get("inferenceSchema") or None,
        secret_scopes=tuple(given.get("secretScopes") or ()),
        experiment_id=given.get("experimentId") or None,
        create_service_principal=bool(given.get("createServicePrincipal")),
        grant=bool(given.get("grant")),
        skip_open=bool(given.get("skipOpen")),
        readers=tuple(given.get("readers") or ()),
        run_as=given.get("runAs") or None,
        payload_table=given.get("payloadTable") or None,
        sql_warehouse=given.get("sqlWarehouse") or None,
    )


def by_target(all_needs: list[Need]) -> dict[Target, set[str]]:
    """All that is wanted of each object, to look it up once."""
    found: dict[Target, set[str]] = {}
    for need in all_needs:
        found.setdefault(need.access.target, set()).add(need.access.privilege)
    return found


def privilege(access: Access) -> Values:
    """The schema's OpenPrivilege."""
    return {"securableType": access.target.type, "name": access.target.name, "privilege": access.privilege}
