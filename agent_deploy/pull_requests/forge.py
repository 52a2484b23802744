"""What is asked of a forge, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class ForgeError(Exception):
    """The forge refuses or does not answer; the message is for the user."""


class NotAllowed(ForgeError):
    """The token is unknown to the forge, or has not the right that this takes."""


class NotThere(ForgeError):
    """There is no such repository or pull request, as far as the token sees."""


@dataclass(frozen=True)
class Change:
    """A pull request or merge request; ``commits`` oldest first, as far as the forge lists them."""

    is_open: bool
    head: str
    commits: tuple[str, ...] = ()


@dataclass(frozen=True, order=True)
class Comment:
    """One of the token's own; a greater ``id`` is a later one."""

    id: int
    body: str = ""
    url: str = ""


class Forge(Protocol):
    """One pull request of one repository. Methods raise ForgeError."""

    @property
    def called(self) -> str:
        """How its users name this one, such as ``owner/repository#12``."""

    def change(self) -> Change:
        """As it is when it is first asked for."""

    def own_comments(self) -> Iterable[Comment]:
        """All that this token's bearer has written there, of all pages. What others write is not ours to change."""

    def create(self, body: str) -> Comment:
        """A new comment."""

    def update(self, comment: Comment, body: str) -> Comment | None:
        """The comment with another text; None when it is gone."""

    def delete(self, comment: Comment) -> None:
        """Nothing is there any more, whoever deleted it."""
