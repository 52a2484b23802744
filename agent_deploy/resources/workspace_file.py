"""A file that a pipeline or a job runs, by our own provider: compared with what it holds at every preview."""

import pulumi

from agent_deploy.resources.own import OwnResource
from agent_deploy.resources.properties import output

# What it was in states of earlier versions.
VENDOR_TYPE = "databricks:index/workspaceFile:WorkspaceFile"


class WorkspaceFile(OwnResource):
    """``name`` is its path below ``folder``; default: a folder in the home of who deploys first, kept from then on."""

    folder: pulumi.Output[str] = output("folder")
    path: pulumi.Output[str] = output("path")
    workspace_path: pulumi.Output[str] = output("workspacePath")
    """As pipelines and jobs name it: /Workspace and the path."""
    object_id: pulumi.Output[str] = output("objectId")

    def __init__(
        self,
        resource_name: str,
        *,
        name: pulumi.Input[str],
        content: pulumi.Input[str],
        folder: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        inputs = {"folder": folder, "name": name, "content": content}
        ours = pulumi.ResourceOptions(aliases=[pulumi.Alias(type_=VENDOR_TYPE)])
        super().__init__(resource_name, inputs, pulumi.ResourceOptions.merge(ours, opts))
