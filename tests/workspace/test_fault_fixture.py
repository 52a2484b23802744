"""The fixture `local_fault`, as users have it in tests of their own programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

PATH = "/api/2.0/a-path-of-this-test"


@pytest.fixture(autouse=True)
def _after_it(local_workspace: Any) -> Any:
    # Set up before `local_fault`, so torn down after it.
    yield
    assert ask(local_workspace).status_code == 501


def ask(workspace: Any) -> httpx.Response:
    return httpx.get(f"{workspace.host}{PATH}", headers={"Authorization": f"Bearer {workspace.token}"})


def test_a_fault_lasts_until_the_test_ends(local_workspace: Any, local_fault: Callable[..., str]) -> None:
    local_fault(path=PATH, status=400, error_code="RESOURCE_LIMIT_EXCEEDED", message="No more than 10.")
    answer = ask(local_workspace)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "RESOURCE_LIMIT_EXCEEDED")
    assert answer.json()["message"] == "No more than 10."


def test_a_fault_that_says_nothing_is_refused(local_fault: Callable[..., str]) -> None:
    with pytest.raises(ValueError, match="needs one of: status, reset, lose_answer, delay"):
        local_fault(path=PATH)
