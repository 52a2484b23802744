"""What the provider's functions answer in a user's unit test where its mocks say nothing: all is there and right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime.settings import get_monitor


def completed(function: str, args: Mapping[str, Any], answer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The answer; under `pulumi.runtime.set_mocks` with what the mocks do not say, which may be all of it."""
    # Here, not at the top: the SDK's mocks take time to import, and a deployment needs none.
    from pulumi.runtime.mocks import MockMonitor

    if not isinstance(get_monitor(), MockMonitor):
        return answer or {}
    given = dict(answer or {})
    return {**_ANSWERS[function](args), **{key: value for key, value in given.items() if value is not None}}


def verified(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """One deployment that may be made; an alias is a version of a number that no other has."""
    versions = wanted.get("versions") or []
    taken = {each.get("version") for each in versions}
    free = (str(number) for number in range(1, 1000) if str(number) not in taken)
    return {
        "numbers": [each.get("version") or next(free) for each in versions],
        "experimentId": "",
        "workspaceUrl": "https://workspace.example.com",
        "kept": {},
        "needs": [],
        "openToAll": [],
        "unverified": [],
        "problems": [],
    }


_ANSWERS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "verifyDeployments": lambda args: {"deployments": [verified(wanted) for wanted in args["deployments"]]},
    "getEndpointTable": lambda _: {"modelName": "main.default.model", "payloadTable": "", "problem": ""},
    "getPayloadTable": lambda _: {"dayColumn": "request_date", "problem": ""},
}
