"""The plugin process `pulumi-resource-agent-deploy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_deploy.provider.plugin.resource import Package


def main() -> None:
    """The console script; imports only when run, so that a test of one rule does not load gRPC."""
    from agent_deploy.provider.plugin.starting import start

    start(_package)


def _package() -> Package:
    from agent_deploy.provider.package import package

    return package()
