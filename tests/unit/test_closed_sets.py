"""A misspelt value of an argument that takes one of a few is answered with the one that was meant, whichever it is."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import pytest

import agent_deploy
from agent_deploy.components.option_routes import ROUTES, routed
from agent_deploy.provider.access import object_permission, securable_grant
from agent_deploy.rules.argument_checks import check_arguments
from agent_deploy.rules.credentials import AUTHS
from agent_deploy.rules.object_permissions import IS_OWNER, OBJECT_TYPES
from agent_deploy.rules.problems import meant
from agent_deploy.rules.resource_kinds import KINDS
from agent_deploy.rules.review import PERMISSION_LEVELS
from agent_deploy.rules.schedule import CONTINUOUS, NAMED, TRIGGERED, check_schedule
from agent_deploy.rules.unity_catalog import PRIVILEGES
from agent_deploy.rules.workload import WORKLOAD_SIZES, WORKLOAD_TYPES

pytestmark = pytest.mark.long

PACKAGE = Path(agent_deploy.__file__).parent
MODEL = {"model_name": "main.default.qa"}
WORDS = (*NAMED, CONTINUOUS, TRIGGERED)
Told = Callable[[str], str]


def argument(make: Callable[[str], dict[str, Any]]) -> Told:
    return lambda value: "\n".join(map(str, check_arguments({**MODEL, **make(value)})))


def permission(**inputs: Any) -> str:
    fixed = {"objectType": "apps", "objectId": "1", "principalKind": "user", "principal": "a@b.c", "level": "CAN_USE"}
    given = {**fixed, **inputs}
    checks = (object_permission._check_object, object_permission._check_principal, object_permission._check_level)
    return "\n".join(str(problem) for check in checks for problem in check(given))


def grant(**inputs: Any) -> str:
    fixed = {"securableType": "table", "fullName": "a.b.c", "principal": "p", "privileges": ["SELECT"]}
    return "\n".join(map(str, securable_grant._problems({**fixed, **inputs})))


# What takes one of a closed set → the set, and what is told of a value.
CLOSED: dict[str, tuple[Collection[str], Told]] = {
    "auth": (AUTHS, argument(lambda value: {"auth": value})),
    "workload_size": (WORKLOAD_SIZES, argument(lambda value: {"workload_size": value})),
    "workload_type": (WORKLOAD_TYPES, argument(lambda value: {"workload_type": value})),
    "versions[0].workload_size": (
        WORKLOAD_SIZES,
        argument(lambda value: {"versions": [{"version": "1", "workload_size": value}]}),
    ),
    "permissions[0].level": (
        PERMISSION_LEVELS,
        argument(lambda value: {"permissions": [{"level": value, "group_name": "users"}]}),
    ),
    "resources[0].kind": (KINDS, argument(lambda value: {"resources": [{"kind": value, "name": "x"}]})),
    "schedule": (WORDS, lambda value: "\n".join(map(str, check_schedule("schedule", value)))),
    "schedule_timezone": (
        sorted(available_timezones())[::40],
        lambda value: "\n".join(map(str, check_schedule("schedule", None, value))),
    ),
    "objectType": (OBJECT_TYPES, lambda value: permission(objectType=value)),
    "principalKind": (object_permission.PRINCIPAL_KINDS, lambda value: permission(principalKind=value)),
    **{
        f"level of {kind.path}": (
            [level for level in kind.levels if level != IS_OWNER],
            lambda value, path=kind.path: permission(objectType=path, level=value),  # type: ignore[misc]
        )
        for kind in OBJECT_TYPES.values()
    },
    "securableType": (PRIVILEGES, lambda value: grant(securableType=value, privileges=[])),
    **{
        f"privilege on {kind}": (
            privileges,
            lambda value, kind=kind: grant(securableType=kind, privileges=[value]),  # type: ignore[misc]
        )
        for kind, privileges in PRIVILEGES.items()
    },
}


def misspelt(value: str) -> Iterator[str]:
    """The slips of a hand: a letter too many, one too few, and two that changed places, in either case of letters."""
    middle = len(value) // 2
    for slip in (
        value + value[-1],
        value[:middle] + value[middle + 1 :],
        value[: middle - 1] + value[middle] + value[middle - 1] + value[middle + 1 :],
    ):
        yield from (slip, slip.lower())


@pytest.mark.parametrize("name", CLOSED)
def test_what_was_meant_is_named(name: str) -> None:
    allowed, told = CLOSED[name]
    lower = {value.lower() for value in allowed}
    wrong = {}
    for value in sorted(allowed):
        assert value not in told(value), "the value itself is taken"
        for slip in {*misspelt(value)} - {*allowed}:
            text = told(slip)
            # Of two that are as like to it, either may be meant.
            if slip.lower() not in lower and "Did you mean '" not in text:
                wrong[slip] = text
        doubled = value + value[-1]
        if f"Did you mean {value!r}?" not in told(doubled):
            wrong[doubled] = told(doubled)
    assert wrong == {}


def test_another_case_of_letters_is_told_as_such() -> None:
    assert CLOSED["auth"][1]("passthrough").endswith("Names are case-sensitive: write 'PASSTHROUGH'")
    assert CLOSED["auth"][1]("passthru").endswith("Did you mean 'PASSTHROUGH'?")
    assert CLOSED["auth"][1]("service-principal").endswith("Did you mean 'SERVICE_PRINCIPAL'?")


def test_where_none_is_like_it_nothing_is_guessed() -> None:
    assert meant("zzz", AUTHS) == meant(3, AUTHS) == meant("zzz", ()) == ""
    assert "needs a newer agent_deploy" in CLOSED["resources[0].kind"][1]("spoon")


@pytest.mark.parametrize("kind", ROUTES)
def test_arguments_and_outputs_that_options_name_are_told_alike(kind: str) -> None:
    import pulumi

    from agent_deploy.components.errors import DeploymentError

    argument, output = sorted(ROUTES[kind].arguments)[0], sorted(ROUTES[kind].outputs)[0]
    opts = pulumi.ResourceOptions(ignore_changes=[f"{argument}z"], additional_secret_outputs=[f"{output}z"])
    with pytest.raises(DeploymentError) as refused:
        routed(kind, "name", opts, {})
    assert f"Did you mean {argument!r}?" in str(refused.value)
    assert f"Did you mean {output!r}?" in str(refused.value)


def test_no_closed_set_is_told_in_another_way() -> None:
    """Whoever writes "one of" and joins the values leaves out which one was meant."""
    elsewhere = []
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.is_relative_to(PACKAGE / "local") or file == PACKAGE / "rules" / "problems.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem":
                text = ast.unparse(node)
                if "one of " in text and "join(" in text:
                    elsewhere.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    # Of these fields one is to be given, whatever its value.
    assert [each.partition(":")[0] for each in elsewhere] == ["rules/review.py"]
