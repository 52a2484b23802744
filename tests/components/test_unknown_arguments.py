"""Whatever in the arguments a preview does not know yet: the same children, and nothing else unknown for it.

Under mocks, and so for any number of unknowns at once; tests/engine/test_unknown_values.py has the real engine.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pulumi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulumi.output import Unknown

from agent_deploy.components.arguments import AgentDeploymentArgs
from agent_deploy.components.errors import DeploymentError
from agent_deploy.components.parsing import Shape, shape_of
from tests.components.mocked import DERIVED, FILE, JOB, MODEL, PERMIT, PIPELINE, RUNNER, Workspace, deploy, in_use

pytestmark = pytest.mark.long

Path = tuple[str | int, ...]
Children = dict[tuple[str, str], dict[str, Any]]
OTHER_SECRET = "{{secrets/team/other}}"
OTHER_MODEL = "logs.other.ask"
ARN = "arn:aws:iam::123456789012:instance-profile/"
TABLES: Mapping[str, Any] = {
    "warehouse_id": "w1",
    "readers": ["users", "app"],
    "served_entities_table": "main.x.served",
    "source_folder": "/Users/ci/logs",
    "run_as": RUNNER,
}
PLACE: Mapping[str, Any] = {"catalog": "main", "schema": "logs", "prefix": "qa", "delete_on_destroy": False}


@dataclass(frozen=True)
class Program:
    """Valid arguments; ``others`` are as valid ones, for what can be late: path → another value.

    ``decides``: where an unknown is refused, as what is declared depends on it. ``together`` change with each other.
    """

    args: Mapping[str, Any]
    others: Mapping[Path, Any]
    decides: frozenset[Path] = frozenset()
    together: tuple[frozenset[Path], ...] = ()
    wrong: Mapping[Path, tuple[Any, str]] = field(default_factory=dict)


# Path → a value that is wrong there, and the field that is told.
WRONG: Mapping[Path, tuple[Any, str]] = {
    ("workload_size",): ("Huge", "workload_size"),
    ("timeouts",): ({"create": "soon"}, "timeouts.create"),
    ("descripton",): ("x", "descripton"),
    ("environment", "9bad"): ("x", "environment"),
    ("environment", "REF"): ("{{secrets/team/none}}", "environment['REF']"),
    ("endpoint_name",): ("no name!", "endpoint_name"),
    ("instance_profile_arn",): ("x", "instance_profile_arn"),
    ("versions", 0, "version"): ("9", "versions[0]"),
    ("versions", 0, "workload_type"): ("ABACUS", "versions[0].workload_type"),
    ("auth",): ("NONE", "auth"),
    ("keep_previous",): (-1, "keep_previous"),
    ("tags", "team"): (3, "tags['team']"),
}
OF_PEOPLE: Mapping[Path, tuple[Any, str]] = {
    ("permissions", 0, "level"): ("MAY", "permissions[0].level"),
    ("permissions", 0, "group_name"): ("nobody", "permissions[0].group_name"),
    ("review_app", "reviewers", 0, "group_name"): ("nobody", "review_app.reviewers[0].group_name"),
    ("inference_tables", "schedule"): ("never", "inference_tables.schedule"),
    ("inference_tables", "readers", 1): ("nobody", "inference_tables.readers[1]"),
}
SERVED: Mapping[Path, Any] = {
    ("description",): "two",
    ("endpoint_name",): "other",
    ("budget_policy_id",): "policy-2",
    ("instance_profile_arn",): f"{ARN}b",
    ("scale_to_zero",): True,
    ("workload_size",): "Large",
    ("workload_type",): "GPU_SMALL",
    ("environment", "URL"): "https://b",
    ("environment", "KEY"): "other",
    ("tags", "team"): "ask",
}
BASE: Mapping[str, Any] = {
    "model_name": MODEL,
    "description": "one",
    "endpoint_name": "qa",
    "budget_policy_id": "policy-1",
    "instance_profile_arn": f"{ARN}a",
    "scale_to_zero": False,
    "workload_size": "Small",
    "workload_type": "CPU",
    "environment": {"URL": "https://a", "KEY": "hush", "REF": "{{secrets/team/key}}"},
    "tags": {"team": "search"},
}
OF_VERSION = {"workload_size": "Small", "workload_type": "CPU", "scale_to_zero": False}
OTHER_OF_VERSION = {"workload_size": "Medium", "workload_type": "GPU_MEDIUM", "scale_to_zero": True}
SHARES = frozenset({("versions", 0, "traffic_percentage"), ("versions", 1, "traffic_percentage")})
PROGRAMS: Mapping[str, Program] = {
    "versions": Program(
        {
            **BASE,
            "experiment_id": "77",
            "versions": [
                {"version": "1", "traffic_percentage": 60, **OF_VERSION, "environment": {"OWN": "1", "KEY": "a"}},
                {"alias": "champion", "traffic_percentage": 40, **OF_VERSION, "environment": {"OWN": "1", "KEY": "b"}},
            ],
            "permissions": [
                {"group_name": "users", "level": "CAN_VIEW"},
                {"service_principal_name": "app", "level": "CAN_VIEW"},
                {"user_name": "users", "level": "CAN_VIEW"},
            ],
            "review_app": {
                "reviewers": [{"group_name": "app"}, {"service_principal_name": "users"}, {"user_name": "app"}],
                "instructions": "Be kind.",
            },
            "inference_tables": {**TABLES, **PLACE, "retention_days": 9},
        },
        {
            **SERVED,
            ("model_name",): OTHER_MODEL,
            ("experiment_id",): "88",
            ("versions", 0, "version"): "4",
            ("versions", 1, "alias"): "challenger",
            **{("versions", i, name): value for i in (0, 1) for name, value in OTHER_OF_VERSION.items()},
            **{("versions", i, "environment", name): "2" for i in (0, 1) for name in ("OWN", "KEY")},
            ("versions", 0, "traffic_percentage"): 70,
            ("versions", 1, "traffic_percentage"): 30,
            **{("permissions", i, "level"): "CAN_MANAGE" for i in (0, 1, 2)},
            ("permissions", 0, "group_name"): "other",
            ("permissions", 1, "service_principal_name"): "other",
            ("permissions", 2, "user_name"): "other",
            ("review_app", "reviewers", 0, "group_name"): "else",
            ("review_app", "reviewers", 1, "service_principal_name"): "else",
            ("review_app", "reviewers", 2, "user_name"): "else",
            ("review_app", "instructions"): "Be strict.",
            ("inference_tables", "catalog"): "logs",
            ("inference_tables", "schema"): "elsewhere",
            ("inference_tables", "prefix"): "ask",
            ("inference_tables", "delete_on_destroy"): True,
            ("inference_tables", "warehouse_id"): "w2",
            ("inference_tables", "served_entities_table"): "main.x.other",
            ("inference_tables", "source_folder"): "/Users/ci/other",
            ("inference_tables", "run_as"): "logs@example.com",
            ("inference_tables", "readers", 0): "other",
            ("inference_tables", "readers", 1): "else",
        },
        together=(SHARES,),
        wrong={**WRONG, **OF_PEOPLE},
    ),
    "shorthand": Program(
        {
            **BASE,
            "model_version": "1",
            "environment": {**BASE["environment"], "MLFLOW_EXPERIMENT_ID": "77"},
            "review_app": {"reviewers": [{"group_name": "users"}]},
            "inference_tables": {"cluster_policy_id": "c1"},
        },
        {
            **SERVED,
            ("model_name",): OTHER_MODEL,
            ("model_version",): "2",
            ("tags",): {"owner": "ask"},
            ("environment", "MLFLOW_EXPERIMENT_ID"): "88",
            ("inference_tables", "cluster_policy_id"): "c2",
        },
        wrong={path: told for path, told in WRONG.items() if "versions" not in path},
    ),
    "traffic": Program(
        {**BASE, "versions": [{"version": "1"}, {"version": "2"}], "traffic": {"1": 60, "2": 40}},
        {
            **SERVED,
            ("traffic",): {"1": 50, "2": 50},
            ("traffic", "1"): 70,
            ("traffic", "2"): 30,
        },
        together=(frozenset({("traffic", "1"), ("traffic", "2")}),),
        wrong=WRONG,
    ),
    "numbers": Program(
        {
            **BASE,
            "versions": [
                {"version": "1", "traffic_percentage": 60, "environment": {"KEY": "a"}},
                {"version": "2", "traffic_percentage": 40, "environment": {"KEY": "b"}},
            ],
        },
        {
            **SERVED,
            ("versions", 0, "version"): "4",
            ("versions", 1, "version"): "5",
            **{("versions", i, "environment", "KEY"): "2" for i in (0, 1)},
        },
        wrong=WRONG,
    ),
    "kept": Program(
        {**BASE, "versions": [{"version": "1"}], "keep_previous": 1},
        {**SERVED, ("model_name",): OTHER_MODEL, ("versions", 0, "version"): "2"},
        decides=frozenset({("model_name",), ("versions", 0, "version")}),
        wrong={path: told for path, told in WRONG.items() if path != ("keep_previous",)},
    ),
    "principal": Program(
        {
            **BASE,
            "versions": [{"version": "1"}],
            "auth": "SERVICE_PRINCIPAL",
            "experiment_id": "77",
            "resources": [{"kind": "sql_warehouse", "name": "w1"}],
        },
        {
            **SERVED,
            ("model_name",): OTHER_MODEL,
            ("experiment_id",): "88",
            ("versions", 0, "version"): "2",
            ("resources", 0, "name"): "w2",
        },
        decides=frozenset({("model_name",), ("versions", 0, "version"), ("resources", 0, "name")}),
        wrong=WRONG,
    ),
    "existing": Program(
        {
            **BASE,
            "versions": [{"version": "1"}],
            "auth": "SERVICE_PRINCIPAL",
            "service_principal": {"application_id": "app", "client_secret": "{{secrets/team/key}}"},
        },
        {
            **SERVED,
            ("service_principal", "application_id"): "users",
            ("service_principal", "client_secret"): OTHER_SECRET,
        },
        wrong=WRONG,
    ),
}
# Of the derived tables' children, and what the payload table's name is made of.
OF_TABLE = frozenset({PIPELINE, "agent-deploy:index:SecurableGrant", FILE, JOB, DERIVED, PERMIT})
MAKES_TABLE = frozenset(
    {("endpoint_name",), ("model_name",), *(("inference_tables", name) for name in ("catalog", "schema", "prefix"))}
)
CREDENTIAL: Path = ("service_principal", "client_secret")


class Previewed(Workspace):
    """The mocked workspace in a preview: what is made of what is not known is not known either."""

    def __init__(self) -> None:
        super().__init__()
        self.twice: list[tuple[str, str]] = []  # no engine takes two of one name

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.twice += [(args.typ, args.name)] if (args.typ, args.name) in self.resources else []
        id, outputs = super().new_resource(_Legible(args))  # type: ignore[arg-type]
        self.resources[args.typ, args.name] = args.inputs
        marked = {key: pulumi.UNKNOWN if UNREADABLE in str(value) else value for key, value in outputs.items()}
        return id, {**marked, **args.inputs}

    aliases: ClassVar[Mapping[tuple[str, str], str]] = {
        (MODEL, "champion"): "3",
        (MODEL, "challenger"): "5",
        (OTHER_MODEL, "champion"): "4",
        (OTHER_MODEL, "challenger"): "2",
    }

    def verified(self, asked: Mapping[Any, Any]) -> dict[str, Any]:
        versions = [
            {"field": each["field"], "version": self.aliases[asked["modelName"], each["alias"]]}
            if each.get("alias")
            else each
            for each in asked["versions"]
        ]
        references = [each for each in asked["references"] if each["value"] != OTHER_SECRET]
        found = super().verified({**asked, "versions": versions, "references": references})
        # Another version was logged elsewhere.
        found["experimentId"] = "".join(found["numbers"][:1])
        model = asked.get("modelName")
        for entity in found["kept"].values():
            entity["entityName"] = model
        return found


UNREADABLE = "<not known>"


class _Legible:
    """A resource's inputs with a text instead of what is not known."""

    def __init__(self, args: pulumi.runtime.MockResourceArgs) -> None:
        self.typ, self.name, self.inputs = args.typ, args.name, _legible(args.inputs)


