"""The mocked workspace that the components' tests deploy to."""

from __future__ import annotations

import logging

import pytest

from agent_deploy.components.errors import DeploymentError
from tests.components.mocked import Workspace, in_use


def _is_news(record: logging.LogRecord) -> bool:
    is_refusal = record.exc_info and isinstance(record.exc_info[1], DeploymentError)
    told = record.getMessage()
    return not (is_refusal or (told.startswith("Task was destroyed") and "/pulumi/" in told))


# Of a mocked program that is refused, Pulumi leaves an unread answer or an unfinished task for each resource. When the
# interpreter ends, asyncio would tell them all: thousands of tracebacks of errors that the tests have looked at.
logging.getLogger("asyncio").addFilter(_is_news)


@pytest.fixture
def workspace() -> Workspace:
    return in_use(Workspace())
