"""The plugin process `pulumi-resource-agent-deploy`."""


def main() -> None:
    """The console script; imports only when run, so that a test of one rule does not load gRPC."""
    from agent_deploy.provider.package import package
    from agent_deploy.provider.process import serve

    serve(package())
