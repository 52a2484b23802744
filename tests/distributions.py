"""Which distributions are installed here: those that requirements bring, and those that a module is from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def brought_by(requirements: Iterable[Requirement]) -> set[str]:
    """Their names and those of all that they require in turn, on this Python and this system."""
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        # The distribution itself, and what each of its extras adds to it.
        new = {(name, each) for each in ("", *requirement.extras)} - seen
        seen |= new
        waiting += [(each, extra) for _, extra in new for each in _requirements(name)]
    return {name for name, _ in seen}


def distributions_of(module: str) -> frozenset[str]:
    """Those that have files of the module; a namespace such as `google` is told apart by its second name."""
    parts = module.split(".")
    found = _by_module()
    return found.get(".".join(parts[:2])) or found.get(parts[0]) or frozenset({canonicalize_name(parts[0])})


@cache
def _requirements(name: str) -> tuple[Requirement, ...]:
    try:
        return tuple(map(Requirement, metadata.requires(name) or ()))
    except metadata.PackageNotFoundError:
        return ()


@cache
def _by_module() -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        name = canonicalize_name(distribution.metadata["Name"])
        for file in distribution.files or ():
            if file.suffix not in (".py", ".so", ".pyd"):
                continue
            names = [*file.parts[:-1], file.name.partition(".")[0]]
            for depth in (1, 2):
                found[".".join(names[:depth])].add(name)
    return {module: frozenset(names) for module, names in found.items()}
