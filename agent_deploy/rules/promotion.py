"""Promotion of a model version: into which model it goes, what is done in which order, and what that takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.requirements import Need, in_catalog
from agent_deploy.rules.unity_catalog import MANAGE, Securable

# Tags of a version that was promoted.
PROMOTED_FROM, PROMOTED_BY = "agent_deploy.promoted_from", "agent_deploy.promoted_by"
CHAMPION, PREVIOUS = "champion", "previous"
_NAME = r"[^.\s/`@\x00-\x1f\x7f]{1,255}"
_SOURCE = re.compile(rf"(?P<model>{_NAME}(?:\.{_NAME}){{1,2}})(?:@(?P<alias>[\w-]+)|/(?P<version>[1-9]\d*))?")
_PLACE = re.compile(rf"{_NAME}(?:\.{_NAME}){{0,2}}")
_EXPECTED = "catalog.schema.model, with @alias or /version behind it"


@dataclass(frozen=True)
class Source:
    """The version that is promoted, by its number or by an alias."""

    model: str
    version: str = ""
    alias: str = ""


@dataclass(frozen=True)
class Promotion:
    """What stands where, and so what is to be done; versions are numbers, empty where there is none.

    ``copied``: the version of the target that is a copy already. ``champion`` and ``former``: where the two aliases
    point to now.
    """

    source: str
    version: str
    target: str
    alias: str = CHAMPION
    previous: str = PREVIOUS
    exists: bool = True
    copied: str = ""
    champion: str = ""
    former: str = ""

    @property
    def is_copy(self) -> bool:
        """Whether a version has to be copied; within one model only aliases move."""
        return self.source != self.target and not self.copied

    @property
    def number(self) -> str:
        """Of the version in the target; empty before it is copied."""
        return self.version if self.source == self.target else self.copied

    @property
    def moves(self) -> bool:
        """Whether the alias points elsewhere afterwards."""
        return self.is_copy or self.champion != self.number

    def steps(self) -> Iterator[str]:
        """What is done, a line each; nothing where all is done."""
        number = self.number or "the copy"
        if self.is_copy:
            made = "" if self.exists else ", which is made"
            yield f"copy {self.source} version {self.version} to {self.target}{made}"
            yield f"tag {number} with {PROMOTED_FROM}={self.origin} and {PROMOTED_BY}"
        if self.moves and self.champion:
            yield f"{self.target}@{self.previous}: {self.former or 'none'} → {self.champion}"
        if self.moves:
            yield f"{self.target}@{self.alias}: {self.champion or 'none'} → {number}"

    @property
    def origin(self) -> str:
        """As the tag has it."""
        return f"{self.source}/{self.version}"


def parse_source(text: str, catalog: str = "") -> Source:
    """``MODEL[@ALIAS | /VERSION]``; a name of two levels is in ``catalog``. Raises InvalidInput."""
    match = _SOURCE.fullmatch(text)
    if match is None:
        raise InvalidInput([Problem("MODEL", text, _EXPECTED)])
    model = match["model"].lower()
    if model.count(".") == 1:
        if not catalog:
            remedy = "Write the catalog, too, or say --from"
            raise InvalidInput([Problem("MODEL", text, _EXPECTED, remedy)])
        model = f"{catalog.lower()}.{model}"
    elif catalog and catalog.lower() != model.partition(".")[0]:
        raise InvalidInput([Problem("--from", catalog, f"the catalog of {model}", "Leave one of the two out")])
    return Source(model, match["version"] or "", match["alias"] or "")


def target_of(model: str, place: str) -> str:
    """The model that it becomes in a catalog, a schema (catalog.schema) or under a full name. Raises InvalidInput."""
    if not _PLACE.fullmatch(place):
        raise InvalidInput([Problem("--to", place, "a catalog, catalog.schema or catalog.schema.model")])
    levels = place.lower().split(".")
    return ".".join([*levels, *model.split(".")[len(levels) :]])


def needs_of(promotion: Promotion) -> list[Need]:
    """What it takes: to read the source, to make a version in the target, and to move its aliases and tags."""
    found: list[Need] = []
    if promotion.source != promotion.target:
        found += in_catalog(
            "EXECUTE", Securable.of("function", promotion.source), "function", f"Model {promotion.source}"
        )
    target = Securable.of("function", promotion.target)
    if not promotion.exists:
        schema = promotion.target.rpartition(".")[0]
        return [*found, *in_catalog("CREATE_MODEL", Securable.of("schema", schema), "schema", f"Schema {schema}")]
    shown = f"Model {promotion.target}"
    if promotion.is_copy:
        found += in_catalog("CREATE_MODEL_VERSION", target, "function", shown)
    return [*found, *in_catalog(MANAGE, target, "function", shown)]
