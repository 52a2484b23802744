"""SCIM filters, pages and patches, without a workspace."""

from __future__ import annotations

from typing import Any

import pytest

from agent_deploy.local.identity.scim import ScimError, matching, page, patched, selected

ANN = {"userName": "ann@x.com", "active": True, "emails": [{"value": "a@x.com"}, {"value": "b@y.com"}], "id": "1"}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('userName eq "ANN@x.com"', True),
        ('username EQ "ann@x.com"', True),
        ('userName co "@x"', True),
        ('userName sw "bob"', False),
        ('emails.value ew "y.com"', True),
        ('emails eq "a@x.com"', True),
        ("active eq true", True),
        ("active ne true", False),
        ("displayName pr", False),
        ('userName sw "ann" and active eq false', False),
        ('active eq false or userName sw "ann"', True),
        ('active eq false and id eq "1" or userName sw "ann"', True),
        ('displayName ne "x"', True),
    ],
)
def test_filters(expression: str, expected: bool) -> None:
    assert matching(expression)(ANN) is expected


@pytest.mark.parametrize(
    "expression", ["", "userName", "userName is x", 'userName eq "a" xor id eq "1"', '(id eq "1")']
)
def test_filters_that_are_not_understood(expression: str) -> None:
    with pytest.raises(ScimError):
        matching(expression)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ({"op": "add", "path": "roles", "value": [{"value": "b"}, {"value": "a"}]}, [{"value": "a"}, {"value": "b"}]),
        ({"op": "replace", "path": "roles", "value": [{"value": "b"}]}, [{"value": "b"}]),
        ({"op": "remove", "path": 'roles[value eq "a"]'}, []),
        ({"op": "remove", "path": "roles"}, []),
        ({"op": "remove", "path": "roles", "value": [{"value": "b"}]}, [{"value": "a"}]),
        ({"op": "Add", "value": {"roles": [{"value": "b"}]}}, [{"value": "a"}, {"value": "b"}]),
    ],
)
def test_patches_of_a_list(operation: dict[str, Any], expected: list[dict[str, str]]) -> None:
    assert patched({"roles": [{"value": "a"}]}, [operation])["roles"] == expected


def test_patches_of_an_attribute() -> None:
    assert patched({"active": True}, [{"op": "replace", "path": "active", "value": False}])["active"] is False
    assert patched({"displayName": "a"}, [{"op": "replace", "value": {"displayName": "b"}}])["displayName"] == "b"


@pytest.mark.parametrize("operation", [{"op": "move", "path": "x"}, {"op": "remove"}, {"op": "add", "path": "roles"}])
def test_patches_that_say_nothing(operation: dict[str, Any]) -> None:
    with pytest.raises(ScimError):
        patched({}, [operation])


def test_pages_count_from_one() -> None:
    resources = [{"id": str(number)} for number in range(5)]
    answer = page(resources, "4", "3")
    assert ([found["id"] for found in answer["Resources"]], answer["totalResults"], answer["itemsPerPage"]) == (
        ["3", "4"],
        5,
        2,
    )
    assert page(resources, None, "0")["Resources"] == []
    with pytest.raises(ScimError):
        page(resources, "one", None)


def test_attributes_select_and_exclude() -> None:
    resource = {"id": "1", "applicationId": "a", "displayName": "d", "roles": []}
    assert selected(resource, "roles", None) == {"id": "1", "applicationId": "a", "roles": []}
    assert selected(resource, None, "roles,id") == {"id": "1", "applicationId": "a", "displayName": "d"}
