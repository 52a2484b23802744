"""The link that signs a browser in, as commands print it and tests follow it."""

from __future__ import annotations

from urllib.parse import quote

import httpx

_SECONDS = 10.0


def sign_in_link(host: str, token: str, user: str = "", page: str = "/ml/deployments") -> str:
    """For ``user`` (default: the token's own); the code stands behind the '#', which browsers keep to themselves.

    Raises HTTPStatusError: for another user than the token's own it takes an administrator's token.
    """
    body = {"principal": user} if user else {}
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.post(f"{host}/_local/sign-in-codes", json=body, headers=headers, timeout=_SECONDS)
    answer.raise_for_status()
    return f"{host}/login?next={quote(page, safe='')}#code={answer.json()['code']}"
