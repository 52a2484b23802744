"""Every reading method of the unmodified SDK: answered, or told by a 501 that names its route."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from types import NoneType
from typing import Any

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError

from tests.workspace.conftest import Caller, sdk_client

_READS = ("get", "list", "search", "read")
# They wait, ask for other packages, or send nothing (`search` of consumer_listings calls itself for ever).
_NO_REQUEST = ("wait_", "get_open_ai_client", "get_langchain_chat_open_ai_client")
_SKIPPED = ("config", "api_client", "dbutils", "files")
# Whoever names no object, or one of another form, is told so.
_REFUSED = (400, 404)


def services() -> list[str]:
    """The names of the SDK's services."""
    found = (name for name, value in vars(WorkspaceClient).items() if isinstance(value, property))
    return sorted(name for name in found if name not in _SKIPPED)


def argument(kind: Any, word: str, number: int) -> Any:
    """Something of an annotated type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is not None and NoneType in inner:
        return argument(next(each for each in inner if each is not NoneType), word, number)
    if origin is list:
        return []
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and is_dataclass(kind):
        return kind()
    return {int: number, bool: False}.get(kind, word)


def calls(service: Any, word: str, number: int) -> Iterator[tuple[str, Any]]:
    """The reading methods of a service, each with arguments."""
    for name, method in inspect.getmembers(service, inspect.ismethod):
        if name.startswith(_READS) and not name.startswith(_NO_REQUEST):
            kinds = typing.get_type_hints(method)
            wanted = [p.name for p in inspect.signature(method).parameters.values() if p.default is p.empty]
            given = {key: argument(kinds.get(key, str), word, number) for key in wanted if key in kinds}
            yield name, lambda method=method, given=given: method(**given)


@pytest.mark.parametrize(("word", "number"), [("main.default.nothing", 7), ("nothing", 0)])
def test_what_is_not_answered_is_a_501_that_names_the_route(admin: Caller, word: str, number: int) -> None:
    sdk = sdk_client(str(admin.sdk.config.host), str(admin.sdk.config.token))
    answers: list[Any] = []
    sdk.api_client._api_client._session.hooks["response"].append(lambda answer, *_, **__: answers.append(answer))
    wrong, asked = [], 0
    for service in services():
        for name, call in calls(getattr(sdk, service), word, number):
            answers.clear()
            try:
                found = call()
                next(iter(found), None) if isinstance(found, Iterator) else None
            except (DatabricksError, RecursionError, ValueError):
                pass  # the answer itself is looked at
            for answer in answers:
                asked += 1
                path = answer.request.path_url.partition("?")[0]
                body = answer.json() if answer.status_code >= 400 else {}
                told = str(body.get("message") or body.get("detail") or "")
                if answer.status_code == 501:
                    fine = path in told
                else:
                    fine = answer.status_code == 200 or (
                        answer.status_code in _REFUSED and told not in ("", "Not Found")
                    )
                if not fine:
                    wrong.append((f"{service}.{name}", answer.status_code, path, told))
    assert wrong == []
    assert asked > 300  # of some 400: it did walk


def test_kinds_of_permissions_that_are_not_here_are_told_apart_from_misspelt_ones(admin: Caller) -> None:
    for kind in ("clusters", "authorization", "dbsql-dashboards", "queries"):
        path = f"/api/2.0/permissions/{kind}/x/permissionLevels"
        answer = admin.http.get(path)
        assert answer.status_code == 501
        assert path in answer.json()["message"]
    assert admin.http.get("/api/2.0/permissions/bananas/x").status_code == 400


@pytest.mark.parametrize("path", ["experiments/nothing", "runs/nothing", "traces/x/nothing", "logged-models/x/nothing"])
def test_what_mlflows_own_server_does_not_have_is_a_501_too(admin: Caller, path: str) -> None:
    answer = admin.http.get(f"/api/2.0/mlflow/{path}")
    assert answer.status_code == 501
    assert f"/api/2.0/mlflow/{path}" in answer.json()["message"]


def test_spans_for_tables_are_told_that_there_is_no_such_route(admin: Caller) -> None:
    headers = {"Content-Type": "application/x-protobuf", "X-Databricks-UC-Table-Name": "main.default.spans"}
    answer = admin.http.post("/api/2.0/otel/v1/traces", content=b"\x0a\x8a\x01", headers=headers)
    assert answer.status_code == 501
    assert "/api/2.0/otel/v1/traces" in answer.json()["message"]
