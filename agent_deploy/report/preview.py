"""Reads a preview, as `pulumi preview --json` prints it or as the engine's event log has it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent_deploy.provider.plugin.signatures import SECRET, SIGNATURE, UNKNOWNS

# What the engine writes in place of a value that nobody may read.
HIDDEN = "[secret]"
# Type → fields that are secret whatever was done: readable, they mean that the preview shows secrets.
SECRET_FIELDS: Mapping[str, tuple[str, ...]] = {
    "agent-deploy:index:Secret": ("value",),
    "agent-deploy:index:ServicePrincipalSecret": ("secret",),
    "databricks:index/secret:Secret": ("stringValue",),
    "databricks:index/servicePrincipalSecret:ServicePrincipalSecret": ("secret",),
    "databricks:index/token:Token": ("tokenValue",),
    "databricks:index/oboToken:OboToken": ("tokenValue",),
    "pulumi:providers:databricks": ("token", "clientSecret", "password", "azureClientSecret", "googleCredentials"),
    "pulumi:providers:agent-deploy": ("token", "clientSecret", "password", "azureClientSecret", "googleCredentials"),
}
_URN = re.compile(r"urn:pulumi:(?P<stack>[^:]+)::(?P<project>[^:]+)::(?P<type>.+?)::(?P<name>.*)", re.DOTALL)
_AGAIN = "Make it anew: pulumi preview --json"


class PreviewError(ValueError):
    """What was given is no preview that can be reported on; one line for the user."""


@dataclass(frozen=True)
class Step:
    """One resource and what happens to it; ``old`` and ``new`` are the engine's states, empty where there is none."""

    operation: str
    urn: str
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    paths: tuple[str, ...] = ()

    @property
    def types(self) -> tuple[str, ...]:
        """Its type, after those of what it is in."""
        return tuple(urn_parts(self.urn)["type"].split("$"))

    @property
    def type(self) -> str:
        """``agent-deploy:index:ServingEndpoint``."""
        return self.types[-1]

    @property
    def kind(self) -> str:
        """The type's last part."""
        return self.type.rpartition(":")[2]

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return urn_parts(self.urn)["name"]

    @property
    def state(self) -> Mapping[str, Any]:
        """As it will be, or as it was where it goes."""
        return self.new or self.old

    @property
    def replaces(self) -> bool:
        """Whether another object takes its place."""
        return "replace" in self.operation

    def inputs(self, which: str) -> Mapping[str, Any]:
        """The inputs ``before`` or ``after``; empty where there is none then."""
        state = self.old if which == "before" else self.new
        return state.get("inputs") or {}

    def outputs(self, which: str) -> Mapping[str, Any]:
        """The outputs ``before`` or ``after``."""
        state = self.old if which == "before" else self.new
        return state.get("outputs") or {}


@dataclass(frozen=True)
class Preview:
    """The steps of a preview; ``failed`` is how many errors it had."""

    project: str
    stack: str
    steps: tuple[Step, ...]
    failed: int = 0
    drift: tuple[Step, ...] = field(default=())
    # Whether what stays as it is was left out.
    is_partial: bool = False


def is_unknown(value: object) -> bool:
    """Whether the engine will only know it when the update runs."""
    return isinstance(value, str) and value in UNKNOWNS


@functools.lru_cache(maxsize=16384)
def urn_parts(urn: str) -> Mapping[str, str]:
    """stack, project, type (with those around it) and name; raises PreviewError."""
    match = _URN.fullmatch(urn)
    if match is None:
        raise PreviewError(f"The preview names a resource by what is no URN. {_AGAIN}")
    return match.groupdict()


def read(text: str, project: str = "", stack: str = "") -> Preview:
    """The preview that a text holds. ``project`` and ``stack``: what it has to be of. Raises PreviewError."""
    documents = _documents(text)
    if len(documents) == 1 and "steps" in documents[0]:
        steps, failed = [_digest_step(each) for each in _listed(documents[0], "steps")], len(_errors(documents[0]))
    elif any("preludeEvent" in each or "resourcePreEvent" in each for each in documents):
        steps, failed = list(_event_steps(documents)), _failures(documents)
    elif len(documents) == 1 and "changeSummary" in documents[0]:
        steps, failed = [], len(_errors(documents[0]))
    else:
        raise PreviewError(
            "This is neither the output of `pulumi preview --json` nor an event log of Pulumi 3.237 or later. " + _AGAIN
        )
    _refuse_shown_secrets(steps)
    found = _of_one_stack(steps, failed, project, stack)
    return replace(found, is_partial=_lacks_sames(documents[0], steps))


def errors(text: str) -> list[str]:
    """What the engine says that is wrong."""
    documents = _documents(text)
    said = [each["diagnosticEvent"] for each in documents if "diagnosticEvent" in each]
    return _errors({"diagnostics": said} if said else documents[0])


def _lacks_sames(document: Mapping[str, Any], steps: list[Step]) -> bool:
    # `pulumi preview --json` counts them, and has their steps with --show-sames alone; the stack's own in any case.
    counted = document.get("changeSummary")
    same = counted.get("same") if isinstance(counted, Mapping) else 0
    return isinstance(same, int) and same > sum(step.operation == "same" for step in steps)


