"""Tokens by which served models act on behalf of who asks them: the caller's own, for the scopes that they declare."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.principals import TOKEN_SECONDS, Principal
from agent_deploy.local.serving.logs import Mask

_RENEW = 0.5  # of its life: a request that begins then has as much again


@dataclass(frozen=True)
class _Issued:
    token: str
    until: float


class Invokers:
    """One token for each caller and set of scopes, handed out until half of its life is gone."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._issued: dict[tuple[str, frozenset[str]], _Issued] = {}

    def token_of(self, caller: Principal, scopes: Collection[str], mask: Mask) -> str:
        """The caller's token; ``mask`` hides it in what the model's process says."""
        key, now = (caller.id, frozenset(scopes)), time.time()
        found = self._issued.get(key)
        if found is None or found.until < now or not self._workspace.principals.knows(found.token):
            principals, store = self._workspace.principals, self._workspace.store
            for old in store.list("token", parent=caller.id):
                if old.get("scopes") and old["expires"] < now:
                    store.delete("token", old["key"])
            token = principals.issue_token(
                caller.id, TOKEN_SECONDS, comment="on behalf of the user", scopes=sorted(scopes)
            )
            found = self._issued[key] = _Issued(token, now + TOKEN_SECONDS * _RENEW)
        mask.add(found.token)
        return found.token
