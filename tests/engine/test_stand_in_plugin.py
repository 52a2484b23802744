"""The real engine drives the stand-in databricks plugin with our thin classes against a local workspace."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from agent_deploy.stand_in.launcher import plugin_folder
from tests.engine.support import Stack

if TYPE_CHECKING:
    from agent_deploy.local.workspace import LocalWorkspace

PROGRAM = """
import pulumi
from agent_deploy.resources.databricks import Grant, RegisteredModel, SecretAcl, SecretScope
from agent_deploy.resources.databricks import ServicePrincipal, ServicePrincipalSecret

config = pulumi.Config()
privileges = config.require("privileges").split(",")
scope = SecretScope("scope")
principal = ServicePrincipal("principal", display_name=config.require("display-name"))
secret = ServicePrincipalSecret("secret", service_principal_id=principal.id, lifetime=config.get("lifetime"))
SecretAcl("acl", scope=scope.name, principal=principal.application_id, permission="READ")
model = RegisteredModel("model", catalog_name="main", schema_name="default", name=config.require("model"))
Grant("grant", model=model.id, principal=principal.application_id, privileges=privileges)
pulumi.export("secret", secret.secret)
pulumi.export("principal", principal.id)
pulumi.export("application", principal.application_id)
pulumi.export("scope", scope.name)
"""


class Workspace:
    """What is really there."""

    def __init__(self, host: str, token: str) -> None:
        self._http = httpx.Client(base_url=host, headers={"Authorization": f"Bearer {token}"}, trust_env=False)

    def get(self, path: str) -> dict[str, Any] | None:
        answer = self._http.get(path)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        document: dict[str, Any] = answer.json()
        return document

    def post(self, path: str, body: dict[str, Any]) -> None:
        self._http.post(path, json=body).raise_for_status()

    def posts(self, path: str) -> list[str]:
        """The paths of what was posted since the recording began; ``path`` is a pattern with ``*``."""
        asked = self._http.get("/_local/requests", params={"method": "POST", "path": path}).raise_for_status()
        return [str(request["path"]) for request in sorted(asked.json()["requests"], key=lambda each: each["time_ms"])]

    def forget_requests(self) -> None:
        self._http.delete("/_local/requests").raise_for_status()

    def scopes(self) -> list[str]:
        found = self.get("/api/2.0/secrets/scopes/list") or {}
        return [scope["name"] for scope in found.get("scopes", [])]

    def privileges(self, model: str, principal: str) -> set[str]:
        found = self.get(f"/api/2.1/unity-catalog/permissions/function/{model}") or {}
        entries = found.get("privilege_assignments", [])
        return {one for entry in entries if entry["principal"] == principal for one in entry["privileges"]}

    def patch_principal(self, id: str, name: str) -> None:
        operation = {"op": "replace", "path": "displayName", "value": name}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}
        self._http.patch(f"/api/2.0/preview/scim/v2/ServicePrincipals/{id}", json=body).raise_for_status()


@pytest.fixture
def actual(local_workspace: LocalWorkspace) -> Workspace:
    return Workspace(local_workspace.host, local_workspace.token)


@pytest.fixture
def open_program(
    open_stack: Callable[..., Stack], local_workspace: LocalWorkspace, tmp_path: Path
) -> Callable[..., Stack]:
    """A stack whose databricks plugin is the stand-in, configured as users do: by the stack."""

    def make(**config: str) -> Stack:
        given = {"databricks:host": local_workspace.host, "privileges": "EXECUTE", "display-name": "agent", **config}
        stack = open_stack(PROGRAM, config=given, plugins={"databricks": plugin_folder(tmp_path / "plugin")})
        stack.set_secret("databricks:token", local_workspace.token)
        return stack

    return make


def outputs(stack: Stack) -> dict[str, str]:
    return stack.outputs("--show-secrets")


def test_declared_changed_drifted_and_gone(open_program: Callable[..., Stack], actual: Workspace) -> None:
    stack = open_program(model="stand_in_life")
    assert set(stack.preview().operations.values()) == {"create"}
    stack.up()
    made = outputs(stack)
    assert made["scope"] in actual.scopes()
    assert made["scope"].startswith("scope-")
    assert actual.privileges("main.default.stand_in_life", made["application"]) == {"EXECUTE"}
    assert stack.preview().operations == {}
    stack.refresh("--expect-no-changes")

    stack.run("config", "set", "display-name", "renamed")
    stack.run("config", "set", "privileges", "EXECUTE,APPLY_TAG")
    preview = stack.preview()
    assert preview.operations == {"principal": "update", "grant": "update"}
    stack.up()
    assert actual.privileges("main.default.stand_in_life", made["application"]) == {"EXECUTE", "APPLY_TAG"}
    assert outputs(stack)["application"] == made["application"]

    actual.patch_principal(made["principal"], "by hand")
    stack.refresh()
    assert stack.preview().operations == {"principal": "update"}
    stack.up()
    assert stack.preview().operations == {}

    stack.destroy()
    assert stack.resources() == {}
    assert made["scope"] not in actual.scopes()
    assert actual.get(f"/api/2.0/preview/scim/v2/ServicePrincipals/{made['principal']}") is None
    assert actual.get("/api/2.1/unity-catalog/models/main.default.stand_in_life") is None


def test_replacement_makes_the_new_one_first(open_program: Callable[..., Stack], actual: Workspace) -> None:
    stack = open_program(model="stand_in_replaced")
    stack.up()
    before = outputs(stack)
    stack.run("config", "set", "lifetime", "7200s")
    assert "replace" in stack.preview().operations["secret"]
    stack.up()
    path = f"/api/2.0/accounts/servicePrincipals/{before['principal']}/credentials/secrets"
    assert len((actual.get(path) or {})["secrets"]) == 1
    assert outputs(stack)["secret"] != before["secret"]
    stack.destroy()


def test_the_principals_secret_is_nowhere_in_plain_text(open_program: Callable[..., Stack]) -> None:
    stack = open_program(model="stand_in_secret")
    up = stack.up()
    secret = outputs(stack)["secret"]
    assert len(secret) > 8
    assert secret not in up.output
    assert secret not in json.dumps(up.events)
    assert secret not in stack.state_text()
    stack.destroy()


def test_bad_input_is_told_in_the_preview(open_program: Callable[..., Stack]) -> None:
    stack = open_program(model="stand_in_bad")
    stack.write(PROGRAM + 'Grant("bad", principal="p", privileges=["SELECT"])\n')
    preview = stack.preview(check=False)
    assert preview.code != 0
    assert "exactly one of `catalog, credential, " in preview.output
    assert "Examine values at 'bad.catalog'." in preview.output


SCHEDULED = """
from agent_deploy.resources.databricks import Job, Pipeline

