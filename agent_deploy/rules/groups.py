"""The groups that every workspace has, as the APIs name them."""

from __future__ import annotations

from typing import Final

ADMINS: Final = "admins"
"""May do everything anyhow; no access control list takes them."""
USERS: Final = "users"
"""Everybody of the workspace."""
ACCOUNT_USERS: Final = "account users"
"""Everybody of the account."""
EVERYBODY: Final = frozenset({USERS, ACCOUNT_USERS})
