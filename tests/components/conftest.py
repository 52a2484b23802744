"""The mocked workspace that the components' tests deploy to."""

from __future__ import annotations

import pytest

from tests.components.mocked import Workspace, in_use


@pytest.fixture
def workspace() -> Workspace:
    return in_use(Workspace())
