"""What becomes of identities over time: versions that join and leave, updates that fail, other modes, rotation.

After every step the workspace's principals, secrets, grants, access lists and scopes are compared, all of them, with
what the program declares. The models are never asked here, but for the rotation under load.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from agent_deploy.components.agent_service_principal import TODAY_VARIABLE
from tests.engine.support import Result, Stack, both_plugins
from tests.engine.test_agent_deployment import nothing_to_do, writes
from tests.engine.toolbox import SCIM, UC, Fact, Toolbox, given

MODEL = "main.default.qa"
SHORT = "main-default-qa"
PROGRAM = """
import json
import pulumi
from agent_deploy import AgentDeployment
for name, args in json.loads(DEPLOYMENTS).items():
    aliases = [pulumi.Alias(name=args.pop("was"))] if "was" in args else []
    if "service_principal" in args:
        args["service_principal"]["client_secret"] = pulumi.Config().require_secret("client_secret")
    bare = {"inference_tables": {"enabled": False}, "feedback_model": False, "review_app": {"enabled": False}}
    AgentDeployment(name, {**bare, **args}, pulumi.ResourceOptions(aliases=aliases))
"""
ONE = {"versions": [{"version": "1"}], "auth": "SERVICE_PRINCIPAL"}
BOTH = {**ONE, "versions": [{"version": "1"}, {"version": "2"}], "traffic": {"1": 90, "2": 10}}


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Toolbox:
    """Version 1 declares set a, version 2 set b, version 3 set a again; nothing runs until it is asked."""
    found = Toolbox(local_workspace_factory(serving_start="on_request"))
    a, b = found.objects["a"], found.objects["b"]
    found.write_versions("main.default.callee", {})
    found.serve_callees("main.default.callee")
    found.write_versions(MODEL, a, b, a)
    return found


@pytest.fixture
def start(site: Toolbox, open_stack: Callable[..., Stack], tmp_path: Path) -> Callable[..., Stack]:
    """``start(**environment)`` is an empty stack; `declare` fills it."""
    plugins = both_plugins(tmp_path / "plugins")

    def make(**environment: str) -> Stack:
        return open_stack("", environment={**site.environment, **environment}, plugins=plugins)

    return make


def declare(stack: Stack, program: str = PROGRAM, /, **deployments: Mapping[str, Any]) -> None:
    """Writes the program: by resource name, the deployment's arguments; its endpoint is `on-<name>` unless given."""
    full = {name: {"model_name": MODEL, "endpoint_name": f"on-{name}", **args} for name, args in deployments.items()}
    stack.write(program.replace("DEPLOYMENTS", repr(json.dumps(full))))


def owned(site: Toolbox, endpoint: str, **versions: str) -> set[Fact]:
    """The facts of a deployment whose version ``v1`` (…) has the set ``a`` (or ``b``) under its own principal."""
    facts: set[Fact] = set()
    for name, letter in versions.items():
        version = name.removeprefix("v")
        principal = f"{SHORT}_{version}"
        facts |= {("principal", principal, "1 secrets")} | given(principal, site.objects[letter])
        facts.add(("scope", f"{endpoint}_{version}", "client-secret", "admin@local:MANAGE"))
    return facts


def test_versions_join_and_leave_each_with_its_own(site: Toolbox, start: Callable[..., Stack]) -> None:
    before = site.standing()
    stack = start()
    declare(stack, one=ONE)
    stack.up()
    assert site.standing() - before == owned(site, "on-one", v1="a")

    # A failed update leaves everything of both; what is declared then, stands.
    with site.fault(match="build", entity=f"{SHORT}_2", fail="no space left"):
        declare(stack, one=BOTH)
        failed = stack.up(check=False)
        assert failed.code != 0
        assert "no space left" in failed.output
        shows_no_secret(stack, failed)
        joined = owned(site, "on-one", v1="a", v2="b")
        assert site.standing() - before == joined
        declare(stack, one={**ONE, "versions": [{"version": "2"}]})
        assert stack.up(check=False).code != 0
        assert site.standing() - before == joined
    declare(stack, one=BOTH)
    stack.up()
    assert site.standing() - before == joined
    nothing_to_do(stack)

    # By hand: a grant is revoked, a permission taken out. Both are seen, and come back.
    table, warehouse = (site.objects["a"][kind] for kind in ("table", "sql_warehouse"))
    (principal,) = (id for id, found in site.principals().items() if found["displayName"] == f"{SHORT}_1")
    revoked = {"changes": [{"principal": principal, "remove": ["SELECT"]}]}
    site.workspace.patch(f"{UC}/permissions/table/{table}", revoked)
    owner = {"access_control_list": [{"user_name": "admin@local", "permission_level": "IS_OWNER"}]}
    site.workspace.put(f"/api/2.0/permissions/sql/warehouses/{warehouse}", owner)
    lost = {f"one-v1-grant-table-{table}", f"one-v1-permission-sql/warehouses-{warehouse}"}
    assert set(stack.refresh().operations) == lost
    stack.up()
    assert site.standing() - before == joined

    # A second agent and a third version need what version 1 needs. Version 1 goes; theirs stays.
    three = {**BOTH, "versions": [{"version": "2"}, {"version": "3"}], "traffic": {"2": 90, "3": 10}}
    declare(stack, one=three, two=ONE)
    stack.up()
    everything = owned(site, "on-one", v2="b", v3="a") | owned(site, "on-two", v1="a")
    assert site.standing() - before == everything
    declare(stack, one=three)
    stack.up()
    assert site.standing() - before == owned(site, "on-one", v2="b", v3="a")
    stack.destroy()
    assert site.standing() == before


