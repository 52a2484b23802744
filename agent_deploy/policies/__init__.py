"""What a platform team demands of agents, as policies: judged in reports and checks, and as a policy pack by Pulumi."""

from __future__ import annotations


def main() -> None:
    """The console script `agent-deploy-policies`, which `pulumi preview --policy-pack` is given; imports when run."""
    from agent_deploy.policies.pack import start

    start()
