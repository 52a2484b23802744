"""One workspace for a worker's clients, and what they are told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller, _witnesses, http_client, sdk_client

__all__ = ["_witnesses"]


@pytest.fixture(scope="session")
def admin(local_workspace: LocalWorkspace) -> Iterator[Caller]:
    """The administrator."""
    sdk = sdk_client(local_workspace.host, local_workspace.token)
    me = sdk.current_user.me()
    with http_client(local_workspace.host, local_workspace.token) as http:
        yield Caller(str(me.user_name), str(me.id), sdk, http)


@pytest.fixture(scope="session")
def warehouse_id(admin: Caller) -> str:
    """A SQL warehouse."""
    made = admin.sdk.warehouses.create_and_wait(
        name="clients", cluster_size="2X-Small", max_num_clusters=1, auto_stop_mins=10
    )
    return str(made.id)
