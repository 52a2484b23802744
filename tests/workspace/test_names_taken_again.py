"""Whoever bears the name of one who was deleted has nothing of his: each sort of principal × each sort of right."""

from __future__ import annotations

import base64
import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.names import OWNERS
from tests.workspace.conftest import Caller, http_client
from tests.workspace.test_identity import SCIM

UC = "/api/2.1/unity-catalog"
SECRETS = "/api/2.0/secrets"
# Sort of principal → route of SCIM, and the body that makes one of a name.
KINDS: dict[str, tuple[str, Callable[[str], dict[str, Any]]]] = {
    "user": ("Users", lambda name: {"userName": name}),
    "service_principal": ("ServicePrincipals", lambda name: {"applicationId": name, "displayName": "sp"}),
    "group": ("Groups", lambda name: {"displayName": name}),
}
FIELDS = {"user": "user_name", "service_principal": "service_principal_name", "group": "group_name"}


@dataclass
class Bearer:
    """A principal that bears a name, and somebody who acts by its rights: itself, or the group's only member."""

    admin: httpx.Client
    host: str
    kind: str
    name: str

    def __post_init__(self) -> None:
        self._made: list[str] = []
        route, body = KINDS[self.kind]
        given = body(self.name)
        actor = self.name
        if self.kind == "group":
            actor = str(uuid.uuid4())
            member = self._make("ServicePrincipals", KINDS["service_principal"][1](actor))
            given["members"] = [{"value": member}]
        self.id = self._make(route, given)
        signed_in = ok(self.admin.post("/_local/tokens", json={"principal": actor}))
        self.http = http_client(self.host, str(signed_in["token_value"]))

    def _make(self, route: str, body: dict[str, Any]) -> str:
        answer = self.admin.post(f"{SCIM}/{route}", json=body)
        assert answer.status_code == 201, answer.text
        self._made.append(f"{SCIM}/{route}/{answer.json()['id']}")
        return str(answer.json()["id"])

    def leave(self) -> None:
        """Deleted, with its member."""
        self.http.close()
        for path in reversed(self._made):
            assert self.admin.delete(path).status_code in (200, 204)


def ok(response: httpx.Response) -> dict[str, Any]:
    assert response.is_success, response.text
    found: dict[str, Any] = response.json()
    return found


# ---- each sort of right: given to a bearer, returns the request that needs it


def secret_acl(bearer: Bearer, name: str) -> tuple[str, str]:
    ok(bearer.admin.post(f"{SECRETS}/scopes/create", json={"scope": name}))
    ok(bearer.admin.post(f"{SECRETS}/put", json={"scope": name, "key": "k", "string_value": "v"}))
    entry = {"scope": name, "principal": bearer.name, "permission": "READ"}
    ok(bearer.admin.post(f"{SECRETS}/acls/put", json=entry))
    return "GET", f"{SECRETS}/get?scope={name}&key=k"


def object_acl(bearer: Bearer, name: str) -> tuple[str, str]:
    warehouse = ok(bearer.admin.post("/api/2.0/sql/warehouses", json={"name": name, "cluster_size": "2X-Small"}))["id"]
    entry = {FIELDS[bearer.kind]: bearer.name, "permission_level": "CAN_MANAGE"}
    ok(bearer.admin.patch(f"/api/2.0/permissions/sql/warehouses/{warehouse}", json={"access_control_list": [entry]}))
    return "GET", f"/api/2.0/permissions/sql/warehouses/{warehouse}"


def grant(bearer: Bearer, name: str) -> tuple[str, str]:
    ok(bearer.admin.post(f"{UC}/catalogs", json={"name": name}))
    changes = {"changes": [{"principal": bearer.name, "add": ["BROWSE", "USE_CATALOG"]}]}
    ok(bearer.admin.patch(f"{UC}/permissions/catalog/{name}", json=changes))
    return "GET", f"{UC}/catalogs/{name}"


def ownership(bearer: Bearer, name: str) -> tuple[str, str]:
    ok(bearer.admin.post(f"{UC}/catalogs", json={"name": name}))
    ok(bearer.admin.patch(f"{UC}/catalogs/{name}", json={"owner": bearer.name}))
    return "GET", f"{UC}/permissions/catalog/{name}"


