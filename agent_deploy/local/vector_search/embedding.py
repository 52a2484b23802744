"""What an index has its texts embedded by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agent_deploy.local.core.principals import Principal


class Embedder(Protocol):
    """A model endpoint, asked with the privileges of whoever has texts embedded."""

    def require(self, endpoint: str, principal: Principal) -> None:
        """Pass, or raise 404 without the endpoint and 403 without CAN_QUERY on it."""

    def embed(self, endpoint: str, texts: Sequence[str], principal: Principal) -> list[list[float]]:
        """A vector for each text; raises ApiError with what the endpoint says."""