def test_another_mode_and_back_another_name_and_resources_that_move(site: Toolbox, start: Callable[..., Stack]) -> None:
    before = site.standing()
    stack = start()
    passthrough = {"versions": [{"version": "1"}]}
    declare(stack, one=passthrough)
    stack.up()
    assert site.standing() == before
    declare(stack, one=ONE)
    stack.up()
    assert site.standing() - before == owned(site, "on-one", v1="a")

    # Another name in the program: nothing is made anew.
    declare(stack, renamed={**ONE, "endpoint_name": "on-one", "was": "one"})
    renamed = stack.up()
    assert set(renamed.operations.values()) <= {"update"}, renamed.operations
    assert site.standing() - before == owned(site, "on-one", v1="a")

    # The version stays, what it needs does not; and version 1's objects move to version 3.
    b = [{"kind": kind, "name": name} for kind, name in site.objects["b"].items()]
    declare(stack, renamed={**ONE, "endpoint_name": "on-one", "resources": b, "replace_resources": True})
    stack.up()
    assert site.standing() - before == owned(site, "on-one", v1="b")
    declare(stack, renamed={**ONE, "endpoint_name": "on-one", "versions": [{"version": "3"}]})
    stack.up()
    assert site.standing() - before == owned(site, "on-one", v3="a")
    declare(stack, renamed={**passthrough, "endpoint_name": "on-one"})
    stack.up()
    assert site.standing() == before
    stack.destroy()
    assert site.standing() == before


def test_a_principal_that_somebody_else_made_is_added_to_and_left(site: Toolbox, start: Callable[..., Stack]) -> None:
    made = site.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "kept"})
    value = site.workspace.post(f"/api/2.0/accounts/servicePrincipals/{made['id']}/credentials/secrets", {})["secret"]
    site.grant("table", site.objects["a"]["table"], "SELECT", made["applicationId"])
    site.permit("genie", site.objects["b"]["genie_space"], "CAN_MANAGE", service_principal_name=made["applicationId"])
    before = site.standing()
    stack = start()
    stack.set_secret("client_secret", value)
    existing = {"service_principal": {"application_id": made["applicationId"]}}
    three = {**BOTH, "versions": [{"version": "1"}, {"version": "3"}], "traffic": {"1": 50, "3": 50}, **existing}
    declare(stack, one=three)
    stack.up()
    scope = {("scope", "on-one", "DATABRICKS_CLIENT_SECRET", "admin@local:MANAGE")}
    assert site.standing() - before == (given("kept", site.objects["a"]) | scope) - before
    # Both versions need the same: what stays, keeps it.
    declare(stack, one={**ONE, **existing})
    stack.up()
    assert site.standing() - before == (given("kept", site.objects["a"]) | scope) - before
    assert value not in stack.state_text()
    declare(stack, one={**ONE, **existing, "versions": [{"version": "2"}]})
    stack.up()
    higher = ("list", f"genie/{site.objects['b']['genie_space']}", "kept", "CAN_RUN")
    assert site.standing() - before == (given("kept", site.objects["b"]) | scope) - before - {higher}
    stack.destroy()
    assert site.standing() == before


def test_a_due_rotation_shows_and_the_sixth_secret_is_an_error(site: Toolbox, start: Callable[..., Stack]) -> None:
    before = site.standing()
    args = {**ONE, "rotation_days": 30, "secret_lifetime_days": 60}
    stack = start(**{TODAY_VARIABLE: "2027-01-01"})
    declare(stack, one=args)
    stack.up()
    nothing_to_do(stack)
    first = secrets_of(site)
    stack.set_environment({TODAY_VARIABLE: "2027-02-15"})
    # The engine creates the new ones first; what it says last of each is that the old one goes.
    replaced = dict.fromkeys(("one-v1-oauth-secret", "one-v1-client-secret"), "delete-replaced")
    due = stack.preview()
    assert due.operations == {**replaced, "one": "update"}
    site.forget_requests()
    stack.up()
    nothing_to_do(stack)
    assert site.standing() - before == owned(site, "on-one", v1="a")
    (old,), (new,) = first, secrets_of(site)
    assert old["id"] != new["id"]
    # Made, put and used before the old one went.
    order = [f"{r['method']} {r['path']}" for r in site.asked("*", "/api/*") if r["method"] != "GET"]
    steps = [
        "POST */credentials/secrets",
        "POST */secrets/put",
        "PUT */on-one/config",
        "DELETE */credentials/secrets/*",
    ]
    assert positions(order, steps) == sorted(positions(order, steps)), order

    principal = secrets_path(site)
    extra = [site.workspace.post(principal, {})["id"] for _ in range(4)]
    nothing_to_do(stack)  # as long as no new one is due, five are no problem
    stack.set_environment({TODAY_VARIABLE: "2027-04-15"})
    site.forget_requests()
    refused = stack.preview(check=False)
    assert refused.code != 0
    assert "has 5 OAuth secrets, and the platform allows 5" in refused.output
    assert "Traceback" not in refused.output
    assert writes(site) == []
    failed = stack.up(check=False)
    assert failed.code != 0
    assert "has 5 OAuth secrets, and the platform allows 5" in failed.output
    assert "Delete one" in failed.output
    shows_no_secret(stack, due, failed)
    assert new["id"] in {secret["id"] for secret in secrets_of(site)}  # the one that is used stays
    for id in extra:
        site.workspace.delete(f"{principal}/{id}")
    stack.up()
    stack.destroy()
    assert site.standing() == before
    stack.set_environment({TODAY_VARIABLE: "tomorrow"})
    assert f"{TODAY_VARIABLE} 'tomorrow': expected a date" in stack.preview(check=False).output


