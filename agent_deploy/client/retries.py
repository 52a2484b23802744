"""Which requests are sent again, and when: after 429 and 503 ("later"), and after what may pass by itself."""

from __future__ import annotations

import threading

import tenacity

from agent_deploy.client.errors import ApiError, ConnectionLost, Interrupted, Unreachable

# A refused connection is tried again for this long, in case the workspace is just starting, and then told.
CONNECT_PATIENCE = 3.5
MAX_WAIT = 10.0  # seconds between two tries, unless Retry-After says more
FLAKY_TRIES = 4  # a read that ends in 500, 502 or 504, or whose connection was reset
RETRY_LATER = frozenset({429, 503})
FLAKY = frozenset({500, 502, 504})


class Tries:
    """Decides whether and when one request is sent again."""

    def __init__(
        self, method: str, repeatable: bool, patience: float, silence: float, cancelled: threading.Event | None
    ) -> None:
        self._read_only = method in ("GET", "HEAD")
        self._repeatable, self._patience, self._silence, self._cancelled = repeatable, patience, silence, cancelled
        self._backoff = tenacity.wait_exponential(multiplier=0.3, max=MAX_WAIT) + tenacity.wait_random(0, 0.3)

    def worth_another(self, state: tenacity.RetryCallState) -> bool:
        error = state.outcome.exception() if state.outcome else None
        spent = state.seconds_since_start or 0.0
        if isinstance(error, Unreachable):
            return spent < CONNECT_PATIENCE
        if isinstance(error, ConnectionLost):
            return self._repeatable and state.attempt_number < FLAKY_TRIES and spent < self._silence
        if isinstance(error, ApiError):
            if error.status in RETRY_LATER:
                return spent < self._patience
            return self._read_only and error.status in FLAKY and state.attempt_number < FLAKY_TRIES
        return False

    def pause(self, state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ApiError) else None
        return self._backoff(state) if asked is None else asked

    def sleep(self, seconds: float) -> None:
        if self._cancelled is None:
            threading.Event().wait(seconds)
        elif self._cancelled.wait(seconds):
            raise Interrupted("Interrupted while the workspace asked to wait.")
