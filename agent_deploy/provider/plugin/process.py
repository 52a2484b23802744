"""Runs a Package, or another of the engine's plugins, as the process that the engine starts, asks, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc.aio
from pulumi.runtime.proto import provider_pb2_grpc

from agent_deploy.provider.plugin.resource import Package
from agent_deploy.provider.plugin.servicer import CHANNEL_OPTIONS, Servicer

# Operations wait in threads, for minutes; the engine runs as many at once as the user allows (`--parallel`).
MAX_THREADS = 256
# How soon a plugin notices that the engine was killed.
WATCH_SECONDS = 1.0
# How long calls may take that run when the engine says that all is done.
END_SECONDS = 10.0


def serve(package: Package) -> None:
    """Serves until the engine ends the process; prints the port first, as the engine expects."""

    def add(server: grpc.aio.Server, engine_address: str) -> None:
        provider_pb2_grpc.add_ResourceProviderServicer_to_server(Servicer(package, engine_address), server)

    serve_plugin(package.name, package.version, add)


def serve_plugin(name: str, version: str, add: Callable[[grpc.aio.Server, str], None]) -> None:
    """The same for any plugin; ``add`` gives the server, with the engine's address, what answers its calls."""
    addresses = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    if not addresses:
        sys.stderr.write(f"{name} {version} is a plugin that `pulumi` starts by itself.\n")
        sys.exit(2)
    asyncio.run(_serve(name, addresses[0], add))


async def _serve(name: str, engine_address: str, add: Callable[[grpc.aio.Server, str], None]) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(MAX_THREADS, name))
    server = grpc.aio.server(options=CHANNEL_OPTIONS)
    add(server, engine_address)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    parent, told_to_end = os.getppid(), asyncio.Event()
    # Python would answer the engine's signal with a traceback, which the engine shows to the user.
    with suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, told_to_end.set)
    while os.getppid() == parent and not told_to_end.is_set():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(told_to_end.wait(), WATCH_SECONDS)
    if told_to_end.is_set():
        # A program that still waits for an answer would take our end for a fault, and tell it.
        await server.stop(END_SECONDS)
    # Else the engine was killed and took nobody with it: what we wait for, nobody will hear.
    os._exit(0)
