"""SCIM, tokens and OAuth, by the unmodified SDK and plain HTTP."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied, ResourceConflict, Unauthenticated
from databricks.sdk.service.iam import ComplexValue, Patch, PatchOp, PatchSchema

from agent_deploy.local import LocalWorkspace
from tests.workspace.conftest import Caller, sdk_client

SCIM = "/api/2.0/preview/scim/v2"
PATCH = [PatchSchema.URN_IETF_PARAMS_SCIM_API_MESSAGES_2_0_PATCH_OP]


def test_the_administrator_is_in_the_group_admins(admin: Caller) -> None:
    me = admin.sdk.current_user.me()
    assert me.user_name == "admin@local"
    assert [group.display for group in me.groups or []] == ["admins"]


def test_a_service_principals_user_name_is_its_application_id(stranger: Caller) -> None:
    me = stranger.sdk.current_user.me()
    assert me.user_name == stranger.name
    assert me.id == stranger.id


def test_users_are_created_found_changed_and_deleted(admin: Caller, name: str) -> None:
    address = f"{name}@example.com"
    user = admin.sdk.users.create(user_name=address, display_name="One")
    assert [found.id for found in admin.sdk.users.list(filter=f'userName eq "{address}"')] == [user.id]
    admin.sdk.users.patch(
        str(user.id), operations=[Patch(op=PatchOp.REPLACE, path="displayName", value="Two")], schemas=PATCH
    )
    assert admin.sdk.users.get(str(user.id)).display_name == "Two"
    with pytest.raises(ResourceConflict):
        admin.sdk.users.create(user_name=address.upper())
    admin.sdk.users.delete(str(user.id))
    with pytest.raises(NotFound):
        admin.sdk.users.get(str(user.id))


def test_service_principals_are_found_by_filters(admin: Caller, name: str) -> None:
    one = admin.sdk.service_principals.create(display_name=f"{name} one")
    two = admin.sdk.service_principals.create(display_name=f"{name} two")
    find = admin.sdk.service_principals.list
    assert {sp.id for sp in find(filter=f'displayName co "{name}"')} == {one.id, two.id}
    assert [sp.id for sp in find(filter=f'displayName sw "{name}" and displayName ew "two"')] == [two.id]
    assert [sp.id for sp in find(filter=f'applicationId eq "{one.application_id}"')] == [one.id]
    assert [sp.id for sp in find(filter=f'id eq "{one.id}" or id eq "none"')] == [one.id]


def test_a_filter_that_is_not_understood_is_refused(admin: Caller) -> None:
    answer = admin.http.get(f"{SCIM}/Users", params={"filter": "userName about 'x'"})
    assert answer.status_code == 400
    assert answer.json()["scimType"] == "invalidFilter"


def test_pages_end_with_an_empty_one(admin: Caller, name: str) -> None:
    for number in range(3):
        admin.sdk.service_principals.create(display_name=f"{name} {number}")
    expression = f'displayName co "{name}"'
    pages = [
        admin.http.get(
            f"{SCIM}/ServicePrincipals", params={"filter": expression, "startIndex": start, "count": 2}
        ).json()
        for start in (1, 3, 4)
    ]
    assert [len(page["Resources"]) for page in pages] == [2, 1, 0]
    assert all(page["totalResults"] == 3 for page in pages)


def test_an_empty_entitlement_is_dropped(admin: Caller, name: str) -> None:
    # What the databricks provider sends for none; it fails when it is echoed.
    body = {"displayName": name, "entitlements": [{}]}
    answer = admin.http.post(f"{SCIM}/ServicePrincipals", json=body)
    assert answer.status_code == 201
    assert "entitlements" not in answer.json()


def test_the_application_id_is_there_whatever_attributes_are_asked(admin: Caller, stranger: Caller) -> None:
    answer = admin.http.get(f"{SCIM}/ServicePrincipals/{stranger.id}", params={"attributes": "displayName"})
    assert set(answer.json()) == {"id", "schemas", "applicationId", "displayName"}


def test_an_application_id_belongs_to_one_principal(admin: Caller, stranger: Caller) -> None:
    with pytest.raises(ResourceConflict, match="already exists"):
        admin.sdk.service_principals.create(application_id=stranger.name, display_name="again")


def test_roles_are_added_and_removed_by_path(admin: Caller, stranger: Caller) -> None:
    add = Patch(op=PatchOp.ADD, path="roles", value=[{"value": "arn:x"}])
    remove = Patch(op=PatchOp.REMOVE, path='roles[value eq "arn:x"]')
    admin.sdk.service_principals.patch(stranger.id, operations=[add], schemas=PATCH)
    assert [role.value for role in admin.sdk.service_principals.get(stranger.id).roles or []] == ["arn:x"]
    admin.sdk.service_principals.patch(stranger.id, operations=[remove], schemas=PATCH)
    assert not admin.sdk.service_principals.get(stranger.id).roles


def test_groups_nest_and_give_their_members_what_they_may(admin: Caller, stranger: Caller, name: str) -> None:
    inner = admin.sdk.groups.create(display_name=f"{name}-inner", members=[ComplexValue(value=stranger.id)])
    admin.sdk.groups.create(display_name=f"{name}-outer", members=[ComplexValue(value=inner.id)])
    admin.http.patch(
        "/api/2.1/unity-catalog/permissions/catalog/main",
        json={"changes": [{"principal": f"{name}-outer", "add": ["USE_CATALOG"]}]},
    )
    assert "main" in [catalog.name for catalog in stranger.sdk.catalogs.list()]
    leave = Patch(op=PatchOp.REMOVE, path=f'members[value eq "{stranger.id}"]')
    admin.sdk.groups.patch(str(inner.id), operations=[leave], schemas=PATCH)
    assert "main" not in [catalog.name for catalog in stranger.sdk.catalogs.list()]


def test_a_group_takes_only_members_that_exist(admin: Caller, name: str) -> None:
    answer = admin.http.post(f"{SCIM}/Groups", json={"displayName": name, "members": [{"value": "no-such"}]})
    assert answer.status_code == 400


def test_only_administrators_change_principals(stranger: Caller, name: str) -> None:
    with pytest.raises(PermissionDenied):
        stranger.sdk.users.create(user_name=f"{name}@example.com")
    with pytest.raises(PermissionDenied):
        stranger.sdk.service_principal_secrets_proxy.create(stranger.id)


def test_a_deactivated_principal_is_refused(admin: Caller, stranger: Caller) -> None:
    # Not by the SDK: it leaves a value of false out.
    deactivate = {"op": "replace", "path": "active", "value": False}
    admin.http.patch(f"{SCIM}/ServicePrincipals/{stranger.id}", json={"Operations": [deactivate]}).raise_for_status()
    assert stranger.http.get(f"{SCIM}/Me").status_code == 401


def test_put_replaces_what_it_leaves_out(admin: Caller, stranger: Caller, name: str) -> None:
    sdk = admin.sdk
    sdk.service_principals.update(stranger.id, display_name=name, roles=[ComplexValue(value="arn:x")], active=True)
    assert [role.value for role in sdk.service_principals.get(stranger.id).roles or []] == ["arn:x"]
    sdk.service_principals.update(stranger.id, display_name=name, active=True)
    replaced = sdk.service_principals.get(stranger.id)
    assert (replaced.roles or None, replaced.display_name, replaced.application_id) == (None, name, stranger.name)
    user = sdk.users.create(user_name=f"{name}@example.com", external_id="e")
    sdk.users.update(str(user.id), user_name=str(user.user_name), display_name="New", active=True)
    found = sdk.users.get(str(user.id))
    assert (found.display_name, found.external_id) == ("New", None)
    group = sdk.groups.create(display_name=name, members=[ComplexValue(value=stranger.id)])
    sdk.groups.update(str(group.id), display_name=name)
    assert not sdk.groups.get(str(group.id)).members
    sdk.groups.delete(str(group.id))


def test_nobody_deletes_himself(admin: Caller) -> None:
    assert admin.http.delete(f"{SCIM}/Users/{admin.id}").status_code == 400
    assert admin.http.get(f"{SCIM}/Me").status_code == 200


def test_the_groups_that_are_built_in_stay(admin: Caller) -> None:
    built_in = {str(group.display_name): str(group.id) for group in admin.sdk.groups.list()}
    for group in ("admins", "users"):
        assert admin.http.delete(f"{SCIM}/Groups/{built_in[group]}").status_code == 400
        rename = {"op": "replace", "path": "displayName", "value": "other"}
        answer = admin.http.patch(f"{SCIM}/Groups/{built_in[group]}", json={"Operations": [rename]})
        assert answer.status_code == 400


class TestOAuth:
    def test_client_credentials_give_a_token(
        self, local_workspace: LocalWorkspace, admin: Caller, stranger: Caller
    ) -> None:
        secret = admin.sdk.service_principal_secrets_proxy.create(stranger.id, lifetime="3600s")
        client = WorkspaceClient(host=local_workspace.host, client_id=stranger.name, client_secret=secret.secret)
        assert client.current_user.me().user_name == stranger.name

    def test_credentials_are_taken_from_header_and_form_and_in_chunks(self, admin: Caller, stranger: Caller) -> None:
        secret = admin.sdk.service_principal_secrets_proxy.create(stranger.id).secret
        host, grant = str(admin.http.base_url), "grant_type=client_credentials&scope=all-apis"
        chunked = httpx.post(f"{host}/oidc/v1/token", content=iter([grant.encode()]), auth=(stranger.name, str(secret)))
        form = {"grant_type": "client_credentials", "client_id": stranger.name, "client_secret": str(secret)}
        posted = httpx.post(f"{host}/oidc/v1/token", data=form)
        for answer in (chunked, posted):
            assert answer.status_code == 200
            assert answer.json()["token_type"] == "Bearer"
            assert answer.json()["expires_in"] == 3600

    def test_a_wrong_or_deleted_secret_is_refused(self, admin: Caller, stranger: Caller) -> None:
        url = f"{admin.http.base_url}/oidc/v1/token"
        created = admin.sdk.service_principal_secrets_proxy.create(stranger.id)
        grant = {"grant_type": "client_credentials"}
        assert httpx.post(url, data=grant, auth=(stranger.name, "wrong")).status_code == 401
        admin.sdk.service_principal_secrets_proxy.delete(stranger.id, str(created.id))
        refused = httpx.post(url, data=grant, auth=(stranger.name, str(created.secret)))
        assert refused.status_code == 401
        assert refused.json()["error"] == "invalid_client"

    def test_the_token_endpoint_is_discovered(self, admin: Caller) -> None:
        for document in ("oauth-authorization-server", "openid-configuration"):
            found = httpx.get(f"{admin.http.base_url}/oidc/.well-known/{document}").json()
            assert found["token_endpoint"] == f"{admin.http.base_url}/oidc/v1/token"
            assert found["authorization_endpoint"]

    def test_only_client_credentials_are_granted(self, admin: Caller) -> None:
        answer = httpx.post(f"{admin.http.base_url}/oidc/v1/token", data={"grant_type": "password"})
        assert answer.json()["error"] == "unsupported_grant_type"

    def test_a_principal_has_at_most_five_secrets(self, admin: Caller, stranger: Caller) -> None:
        for _ in range(5):
            admin.sdk.service_principal_secrets_proxy.create(stranger.id)
        answer = admin.http.post(f"/api/2.0/accounts/servicePrincipals/{stranger.id}/credentials/secrets", json={})
        assert answer.status_code == 400
        assert "the most it may have" in answer.json()["message"]

    @pytest.mark.parametrize("lifetime", ["0s", "1y", "99999999999s"])
    def test_a_lifetime_out_of_bounds_is_refused(self, admin: Caller, stranger: Caller, lifetime: str) -> None:
        path = f"/api/2.0/accounts/servicePrincipals/{stranger.id}/credentials/secrets"
        assert admin.http.post(path, json={"lifetime": lifetime}).status_code == 400

    def test_secrets_are_listed_without_their_values(self, admin: Caller, stranger: Caller) -> None:
        created = admin.sdk.service_principal_secrets_proxy.create(stranger.id)
        listed = list(admin.sdk.service_principal_secrets_proxy.list(stranger.id))
        assert [secret.id for secret in listed] == [created.id]
        assert str(created.secret) not in str([secret.as_dict() for secret in listed])


class TestTokens:
    def test_own_tokens_are_created_listed_and_deleted(self, local_workspace: LocalWorkspace, stranger: Caller) -> None:
        created = stranger.sdk.tokens.create(comment="for a test", lifetime_seconds=60)
        client = sdk_client(local_workspace.host, str(created.token_value))
        assert client.current_user.me().user_name == stranger.name
        assert created.token_info
        assert "for a test" in [info.comment for info in stranger.sdk.tokens.list()]
        stranger.sdk.tokens.delete(str(created.token_info.token_id))
        with pytest.raises(Unauthenticated):
            client.current_user.me()

    def test_the_tokens_of_others_are_the_administrators_business(
        self, admin: Caller, stranger: Caller, newcomer: Callable[[], Caller]
    ) -> None:
        with pytest.raises(PermissionDenied):
            stranger.sdk.token_management.create_obo_token(newcomer().name)
        held = [info for info in admin.sdk.token_management.list() if str(info.owner_id) == stranger.id]
        admin.sdk.token_management.delete(str(held[0].token_id))
        assert stranger.http.get(f"{SCIM}/Me").status_code == 401

    def test_deleting_a_principal_ends_its_tokens(self, admin: Caller, stranger: Caller) -> None:
        assert stranger.http.get(f"{SCIM}/Me").status_code == 200
        admin.sdk.service_principals.delete(stranger.id)
        assert stranger.http.get(f"{SCIM}/Me").status_code == 401

    def test_who_is_deleted_while_asking_is_told_as_unknown(
        self, admin: Caller, newcomer: Callable[[], Caller]
    ) -> None:
        for leaver in [newcomer() for _ in range(12)]:
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(_statuses_until_refused, leaver) for _ in range(4)]
                admin.http.delete(f"{SCIM}/ServicePrincipals/{leaver.id}").raise_for_status()
                assert {status for each in asked for status in each.result()} <= {200, 401}


def _statuses_until_refused(caller: Caller) -> list[int]:
    """What /Me answers, until it is no longer 200."""
    found = [200]
    while found[-1] == 200:
        found.append(caller.http.get(f"{SCIM}/Me").status_code)
    return found
