"""Names and values of nested objects: the engine's camelCase and plurals against the REST API's snake_case."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Pulumi gives lists a plural even where the API has a singular.
_SINGULAR = {
    "dependsOns": "depends_on",
    "onStarts": "on_start",
    "onSuccesses": "on_success",
    "onFailures": "on_failure",
    "onDurationWarningThresholdExceededs": "on_duration_warning_threshold_exceeded",
    "onStreamingBacklogExceededs": "on_streaming_backlog_exceeded",
    "includes": "include",
    "excludes": "exclude",
    "daysOfWeeks": "days_of_week",
    "ebsVolumeSizes": "ebs_volume_size",
}
_PLURAL = {wire: name for name, wire in _SINGULAR.items()}
# Objects whose keys are the user's: nothing in them is renamed.
_MAPS = frozenset(
    {
        "tags", "configuration", "parameters", "customTags", "sparkConf", "sparkEnvVars", "baseParameters",
        "namedParameters", "environmentVars", "jobParameters", "sqlParams", "pythonNamedParams",
    }
)  # fmt: skip
# What tells one element of a list from the others.
_KEYS = ("taskKey", "jobClusterKey", "environmentKey", "name", "label")


def snake_case(name: str) -> str:
    """``foreignConnection`` → ``foreign_connection``."""
    return _SINGULAR.get(name) or re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)


def camel_case(name: str) -> str:
    """``depends_on`` → ``dependsOns``."""
    return _PLURAL.get(name) or re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def to_wire(value: Any) -> Any:
    """Nested inputs as the API takes them; false, zero and empty values are left out, as the vendor's plugin does."""
    if isinstance(value, list):
        return [to_wire(item) for item in value]
    if not isinstance(value, dict):
        return value
    sent = {snake_case(name): _entry(name, item, to_wire) for name, item in value.items()}
    return {name: item for name, item in sent.items() if item}


def from_wire(value: Any) -> Any:
    """What the API answered, named as inputs are."""
    if isinstance(value, list):
        return [from_wire(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {camel_case(name): _entry(camel_case(name), item, from_wire) for name, item in value.items()}


def _entry(name: str, value: Any, translate: Any) -> Any:
    return dict(value) if _is_map(name, value) else translate(value)


def _is_map(name: str, value: Any) -> bool:
    return name in _MAPS and isinstance(value, dict)


def refreshed(known: Mapping[str, Any], actual: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs after a refresh, with the eyes of the vendor's plugin: changes of what was known, and no more.

    What the program does not declare is not looked at, and what is empty now keeps its old value; only numbers and
    switches are seen to be gone.
    """
    return {name: _refreshed(name, value, actual.get(name)) for name, value in known.items()}


def _refreshed(name: str, known: Any, actual: Any) -> Any:
    if known and not actual:
        return type(known)() if isinstance(known, (bool, int, float)) else known
    return as_declared({name: known}, {name: actual}).get(name, known)


def as_declared(wanted: Any, actual: Any) -> Any:
    """``actual`` cut down to what the program wrote: the platform's own additions are no drift, changed values are."""
    if isinstance(wanted, dict) and isinstance(actual, dict):
        seen = {
            name: actual.get(name) if _is_map(name, actual.get(name)) else as_declared(value, actual.get(name))
            for name, value in wanted.items()
        }
        return {name: value for name, value in seen.items() if value is not None}
    if isinstance(wanted, list) and isinstance(actual, list):
        return _elements_as_declared(wanted, actual)
    # The API leaves out what is false, zero or empty.
    return wanted if not wanted and not actual else actual


def _elements_as_declared(wanted: list[Any], actual: list[Any]) -> list[Any]:
    key = next((key for key in _KEYS if all(_has(key, item) for item in (*wanted, *actual))), None)
    if key is not None:
        theirs = {item[key]: item for item in actual}
        kept = [as_declared(item, theirs[item[key]]) for item in wanted if item[key] in theirs]
        return kept + [item for name, item in theirs.items() if name not in {item[key] for item in wanted}]
    if len(wanted) == len(actual):
        return [as_declared(mine, theirs) for mine, theirs in zip(wanted, actual, strict=True)]
    return actual


def _has(key: str, item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(key), str)
