"""Puts a report on a pull request: one comment for each stack, always about the newest commit."""

from __future__ import annotations

from dataclasses import dataclass

from agent_deploy.pull_requests.forge import Change, Comment, Forge, ForgeError
from agent_deploy.pull_requests.marker import Marker, found_in

Shown = tuple[Comment, Marker]
CREATED, UPDATED, GAVE_WAY = "created", "updated", "gave way"


class Closed(ForgeError):
    """Nobody reviews it any more."""


@dataclass(frozen=True)
class Outcome:
    """What was done; ``commit`` is the one that the comment shows now."""

    done: str
    url: str
    commit: str


def put(forge: Forge, marker: Marker, report: str) -> Outcome:
    """Updates the comment of that project and stack, or makes it. A run for an older commit than it shows gives way."""
    change = forge.change()
    if not change.is_open:
        raise Closed(f"{forge.called} is closed: nothing was written.")
    body = f"{marker}\n{report}"
    shown = _shown(forge, marker)
    if not shown:
        return _created(forge, change, marker, body)
    return _updated(forge, change, marker, body, shown)


def _created(forge: Forge, change: Change, marker: Marker, body: str) -> Outcome:
    made = forge.create(body)
    # Another run may have done so at the same time, and so may an attempt of ours whose answer was lost.
    shown = _shown(forge, marker)
    if not shown or shown[0][0].id >= made.id:
        return Outcome(CREATED, made.url, marker.commit)
    forge.delete(made)
    return _updated(forge, change, marker, body, [each for each in shown if each[0].id != made.id])


def _updated(forge: Forge, change: Change, marker: Marker, body: str, shown: list[Shown]) -> Outcome:
    (first, of), *more = shown
    for each, _ in more:
        forge.delete(each)
    if is_older(marker.commit, of.commit, change):
        return Outcome(GAVE_WAY, first.url, of.commit)
    done = forge.update(first, body)
    if done is None:
        return _created(forge, change, marker, body)
    return Outcome(UPDATED, done.url, marker.commit)


def _shown(forge: Forge, marker: Marker) -> list[Shown]:
    """The first one is kept: reviewers may have linked to it."""
    found = [(each, found_in(each.body)) for each in forge.own_comments()]
    same = [(each, of) for each, of in found if of is not None and marker.is_about_the_same(of)]
    return sorted(same, key=lambda shown: shown[0])


def is_older(commit: str, shown: str, change: Change) -> bool:
    """Whether the commit came before the one that is shown. What was pushed over is older than what is there."""
    if commit in (shown, change.head):
        return False
    order = {each: at for at, each in enumerate(change.commits)}
    if shown not in order:
        return shown == change.head
    return order.get(commit, -1) < order[shown]