def ownership_of_a_model(bearer: Bearer, name: str) -> tuple[str, str]:
    ok(bearer.admin.post(f"{UC}/catalogs", json={"name": name}))
    use = {"changes": [{"principal": "account users", "add": ["USE_CATALOG", "USE_SCHEMA"]}]}
    ok(bearer.admin.patch(f"{UC}/permissions/catalog/{name}", json=use))
    ok(bearer.admin.post(f"{UC}/models", json={"catalog_name": name, "schema_name": "default", "name": "m"}))
    ok(bearer.admin.patch(f"{UC}/models/{name}.default.m", json={"owner": bearer.name}))
    return "GET", f"{UC}/permissions/function/{name}.default.m"


RIGHTS = {right.__name__: right for right in (secret_acl, object_acl, grant, ownership, ownership_of_a_model)}


@pytest.mark.parametrize(("kind", "again"), [*itertools.product(KINDS, KINDS)])
def test_who_is_called_like_one_who_was_deleted_has_nothing_of_his(
    local_workspace: LocalWorkspace, admin: Caller, name: str, kind: str, again: str
) -> None:
    # An id that all sorts of principal may have for a name.
    called = str(uuid.uuid4())
    before = Bearer(admin.http, local_workspace.host, kind, called)
    asked = {right: give(before, f"{name}-{right}".lower()) for right, give in RIGHTS.items()}
    answers = {right: before.http.request(*request).status_code for right, request in asked.items()}
    assert answers == dict.fromkeys(RIGHTS, 200)
    before.leave()
    after = Bearer(admin.http, local_workspace.host, again, called.upper())
    try:
        answers = {right: after.http.request(*request).status_code for right, request in asked.items()}
        assert answers == dict.fromkeys(RIGHTS, 403)
        shown = ok(admin.http.get(f"{UC}/catalogs/{name}-ownership"))["owner"]
        assert shown == f"deleted principal {called.upper()}"
        admin.http.patch(f"{UC}/catalogs/{name}-ownership", json={"owner": admin.name}).raise_for_status()
    finally:
        after.leave()


def test_everything_that_has_an_owner_is_taken_from_the_former_one(
    local_workspace: LocalWorkspace, admin: Caller, name: str
) -> None:
    """What runs as somebody, and what only its maker sees."""
    called = str(uuid.uuid4())
    before = Bearer(admin.http, local_workspace.host, "user", called)
    warehouse = ok(admin.http.post("/api/2.0/sql/warehouses", json={"name": name, "cluster_size": "2X-Small"}))["id"]
    space = {"title": name, "warehouse_id": warehouse, "serialized_space": "{}"}
    space_id = ok(admin.http.post("/api/2.0/genie/spaces", json=space))["space_id"]
    lists = (("sql/warehouses", warehouse, "CAN_USE"), ("genie", space_id, "CAN_RUN"))
    everybody = {"group_name": "users"}
    for path, object_id, level in lists:
        body = {"access_control_list": [{**everybody, "permission_level": level}]}
        ok(admin.http.patch(f"/api/2.0/permissions/{path}/{object_id}", json=body))
    statement = {"statement": "SELECT 1", "warehouse_id": warehouse, "wait_timeout": "30s"}
    statement_id = ok(before.http.post("/api/2.0/sql/statements", json=statement))["statement_id"]
    started = ok(before.http.post(f"/api/2.0/genie/spaces/{space_id}/start-conversation", json={"content": "?"}))
    theirs = {
        "statement": f"/api/2.0/sql/statements/{statement_id}",
        "genie_conversation": f"/api/2.0/genie/spaces/{space_id}/conversations/{started['conversation_id']}/messages",
    }
    job = ok(before.http.post("/api/2.2/jobs/create", json={"name": name, "tasks": []}))["job_id"]
    pipeline = ok(before.http.post("/api/2.0/pipelines", json={"name": name}))["pipeline_id"]
    assert {before.http.get(path).status_code for path in theirs.values()} == {200}
    before.leave()
    after = Bearer(admin.http, local_workspace.host, "user", called)
    assert {kind: after.http.get(path).status_code for kind, path in theirs.items()} == dict.fromkeys(theirs, 403)
    run_as = {
        "job": ok(admin.http.get(f"/api/2.2/jobs/get?job_id={job}"))["run_as_user_name"],
        "pipeline": ok(admin.http.get(f"/api/2.0/pipelines/{pipeline}"))["run_as_user_name"],
    }
    assert run_as == dict.fromkeys(run_as, f"deleted principal {called}")
    after.leave()
    securables = {kind for kind, field in OWNERS.items() if field == "owner"} - theirs.keys()
    assert {*OWNERS} == {*theirs, *run_as, *securables}