def _documents(text: str) -> list[dict[str, Any]]:
    """One JSON object, or one a line; what the command line says before it is passed over."""
    start = text.find("{")
    if start < 0:
        raise PreviewError(f"There is no preview in the input: it holds no JSON. {_AGAIN}")
    decoder, at = json.JSONDecoder(), start
    found: list[dict[str, Any]] = []
    while at < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except (json.JSONDecodeError, RecursionError):
            if found and "steps" in found[0]:
                break  # warnings that the command line prints after the preview
            raise PreviewError(f"The preview is cut off or damaged: its JSON does not end well. {_AGAIN}") from None
        if not isinstance(document, dict):
            raise PreviewError(f"The input is JSON, but no preview: an object was expected. {_AGAIN}")
        found.append(document)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _listed(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document[key]
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise PreviewError(f"`{key}` of the preview is no list of objects. {_AGAIN}")
    return found


def _digest_step(step: Mapping[str, Any]) -> Step:
    if not isinstance(step.get("op"), str) or not isinstance(step.get("urn"), str):
        raise PreviewError(f"A step of the preview has no operation or no URN: its schema is another. {_AGAIN}")
    return _step(step["op"], step["urn"], step.get("oldState"), step.get("newState"), step.get("detailedDiff"))


def _step(operation: str, urn: str, old: object, new: object, diff: object) -> Step:
    states = [state if isinstance(state, Mapping) else {} for state in (old, new)]
    if any(not isinstance(state.get(key) or {}, Mapping) for state in states for key in ("inputs", "outputs")):
        raise PreviewError(f"A state in the preview has inputs or outputs that are no object. {_AGAIN}")
    old_state, new_state = states
    if operation in ("delete", "delete-replaced", "discard"):
        new_state = {}
    return Step(operation, urn, old_state, new_state, tuple(diff) if isinstance(diff, Mapping) else ())


def _errors(document: Mapping[str, Any]) -> list[str]:
    said = document.get("diagnostics") or []
    return [str(each.get("message")) for each in said if isinstance(each, Mapping) and each.get("severity") == "error"]


def _failures(events: list[dict[str, Any]]) -> int:
    if "summaryEvent" not in events[-1] and not any("summaryEvent" in each for each in events):
        raise PreviewError(f"The event log is cut off: it has no summary. {_AGAIN}")
    if any(not each["summaryEvent"].get("isPreview", True) for each in events if "summaryEvent" in each):
        raise PreviewError(f"The event log is of an update, not of a preview. {_AGAIN}")
    failed = any(each["summaryEvent"].get("result") == "failed" for each in events if "summaryEvent" in each)
    said = [each["diagnosticEvent"] for each in events if "diagnosticEvent" in each]
    return sum(each.get("severity") == "error" for each in said) or int(failed)


def _event_steps(events: list[dict[str, Any]]) -> Iterator[Step]:
    """A step's last event counts: only then a component's outputs are known."""
    steps: dict[tuple[str, str], Step] = {}
    for event in events:
        for kind in ("resourcePreEvent", "resOutputsEvent"):
            metadata = (event.get(kind) or {}).get("metadata")
            if not metadata:
                continue
            if not isinstance(metadata.get("op"), str) or not isinstance(metadata.get("urn"), str):
                raise PreviewError(f"An event of the log has no operation or no URN: its schema is another. {_AGAIN}")
            old, new, diff = (metadata.get(key) for key in ("old", "new", "detailedDiff"))
            made = _step(metadata["op"], metadata["urn"], old, new, diff)
            before = steps.get((made.operation, made.urn))
            steps[made.operation, made.urn] = made if made.paths or before is None else _with(made, before.paths)
    replaced = {urn for operation, urn in steps if operation == "replace"}
    # A replacement is three steps; the one in the middle has both states.
    parts = ("create-replacement", "delete-replaced")
    yield from (step for step in steps.values() if step.operation not in parts or step.urn not in replaced)


def _with(step: Step, paths: tuple[str, ...]) -> Step:
    return Step(step.operation, step.urn, step.old, step.new, paths)


def _of_one_stack(steps: list[Step], failed: int, project: str, stack: str) -> Preview:
    found = {(parts["project"], parts["stack"]) for parts in (urn_parts(step.urn) for step in steps)}
    if len(found) > 1:
        raise PreviewError(
            f"The input holds previews of several stacks: {', '.join('/'.join(f) for f in sorted(found))}"
        )
    its_project, its_stack = next(iter(found), (project, stack))
    for what, wanted, given in (("project", project, its_project), ("stack", stack, its_stack)):
        if wanted and wanted != given:
            raise PreviewError(f"The preview is of {what} '{given}', not of '{wanted}'. {_AGAIN}")
    # The engine's order differs from run to run.
    steps = sorted(steps, key=lambda step: (step.name, step.type, step.operation))
    drift = tuple(step for step in steps if step.operation == "refresh" and step.paths)
    changing = tuple(step for step in steps if step.operation not in ("refresh", "read", "read-replacement"))
    return Preview(its_project, its_stack, changing, failed, drift)


def _refuse_shown_secrets(steps: list[Step]) -> None:
    for step in steps:
        for state in (step.old, step.new):
            for values in (state.get("inputs") or {}, state.get("outputs") or {}):
                shown = [f for f in SECRET_FIELDS.get(step.type, ()) if _is_readable(values.get(f))]
                if shown or _holds_plaintext(values):
                    field_ = shown[0] if shown else "a secret"
                    raise PreviewError(
                        f"The preview shows secrets ({field_} of {step.name}): it was made with --show-secrets. "
                        f"Delete it, rotate what it shows, and make it anew without that flag"
                    )


def _is_readable(value: object) -> bool:
    if isinstance(value, Mapping):
        return _holds_plaintext(value)
    return isinstance(value, str) and value not in ("", HIDDEN) and not is_unknown(value)


def _holds_plaintext(value: object) -> bool:
    """Whether the engine's own form of a secret stands there with its value."""
    if isinstance(value, Mapping):
        if value.get(SIGNATURE) == SECRET and "plaintext" in value:
            return True
        return any(map(_holds_plaintext, value.values()))
    return isinstance(value, list) and any(map(_holds_plaintext, value))
