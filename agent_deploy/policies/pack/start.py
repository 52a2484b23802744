"""The policy pack `agent-deploy-policies` as the process that the engine starts: it loads no more than the protocol."""

from __future__ import annotations

from importlib import metadata

from agent_deploy.loading import loading
from agent_deploy.policies.catalogue import PACK
from agent_deploy.provider.plugin.starting import load_protocol


def start() -> None:
    """Serves until the engine ends the process."""
    with loading():
        load_protocol()
        import grpc.aio
        from pulumi.runtime.proto import analyzer_pb2_grpc

        from agent_deploy.policies.pack.analyzer import Analyzer
        from agent_deploy.provider.plugin.process import serve_plugin

    version = metadata.version(PACK)

    def add(server: grpc.aio.Server, engine_address: str) -> None:
        analyzer_pb2_grpc.add_AnalyzerServicer_to_server(Analyzer(version), server)

    serve_plugin(f"{PACK}-policies", version, add)
