"""What is imported is declared, what is declared is used and bounded, and what is pinned is what that brings."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.distributions import brought_by, distributions_of

pytestmark = pytest.mark.long

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
WITH_OWN_PINS = tuple(ROOT / "tests" / "clients" / name for name in ("scripts", "typical"))  # environments of their own
NAME = "agent-deploy"
CORE = ""
# Extra → the folders whose code it is for; the most inner folder counts.
FOLDERS = {
    CORE: ("agent_deploy",),
    "local": ("agent_deploy/local",),
    "spark": ("agent_deploy/tables",),
    "pull-requests": ("agent_deploy/pull_requests",),
    "dev": ("agent_deploy/templates", "bench", "stacks", "tests", "tools"),
}
# Extra → those whose distributions are there as well.
WITH = {CORE: (), "local": (CORE,), "spark": (CORE,), "pull-requests": (CORE,), "dev": (CORE, "local", "spark")}
# Top-level modules of ours. The scripts of tools are imported by their names alone.
OWN = {
    "agent_deploy",
    "bench",
    "stacks",
    "tests",
    *(path.stem for path in (ROOT / "tools").glob("*.py")),
}

IMPORTED_WITHOUT = {
    ("agent_deploy/rules/feedback.py", "mlflow.exceptions"): "runs only where MLflow serves it",
    ("agent_deploy/client/promotion.py", "mlflow"): "is told when it is missing, to whoever promotes",
    ("agent_deploy/client/promotion.py", "mlflow.exceptions"): "the same",
    ("agent_deploy/local/pytest_plugin.py", "pytest"): "is loaded by pytest alone",
}
USED_WITHOUT_IMPORT = {
    ("local", "python-multipart"): "Starlette reads forms with it",
    ("dev", "pytest-xdist"): "pytest -n",
    ("dev", "hatchling"): "builds the wheel without a network",
    ("dev", "editables"): "hatchling installs a folder with it",
    ("dev", "setuptools"): "builds pyspark, of which there is no wheel",
    ("dev", "ruff"): "make lint",
    ("dev", "mypy"): "make lint",
    ("dev", "zizmor"): "judges the workflows",
    ("dev", "mkdocs-material"): "make docs",
}

PIN = re.compile(r"^([a-z0-9-]+==[\w.]+(?: ; [^\n/@\\]+)?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)
COMMENT = re.compile(r"^#[\w :]*\n", re.MULTILINE)
HASH = f"--hash=sha256:{'0' * 64}"


class Use(NamedTuple):
    extra: str
    file: str
    module: str
    distributions: frozenset[str]


def undeclared(declared: Mapping[str, set[str]], uses: tuple[Use, ...]) -> set[tuple[str, str]]:
    """File and module of what is used though none of its distributions is declared for that file."""
    return {
        (use.file, use.module)
        for use in uses
        if not use.distributions & set().union(*(declared[extra] for extra in (use.extra, *WITH[use.extra])))
    }


def unused(declared: Mapping[str, set[str]], uses: tuple[Use, ...]) -> set[tuple[str, str]]:
    """Extra and distribution of what is declared though no file that the extra is for uses it."""
    used = {extra: set().union(*(use.distributions for use in uses if use.extra == extra)) for extra in declared}
    return {(extra, name) for extra, names in declared.items() for name in names - used[extra]}


@cache
def all_uses() -> tuple[Use, ...]:
    return tuple(
        Use(_extra(path), path.relative_to(ROOT).as_posix(), module, distributions)
        for folder in ("agent_deploy", *FOLDERS["dev"])
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any(map(path.is_relative_to, WITH_OWN_PINS))
        for module, distributions in _uses(ast.parse(path.read_text("utf-8")))
    )


def _extra(path: Path) -> str:
    place = path.relative_to(ROOT)
    return max((len(folder), extra) for extra in FOLDERS for folder in FOLDERS[extra] if place.is_relative_to(folder))[
        1
    ]


def _uses(tree: ast.AST) -> Iterator[tuple[str, frozenset[str]]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                modules = [alias.name for alias in names]
            case ast.ImportFrom(module=str(module), level=0):
                modules = [module]
            # The distribution itself is looked at, for the version of its plugin.
            case ast.Call(func=ast.Name(id="version"), args=[ast.Constant(value=str(name))]) if name != NAME:
                yield name, frozenset({canonicalize_name(name)})
                continue
            case _:
                continue
        for module in modules:
            if module.partition(".")[0] not in OWN | sys.stdlib_module_names:
                yield module, distributions_of(module)


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def requirements() -> dict[str, list[Requirement]]:
    """Extra → what it requires of others."""
    project = pyproject()["project"]
    lists = {CORE: project["dependencies"], **project["optional-dependencies"]}
    parsed = {extra: list(map(Requirement, texts)) for extra, texts in lists.items()}
    return {extra: [each for each in found if each.name != NAME] for extra, found in parsed.items()}


def declared() -> dict[str, set[str]]:
    return {extra: {canonicalize_name(each.name) for each in found} for extra, found in requirements().items()}


def constraints() -> str:
    return (ROOT / "constraints.txt").read_text("utf-8")


def pins() -> list[Requirement]:
    return [Requirement(found[1]) for found in PIN.finditer(constraints())]


def unverified(text: str) -> str:
    """What is neither a pin with hashes nor a comment in plain words; there is no room for an index or a folder."""
    return COMMENT.sub("", PIN.sub("", text))


def test_every_import_is_declared_for_where_it_stands() -> None:
    assert undeclared(declared(), all_uses()) == set(IMPORTED_WITHOUT)


def test_every_dependency_is_used_where_it_is_declared_for() -> None:
    assert unused(declared(), all_uses()) == set(USED_WITHOUT_IMPORT)


IMPORTED = sorted(
    (extra, name) for extra in FOLDERS for name in declared()[extra] if (extra, name) not in USED_WITHOUT_IMPORT
)


@pytest.mark.parametrize(("extra", "name"), IMPORTED)
def test_a_dependency_that_is_left_out_is_missed(extra: str, name: str) -> None:
    less = {each: names - {name} if each == extra else names for each, names in declared().items()}
    assert undeclared(less, all_uses()) > set(IMPORTED_WITHOUT)


@pytest.mark.parametrize("extra", FOLDERS)
def test_a_dependency_that_only_other_extras_use_is_one_too_many(extra: str) -> None:
    of_others = {use for use in all_uses() if use.extra != extra}
    more = {each: names | {"httpx"} if each == extra else names for each, names in declared().items()}
    assert (extra, "httpx") in unused(more, tuple(of_others))


@pytest.mark.parametrize("extra", FOLDERS)
def test_every_dependency_ends_before_a_version_that_may_break_it(extra: str) -> None:
    open_ended = [str(each) for each in requirements()[extra] if not _is_bounded(each)]
    assert open_ended == []


def test_what_builds_the_package_is_pinned() -> None:
    assert all(_is_pin(Requirement(text)) for text in pyproject()["build-system"]["requires"])


def test_every_pin_is_exact_and_within_what_is_declared() -> None:
    assert [str(pin) for pin in pins() if not _is_pin(pin)] == []
    pinned: dict[str, list[str]] = {}
    for pin in pins():
        pinned.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)
    outside = [
        f"{each} is pinned to {version}"
        for found in requirements().values()
        for each in found
        for version in pinned[canonicalize_name(each.name)]
        if not each.specifier.contains(version, prereleases=True)
    ]
    assert outside == []


def test_every_pin_has_hashes_and_the_file_names_no_place() -> None:
    assert unverified(constraints()) == ""


@pytest.mark.parametrize(
    "added",
    [
        "tiny==1.0\n",
        "tiny==1.0 ; python_full_version < '3.11'\n",
        "tiny==1.0 \\\n    --hash=md5:0123456789abcdef0123456789abcdef\n",
        f"tiny>=1.0 \\\n    {HASH}\n",
        f"tiny @ https://packages.example.com/tiny-1.0.tar.gz \\\n    {HASH}\n",
        f"./tiny-1.0.tar.gz \\\n    {HASH}\n",
        f"-e . \\\n    {HASH}\n",
        "--index-url https://packages.example.com/simple\n",
        "--find-links /home/me/wheels\n",
        "# from packages.example.com\n",
        "# uv pip compile /home/me/pyproject.toml\n",
    ],
)
def test_what_cannot_be_verified_or_names_a_place_is_found(added: str) -> None:
    assert unverified(constraints() + added) == added


def test_what_is_pinned_is_what_the_dependencies_bring() -> None:
    wanted = brought_by(each for found in requirements().values() for each in found)
    pinned = {canonicalize_name(pin.name) for pin in pins() if pin.marker is None or pin.marker.evaluate()}
    assert (sorted(wanted - pinned), sorted(pinned - wanted)) == ([], [])


@pytest.mark.parametrize(
    ("file", "named"),
    [
        ("README.md", r"`pulumi` ≥ (3\.\d+)"),
        ("docs/installation.md", r"Pulumi from (3\.\d+) on"),
        ("agent_deploy/report/preview.py", r"event log of Pulumi (3\.\d+) or later"),
        ("agent_deploy/templates/project/go/go.mod", r"pulumi/sdk/v3 v(3\.\d+)\.0\b"),
        ("agent_deploy/templates/project/typescript/package.json", r'"@pulumi/pulumi": "\^(3\.\d+)\.0"'),
    ],
)
def test_the_oldest_pulumi_is_the_same_wherever_it_is_named(file: str, named: str) -> None:
    declared = re.search(r'"pulumi>=(3\.\d+),', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert declared is not None
    assert set(re.findall(named, (ROOT / file).read_text("utf-8"))) == {declared[1]}


def _is_bounded(requirement: Requirement) -> bool:
    return any(each.operator in ("<", "<=", "==", "~=") for each in requirement.specifier)


def _is_pin(requirement: Requirement) -> bool:
    return [each.operator for each in requirement.specifier] == ["=="] and "*" not in str(requirement.specifier)
