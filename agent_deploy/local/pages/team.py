"""The team's page: what was asked of an endpoint, how it was answered and rated, by version; with filters and plots."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from agent_deploy.local.core.errors import invalid, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.pages import plots, statistics
from agent_deploy.local.pages.formats import duration, percent
from agent_deploy.local.pages.logged import Conversation, Logged, Turn, conversations, version_order
from agent_deploy.local.pages.pages import Pages
from agent_deploy.local.pages.ratings import NEGATIVE, POSITIVE
from agent_deploy.local.pages.sessions import Session

PAGE = 50  # conversations
RATINGS: Mapping[str, Callable[[Conversation], bool]] = {
    "rated": lambda c: bool(c.judgements),
    "positive": lambda c: any(rating.value == POSITIVE for rating in c.judgements),
    "negative": lambda c: any(rating.value == NEGATIVE for rating in c.judgements),
    "unrated": lambda c: not c.judgements,
}
STATES: Mapping[str, Callable[[Conversation], bool]] = {
    "answered": lambda c: not c.failed,
    "failed": lambda c: c.failed,
}


@dataclass(frozen=True)
class Filters:
    """As the form sends them; empty is any. Days are UTC, both included."""

    version: str = ""
    user: str = ""
    rating: str = ""
    state: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    _bounds: tuple[float, float] = field(default=(0.0, 0.0), repr=False)

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filters:
        """Checked; raises 400 that names the field."""
        names = ("version", "user", "rating", "state", "since", "until", "text")
        values = {name: given.get(name, "").strip() for name in names}
        for name, known in (("rating", RATINGS), ("state", STATES)):
            if values[name] and values[name] not in known:
                raise invalid(f"{name} {values[name]!r}: expected one of {', '.join(known)}.")
        bounds = (_day("since", values["since"], 0, 0.0), _day("until", values["until"], 1, float("inf")))
        return cls(**values, _bounds=bounds)

    @property
    def chosen(self) -> dict[str, str]:
        """Those that are not empty, for links."""
        names = ("version", "user", "rating", "state", "since", "until", "text")
        return {name: value for name in names if (value := getattr(self, name))}

    def of_turns(self, turns: Sequence[Turn], logged: Logged) -> list[Turn]:
        """What is about a turn: time, version, user."""
        first, last = self._bounds
        kept = [turn for turn in turns if first <= turn.time_ms < last]
        for name in ("version", "user"):
            if wanted := getattr(self, name):
                kept = [turn for turn in kept if getattr(turn, name) == wanted]
        if self.text:
            found = logged.containing(self.text)
            kept = [turn for turn in kept if turn.request_id in found]
        return kept

    def of_conversations(self, found: Sequence[Conversation]) -> list[Conversation]:
        """What is about a whole conversation: its ratings, whether it failed."""
        rating = RATINGS.get(self.rating, lambda _: True)
        state = STATES.get(self.state, lambda _: True)
        return [conversation for conversation in found if rating(conversation) and state(conversation)]


def team_page(pages: Pages, session: Session, endpoint: str, given: Mapping[str, str], page: int) -> Response:
    """The page as the form's fields ask for it; raises 400, 403 and 404."""
    if not endpoint:
        raise not_found("The address names no endpoint: add ?endpoint=NAME.")
    filters = Filters.of(given)
    logged = Logged(pages, session.principal, endpoint)
    every = logged.turns()
    found = filters.of_conversations(conversations(filters.of_turns(every, logged)))
    turns = sorted((turn for conversation in found for turn in conversation.turns), key=lambda turn: turn.time_ms)
    last = max(1, -(-len(found) // PAGE))
    page = min(max(page, 1), last)
    return pages.show(
        "team.html",
        session,
        endpoint=endpoint,
        table=logged.table,
        filters=filters,
        choices={
            "version": sorted({turn.version for turn in every}, key=version_order),
            "user": sorted({turn.user for turn in every}),
            "rating": list(RATINGS),
            "state": list(STATES),
        },
        total=len(found),
        conversations=found[(page - 1) * PAGE : page * PAGE],
        page=page,
        last=last,
        **_numbers(turns),
    )


def _numbers(turns: Sequence[Turn]) -> dict[str, Any]:
    versions = statistics.by_version(turns)
    steps, counts = statistics.by_time(turns)
    named = {numbers.version: _name(numbers.version) for numbers in versions}
    rated = statistics.by_rating(turns)
    return {
        "versions": versions,
        "rated": rated,
        "legend": [(name, plots.series_style(number)) for number, name in enumerate(named.values())],
        "requests_plot": plots.columns("Requests", steps, [(named[v], values) for v, values in counts.items()]),
        "ratings_plot": plots.rows("Ratings by version", [_judged(named[n.version], n) for n in versions]),
        "errors_plot": plots.rows("Failed requests by version", [_failed(named[n.version], n) for n in versions], 1.0),
        "latency_plot": plots.rows("Latency by version", [_latency(named[n.version], n) for n in versions]),
    }


def _name(version: str) -> str:
    return f"version {version}" if version else "unknown"


def _judged(name: str, numbers: statistics.VersionNumbers) -> plots.Bar:
    parts = [
        plots.Part(numbers.positive, "good", f"{name}: {numbers.positive} positive"),
        plots.Part(numbers.negative, "bad", f"{name}: {numbers.negative} negative"),
    ]
    return plots.Bar(name, parts, f"{numbers.positive} : {numbers.negative}")


def _failed(name: str, numbers: statistics.VersionNumbers) -> plots.Bar:
    text = f"{numbers.failed} of {numbers.requests}"
    return plots.Bar(name, [plots.Part(numbers.failed_share or 0, "bad", text)], percent(numbers.failed_share))


def _latency(name: str, numbers: statistics.VersionNumbers) -> plots.Bar:
    median, slow = numbers.median_ms or 0, numbers.p95_ms or 0
    parts = [
        plots.Part(median, "series-0", f"{name}: half of the answers within {duration(median)}"),
        plots.Part(slow - median, "faint", f"{name}: 95 % of the answers within {duration(slow)}"),
    ]
    return plots.Bar(name, parts, f"{duration(numbers.median_ms)} / {duration(numbers.p95_ms)}")


def conversation_in(
    pages: Pages, principal: Principal, endpoint: str, conversation: str, user: str
) -> tuple[Logged, Conversation]:
    """The log and the conversation in it; raises 403 and 404."""
    log = Logged(pages, principal, endpoint)
    for found in conversations(log.turns()):
        if found.id == conversation and (not user or user in found.users):
            return log, found
    raise not_found(f"The payload table {log.table} has no conversation {conversation}.")


def turn_shown(turn: Turn, request: Any, response: Any) -> dict[str, Any]:
    """A turn with what was sent and answered, for the page's script."""
    return {
        "request_id": turn.request_id,
        "time_ms": turn.time_ms,
        "duration_ms": turn.duration_ms,
        "status": turn.status,
        "entity": turn.entity,
        "version": turn.version,
        "user": turn.user,
        "question": _question(request) or turn.question,
        "response": response,
        "ratings": [{"user": r.user, "name": r.name, "value": r.value} for r in turn.ratings],
    }


def _question(request: Any) -> str:
    messages = (request.get("input") or request.get("messages")) if isinstance(request, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else {}
    content = last.get("content") if isinstance(last, dict) else ""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _day(name: str, value: str, days: int, default: float) -> float:
    """The start of the day, ``days`` later, in milliseconds since 1970."""
    if not value:
        return default
    try:
        day = datetime.datetime.fromisoformat(value).replace(tzinfo=datetime.timezone.utc)
    except ValueError as error:
        raise invalid(f"{name} {value!r}: expected a day such as 2026-01-31.") from error
    return (day + datetime.timedelta(days=days)).timestamp() * 1000
