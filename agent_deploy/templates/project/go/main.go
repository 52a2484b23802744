// The deployed agent. What differs between environments stands in Pulumi.<stack>.yaml, the rest in Pulumi.yaml.
// Its SDK is generated: with agent-deploy installed, `pulumi package add "$(which pulumi-resource-agent-deploy)"`.
package main

import (
	"example.com/pulumi-agent-deploy/sdk/go/agentdeploy"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/config"
)

func main() {
	pulumi.Run(func(ctx *pulumi.Context) error {
		settings := config.New(ctx, "")
		agent, err := agentdeploy.NewAgentDeployment(ctx, "${PROJECT}", &agentdeploy.AgentDeploymentArgs{
			ModelName:   pulumi.String(settings.Require("model")),
			Versions:    []agentdeploy.AgentVersionArgs{{Alias: pulumi.String(settings.Require("alias"))}},
			ScaleToZero: pulumi.Bool(settings.RequireBool("scaleToZero")),
			Environment: map[string]pulumi.StringInput{"DEFAULT_DEPARTMENT": pulumi.String("the front desk")},
			Permissions: []agentdeploy.AgentPermissionArgs{{
				GroupName: pulumi.String(settings.Require("group")),
				Level:     agentdeploy.EndpointPermissionLevelCanQuery,
			}},
		})
		if err != nil {
			return err
		}
		ctx.Export("endpoint_name", agent.EndpointName)
		ctx.Export("query_endpoint", agent.QueryEndpoint)
		ctx.Export("review_app_url", agent.ReviewAppUrl)
		return nil
	})
}
