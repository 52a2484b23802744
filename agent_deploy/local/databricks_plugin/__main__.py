"""The process that the engine starts as `pulumi-resource-databricks` where the stand-in is used."""

from __future__ import annotations

from agent_deploy.local.databricks_plugin.package import package
from agent_deploy.provider.process import serve


def main() -> None:
    """Serves until the engine ends the process."""
    serve(package())


if __name__ == "__main__":
    main()