def _legible(value: Any) -> Any:
    if isinstance(value, Unknown):
        return UNREADABLE
    if isinstance(value, Mapping):
        return {key: _legible(inner) for key, inner in value.items()}
    return [_legible(inner) for inner in value] if isinstance(value, list) else value


def unknown(value: Any) -> pulumi.Output[Any]:
    return pulumi.Output.from_input(pulumi.UNKNOWN)


def secret(output: pulumi.Output[Any]) -> pulumi.Output[Any]:
    return pulumi.Output.secret(output)


def at(args: Any, path: Path) -> Any:
    for part in path:
        args = args[part]
    return args


def put(args: Any, path: Path, value: Any) -> None:
    around = at(args, path[:-1])
    around[path[-1]] = value


def with_late(program: Program, late: frozenset[Path], hidden: frozenset[Path], make: Any, other: bool) -> Any:
    """The arguments with Outputs at the ``late`` paths, which ``make`` makes of values; those ``hidden`` are secret."""
    args = copy.deepcopy(dict(program.args))
    values = {path: program.others[path] if other else at(args, path) for path in late}
    for group in program.together if other else ():
        if group & late:
            for path in group:
                put(args, path, program.others[path])
    for path, value in values.items():
        output = make(value)
        put(args, path, secret(output) if path in hidden else output)
    return args


