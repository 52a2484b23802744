"""The agents of an environment, as its stack file lists them."""

import pulumi

from agent_deploy import AgentDeployment, declared_agents

for name, args in declared_agents().items():
    agent = AgentDeployment(name, args)
    for output in (
        "endpoint_name",
        "query_endpoint",
        "endpoint_url",
        "review_app_url",
        "served_entities",
        "inference_tables",
        "identities",
    ):
        pulumi.export(f"{name}_{output}", getattr(agent, output))
