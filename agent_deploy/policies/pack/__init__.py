"""The policies on the wire: read out of what Pulumi writes, and served to its engine as a policy pack."""

from __future__ import annotations


def main() -> None:
    """The console script `agent-deploy-policies`, which `pulumi preview --policy-pack` is given; imports when run."""
    from agent_deploy.policies.pack.start import start

    start()
