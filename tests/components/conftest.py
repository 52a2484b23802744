"""The mocked workspace that the components' tests deploy to."""

from __future__ import annotations

import asyncio

import pulumi.runtime
import pytest

from tests.components.mocked import Workspace


@pytest.fixture
def workspace() -> Workspace:
    asyncio.set_event_loop(asyncio.new_event_loop())
    mocks = Workspace()
    pulumi.runtime.set_mocks(mocks, project="agents", stack="dev")
    return mocks
