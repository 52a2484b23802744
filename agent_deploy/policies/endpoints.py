"""Policies about serving endpoints: what they cost, log, and say of themselves, and how a version gets its traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from agent_deploy.policies.policy import (
    ADVISORY,
    MANDATORY,
    Policy,
    Resource,
    Setting,
    Values,
    everywhere,
    names,
)
from agent_deploy.rules.credentials import SECRET_VARIABLES, looks_like_credential
from agent_deploy.rules.secrets import parse_reference
from agent_deploy.rules.values import Hidden, Secret, is_known
from agent_deploy.rules.workload import CONCURRENCY, WORKLOAD_SIZES, WORKLOAD_TYPES

ENDPOINT: Final = "agent-deploy:index:ServingEndpoint"
_ENDPOINTS: Final = frozenset({ENDPOINT})
_API: Final = "Databricks, serving endpoints API reference"


def _entities(resource: Resource) -> Iterator[tuple[str, Values]]:
    for name, entity in resource.mapping("servedEntities").items():
        if isinstance(entity, Mapping):
            yield name, entity


def _shares(resource: Resource) -> dict[str, float]:
    """Served entity → percentage, as far as it is known; a single one has all of it."""
    given, served = resource.mapping("traffic"), list(resource.mapping("servedEntities"))
    if not given and len(served) == 1 and not resource.hides("traffic"):
        return {served[0]: 100}
    return {name: share for name, share in given.items() if isinstance(share, int | float)}


def _scales_to_zero(resource: Resource, settings: Values) -> Iterator[str]:
    shares = _shares(resource)
    for name, entity in _entities(resource):
        # What answers only by its own name, a kept version or the feedback model, may sleep.
        if entity.get("scaleToZeroEnabled") is True and shares.get(name, 0) > 0:
            yield f"{name} scales to zero and gets traffic"


SCALES_TO_ZERO = Policy(
    "AGD001",
    "production does not scale to zero",
    "Whoever asks first after a pause waits for minutes until the agent is there again.",
    "Databricks, Create custom model serving endpoints: scale to zero is not recommended for production",
    MANDATORY,
    "Say scale_to_zero=False for versions with traffic",
    _ENDPOINTS,
    _scales_to_zero,
    settings=(everywhere("prod*"),),
)


def table_is_on(resource: Resource) -> bool | None:
    """Whether an endpoint's inference table is on; None where that is not known."""
    if resource.hides("aiGateway") or not is_known(resource.mapping("aiGateway").get("inferenceTableConfig")):
        return None
    table = resource.mapping("aiGateway").get("inferenceTableConfig")
    if not isinstance(table, Mapping):
        return False
    enabled = table.get("enabled", True)
    return bool(enabled) if is_known(enabled) else None


def _is_not_logged(resource: Resource, settings: Values) -> Iterator[str]:
    if table_is_on(resource) is False:
        yield "requests and answers are kept nowhere, as the inference table is off"


NOT_LOGGED = Policy(
    "AGD002",
    "inference tables are on",
    "Without them nobody can look up what an agent has answered, and ratings have nothing to lie beside.",
    "Databricks, Monitor served models using AI Gateway-enabled inference tables",
    MANDATORY,
    "Take inference_tables.enabled=False out",
    _ENDPOINTS,
    _is_not_logged,
)


def _is_exposed(key: str, value: object) -> bool:
    # A Pulumi secret is plain text for whoever may see the endpoint, unless it is a reference.
    shown = value.source if isinstance(value, Secret) else value
    if isinstance(shown, Hidden) or not isinstance(shown, str):
        return False
    if isinstance(value, Secret) or key in SECRET_VARIABLES:
        return parse_reference(shown) is None
    return looks_like_credential(key, shown)


def _has_plain_credential(resource: Resource, settings: Values) -> Iterator[str]:
    for name, entity in _entities(resource):
        variables = entity.get("environmentVars")
        for key, value in variables.items() if isinstance(variables, Mapping) else ():
            if _is_exposed(key, value):
                yield f"{name}: the environment variable {key} seems to hold a credential in plain text"
    for key, value in resource.mapping("tags").items():
        if looks_like_credential("", value):
            yield f"the tag {key} seems to hold a credential"
    if looks_like_credential("", resource.properties.get("description")):
        yield "the description seems to hold a credential"


PLAIN_CREDENTIAL = Policy(
    "AGD003",
    "no credential in plain text",
    "Whoever may see the endpoint reads its environment, tags and description, and so does whoever reads the state.",
    "Databricks, Configure access to resources from model serving endpoints: secret-based environment variables",
    MANDATORY,
    "Give it as a Pulumi secret in an AgentDeployment's environment, or put it into a secret scope and write "
    "{{secrets/scope/key}}",
    _ENDPOINTS,
    _has_plain_credential,
)


def _missing_tags(resource: Resource, settings: Values) -> dict[str, str]:
    if resource.hides("tags"):
        return {}
    there = resource.mapping("tags")
    return {tag: value for tag, value in settings["tags"].items() if there.get(tag) in (None, "")}


