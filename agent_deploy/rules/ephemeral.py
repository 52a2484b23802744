"""What a deployment is in an ephemeral stack: its own names, asleep when nobody asks, open to its reviewers alone.

``agents:ephemeral`` in the stack's file says so, and holds for every AgentDeployment of the stack, in any language.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_deploy.rules import names
from agent_deploy.rules.problems import InvalidInput, Problem, not_one_of
from agent_deploy.rules.review import PRINCIPAL_FIELDS

NAMESPACE: Final = "agents"
KEY: Final = "ephemeral"
FULL_KEY: Final = f"{NAMESPACE}:{KEY}"
# On each of its endpoints, with the suffix as value: the workspace's own mark.
EPHEMERAL_TAG: Final = "agent_deploy_ephemeral"
MAX_SUFFIX: Final = 20
_TOLD_APART: Final = 4  # characters of a digest in place of what is cut
_MAX_STACK: Final = 100  # characters; Pulumi's own limit

_SUFFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_SUFFIX_FORM = f"1 to {MAX_SUFFIX} lower-case letters, digits or '-', the first and the last no '-'"
_FIELDS: Final = ("suffix", "reviewers", "feedback")
_PRINCIPAL: Final = f"one principal by one of {', '.join(PRINCIPAL_FIELDS)}, such as {{group_name: agent-reviewers}}"
_ASKS: Final = "CAN_QUERY"
Lift = Callable[[Callable[[Any], Any], Any], Any]


@dataclass(frozen=True)
class Ephemeral:
    """``suffix`` of all names; ``reviewers`` who may ask, as in `review_app`; ``feedback``: whether they may rate."""

    suffix: str
    reviewers: tuple[Mapping[str, str], ...] = ()
    feedback: bool = False

    def name(self, of_base: str, most: int = names.MAX_NAME) -> str:
        """The name in this stack of what the base stack calls so; two that are cut stay two."""
        room = most - len(self.suffix) - 1
        if len(of_base) > room:
            told_apart = hashlib.sha256(of_base.encode()).hexdigest()[:_TOLD_APART]
            of_base = f"{of_base[: room - _TOLD_APART - 1].rstrip('_-')}-{told_apart}"
        return f"{of_base.rstrip('_-')}-{self.suffix}"


def stack_name(base: str, suffix: str) -> str:
    """The stack beside ``base``, which may be ``organization/stack``; raises InvalidInput for what cannot fit."""
    around, _, name = base.rpartition("/")
    if not name:
        raise InvalidInput([Problem("--base", base, "the name of a stack, such as staging")])
    if problems := check_suffix("--suffix", suffix):
        raise InvalidInput(problems)
    made = Ephemeral(suffix).name(name, _MAX_STACK)
    return f"{around}/{made}" if around else made


def read(given: Any) -> Ephemeral:
    """From the stack's file; raises InvalidInput."""
    if problems := list(_problems(given)):
        raise InvalidInput(problems)
    reviewers = tuple(dict(each) for each in given.get("reviewers") or ())
    return Ephemeral(given["suffix"], reviewers, bool(given.get("feedback")))


def adapted(tree: Mapping[str, Any], ephemeral: Ephemeral, lift: Lift) -> dict[str, Any]:
    """AgentDeployment's arguments as they are in an ephemeral stack; ``lift`` applies a function to a value, or to an
    Output of it.

    Sizes, secrets, resources, tags and whatever else the base stack has stay as they are.
    """
    changed = dict(tree)
    model = tree.get("model_name")
    if base := tree.get("endpoint_name"):
        changed["endpoint_name"] = lift(ephemeral.name, base)
    elif model is not None:
        changed["endpoint_name"] = lift(lambda name: ephemeral.name(names.endpoint_name(str(name))), model)
    changed["tags"] = lift(lambda tags: {**tags, EPHEMERAL_TAG: ephemeral.suffix}, tree.get("tags") or {})
    changed["scale_to_zero"] = True
    if versions := tree.get("versions"):
        changed["versions"] = [_without(("scale_to_zero",), version) for version in versions]
    tables = tree.get("inference_tables") or {}
    if tables.get("enabled") is not False:
        changed["inference_tables"] = _tables(tables, model, ephemeral, lift)
    changed["permissions"] = [{**each, "level": _ASKS} for each in ephemeral.reviewers]
    # The register, the Review App and its experiment know one deployment of a model version: the base stack's.
    changed["review_app"] = {"enabled": False}
    changed["feedback_model"] = ephemeral.feedback and tree.get("feedback_model") is not False
    return changed


def _tables(given: Mapping[str, Any], model: Any, ephemeral: Ephemeral, lift: Lift) -> dict[str, Any]:
    own: dict[str, Any] = {"delete_on_destroy": True}
    if given.get("prefix"):
        own["prefix"] = lift(ephemeral.name, given["prefix"])
    elif model is not None:
        own["prefix"] = lift(lambda name: ephemeral.name(str(name).rpartition(".")[2]), model)
    # What others than this stack's principals would be given, they would lose with it, the base stack's part as well.
    return {**_without(("readers", "run_as"), given), **own}


def _without(fields: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in fields}


def _problems(given: Any) -> Iterator[Problem]:
    if not isinstance(given, Mapping):
        yield Problem(FULL_KEY, given, "a mapping, such as {suffix: pr-12, reviewers: [{group_name: agent-reviewers}]}")
        return
    for name in given:
        if name not in _FIELDS:
            yield not_one_of(FULL_KEY, name, _FIELDS)
    yield from check_suffix(f"{FULL_KEY}.suffix", given.get("suffix"))
    reviewers = given.get("reviewers") or []
    if not isinstance(reviewers, Sequence) or isinstance(reviewers, str):
        yield Problem(f"{FULL_KEY}.reviewers", reviewers, f"a list, each {_PRINCIPAL}")
        return
    for index, each in enumerate(reviewers):
        named = isinstance(each, Mapping) and len(each) == 1 and set(each) <= set(PRINCIPAL_FIELDS)
        if not (named and all(isinstance(value, str) and value for value in each.values())):
            yield Problem(f"{FULL_KEY}.reviewers[{index}]", each, _PRINCIPAL)
    if not isinstance(given.get("feedback", False), bool):
        yield Problem(f"{FULL_KEY}.feedback", given["feedback"], "true or false")


def check_suffix(field: str, suffix: object) -> list[Problem]:
    """Problems of a suffix."""
    if isinstance(suffix, str) and len(suffix) <= MAX_SUFFIX and _SUFFIX.fullmatch(suffix):
        return []
    return [Problem(field, suffix, _SUFFIX_FORM)]
