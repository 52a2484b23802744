"""What the forges' client libraries raise, as our errors: the same sentences for each, in its own words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests

from agent_deploy.client.masking import cause, masked
from agent_deploy.pull_requests.forge import ForgeError, NotAllowed, NotThere


@dataclass(frozen=True)
class Words:
    """How a forge's refusals are worded: its name, what it calls a change, the token and the right that it takes."""

    forge: str
    change: str
    token: str
    right: str


@contextmanager
def told(
    words: Words, called: str, refused: type[Exception], said: Callable[[Any], tuple[int | None, str]]
) -> Iterator[None]:
    """A client library's errors as ours; ``said`` reads status and message out of one that the forge answered."""
    try:
        yield
    except refused as error:
        status, message = said(error)
        why = f"{called}: {words.forge} answers {status} ({masked(message)})"
        if status == 401:
            raise NotAllowed(f"{why}: it does not know the token. Expected {words.token}.") from None
        if status == 403:
            raise NotAllowed(f"{why}. Expected {words.right}.") from None
        if status == 404:
            raise NotThere(f"{why}: there is no such {words.change}, or the token may not see it.") from None
        raise ForgeError(f"{why}.") from None
    except requests.RequestException as error:
        raise ForgeError(f"{called}: {words.forge} does not answer ({cause(error)}). Try again later.") from None
