"""Secret scopes, secrets and ACLs, by the unmodified SDK."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from databricks.sdk.errors import (
    InvalidParameterValue,
    NotFound,
    PermissionDenied,
    ResourceAlreadyExists,
    ResourceDoesNotExist,
)
from databricks.sdk.service.workspace import AclPermission

from tests.workspace.conftest import Caller


@pytest.fixture
def scope(admin: Caller, name: str) -> str:
    admin.sdk.secrets.create_scope(name)
    return name


def test_a_value_is_put_and_read(admin: Caller, scope: str) -> None:
    admin.sdk.secrets.put_secret(scope, "key", string_value="väl/ue")
    value = admin.sdk.secrets.get_secret(scope, "key").value
    assert base64.b64decode(str(value)).decode() == "väl/ue"
    admin.sdk.secrets.put_secret(scope, "key", string_value="newer")
    assert [secret.key for secret in admin.sdk.secrets.list_secrets(scope)] == ["key"]
    admin.sdk.secrets.delete_secret(scope, "key")
    assert list(admin.sdk.secrets.list_secrets(scope)) == []


def test_bytes_are_put_in_base64(admin: Caller, scope: str) -> None:
    admin.sdk.secrets.put_secret(scope, "key", bytes_value=base64.b64encode(b"bytes").decode())
    assert base64.b64decode(str(admin.sdk.secrets.get_secret(scope, "key").value)) == b"bytes"


def test_what_is_not_there_is_404(admin: Caller, scope: str) -> None:
    with pytest.raises(NotFound):
        admin.sdk.secrets.get_secret(scope, "nothing")
    with pytest.raises(ResourceDoesNotExist):
        list(admin.sdk.secrets.list_secrets(f"{scope}-other"))
    with pytest.raises(ResourceDoesNotExist):
        admin.sdk.secrets.delete_scope(f"{scope}-other")


def test_a_scope_exists_once(admin: Caller, scope: str) -> None:
    with pytest.raises(ResourceAlreadyExists):
        admin.sdk.secrets.create_scope(scope)


@pytest.mark.parametrize("bad", ["", "two words", "x" * 129])
def test_bad_names_are_refused(admin: Caller, scope: str, bad: str) -> None:
    with pytest.raises(InvalidParameterValue):
        admin.sdk.secrets.create_scope(bad)
    with pytest.raises(InvalidParameterValue):
        admin.sdk.secrets.put_secret(scope, bad, string_value="x")


def test_a_value_is_at_most_128_kb(admin: Caller, scope: str) -> None:
    with pytest.raises(InvalidParameterValue, match="larger than"):
        admin.sdk.secrets.put_secret(scope, "key", string_value="x" * (128 * 1024 + 1))


def test_each_level_includes_the_lower_ones(admin: Caller, stranger: Caller, scope: str) -> None:
    admin.sdk.secrets.put_secret(scope, "key", string_value="v")
    allowed = {
        None: (False, False, False),
        AclPermission.READ: (True, False, False),
        AclPermission.WRITE: (True, True, False),
        AclPermission.MANAGE: (True, True, True),
    }
    for permission, expected in allowed.items():
        if permission:
            admin.sdk.secrets.put_acl(scope, stranger.name, permission)
        actions = (
            lambda: stranger.sdk.secrets.get_secret(scope, "key"),
            lambda: stranger.sdk.secrets.put_secret(scope, "key", string_value="v"),
            lambda: list(stranger.sdk.secrets.list_acls(scope)),
        )
        assert tuple(map(_allowed, actions)) == expected, permission


def test_scopes_that_one_may_not_read_are_not_listed(admin: Caller, stranger: Caller, scope: str) -> None:
    assert scope in [found.name for found in admin.sdk.secrets.list_scopes()]
    assert scope not in [found.name for found in stranger.sdk.secrets.list_scopes()]


def test_the_creator_manages_and_groups_count(stranger: Caller, newcomer: Callable[[], Caller], name: str) -> None:
    stranger.sdk.secrets.create_scope(name)
    assert stranger.sdk.secrets.get_acl(name, stranger.name).permission == AclPermission.MANAGE
    other = newcomer()
    stranger.sdk.secrets.put_secret(name, "key", string_value="v")
    assert not _allowed(lambda: other.sdk.secrets.get_secret(name, "key"))
    stranger.sdk.secrets.put_acl(name, "users", AclPermission.READ)
    assert _allowed(lambda: other.sdk.secrets.get_secret(name, "key"))
    stranger.sdk.secrets.delete_acl(name, "users")
    assert not _allowed(lambda: other.sdk.secrets.get_secret(name, "key"))


def test_an_acl_names_a_principal_that_exists(admin: Caller, scope: str) -> None:
    with pytest.raises(NotFound):
        admin.sdk.secrets.put_acl(scope, "nobody@example.com", AclPermission.READ)


def test_a_deleted_scope_leaves_nothing_behind(admin: Caller, scope: str) -> None:
    admin.sdk.secrets.put_secret(scope, "key", string_value="v")
    admin.sdk.secrets.delete_scope(scope)
    admin.sdk.secrets.create_scope(scope)
    assert list(admin.sdk.secrets.list_secrets(scope)) == []


def _allowed(action: Callable[[], object]) -> bool:
    try:
        action()
    except PermissionDenied:
        return False
    return True
