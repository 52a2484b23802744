"""The deployed agent. What differs between environments stands in Pulumi.<stack>.yaml, the rest in Pulumi.yaml."""

import pulumi

from agent_deploy import AgentDeployment, declared_agents

config = pulumi.Config()
agent = AgentDeployment(
    "${PROJECT}",
    model_name=config.require("model"),
    versions=[{"alias": config.require("alias")}],
    scale_to_zero=config.require_bool("scaleToZero"),
    environment={"DEFAULT_DEPARTMENT": "the front desk"},
    permissions=[{"group_name": config.require("group"), "level": "CAN_QUERY"}],
)
pulumi.export("endpoint_name", agent.endpoint_name)
pulumi.export("query_endpoint", agent.query_endpoint)
pulumi.export("review_app_url", agent.review_app_url)

# Further agents, such as those that `agent-deploy import` takes over: arguments in the stack's file, below `agents`.
for name, args in declared_agents(missing_ok=True).items():
    AgentDeployment(name, args)
