"""One Spark for all tests of the derived tables: its start takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent_deploy.tables.spark import SparkProcess


@pytest.fixture(scope="session")
def spark() -> Iterator[SparkProcess]:
    with SparkProcess(cores="2", memory="1500m") as process:
        yield process
