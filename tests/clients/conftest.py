"""One workspace for a worker's clients, and what they are told of it."""

from __future__ import annotations

import pytest

from tests.workspace.conftest import Caller, _witnesses, admin

__all__ = ["_witnesses", "admin"]


@pytest.fixture(scope="session")
def warehouse_id(admin: Caller) -> str:
    """A SQL warehouse."""
    made = admin.sdk.warehouses.create_and_wait(
        name="clients", cluster_size="2X-Small", max_num_clusters=1, auto_stop_mins=10
    )
    return str(made.id)