@pytest.mark.parametrize("prefix", ["/Users", "/Workspace/Users"])
@pytest.mark.parametrize("again", ["user", "service_principal"])
def test_the_next_one_has_a_home_of_his_own_and_sees_nothing_of_the_former_ones(
    local_workspace: LocalWorkspace, admin: Caller, prefix: str, again: str
) -> None:
    called = str(uuid.uuid4())
    home, files = f"{prefix}/{called}", "/api/2.0/workspace"
    contents = {}
    for turn, kind in enumerate(("user", again, "user")):
        bearer = Bearer(admin.http, local_workspace.host, kind, called)
        if turn:
            assert bearer.http.get(f"{files}/list?path={home}").json() == {"objects": []}
            assert bearer.http.get(f"{files}/export?path={home}/inner/notes.txt").status_code == 404
        ok(bearer.http.post(f"{files}/mkdirs", json={"path": f"{home}/inner"}))
        contents[turn] = base64.b64encode(f"of turn {turn}".encode()).decode()
        file = {"path": f"{home}/inner/notes.txt", "format": "AUTO", "content": contents[turn]}
        number = ok(bearer.http.post(f"{files}/import", json=file))["object_id"]
        assert ok(bearer.http.get(f"{files}/export?path={home}/inner/notes.txt"))["content"] == contents[turn]
        for former in range(1, turn + 1):
            aside = f"{home}_backup_{former}"
            for path in (aside, f"{aside}/inner/notes.txt"):
                assert bearer.http.get(f"{files}/get-status?path={path}").status_code == 403
            # What administrators look for is still there.
            kept = ok(admin.http.get(f"{files}/export?path={aside}/inner/notes.txt"))["content"]
            assert kept == contents[former - 1]
        shown = ok(bearer.http.get(f"{files}/list?path=/Users"))["objects"]
        assert [each["path"] for each in shown if called in each["path"]] == [f"/Users/{called}"]
        ok(bearer.http.get(f"/api/2.0/permissions/files/{number}"))
        bearer.leave()
    for folder in (home, f"{home}_backup_1", f"{home}_backup_2"):
        ok(admin.http.post(f"{files}/delete", json={"path": folder, "recursive": True}))


def test_a_group_keeps_what_it_has_under_another_name_and_its_old_name_gives_nothing(
    local_workspace: LocalWorkspace, admin: Caller, name: str
) -> None:
    called = str(uuid.uuid4())
    group = Bearer(admin.http, local_workspace.host, "group", called)
    asked = {right: give(group, f"{name}-{right}".lower()) for right, give in RIGHTS.items()}
    operation = {"op": "replace", "path": "displayName", "value": f"{called}-renamed"}
    ok(admin.http.patch(f"{SCIM}/Groups/{group.id}", json={"Operations": [operation]}))
    answers = {right: group.http.request(*request).status_code for right, request in asked.items()}
    assert answers == dict.fromkeys(RIGHTS, 200)
    other = Bearer(admin.http, local_workspace.host, "group", called)
    answers = {right: other.http.request(*request).status_code for right, request in asked.items()}
    assert answers == dict.fromkeys(RIGHTS, 403)
    other.leave()
    admin.http.patch(f"{UC}/catalogs/{name}-ownership", json={"owner": admin.name}).raise_for_status()
    group.leave()


