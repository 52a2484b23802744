"""What keeps an identity from being made is told in the preview, all of it at once, and the workspace records no write.

By deployers who are no administrators, too: what they lack to create principals, to give privileges, to keep secrets.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.support import Result, Stack, both_plugins
from tests.engine.test_agent_deployment import nothing_to_do, writes
from tests.engine.test_identity_lifecycle import MODEL, ONE, PROGRAM, declare
from tests.engine.toolbox import OBJECTS, PARENTS, SCIM, SECURABLES, Toolbox, given

OTHER_KINDS = """
import pulumi
from agent_deploy import ObjectPermission, SecurableGrant

try:
    WHAT
except Exception as error:
    raise pulumi.RunError(str(error))
"""


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Toolbox:
    """Version 1 declares set a; version 2 has no MLmodel file."""
    found = Toolbox(local_workspace_factory(serving_start="on_request"))
    found.write_versions("main.default.callee", {})
    found.serve_callees("main.default.callee")
    found.write_versions(MODEL, found.objects["a"], {})
    # No client can take it away from a version that is ready.
    (file,) = (
        path for path in found.folder.rglob("MLmodel") if MODEL.rpartition(".")[2] in path.parts and "2" in path.parts
    )
    file.unlink()
    return found


@pytest.fixture
def start(site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``start(deployer)`` is an empty stack of whoever has that environment."""
    plugins = both_plugins(tmp_path / "plugins")
    return lambda deployer=site.environment: open_stack("", environment=deployer, plugins=plugins)


def refused(site: Toolbox, stack: Stack) -> Result:
    """A preview that fails without a stack trace, and wrote nothing."""
    site.forget_requests()
    result = stack.preview(check=False)
    assert result.code != 0
    assert "Traceback" not in result.output
    assert writes(site) == []
    assert stack.resources() == {}
    return result


def tells(result: Result, *patterns: str) -> None:
    """Each pattern is found in one line of what the preview said."""
    for pattern in patterns:
        assert re.search(pattern, result.output), f"{pattern}: {result.output}"


def test_everything_that_is_wrong_comes_in_one_list(site: Toolbox, start: Callable[..., Stack]) -> None:
    stack, nobody = start(), str(uuid.uuid4())
    stack.set_secret("client_secret", "whatever")
    wrong = {
        **ONE,
        "versions": [{"version": "2"}],
        "resources": [{"kind": "table", "name": "orders"}, {"kind": "spoon", "name": "x"}],
        "permissions": [
            {"group_name": "users", "level": "CAN_FLY"},
            {"group_name": "nobodies", "level": "CAN_QUERY"},
            {"user_name": "gone@example.com", "level": "CAN_QUERY"},
        ],
        "service_principal": {"application_id": nobody},
    }
    declare(stack, one=wrong)
    tells(
        refused(site, stack),
        r"resources\[0\]\.name 'orders': expected a Unity Catalog name of three levels",
        r"resources\[1\]\.kind 'spoon': expected one of [^\n]*table",
        r"permissions\[0\]\.level 'CAN_FLY': expected one of [^\n]*CAN_QUERY",
        r"permissions\[1\]\.group_name[^\n]*nobodies",
        r"permissions\[2\]\.user_name[^\n]*gone@example\.com",
        rf"service_principal\.application_id[^\n]*{nobody}",
        r"version 2[^\n]*no MLmodel file",
    )


def test_resources_contradict_manual_credentials(site: Toolbox, start: Callable[..., Stack]) -> None:
    stack = start()
    table = [{"kind": "table", "name": site.objects["a"]["table"]}]
    declare(stack, one={"versions": [{"version": "1"}], "auth": "MANUAL", "resources": table})
    tells(refused(site, stack), r"resources[^\n]*MANUAL")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (
            "SecurableGrant('g', securable_type='table', full_name='main.default.orders_a', principal='users', "
            "privileges=['FLY'])",
            r"privileges\[0\] 'FLY': expected on a table one of [^\n]*SELECT",
        ),
        (
            "ObjectPermission('p', object_type='sql/warehouses', object_id='abc', principal_kind='group', "
            "principal='users', level='CAN_FLY')",
            r"level 'CAN_FLY': expected one of [^\n]*CAN_USE",
        ),
    ],
    ids=["securable", "object"],
)
def test_a_privilege_that_the_platform_does_not_know(
    site: Toolbox, start: Callable[..., Stack], what: str, told: str
) -> None:
    stack = start()
    stack.write(OTHER_KINDS.replace("WHAT", what))
    tells(refused(site, stack), told)


def test_a_deployer_who_is_no_administrator(site: Toolbox, start: Callable[..., Stack]) -> None:
    user, environment = site.as_user("ann@example.com")
    for kind, name, privilege in (("function", MODEL, "EXECUTE"), ("schema", "main.default", "CREATE_TABLE")):
        site.grant(kind, name, privilege, "ann@example.com")
    site.allow("ann@example.com", "user_name", "a")
    stack = start(environment)
    stack.set_secret("key", "hush")
    stack.set_secret("client_secret", "hush")
    for scope in ("on-ann", "on-ann_1"):
        site.workspace.post("/api/2.0/secrets/scopes/create", {"scope": scope})
    with_secret = PROGRAM.replace(
        "AgentDeployment(name", 'args["environment"] = {"KEY": SECRET}\n    AgentDeployment(name'
    )
    with_secret = with_secret.replace("SECRET", 'pulumi.Config().require_secret("key")')

    # He may use everything, and so could deploy with passthrough; here he would give it away, and keep secrets.
    declare(stack, with_secret, ann=ONE)
    objects = site.objects["a"]
    managed = {"catalog": ("Catalog", "main"), "schema": ("Schema", "main.default")}
    lacking = [rf"{title} '{name}': ann@example\.com lacks MANAGE" for title, name in managed.values()]
    lacking += [rf"{objects[kind]}: ann@example\.com lacks MANAGE\b" for kind in SECURABLES]
    lacking += [rf"{objects[kind]}: ann@example\.com lacks CAN_MANAGE" for kind in OBJECTS]
    tells(
        refused(site, stack),
        r"Service principals: ann@example\.com is not a workspace admin",
        r"Secret scope on-ann: it exists already, and ann@example\.com lacks MANAGE[^\n]*belong to somebody else",
        r"Secret scope on-ann_1: it exists already",
        *lacking,
    )

    # With a principal that exists, and what it takes to give, he deploys; and the scope of another name is his own.
    for kind, name in (
        *((kind, name) for kind, name, _ in PARENTS),
        *((SECURABLES[k][0], objects[k]) for k in SECURABLES),
    ):
        site.grant(kind, name, "MANAGE", "ann@example.com")
    for kind, (path, _) in OBJECTS.items():
        site.permit(path, objects[kind], "CAN_MANAGE", user_name="ann@example.com")
    made = site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "given"})
    before = site.standing()
    declare(stack, with_secret, bob={**ONE, "service_principal": {"application_id": made["applicationId"]}})
    stack.up()
    nothing_to_do(stack)
    keys = "DATABRICKS_CLIENT_SECRET,KEY"
    assert site.standing() - before == given("given", objects) | {("scope", "on-bob", keys, "ann@example.com:MANAGE")}
    assert user.get("/api/2.0/serving-endpoints/on-bob")["creator"] == "ann@example.com"
    stack.destroy()
    assert site.standing() == before
