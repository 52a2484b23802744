"""A deployment's environment: which values are secrets, where they are put, how a version's variables merge."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from agent_deploy.components.misplaced_secrets import misplaced_secrets
from agent_deploy.components.options import NEW_FIRST
from agent_deploy.resources.databricks import SecretScope
from agent_deploy.resources.secret import Secret
from agent_deploy.rules.credentials import CLIENT_SECRET
from agent_deploy.rules.environment import EXPERIMENT_VARIABLE, check_secret
from agent_deploy.rules.environment import references as secret_references
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.review import principals
from agent_deploy.rules.secrets import name_of_ours, version_secret
from agent_deploy.rules.verifiable import Place

# A version's own secrets had keys as all versions' have: these stay, as a new one would restart the version.
_OLD_KEYS = pulumi.ResourceOptions(ignore_changes=["name"])
# More is declared by these than a variable of the versions: a preview that guessed their values would be wrong.
_TELLING: tuple[Place, ...] = ((None, EXPERIMENT_VARIABLE), (None, CLIENT_SECRET))


@dataclass(frozen=True)
class References:
    """References to stored secrets. No plain dict: Pulumi would lift its Outputs, and hide all for one unknown."""

    by_place: Mapping[Place, pulumi.Output[str]]


@dataclass(frozen=True)
class Plain:
    """Arguments without Outputs. No plain dict: Pulumi would make an Output and a task of each value in it again."""

    args: Mapping[str, Any]


class Environment:
    """Separates secret and unknown values from the rest of a deployment's arguments; secrets go into a secret scope."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        self._args = args
        self._secrets: dict[Place, pulumi.Output[str]] = {}
        # Plain ones whose values a preview does not know yet.
        self._unknown: dict[Place, pulumi.Output[str]] = {}
        self._misplaced: list[Problem] = []

    def plain(self) -> pulumi.Output[Plain]:
        """As `separate`, for Pulumi: the Outputs in it resolved."""

        async def resolved() -> Plain | pulumi.Output[Plain]:
            separated: Any = await self.separate()
            if not _holds_outputs(separated):
                return Plain(separated)
            return pulumi.Output.from_input(separated).apply(Plain)

        found: Any = resolved()
        return pulumi.Output.from_input(found)

    async def separate(self) -> dict[str, Any]:
        """The arguments with None for each secret value: what may be looked at, compared and shown.

        A variable that is not known yet is None as well: a single one would make all arguments unknown to the preview.
        """
        for place, value in self._variables():
            if isinstance(value, pulumi.Output):
                if await value.is_secret():
                    self._secrets[place] = value
                elif place not in _TELLING and not await value.is_known():
                    self._unknown[place] = value
        self._misplaced = await misplaced_secrets(self._args)
        plain = dict(self._args)
        if plain.get("environment"):
            plain["environment"] = self._masked(None, plain["environment"])
        if plain.get("versions"):
            plain["versions"] = [
                {**version, "environment": self._masked(index, version.get("environment") or {})}
                for index, version in enumerate(plain["versions"])
            ]
        if plain.get("service_principal"):
            plain["service_principal"] = self._masked(
                None, plain["service_principal"], {"client_secret": CLIENT_SECRET}
            )
        return plain

    def misplaced(self) -> list[Problem]:
        """Secrets where none can be kept: a single one would make secrets of all that is declared. After `separate`."""
        return self._misplaced

    def useless(self) -> list[Problem]:
        """Secrets for variables that a deployment sets itself. After `separate`."""
        return [
            problem
            for index, key in self._secrets
            for problem in check_secret("environment" if index is None else f"versions[{index}].environment", key)
        ]

    def store_secrets(self, name: str, scope_name: pulumi.Input[str], opts: pulumi.ResourceOptions) -> References:
        """A scope named after the endpoint with one secret for each value; returns the references to them."""
        if not self._secrets:
            return References({})
        scope = SecretScope(f"{name}-secrets", name=scope_name, opts=pulumi.ResourceOptions.merge(opts, NEW_FIRST))
        references: dict[Place, pulumi.Output[str]] = {}
        for (index, key), value in self._secrets.items():
            if index is None:
                secret = Secret(f"{name}-secret-{key}", scope=scope.name, name=key, value=value, opts=opts)
            else:
                child = f"{name}-secret-{key}-{self._label(index)}"
                own = pulumi.ResourceOptions.merge(opts, _OLD_KEYS)
                secret = Secret(child, scope=scope.name, name=version_secret(key), value=value, opts=own)
            references[index, key] = secret.reference
        return References(references)

    def of_version(self, index: int, plain: Mapping[str, Any], references: References) -> dict[str, Any]:
        """The variables of one version: the deployment's, overridden by its own; secrets as references."""
        versions = plain.get("versions") or ()
        own = versions[index].get("environment") if index < len(versions) else None
        outputs = {**self._unknown, **references.by_place}
        merged: dict[str, Any] = {}
        for place, variables in ((None, plain.get("environment") or {}), (index, own or {})):
            merged.update({key: outputs.get((place, key), value) for key, value in variables.items()})
        return merged

    def made_here(self) -> frozenset[str]:
        """Places of principals that are Outputs: they may be made by this program."""
        named = principals(self._args)
        return frozenset(place for place, value in named.items() if isinstance(value, pulumi.Output))

    def existing_secret(self, plain: Mapping[str, Any], references: References) -> pulumi.Input[str] | None:
        """The credential of a service principal that the user gave: the reference to it."""
        given = plain.get("service_principal")
        return references.by_place.get((None, CLIENT_SECRET), given["client_secret"]) if given else None

    def with_current(self, variables: Mapping[str, str], scope: str, references: References) -> dict[str, Any]:
        """Variables of a version kept from an earlier run: what it reads of our own scope follows a changed secret."""
        current = dict[str, Any](variables)
        for key, reference in secret_references(variables).items():
            shared = reference.scope == scope and name_of_ours(reference) == key
            if shared and (None, key) in references.by_place:
                current[key] = references.by_place[None, key]
        return current

    def _variables(self) -> Iterator[tuple[Place, Any]]:
        for key, value in (self._args.get("environment") or {}).items():
            yield (None, key), value
        for index, version in enumerate(self._args.get("versions") or ()):
            for key, value in (version.get("environment") or {}).items():
                yield (index, key), value
        if self._args.get("service_principal"):
            yield (None, CLIENT_SECRET), self._args["service_principal"].get("client_secret")

    def _masked(
        self, index: int | None, variables: Mapping[str, Any], variable_of: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        names = variable_of or {}
        masked = {**self._secrets, **self._unknown}
        return {key: None if (index, names.get(key, key)) in masked else value for key, value in variables.items()}

    def _label(self, index: int) -> str:
        # Children are named after the version, not its place in the list: another order must not replace them.
        version = self._args["versions"][index]
        label = version.get("version") or version.get("alias")
        return str(index) if isinstance(label, pulumi.Output) else str(label)


def _holds_outputs(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_holds_outputs, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_holds_outputs, value))
    return isinstance(value, (pulumi.Output, Awaitable))