def shows_no_secret(stack: Stack, *runs: Result) -> None:
    """No OAuth secret of anybody's stands in state, diffs, events or errors; the workspace's begin with dose."""
    told = [run.output + json.dumps(run.events) for run in runs]
    assert not re.search(r"dose[0-9a-f]{32}", "".join([stack.state_text(), *told]))


def positions(order: list[str], patterns: list[str]) -> list[int]:
    """Where each pattern first holds."""
    return [next(index for index, call in enumerate(order) if fnmatch(call, pattern)) for pattern in patterns]


def secrets_path(site: Toolbox) -> str:
    """Of the only principal of a deployment."""
    (principal,) = (p for p in site.principals().values() if p["displayName"] == f"{SHORT}_1")
    return f"/api/2.0/accounts/servicePrincipals/{principal['id']}/credentials/secrets"


def secrets_of(site: Toolbox) -> list[dict[str, Any]]:
    """The OAuth secrets of version 1's principal."""
    return list(site.workspace.get(secrets_path(site))["secrets"])


def test_kinds_beyond_the_seeds_table_are_granted_and_taken_back(site: Toolbox, start: Callable[..., Stack]) -> None:
    post, before = site.workspace.post, site.standing()
    options = {"host": "h", "port": "1", "user": "u", "password": "p"}
    post(f"{UC}/connections", {"name": "github", "connection_type": "POSTGRESQL", "options": options})
    post(f"{UC}/model-services?parent=schemas/main.default&model_service_id=chat", {})
    place = {"catalog_name": "main", "schema_name": "default", "name": "files", "volume_type": "MANAGED"}
    post(f"{UC}/volumes", place)
    post("/api/2.0/apps", {"name": "front"})
    post("/api/2.0/database/instances", {"name": "memory"})
    # Where an object's privileges are read, and what the agent gets there.
    places = {
        "uc_connection": ("github", f"{UC}/permissions/connection/github", "USE_CONNECTION"),
        "uc_model_service": ("main.default.chat", f"{UC}/permissions/model_service/main.default.chat", "EXECUTE"),
        "volume": ("main.default.files", f"{UC}/permissions/volume/main.default.files", "READ_VOLUME WRITE_VOLUME"),
        "app": ("front", "/api/2.0/permissions/apps/front", "CAN_USE"),
        "lakebase": ("memory", "/api/2.0/permissions/database-instances/memory", "CAN_USE"),
    }

    def held(kind: str) -> set[str]:
        """What service principals have on the object."""
        answer, names = site.workspace.get(places[kind][1]), set(site.principals())
        granted = [g["privileges"] for g in answer.get("privilege_assignments", []) if g["principal"] in names]
        listed = [e["all_permissions"] for e in answer.get("access_control_list", []) if "service_principal_name" in e]
        return {p for found in granted for p in found} | {p["permission_level"] for found in listed for p in found}

    needed: list[dict[str, Any]] = [{"kind": kind, "name": name} for kind, (name, _, _) in places.items()]
    for each in needed:
        each |= {"writes": True} if each["kind"] == "volume" else {}
    passthrough = {"versions": [{"version": "1"}], "resources": needed, "replace_resources": True}
    stack = start()
    declare(stack, one=passthrough)
    refused = stack.preview(check=False)
    for title in ("App front", "Model service main.default.chat", "Volume main.default.files"):
        expected = rf"needs {title}, which automatic passthrough does not support: choose auth = SERVICE_PRINCIPAL"
        assert re.search(expected, refused.output), refused.output
    declare(stack, one={**passthrough, "auth": "SERVICE_PRINCIPAL"})
    told = stack.preview()
    assert "Database instance memory: membership in databricks_superuser is kept inside the database" in told.messages
    stack.up()
    assert {kind: held(kind) for kind in places} == {
        kind: set(wanted.split()) for kind, (_, _, wanted) in places.items()
    }
    nothing_to_do(stack)
    stack.destroy()
    assert {kind: held(kind) for kind in places} == {kind: set() for kind in places}
    assert site.standing() == before
