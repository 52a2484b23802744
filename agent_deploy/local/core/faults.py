"""Injected faults: answers that fail, are late, or are lost after the change was made; builds that fail or are slow."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.store import Document, Store

REQUEST, BUILD = "request", "build"
_LONGEST_DELAY = 24 * 3600  # seconds
_CODES = {
    404: "RESOURCE_DOES_NOT_EXIST",  # made, and not yet visible
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


@dataclass
class Rule:
    """A fault. When: ``method``, ``path`` (or ``entity``, ``version`` of a build) as patterns with ``*``; from the
    ``nth`` match on, with ``probability``, at most ``times`` times. What: ``status`` (with ``error_code`` and
    ``message``), ``reset``, ``lose_answer``, ``delay`` seconds, or ``fail`` of a build.
    """

    match: str = REQUEST
    method: str = "*"
    path: str = "*"
    entity: str = "*"
    version: str = "*"
    nth: Annotated[int, Field(ge=1)] = 1
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    error_code: str | None = None
    message: str = "Injected fault."
    retry_after: int | None = None
    reset: bool = False
    lose_answer: bool = False
    delay: Annotated[float, Field(ge=0, le=_LONGEST_DELAY)] = 0.0
    fail: str | None = None
    id: str = ""
    matched: int = 0
    fired: int = 0

    def due(self, probability: float) -> bool:
        """Count a match; whether the fault happens now."""
        self.matched += 1
        spent = self.times is not None and self.fired >= self.times
        if spent or self.matched < self.nth or probability >= self.probability:
            return False
        self.fired += 1
        return True


class Faults:
    """The rules, kept over restarts; their counters start anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._random = random.Random(0)  # the same faults in each run of a test
        self._rules = [_rule(document) for document in store.list("fault")]

    def rules(self) -> list[Document]:
        """All rules with their counters, oldest first."""
        return [asdict(rule) for rule in self._rules]

    def add(self, body: Document) -> Document:
        """A new rule from the fields of `Rule`; raises 400 for one that says nothing."""
        rule = _rule(body)
        with self._lock:
            rule.id = str(self._store.next_number("fault"))
            self._store.put("fault", rule.id, {**body, "id": rule.id})
            self._rules.append(rule)
        return asdict(rule)

    def clear(self, rule_id: str | None = None) -> int:
        """Remove one rule, or all; returns how many."""
        with self._lock:
            gone = [rule for rule in self._rules if rule_id in (None, rule.id)]
            for rule in gone:
                self._store.delete("fault", rule.id)
                self._rules.remove(rule)
        return len(gone)

    def request_rule(self, method: str, path: str) -> Rule | None:
        """The fault that this request meets, if any."""
        if not self._rules:
            return None
        return self._first(
            lambda rule: rule.match == REQUEST and fnmatchcase(method, rule.method) and fnmatchcase(path, rule.path)
        )

    def build_rule(self, entity_name: str, version: str) -> Document | None:
        """For serving: ``{"fail": message}``, ``{"delay": seconds}``, both, or None."""
        rule = self._first(
            lambda rule: (
                rule.match == BUILD and fnmatchcase(entity_name, rule.entity) and fnmatchcase(version, rule.version)
            )
        )
        if rule is None:
            return None
        wanted: Document = {"delay": rule.delay} if rule.delay else {}
        return {**wanted, "fail": rule.fail} if rule.fail is not None else wanted

    def _first(self, matches: Any) -> Rule | None:
        with self._lock:
            for rule in self._rules:
                if matches(rule) and rule.due(self._random.random()):
                    return rule
        return None


def _rule(body: Document) -> Rule:
    known = {field.name for field in fields(Rule)} - {"matched", "fired"}
    if unknown := set(body) - known:
        raise invalid(f"Unknown fields of a fault: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}.")
    try:
        rule = TypeAdapter(Rule).validate_python(body)
    except ValidationError as error:
        problems = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise invalid(f"This is not a fault: {problems}.") from error
    if rule.match not in (REQUEST, BUILD):
        raise invalid(f"match {rule.match!r}: expected '{REQUEST}' or '{BUILD}'.")
    if rule.match == BUILD and rule.fail is None and not rule.delay:
        raise invalid("A fault of builds needs 'fail' (a message) or 'delay' (seconds).")
    if rule.match == REQUEST and not (rule.status or rule.reset or rule.lose_answer or rule.delay):
        raise invalid("A fault of requests needs one of: status, reset, lose_answer, delay.")
    return rule


class FaultInjection:
    """Middleware: lets a request meet its fault."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or fail as the rule says; the workspace's own routes are spared, so that rules can be taken back."""
        if scope["type"] != "http" or scope["path"].startswith("/_local/"):
            return await self._app(scope, receive, send)
        rule = self._faults.request_rule(scope["method"], scope["path"])
        if rule is None:
            return await self._app(scope, receive, send)
        scope.setdefault("state", {})["fault"] = rule.id
        if rule.delay:
            await asyncio.sleep(rule.delay)
        if rule.lose_answer:
            await self._app(scope, receive, _drop)
            return await _reset(scope, receive)
        if rule.reset:
            # The whole question first, so that the client meets the reset where it waits for the answer.
            while (await receive()).get("more_body"):
                pass
            return await _reset(scope, receive)
        if rule.status is None:
            return await self._app(scope, receive, send)
        headers = {} if rule.retry_after is None else {"retry-after": str(rule.retry_after)}
        code = rule.error_code or _CODES.get(rule.status, "INTERNAL_ERROR")
        body = {"error_code": code, "message": rule.message, "details": []}
        await JSONResponse(body, rule.status, headers)(scope, receive, send)


async def _drop(_message: MutableMapping[str, Any]) -> None:
    """An answer that nobody gets."""


async def _reset(scope: Scope, receive: Receive) -> None:
    # The server puts the connection's abort into the scope: ASGI itself has no word for it.
    scope["state"]["abort"]()
    while (await receive())["type"] != "http.disconnect":
        pass