def _lacks_tags(resource: Resource, settings: Values) -> Iterator[str]:
    if missing := _missing_tags(resource, settings):
        yield f"it lacks the {'tag' if len(missing) == 1 else 'tags'} {', '.join(sorted(missing))}"


def _add_tags(resource: Resource, settings: Values, today: date) -> dict[str, Any]:
    added = {tag: value for tag, value in _missing_tags(resource, settings).items() if value}
    return {"tags": added} if added else {}


TAGS = Policy(
    "AGD006",
    "required tags are set",
    "Costs are told apart by tags, and an endpoint without them belongs to nobody.",
    f"{_API}: PATCH …/tags",
    MANDATORY,
    "Set them in tags",
    _ENDPOINTS,
    _lacks_tags,
    mend=_add_tags,
    mends="tags",
    settings=(
        everywhere(),
        Setting(
            "tags",
            "Tags that each endpoint has, and the value that remediation gives a missing one (empty: none is given).",
            {"type": "object", "additionalProperties": {"type": "string"}, "default": {}},
        ),
    ),
)


def _has_no_budget(resource: Resource, settings: Values) -> Iterator[str]:
    policy = resource.properties.get("budgetPolicyId")
    allowed = settings["policies"]
    if policy in (None, ""):
        yield "no budget policy pays for it"
    elif is_known(policy) and allowed and policy not in allowed:
        yield f"its budget policy {policy} is none of {', '.join(allowed)}"


BUDGET = Policy(
    "AGD007",
    "a budget policy pays",
    "Serverless cost without one cannot be told from anybody else's.",
    "Databricks, Attribute usage with serverless usage policies",
    ADVISORY,
    "Set budget_policy_id",
    _ENDPOINTS,
    _has_no_budget,
    settings=(everywhere(), names("policies", "Ids of the budget policies that may pay; empty: any.")),
)


def _takes_over_at_once(resource: Resource, settings: Values) -> Iterator[str]:
    before = (resource.before or {}).get("servedEntities")
    if not isinstance(before, Mapping) or not before:
        return
    served = {_version(entity) for entity in before.values() if isinstance(entity, Mapping)}
    entities = dict(_entities(resource))
    for name, share in _shares(resource).items():
        version = _version(entities.get(name, {}))
        if share == 100 and all(isinstance(part, str) for part in version) and version not in served:
            yield f"{name} gets all the traffic, and has never been served"


def _version(entity: Values) -> tuple[Any, Any]:
    return entity.get("entityName"), entity.get("entityVersion")


ALL_AT_ONCE = Policy(
    "AGD008",
    "no version takes all the traffic that has never been served",
    "A version that fails only under real requests fails for everybody; one that stands at a few percent does not.",
    f"{_API}: traffic_config",
    ADVISORY,
    "Deploy it at 0 % or a few percent beside the version that serves now, and give it the rest with the next change",
    _ENDPOINTS,
    _takes_over_at_once,
    looks_back=True,
)


def _is_too_large(resource: Resource, settings: Values) -> Iterator[str]:
    for name, entity in _entities(resource):
        # Left out, they are the platform's: Small and CPU.
        for field, setting in (("workloadSize", "sizes"), ("workloadType", "types")):
            value = entity.get(field)
            if value is not None and is_known(value) and value not in settings[setting]:
                yield f"{name}: {field} {value} is none of {', '.join(settings[setting])}"
        most = entity.get("maxProvisionedConcurrency")
        if isinstance(most, int | float) and most > settings["concurrency"]:
            yield f"{name}: maxProvisionedConcurrency {int(most)} is above {settings['concurrency']}"


SIZES = Policy(
    "AGD010",
    "only sizes and kinds of compute that are allowed",
    "A size up is several times the compute, and a GPU costs more still.",
    "Databricks, Create custom model serving endpoints: compute type and size",
    MANDATORY,
    "Choose one of these, or have the policy's settings allow it",
    _ENDPOINTS,
    _is_too_large,
    settings=(
        everywhere(),
        names("sizes", "Sizes that are allowed.", WORKLOAD_SIZES),
        names("types", "Kinds of compute that are allowed.", [kind for kind in WORKLOAD_TYPES if "GPU" not in kind]),
        Setting(
            "concurrency",
            "How many requests at once may be provisioned for.",
            {"type": "integer", "default": CONCURRENCY["Large"]},
        ),
    ),
)


def _says_nothing(resource: Resource, settings: Values) -> Iterator[str]:
    if resource.properties.get("description") in (None, ""):
        yield "it has no description"
    tag = settings["ownerTag"]
    if not resource.hides("tags") and resource.mapping("tags").get(tag) in (None, ""):
        yield f"the tag {tag} does not say whose it is"


DESCRIBED = Policy(
    "AGD013",
    "description and owner are set",
    "Whoever finds an endpoint a year later has to know what it is for and whom to ask.",
    f"{_API}: description, tags",
    ADVISORY,
    "Set description, and the owner in tags",
    _ENDPOINTS,
    _says_nothing,
    settings=(
        everywhere(),
        Setting("ownerTag", "The tag that names the owner.", {"type": "string", "default": "owner"}),
    ),
)
