"""SecurableGrant: added to what the principal has, and only what was added is taken back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agent_deploy.client.configuration import Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.access.securable_grant import SecurableGrant
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, UserError

INPUTS = {"securableType": "table", "fullName": "main.a.b", "principal": "app", "privileges": ["MODIFY", "SELECT"]}
GRANT = SecurableGrant()


class Catalog:
    """A mock of one securable's grants behind httpx.MockTransport; ``held`` None is a securable that is gone."""

    def __init__(self, *held: str) -> None:
        self.held: set[str] | None = set(held)
        self.changes: list[dict[str, Any]] = []
        settings = Settings(host="https://w.example.com", method="pat", token="t")
        self.context = Context(configuration=Workspace(settings, transport=httpx.MockTransport(self._answer)))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/2.1/unity-catalog/permissions/table/main.a.b"
        if self.held is None:
            return httpx.Response(404, json={"error_code": "TABLE_DOES_NOT_EXIST", "message": "gone"})
        if request.method == "PATCH":
            [change] = json.loads(request.content)["changes"]
            self.changes.append(change)
            self.held = (self.held | set(change.get("add", ()))) - set(change.get("remove", ()))
        assignments = [
            {"principal": "app", "privileges": sorted(self.held)},
            {"principal": "other", "privileges": ["SELECT"]},
        ]
        return httpx.Response(200, json={"privilege_assignments": assignments})


def test_only_what_is_lacking_is_granted_and_only_that_is_revoked() -> None:
    catalog = Catalog("SELECT", "APPLY_TAG")
    created = GRANT.create(catalog.context, dict(INPUTS))
    assert created.id == "table/main.a.b/app"
    assert created.properties["added"] == ["MODIFY"]
    assert catalog.changes == [{"principal": "app", "add": ["MODIFY"]}]
    GRANT.delete(catalog.context, created.id, dict(INPUTS), created.properties)
    assert catalog.held == {"SELECT", "APPLY_TAG"}


def test_nothing_to_add_is_no_call_that_writes() -> None:
    catalog = Catalog("SELECT", "MODIFY")
    created = GRANT.create(catalog.context, dict(INPUTS))
    GRANT.delete(catalog.context, created.id, dict(INPUTS), created.properties)
    assert catalog.changes == []


def test_a_change_keeps_what_the_principal_had_before() -> None:
    catalog = Catalog("SELECT")
    old = GRANT.create(catalog.context, dict(INPUTS)).properties
    new = {**INPUTS, "privileges": ["APPLY_TAG"]}
    properties = GRANT.update(catalog.context, "table/main.a.b/app", dict(INPUTS), old, new)
    assert properties["added"] == ["APPLY_TAG"]
    assert catalog.held == {"SELECT", "APPLY_TAG"}


def test_what_was_revoked_by_hand_is_drift_and_nothing_left_is_gone() -> None:
    catalog = Catalog()
    created = GRANT.create(catalog.context, dict(INPUTS))
    catalog.held = {"SELECT"}
    found = GRANT.read(catalog.context, created.id, dict(INPUTS), created.properties)
    assert found is not None
    assert found.inputs["privileges"] == ["SELECT"]
    assert found.properties["added"] == ["SELECT"]
    catalog.held = set()
    assert GRANT.read(catalog.context, created.id, dict(INPUTS), created.properties) is None
    catalog.held = None
    assert GRANT.read(catalog.context, created.id, dict(INPUTS), created.properties) is None
    GRANT.delete(catalog.context, created.id, dict(INPUTS), created.properties)


def test_it_is_imported_by_its_id() -> None:
    found = GRANT.read(Catalog("SELECT").context, "table/main.a.b/app", {}, {})
    assert found is not None
    assert found.inputs == {**INPUTS, "privileges": ["SELECT"]}
    with pytest.raises(UserError, match="expected <securable type>/<full name>/<principal>"):
        GRANT.read(Catalog().context, "main.a.b", {}, {})


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"privileges": ["SELECT", "FLY"]}, "privileges[1] 'FLY'"),
        ({"privileges": ["EXECUTE"]}, "on a table one of "),
        ({"securableType": "spoon"}, "securableType 'spoon'"),
        ({"principal": ""}, "principal ''"),
        ({"fullName": None}, "fullName"),
    ],
)
def test_mistakes_are_told_before_anything_is_granted(changed: dict[str, Any], told: str) -> None:
    _, failures = GRANT.check(Context(), {}, {**INPUTS, **changed})
    assert told in "; ".join(failure.reason for failure in failures)


def test_what_is_not_known_yet_is_passed_over() -> None:
    later = {"fullName": UNKNOWN, "principal": UNKNOWN, "privileges": ["SELECT", UNKNOWN]}
    assert GRANT.check(Context(), {}, {**INPUTS, **later})[1] == []
    assert GRANT.check(Context(), {}, {**INPUTS, "securableType": UNKNOWN, "privileges": UNKNOWN})[1] == []
    assert (
        GRANT.check(Context(), {}, {**INPUTS, "securableType": "registered_model", "privileges": ["EXECUTE"]})[1] == []
    )