def children(make: Callable[[], Mapping[str, Any]]) -> Children:
    """What a preview of these arguments declares."""
    workspace = in_use(Previewed(), preview=True)
    deploy(make())
    assert workspace.twice == []
    return workspace.resources


def told(make: Callable[[], Mapping[str, Any]]) -> set[str]:
    """The fields of which the preview tells something."""
    in_use(Previewed(), preview=True)
    with pytest.raises(DeploymentError) as raised:
        deploy(make())
    lines = [line.removeprefix("  - ") for line in str(raised.value).splitlines()[1:]]
    return {re.split(r"[ :]", line)[0] for line in lines}


def differing(first: Any, second: Any, path: Path = ()) -> Iterator[Path]:
    """Where two values differ: the deepest places, one whose names differ as a whole besides."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if first.keys() != second.keys():
            yield path
        for key in first.keys() & second.keys():
            yield from differing(first[key], second[key], (*path, key))
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differing(one, other, (*path, index))
    elif first != second:
        yield path


def unknowns(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, Unknown):
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from unknowns(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unknowns(inner, (*path, index))


OWN_KEYS: frozenset[Path] = frozenset(("versions", index, "environment", "KEY") for index in (0, 1))
# What is wrong still: program, what is late in it, what of that is secret; and how it shows.
# What went wrong once: a program, what is late in it, and what of that is secret.
ONCE_WRONG: tuple[tuple[str, frozenset[Path], frozenset[Path]], ...] = (
    ("shorthand", frozenset({("model_name",)}), frozenset()),
    ("versions", frozenset({("model_name",)}), frozenset()),
    ("numbers", frozenset({("versions", 1, "version"), *OWN_KEYS}), OWN_KEYS),
    ("versions", frozenset({("inference_tables", "served_entities_table")}), frozenset()),
)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, frozenset[Path], frozenset[Path]]:
    """A program, what is late in it (seldom more than a few), and what of that is secret."""
    name = draw(st.sampled_from(sorted(PROGRAMS)))
    program = PROGRAMS[name]
    free = sorted((path for path in program.others if path not in program.decides), key=str)
    drawn = draw(st.sets(st.sampled_from(free), min_size=1, max_size=4) | st.sets(st.sampled_from(free), min_size=1))
    late = frozenset(path for path in drawn if not any(path[:n] in drawn for n in range(1, len(path))))
    private = sorted((path for path in late if path[-2:-1] == ("environment",) or path == CREDENTIAL), key=str)
    # An experiment's id is somebody else's to read.
    private = [path for path in private if path[-1] != "MLFLOW_EXPERIMENT_ID"]
    hidden = draw(st.sets(st.sampled_from(private))) if private else set[Path]()
    return name, late, frozenset(hidden)


def leaves(shape: Shape, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place that may be an Output, entries and names left out."""
    if shape.may_be_output:
        yield path
    if shape.inner is not None:
        yield from leaves(shape.inner, path)
    for name, inner in (shape.fields or {}).items():
        yield from leaves(inner, (*path, name))


