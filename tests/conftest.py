"""What holds for the tests of every tier."""

from __future__ import annotations

import pytest

from agent_deploy.local.databricks_plugin.selection import select


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says with which databricks plugin the run went: the vendor's, or the stand-in."""
    terminalreporter.write_line(f"databricks plugin: {select()}")
