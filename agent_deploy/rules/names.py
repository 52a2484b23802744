"""Names that `databricks.agents.deploy()` gives, and the ones that the platform accepts.

Source: observation of databricks-agents 0.12 and 1.13, which name alike.
"""

from __future__ import annotations

import re

from agent_deploy.rules.problems import Problem

MAX_NAME = 63  # endpoint and served entity; the serving API's limit
ENDPOINT_PREFIX = "agents_"
FEEDBACK_ENTITY = "feedback"

_ENDPOINT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_ENDPOINT_FORM = "1 to 63 letters, digits, '-' or '_', the first and the last a letter or digit"
# Unity Catalog: no period, space, slash or control character in a level of a name; 255 characters each.
_LEVEL = re.compile(r"[^.\s/\x00-\x1f\x7f]{1,255}")

# A model version's alias. Source: MLflow, where the reserved ones would read as a version.
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,255}")
_RESERVED_ALIAS = re.compile(r"latest|v\d+", re.IGNORECASE)
_ALIAS_FORM = "1 to 255 letters, digits, '_' and '-'; 'latest' and names such as 'v1' are reserved"


RESERVED_PREFIX = "databricks-"  # source: Databricks, serving endpoints API reference, of `name`


def endpoint_name(model_name: str) -> str:
    """``main.default.qa`` → ``agents_main-default-qa``; the name is cut before it is cleaned, as deploy() does."""
    return ENDPOINT_PREFIX + _clean(model_name[: MAX_NAME - len(ENDPOINT_PREFIX)])


def served_entity_name(model_name: str, version: str) -> str:
    """``main.default.qa``, ``3`` → ``main-default-qa_3``."""
    suffix = f"_{version}"
    return _clean(model_name[: MAX_NAME - len(suffix)]) + suffix


def secret_scope(endpoint_name: str, version: str) -> str:
    """Of a version's own service principal; two endpoints may serve one version, and their scopes must not meet."""
    return f"{endpoint_name}_{version}"


def table_prefix(model_name: str, attempt: int = 0) -> str:
    """The inference table's prefix: the model's own name; ``attempt`` 1… gives ``qa_1``… for when the table exists."""
    suffix = f"_{attempt}" if attempt else ""
    return split_model_name(model_name)[2][: MAX_NAME - len(suffix)] + suffix


def served_entity_url(host: str, endpoint: str, entity: str) -> str:
    """What asks one served entity alone."""
    return f"{host}/serving-endpoints/{endpoint}/served-models/{entity}/invocations"


def review_app_url(host: str, endpoint: str, review_app_id: str = "") -> str:
    """Where reviewers chat with the agent: in its experiment's Review App, or, without one, with the endpoint."""
    return (
        f"{host}/ml/review-v2/{review_app_id}/chat"
        if review_app_id
        else f"{host}/ml/review-v2/chat?endpoint={endpoint}"
    )


def split_model_name(model_name: str) -> tuple[str, str, str]:
    """Catalog, schema and model; raises ValueError when there are not three levels."""
    levels = model_name.split(".")
    if len(levels) != 3:
        raise ValueError(f"{model_name!r} has {len(levels)} levels, not three")
    return levels[0], levels[1], levels[2]


def check_model_name(field: str, model_name: object) -> list[Problem]:
    """Problems of a three-level Unity Catalog name."""
    expected = "a Unity Catalog name of three levels, catalog.schema.model"
    if model_name is None:
        return [Problem(field, None, f"it to be given: {expected}")]
    if not isinstance(model_name, str) or len(levels := model_name.split(".")) != 3:
        remedy = "Models of the workspace registry cannot be agents: register it with the registry URI databricks-uc"
        return [Problem(field, model_name, expected, remedy)]
    if not all(_LEVEL.fullmatch(level) for level in levels):
        return [Problem(field, model_name, f"{expected}, each of 1 to 255 characters without space, slash or period")]
    return []


def check_alias(field: str, alias: object) -> list[Problem]:
    """Problems of a model version's alias."""
    if isinstance(alias, str) and _ALIAS.fullmatch(alias) and not _RESERVED_ALIAS.fullmatch(alias):
        return []
    return [Problem(field, alias, _ALIAS_FORM, "Choose another alias")]


def check_endpoint_name(field: str, name: object, remedy: str = "Choose another endpoint_name") -> list[Problem]:
    """Problems of a serving endpoint's or served entity's name."""
    if isinstance(name, str) and _ENDPOINT.fullmatch(name):
        return []
    return [Problem(field, name, _ENDPOINT_FORM, remedy)]


def check_own_endpoint_name(field: str, name: object) -> list[Problem]:
    """The same of an endpoint, which also is none of the platform's own."""
    problems = check_endpoint_name(field, name)
    if not problems and str(name).startswith(RESERVED_PREFIX):
        expected = f"a name without the prefix {RESERVED_PREFIX}, which Databricks keeps for its own endpoints"
        problems = [Problem(field, name, expected, "Choose another endpoint_name")]
    return problems


def check_servable_name(field: str, model_name: str) -> list[Problem]:
    """Problems of a Unity Catalog name after which the served entities of all versions are named."""
    entity = served_entity_name(model_name, "1")
    if not check_endpoint_name(field, entity):
        return []
    expected = f"a name after which a served entity can be named, here {entity}: {_ENDPOINT_FORM}"
    return [Problem(field, model_name, expected, "Register the model under another name")]


def _clean(name: str) -> str:
    return name.replace(".", "-").rstrip("_-")
