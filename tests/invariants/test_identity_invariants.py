"""Any sequence of changes leaves the identities that the program declares: no orphan, nothing missing, nobody else's.

On the real engine, so few and short sequences; what is compared is everything that the workspace holds about
principals, their secrets, grants, access lists and scopes, those of others included.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from agent_deploy.components.agent_service_principal import TODAY_VARIABLE
from agent_deploy.rules.credentials import PASSTHROUGH, SERVICE_PRINCIPAL
from tests.engine.support import Stack, both_plugins, toolchain
from tests.engine.test_identity_lifecycle import MODEL, SHORT, declare, owned
from tests.engine.toolbox import SCIM, Fact, Toolbox

DECLARED = {"1": "a", "2": "b", "3": "a"}  # version → the set of objects that its model declares
MODES = (SERVICE_PRINCIPAL, SERVICE_PRINCIPAL, PASSTHROUGH)  # the one with more to do twice as often
SEQUENCES, STEPS = 3, 4
AGREE = settings(
    max_examples=SEQUENCES,
    stateful_step_count=STEPS,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Wanted:
    """What the program declares; no version is no deployment."""

    versions: tuple[str, ...] = ()
    own_principals: bool = True
    instead: str = ""  # the set of objects that replaces what the models declare
    month: int = 1

    def arguments(self, site: Toolbox) -> dict[str, Any]:
        """Of the AgentDeployment."""
        share = 100 // len(self.versions)
        first = 100 - share * (len(self.versions) - 1)
        args: dict[str, Any] = {
            "versions": [{"version": version} for version in self.versions],
            "traffic": {version: share if index else first for index, version in enumerate(self.versions)},
        }
        if self.own_principals:
            args |= {"auth": "SERVICE_PRINCIPAL", "rotation_days": 28}
            if self.instead:
                named = [{"kind": kind, "name": name} for kind, name in site.objects[self.instead].items()]
                args |= {"resources": named, "replace_resources": True}
        return args

    def facts(self, site: Toolbox) -> set[Fact]:
        """Which of them the workspace must hold."""
        if not self.own_principals:
            return set()
        return owned(site, "on-one", **{f"v{v}": self.instead or DECLARED[v] for v in self.versions})


@pytest.fixture(scope="module")
def site(local_workspace_factory: Callable[..., Any]) -> Toolbox:
    """Three versions of a model, and a principal of somebody else's with privileges on the same objects."""
    if toolchain() is None:
        pytest.fail("no `pulumi` on PATH and none built: run `make toolchain`")
    found = Toolbox(local_workspace_factory(serving_start="on_request"))
    found.write_versions("main.default.callee", {})
    found.serve_callees("main.default.callee")
    found.write_versions(MODEL, *(found.objects[letter] for letter in DECLARED.values()))
    other = found.workspace.post(f"{SCIM}/ServicePrincipals", {"displayName": "somebody else's"})
    for letter in "ab":
        found.allow(other["applicationId"], "service_principal_name", letter)
    return found


def test_the_workspace_holds_what_the_program_declares(site: Toolbox) -> None:
    machine: Any = lambda: History(site)  # noqa: E731 - anything that makes one will do
    run_state_machine_as_test(machine, settings=AGREE)


class History(RuleBasedStateMachine):
    """One stack, changed step by step."""

    def __init__(self, site: Toolbox) -> None:
        super().__init__()
        self._site = site
        self._before = site.standing()
        self._wanted = Wanted()
        self._changes = 0  # since there was nothing
        self._folder = tempfile.TemporaryDirectory()
        place = Path(self._folder.name)
        plugins = both_plugins(place / "plugins")
        (place / "stack").mkdir()
        self._stack = Stack(place / "stack", "", environment=site.environment, plugins=plugins)

    @rule(versions=st.sets(st.sampled_from(sorted(DECLARED)), min_size=1, max_size=2), auth=st.sampled_from(MODES))
    def versions_and_auth(self, versions: set[str], auth: str) -> None:
        """Versions join and leave; the mode may change with them."""
        self._becomes(versions=tuple(sorted(versions)), own_principals=auth == SERVICE_PRINCIPAL)

    @precondition(lambda self: self._wanted.versions)
    @rule(letter=st.sampled_from(["b", "a", ""]))
    def resources(self, letter: str) -> None:
        """Other resources than the models declare, or theirs again."""
        self._becomes(instead=letter, own_principals=True)

    @precondition(lambda self: self._wanted.versions and self._wanted.own_principals)
    @rule()
    def rotate(self) -> None:
        """A month later."""
        self._becomes(month=self._wanted.month + 1)

    @precondition(lambda self: self._wanted.versions and len(self._wanted.versions) < len(DECLARED))
    @rule()
    def fail_an_update(self) -> None:
        """The version that is to take over does not build: nobody's identity goes."""
        new = next(version for version in DECLARED if version not in self._wanted.versions)
        wanted = replace(self._wanted, versions=(new,))
        with self._site.fault(match="build", entity=f"{SHORT}_{new}", fail="no space left"):
            assert self._up(wanted).code != 0
        there = self._site.standing() - self._before
        assert there == self._wanted.facts(self._site) | wanted.facts(self._site)
        self._becomes()

    @precondition(lambda self: self._wanted.versions and self._changes > 2)
    @rule()
    def destroy(self) -> None:
        """All of it goes."""
        self._stack.destroy()
        assert self._site.standing() == self._before
        self._wanted, self._changes = replace(self._wanted, versions=()), 0

    def teardown(self) -> None:
        """Whatever there was: nothing is left."""
        try:
            self._stack.destroy()
            assert self._site.standing() == self._before
        finally:
            self._stack.close()
            self._folder.cleanup()

    def _becomes(self, **changes: Any) -> None:
        self._wanted = replace(self._wanted, **changes)
        self._changes += 1
        done = self._up(self._wanted)
        assert done.code == 0, done.output
        assert self._site.standing() == self._before | self._wanted.facts(self._site), self._wanted

    def _up(self, wanted: Wanted) -> Any:
        declare(self._stack, one=wanted.arguments(self._site))
        self._stack.set_environment({TODAY_VARIABLE: f"2027-{wanted.month:02}-15"})
        return self._stack.up(check=False)
