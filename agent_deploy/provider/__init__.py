"""The plugin process `pulumi-resource-agent-deploy`."""

import gc
import sys


def main() -> None:
    """The console script; imports only when run, so that a test of one rule does not load gRPC."""
    # httpx would load the command line that it brings (click, rich): half of its time. It does without, if it must.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]

    # The engine waits for the plugin to start. Nothing of what is loaded is ever garbage, and to look for some in it
    # takes a quarter of that time.
    gc.disable()
    from agent_deploy.provider.package import package
    from agent_deploy.provider.process import serve

    loaded = package()
    gc.freeze()
    gc.enable()
    serve(loaded)