clock = {"quartzCronExpression": "0 0 3 * * ?", "timezoneId": "UTC"}
source = [{"file": {"path": "/Shared/of-nobody.py"}}]
pipeline = Pipeline("pipeline", name="stand-in-forgets", catalog="main", schema="default", libraries=source)
tasks = [{"taskKey": "a", "pipelineTask": {"pipelineId": pipeline.id}}]
Job("job", name="stand-in-forgets", tasks=tasks, schedule=clock)
"""


def test_a_job_deleted_by_hand_ends_destroy_but_for_a_refresh(
    open_program: Callable[..., Stack], actual: Workspace
) -> None:
    stack = open_program(model="of-no-matter")
    stack.write(SCHEDULED)
    stack.up()
    assert stack.preview().operations == {}
    stack.refresh("--expect-no-changes")
    job = stack.resources()["job"]["id"]
    settings = (actual.get(f"/api/2.2/jobs/get?job_id={job}") or {})["settings"]
    assert settings["schedule"]["pause_status"] == "UNPAUSED"

    actual.post("/api/2.2/jobs/delete", {"job_id": int(job)})
    failed = stack.destroy(check=False)
    assert failed.code != 0
    assert f"cannot delete job: Job {job} does not exist." in failed.output
    assert "job" in stack.resources()
    # As docs/teardown.md advises.
    stack.destroy("--refresh")
    assert stack.resources() == {}


NAMED = """
import pulumi
from agent_deploy.resources.databricks import SecretAcl, SecretScope

config = pulumi.Config()
opts = pulumi.ResourceOptions(delete_before_replace=False) if config.get_bool("new-first") else None
scope = SecretScope("scope", name=config.require("scope"), opts=opts)
SecretAcl("acl", scope=scope.name, principal="users", permission="READ")
"""


@pytest.mark.parametrize("new_first", [False, True])
def test_the_old_scope_goes_first_but_where_the_program_says_otherwise(
    open_program: Callable[..., Stack], actual: Workspace, new_first: bool
) -> None:
    names = [f"stand-in-{new_first}-{letter}" for letter in "ab"]
    stack = open_program(model="of-no-matter", scope=names[0], **{"new-first": str(new_first).lower()})
    stack.write(NAMED)
    stack.up()
    stack.run("config", "set", "scope", names[1])
    actual.forget_requests()
    stack.up()
    asked = [path.rsplit("/", 2)[1:] for path in actual.posts("/api/2.0/secrets/*")]
    old_first = [["acls", "delete"], ["scopes", "delete"], ["scopes", "create"], ["acls", "put"]]
    assert asked == (old_first[2:] + old_first[:2] if new_first else old_first)
    stack.destroy()