def test_a_home_that_is_set_aside_becomes_nobody_elses(local_workspace: LocalWorkspace, admin: Caller) -> None:
    """Who is called like the folder that it would be could not write into his own home."""
    called, files = str(uuid.uuid4()), "/api/2.0/workspace"
    former = Bearer(admin.http, local_workspace.host, "user", called)
    ok(former.http.post(f"{files}/mkdirs", json={"path": f"/Users/{called}/inner"}))
    former.leave()
    other = Bearer(admin.http, local_workspace.host, "user", f"{called}_BACKUP_1")
    again = Bearer(admin.http, local_workspace.host, "user", called)
    ok(other.http.post(f"{files}/mkdirs", json={"path": f"/Users/{other.name}/inner"}))
    ok(admin.http.get(f"{files}/get-status?path=/Users/{called}_backup_2/inner"))
    for bearer in (again, other):
        bearer.leave()
    for folder in (other.name, f"{called}_backup_2"):
        ok(admin.http.post(f"{files}/delete", json={"path": f"/Users/{folder}", "recursive": True}))


@pytest.mark.parametrize(
    "taken",
    # The last two own what belonged to those who are gone.
    ["admins", "users", "ADMINS", "account users", "admin@local", "deleted principal ann", "Deleted Principal ann"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_no_two_principals_bear_one_name(admin: Caller, kind: str, taken: str) -> None:
    """Grants and ACLs tell them by their names: a user called `admins` would own the metastore."""
    route, body = KINDS[kind]
    answer = admin.http.post(f"{SCIM}/{route}", json=body(taken))
    assert answer.status_code == 409, answer.text


@pytest.mark.parametrize("name", ["a/b@local", "/", ".", "..", "admin@local/x", "x/../admin@local"])
@pytest.mark.parametrize("kind", ["user", "service_principal"])
def test_no_principals_home_lies_within_anothers(admin: Caller, kind: str, name: str) -> None:
    route, field = {"user": ("Users", "userName"), "service_principal": ("ServicePrincipals", "applicationId")}[kind]
    answer = admin.http.post(f"/api/2.0/preview/scim/v2/{route}", json={field: name})
    assert answer.status_code == 400
    assert "without /" in answer.json()["detail"]


def test_no_id_is_given_twice_over_a_restart(local_workspace_factory: Callable[..., Any]) -> None:
    workspace: LocalWorkspace = local_workspace_factory()
    given: dict[str, list[int]] = {}
    for _ in range(2):
        with http_client(workspace.host, workspace.token) as http:
            http.timeout = httpx.Timeout(120)  # MLflow's server starts with the first experiment
            for kind, numbers in made_and_deleted(http).items():
                given.setdefault(kind, []).extend(numbers)
        workspace.restart()
    assert all(numbers == sorted(set(numbers)) for numbers in given.values()), given


def made_and_deleted(http: httpx.Client) -> dict[str, list[int]]:
    """Numbers of what is told by one: two of each, of which the second is made when the first one is gone."""
    numbers: dict[str, list[int]] = {}
    for turn in range(2):
        unique = f"n{turn}-{time.monotonic_ns()}"
        for kind, (route, body) in KINDS.items():
            made = int(http.post(f"{SCIM}/{route}", json=body(unique)).json()["id"])
            numbers.setdefault("principal", []).append(made)
            assert http.delete(f"{SCIM}/{route}/{made}").is_success, kind
        job = ok(http.post("/api/2.2/jobs/create", json={"name": unique, "tasks": []}))["job_id"]
        ok(http.post("/api/2.2/jobs/delete", json={"job_id": job}))
        numbers.setdefault("job", []).append(int(job))
        ok(http.post("/api/2.0/workspace/mkdirs", json={"path": "/Shared/again"}))
        folder = ok(http.get("/api/2.0/workspace/get-status?path=/Shared/again"))["object_id"]
        ok(http.post("/api/2.0/workspace/delete", json={"path": "/Shared/again"}))
        numbers.setdefault("folder", []).append(int(folder))
        experiment = ok(http.post("/api/2.0/mlflow/experiments/create", json={"name": f"/Shared/{unique}"}))
        ok(http.post("/api/2.0/mlflow/experiments/delete", json={"experiment_id": experiment["experiment_id"]}))
        numbers.setdefault("experiment", []).append(int(experiment["experiment_id"]))
    return numbers
