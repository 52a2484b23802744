"""The process that the engine starts as `pulumi-resource-databricks` where the stand-in is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_deploy.provider.plugin.starting import start

if TYPE_CHECKING:
    from agent_deploy.provider.plugin.resource import Package


def main() -> None:
    """Serves until the engine ends the process."""
    start(_package)


def _package() -> Package:
    from agent_deploy.stand_in.package import package

    return package()


if __name__ == "__main__":
    main()
