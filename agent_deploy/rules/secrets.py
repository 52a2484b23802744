"""References to Databricks secrets in environment variables: ``{{secrets/scope/key}}``."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUFFIX_LENGTH = 7  # random hex digits behind the name of a key that we make, as many as Pulumi puts behind a name
# A secret of ours lies under a name and random digits; others in the same scope are not ours.
_OURS = re.compile(rf"(?P<name>.+)-[0-9a-f]{{{SUFFIX_LENGTH}}}")
# A scope may hold slashes, a key may not. Source: Databricks, "Secret management"; at most 128 characters each.
_REFERENCE = re.compile(r"\{\{\s*secrets/(?P<scope>[\w.@/-]{1,128})/(?P<key>[\w.@-]{1,128})\s*\}\}")


@dataclass(frozen=True, order=True)
class SecretReference:
    """One key in one scope."""

    scope: str
    key: str

    def __str__(self) -> str:
        return f"{{{{secrets/{self.scope}/{self.key}}}}}"


def version_secret(variable: str) -> str:
    """Name of a variable's secret that one version has to itself; that of all versions is the variable's."""
    return f"{variable}-own"


def name_of_ours(reference: SecretReference) -> str:
    """The name of a secret that a deployment has put; empty where its key is somebody else's."""
    ours = _OURS.fullmatch(reference.key)
    return ours["name"] if ours else ""


def looks_like_reference(value: str) -> bool:
    """Whether the writer meant a reference; what looks like one must then parse."""
    return "{{" in value or "}}" in value


def parse_reference(value: str) -> SecretReference | None:
    """The reference that the whole value is, or None."""
    match = _REFERENCE.fullmatch(value.strip())
    return SecretReference(match["scope"], match["key"]) if match else None