def test_every_argument_that_may_be_late_is_in_one_of_the_programs() -> None:
    tried = set()
    for program in PROGRAMS.values():
        for path in program.others:
            names = [part for part in path if isinstance(part, str)]
            free = next((n for n, part in enumerate(names) if part in ("environment", "tags", "traffic")), len(names))
            tried.add(tuple(names[: free + 1]))
    assert set(leaves(shape_of(AgentDeploymentArgs))) == tried


def compare(name: str, late: frozenset[Path], hidden: frozenset[Path] = frozenset()) -> None:
    """One preview with unknowns, and two in which they turn out to be one thing or another."""
    program, known = PROGRAMS[name], pulumi.Output.from_input
    foreseen = children(lambda: with_late(program, late, hidden, unknown, other=False))
    one = children(lambda: with_late(program, late, hidden, known, other=False))
    other = children(lambda: with_late(program, late, hidden, known, other=True))
    assert foreseen.keys() == one.keys() == other.keys()
    for child, inputs in foreseen.items():
        unknown_here = set(unknowns(inputs))
        assert set(differing(inputs, one[child])) == unknown_here, child
        # What is derived hangs on the payload table's full name as a whole.
        if not (child[0] in OF_TABLE and late & MAKES_TABLE):
            whole = {path for path in late if path == ("traffic",)}  # its names are not known either
            assert unknown_here <= {*differing(one[child], other[child]), *whole}, child


