"""The example of all four components in YAML: what it needs, how it becomes a test's project, what it leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.engine.serving import Site
from tests.engine.support import Stack

EXAMPLE = Path(__file__).parents[2] / "examples" / "yaml" / "Pulumi.yaml"
PROGRAM: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())

MODEL = "main.default.docs_agent"
OWN_MODEL = "main.default.search"
OWN_ENDPOINT = "search"
ENDPOINT = "agents_main-default-docs_agent"
SECRET = "hush-hush-3b41"
COMPONENTS = {
    "docs": "agent-deploy:index:AgentDeployment",
    "searchTables": "agent-deploy:index:InferenceTables",
    "searchIdentity": "agent-deploy:index:AgentServicePrincipal",
    "feedback": "agent-deploy:index:FeedbackModel",
}


def write_project(stack: Stack, **project: Any) -> None:
    """``project`` as the project's file, with its stack and the plugins that the test has."""
    path = stack.folder / "Pulumi.yaml"
    made = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**project, "name": made["name"], "plugins": made["plugins"]}, sort_keys=False))


def configure(stack: Stack) -> None:
    """What the example asks of whoever runs it."""
    stack.set_secret("searchKey", SECRET)


def check_made(site: Site, stack: Stack, outputs: dict[str, Any]) -> str:
    """All four components, and what they say of themselves; returns the id of the agent's endpoint."""
    made = {resource["type"] for resource in stack.export()["resources"]}
    assert set(COMPONENTS.values()) <= made
    assert served(site) == {"1"}
    assert outputs["queryEndpoint"].endswith(f"/serving-endpoints/{ENDPOINT}/invocations")
    assert outputs["payloadTable"] == "main.default.search_payload"
    assert outputs["feedbackModel"] == "main.default.feedback"
    assert outputs["applicationId"]
    assert SECRET not in stack.state_text()
    return str(site.endpoint(ENDPOINT)["id"])


def change(stack: Stack) -> None:
    """Another version, which the next `up` deploys."""
    stack.run("config", "set", "agentVersion", "2")


def check_changed(site: Site, endpoint_id: str) -> None:
    """It is served by the endpoint that was there before."""
    assert served(site) == {"2"}
    assert site.endpoint(ENDPOINT)["id"] == endpoint_id


def check_gone(site: Site, stack: Stack) -> None:
    """Nothing is left but what was there before."""
    assert stack.resources() == {}
    assert not site.exists(ENDPOINT)
    assert site.exists(OWN_ENDPOINT)


def served(site: Site) -> set[str]:
    """The versions of the agent's model behind the endpoint."""
    entities = site.endpoint(ENDPOINT)["config"]["served_entities"]
    return {entity["entity_version"] for entity in entities if entity["entity_name"] == MODEL}
