// The deployed agent. What differs between environments stands in Pulumi.<stack>.yaml, the rest in Pulumi.yaml.
// Its SDK is generated: with agent-deploy installed, `pulumi package add "$(which pulumi-resource-agent-deploy)"`.

import * as pulumi from "@pulumi/pulumi";
import * as agentdeploy from "@pulumi/agent-deploy";

const config = new pulumi.Config();
const agent = new agentdeploy.AgentDeployment("${PROJECT}", {
    modelName: config.require("model"),
    versions: [{ alias: config.require("alias") }],
    scaleToZero: config.requireBoolean("scaleToZero"),
    environment: { DEFAULT_DEPARTMENT: "the front desk" },
    permissions: [{ groupName: config.require("group"), level: agentdeploy.EndpointPermissionLevel.CanQuery }],
});

export const endpoint_name = agent.endpointName;
export const query_endpoint = agent.queryEndpoint;
export const review_app_url = agent.reviewAppUrl;
