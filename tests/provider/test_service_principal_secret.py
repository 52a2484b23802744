"""A service principal's OAuth secret, apart from the engine: which leftovers go, what is told when there is no room."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.client.configuration import PAT, Settings
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.access.service_principal_secret import ServicePrincipalSecret, _is_marked, _mark, _marked
from agent_deploy.provider.plugin.resource import Context, UserError, Values
from agent_deploy.rules.credentials import MAX_SECRETS

pytestmark = pytest.mark.processes

PATH = "/api/2.0/accounts/servicePrincipals/7/credentials/secrets"
INPUTS: Values = {"servicePrincipalId": "7"}
URN = "urn:pulumi:s::p::t::n"
VALUE = "dose0123456789abcdef"


class Principal:
    """The secrets of service principal 7, two on a page, as the platform answers."""

    def __init__(self, *made: int, by_hand: bool = False) -> None:
        life = "63072000s" if by_hand else _marked(None, _mark(URN))
        self.held = {f"s{second}": self._secret(f"s{second}", second, life) for second in made}
        self.lines: list[str] = []

    @staticmethod
    def _secret(id: str, second: int, lifetime: str) -> dict[str, Any]:
        made = datetime(2026, 1, 1) + timedelta(seconds=second)
        end = made + timedelta(seconds=int(lifetime[:-1]))
        # Both of the forms in which the platform writes times.
        fraction = ".123456789" if second % 2 else ""
        return {
            "id": id,
            **{f"{n}_time": f"{t.isoformat()}{fraction}Z" for n, t in (("create", made), ("expire", end))},
        }

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            if len(self.held) >= MAX_SECRETS:
                return httpx.Response(400, json={"error_code": "QUOTA_EXCEEDED", "message": "full"})
            self.held["new"] = self._secret("new", 3599, json.loads(request.content)["lifetime"])
            return httpx.Response(200, json={**self.held["new"], "secret": VALUE, "secret_hash": "h"})
        if request.method == "DELETE":
            gone = self.held.pop(request.url.path.rpartition("/")[2], None)
            return httpx.Response(200 if gone else 404, json={})
        start = int(request.url.params.get("page_token", 0))
        page = list(self.held.values())[start : start + 2]
        more = {"next_page_token": str(start + 2)} if start + 2 < len(self.held) else {}
        return httpx.Response(200, json={"secrets": page, **more})

    def context(self) -> Context:
        workspace = Workspace(
            Settings(host="https://w", method=PAT, token="dapi0123456789"), httpx.MockTransport(self.answer)
        )
        return Context(urn=URN, configuration=workspace, log=lambda _severity, text, _: self.lines.append(text))


@given(st.sets(st.integers(0, 3500), max_size=4), st.data())
def test_a_creation_removes_what_no_state_knows_and_is_newer_than_what_it_knows(made: set[int], data: Any) -> None:
    principal, resource = Principal(*made), ServicePrincipalSecret()
    context = principal.context()
    kept = data.draw(st.sampled_from(sorted(made))) if made and data.draw(st.booleans()) else None
    if kept is not None:
        resource.check(context, INPUTS, INPUTS)
        assert resource.diff(context, f"s{kept}", INPUTS, {}, {**INPUTS, "timeRotating": "b"}).replaces
    resource.check(context, {}, INPUTS)  # as the engine does for what replaces another
    created = resource.create(context, INPUTS)
    assert set(principal.held) == {"new", *(f"s{second}" for second in made if kept is not None and second <= kept)}
    assert (created.id, created.properties["secret"]) == ("new", VALUE)
    assert VALUE not in "".join(principal.lines)


def test_where_the_state_has_one_and_nobody_says_which_nothing_is_removed() -> None:
    principal, resource = Principal(1, 2), ServicePrincipalSecret()
    context = principal.context()
    resource.check(context, INPUTS, INPUTS)  # `--replace`: the engine asks for no diff
    resource.check(context, {}, INPUTS)
    resource.create(context, INPUTS)
    assert set(principal.held) == {"s1", "s2", "new"}


def test_what_others_made_for_the_principal_is_left_alone() -> None:
    principal = Principal(1, 2, by_hand=True)
    ServicePrincipalSecret().create(principal.context(), INPUTS)
    assert set(principal.held) == {"s1", "s2", "new"}


def test_a_principal_without_room_is_told_with_the_platforms_limit() -> None:
    principal = Principal(*range(MAX_SECRETS), by_hand=True)
    with pytest.raises(UserError, match=f"has {MAX_SECRETS} OAuth secrets, and the platform allows {MAX_SECRETS}"):
        ServicePrincipalSecret().create(principal.context(), {"servicePrincipalId": "7"})


def test_what_the_vendors_resource_left_in_the_state_is_no_change() -> None:
    theirs = {"servicePrincipalId": "7", "lifetime": "3600s", "__defaults": ["x"], "providerConfig": {"workspaceId": 1}}
    ours = {"servicePrincipalId": "7", "lifetime": "3600s"}
    assert ServicePrincipalSecret().diff(Context(), "s1", theirs, {}, ours).changes == {}


def test_one_that_is_gone_or_expired_is_not_there_and_none_is_imported() -> None:
    principal, resource = Principal(1, 2, 3), ServicePrincipalSecret()
    context = principal.context()
    found = resource.read(context, "s3", INPUTS, {**INPUTS, "secret": VALUE})
    assert found is not None
    assert found.properties["secret"] == VALUE
    principal.held["s3"]["expire_time"] = "2020-01-01T00:00:00Z"
    assert resource.read(context, "s3", INPUTS, {}) is None
    assert resource.read(context, "other", INPUTS, {}) is None
    with pytest.raises(UserError, match="cannot be imported"):
        resource.read(context, "s3", {}, {})
    resource.delete(context, "s1", INPUTS, {})
    resource.delete(context, "s1", INPUTS, {})
    assert set(principal.held) == {"s2", "s3"}


@given(st.text(max_size=30), st.integers(2, 17520), st.text(max_size=30))
def test_a_lifetime_says_whose_secret_it_is(urn: str, hours: int, other: str) -> None:
    life = timedelta(seconds=int(_marked(f"{hours * 3600}s", _mark(urn))[:-1]))
    assert timedelta(0) < timedelta(hours=hours) - life < timedelta(hours=1)
    assert _is_marked(life, _mark(urn))
    assert not _is_marked(timedelta(hours=hours), _mark(urn))
    assert _is_marked(life, _mark(other)) == (abs(_mark(urn) - _mark(other)) <= 1)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"servicePrincipalId": ""}, "servicePrincipalId ''"),
        ({"servicePrincipalId": "7", "lifetime": "1h"}, "lifetime '1h'"),
        ({"servicePrincipalId": "7", "lifetime": "0s"}, "lifetime '0s'"),
    ],
)
def test_the_form_of_inputs_is_judged_before_anything_is_made(inputs: Values, told: str) -> None:
    _, failures = ServicePrincipalSecret().check(Context(), {}, inputs)
    assert told in json.dumps([failure.reason for failure in failures])
