"""Which differences of an endpoint are changes, and whether each is made in place or is a replacement.

For a field, the table in rules/endpoint_fields.py decides.
"""

from __future__ import annotations

from typing import Any

from agent_deploy.provider.endpoint.request import traffic_of
from agent_deploy.provider.plugin.resource import UNKNOWN, Change, Path, Values, differences
from agent_deploy.rules.endpoint_fields import Changing, is_field, rule_for


def changes_between(before: Values, after: Values) -> tuple[dict[Path, Change], bool]:
    """The changes by their paths; and whether one of them is that nothing is to be served any more."""
    # The API takes no config without entities: an endpoint that is to serve nothing again is made anew.
    emptied = before.get("servedEntities") not in (None, {}) and after.get("servedEntities") in (None, {})
    changes = {}
    for path, kind in differences(before, after):
        # A field that does not exist is at most in an old state: it was never sent, and no check lets it in again.
        if is_field(path) and _is_change(path, at(before, path), at(after, path)):
            replaces = rule_for(path).changing is Changing.REPLACES or (emptied and path[0] == "servedEntities")
            changes[path] = Change(kind, replaces, of_inputs=False)
    return changes, emptied


def with_traffic(inputs: Values) -> Values:
    """With the traffic that is meant where none is given."""
    if inputs.get("traffic") not in (None, {}) or not isinstance(inputs.get("servedEntities"), dict):
        return inputs
    implied = traffic_of(inputs)
    return {**inputs, "traffic": implied} if implied else inputs


def at(values: Any, path: Path) -> Any:
    """What stands at a path; None where nothing does."""
    for part in path:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _is_change(path: Path, before: Any, after: Any) -> bool:
    """Whether two differing values mean something different: absent is the default, and empty is absent."""
    rule = rule_for(path)
    if rule.changing is Changing.IGNORED:
        return False
    ours, theirs = (rule.default if value is None else value for value in (before, after))
    empty: tuple[Any, ...] = (None, {}, [])
    return theirs is UNKNOWN or (ours != theirs and not (ours in empty and theirs in empty))