@settings(max_examples=25, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_children_are_the_same_and_unknown_is_only_what_would_differ(
    case: tuple[str, frozenset[Path], frozenset[Path]],
) -> None:
    compare(*case)


@pytest.mark.parametrize(("name", "late", "hidden"), ONCE_WRONG)
def test_what_was_wrong_once_is_right(name: str, late: frozenset[Path], hidden: frozenset[Path]) -> None:
    compare(name, late, hidden)


def test_a_late_principal_in_both_lists_is_one_entry_in_the_preview_as_well() -> None:
    def both(make: Callable[[Any], pulumi.Output[Any]]) -> dict[str, Any]:
        principal = make("users")
        reviewers = {"reviewers": [{"service_principal_name": principal}]}
        entry = {"service_principal_name": principal, "level": "CAN_VIEW"}
        return {"model_version": "1", "permissions": [entry], "review_app": reviewers}

    kind = "databricks:index/permissions:Permissions", "qa-permissions"
    foreseen = children(lambda: both(unknown))[kind]
    done = children(lambda: both(pulumi.Output.from_input))[kind]
    assert set(differing(foreseen, done)) == set(unknowns(foreseen))


@settings(max_examples=30, derandomize=True, suppress_health_check=list(HealthCheck))
@given(cases(), st.data())
def test_a_wrong_value_elsewhere_is_told_whatever_is_unknown(
    case: tuple[str, frozenset[Path], frozenset[Path]], data: st.DataObject
) -> None:
    name, late, hidden = case
    program = PROGRAMS[name]
    free = [path for path in program.wrong if not any(_overlaps(path, each) for each in late)]
    if not free:
        return
    path = data.draw(st.sampled_from(sorted(free, key=str)))
    value, expected = program.wrong[path]

    def wrong() -> Any:
        args = with_late(program, late, hidden, unknown, other=False)
        put(args, path, value)
        return args

    assert told(wrong) == {expected}


def _overlaps(first: Path, second: Path) -> bool:
    shorter = min(len(first), len(second))
    return first[:shorter] == second[:shorter]


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name, each in PROGRAMS.items() for path in sorted(each.decides, key=str)]
)
def test_what_decides_about_children_is_refused_while_it_is_unknown(name: str, path: Path) -> None:
    late = frozenset({path})
    fields = told(lambda: with_late(PROGRAMS[name], late, frozenset(), unknown, other=False))
    assert len(fields) == 1
    assert str(path[0]) in fields.pop()
