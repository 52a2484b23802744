"""The start of a plugin, for which the engine waits in each of its commands: nothing is loaded that is not needed."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING

from agent_deploy.loading import loading

if TYPE_CHECKING:
    from agent_deploy.provider.plugin.resource import Package


def start(load: Callable[[], Package]) -> None:
    """Loads the package and serves it until the engine ends the process."""
    # httpx would load the command line that it brings (click, rich): half of its time. It does without, if it must.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    with loading():
        load_protocol()
        from agent_deploy.provider.plugin.process import serve

        package = load()
    serve(package)


def load_protocol() -> None:
    """Loads the engine's protocol without the rest of Pulumi's SDK, which it is a part of.

    While it is loaded, the packages around it are places in which modules are found, and no more. Whoever imports them
    afterwards gets them whole, with this protocol in them.
    """
    spec = importlib.util.find_spec("pulumi")
    if "pulumi" in sys.modules or spec is None:
        return
    places = list(spec.submodule_search_locations or ())
    around = {"pulumi": places, "pulumi.runtime": [f"{place}/runtime" for place in places]}
    for name, path in around.items():
        package = ModuleType(name)
        package.__path__ = path
        sys.modules[name] = package
    try:
        importlib.import_module("pulumi.runtime.proto.status_pb2")  # which the others do not bring
    finally:
        for name in around:
            del sys.modules[name]
