"""The function verifyDeployments: all that deployments take, looked up at once and told in one list each.

Whoever verifies does it here: the components of a program in one call of the function, `agent-deploy check` by itself.
A further look-up is one more entry of CHECKS in named_objects.py, a further privilege one more requirement in
rules/requirements.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from agent_deploy.client.errors import ApiError, WorkspaceError
from agent_deploy.client.model_registry import ModelRegistry
from agent_deploy.client.workspace import segment
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.served_versions import remember
from agent_deploy.provider.feedback.feedback_look_up import NoFeedbackModel, feedback_model
from agent_deploy.provider.plugin.resource import Context, Values
from agent_deploy.provider.verification.get_declared_resources import declared_resources, unreadable
from agent_deploy.provider.verification.get_model_version import NOT_FOUND, describe_version
from agent_deploy.provider.verification.named_objects import CHECKS
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.look_ups import begin, memory_of
from agent_deploy.provider.workspace.permission_facts import Answer, UnknownPrincipal, facts_of
from agent_deploy.rules import findings
from agent_deploy.rules.credentials import MANUAL, PASSTHROUGH
from agent_deploy.rules.declared_resources import Declared, beyond_passthrough, combine
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.findings import Finding
from agent_deploy.rules.kept_versions import kept
from agent_deploy.rules.names import FEEDBACK_ENTITY, secret_scope, served_entity_name
from agent_deploy.rules.records import read, wire
from agent_deploy.rules.requirements import needs
from agent_deploy.rules.resource_kinds import Access, check_resources
from agent_deploy.rules.unity_catalog import Securable
from agent_deploy.rules.verifiable import (
    OpenPrivilege,
    VerifiedDeployment,
    VersionNeeds,
    WantedDeployment,
    WantedVersion,
)
from agent_deploy.rules.verification import Failure, Presence, Verdict, open_to_all, verdict

T = TypeVar("T")


# How many deployments are verified at once. Apart from the threads of their look-ups, for which they wait.
_POOL = ThreadPoolExecutor(32, "deployment")


def verify_deployments(context: Context, arguments: Values) -> Values:
    """See the schema; a failure that is no deployment's own, such as no workspace at all, is raised for all of them."""
    if not arguments["deployments"]:
        # A program that is still declaring (resources/head_start.py): who deploys is what all of its agents will ask.
        facts_of(context).principal(None, with_entitlements=True)
    # What was missing a moment ago may be what this program has made meanwhile, for which others have waited.
    memory_of(context).forget(_is_absence)
    wanted = [read(WantedDeployment, each) for each in arguments["deployments"]]
    return {"deployments": [wire(found.answer) for found in _POOL.map(partial(verify, context), wanted)]}


def _is_absence(answer: object) -> bool:
    return answer is None or (isinstance(answer, Answer) and answer.presence is Presence.MISSING)


def verify(context: Context, asked: WantedDeployment) -> Verification:
    """One of them; without ``problems`` it may be made."""
    return _Verifying(context, asked).result()


@dataclass(frozen=True)
class Verification:
    """All that was looked up of one deployment, and what was found."""

    answer: VerifiedDeployment  # what a program reads of it
    problems: Sequence[Finding | Failure]
    verdict: Verdict
    principal: str  # who was checked


@dataclass(frozen=True)
class _Found:
    """A wanted version as it was found, and what is wrong with it."""

    told: Values
    field: str = ""
    hidden: bool = False

    @property
    def number(self) -> str:
        return str(self.told["version"]) if self.told["found"] else ""


@dataclass(frozen=True)
class _Needs:
    """What one version needs, and what is wrong with that."""

    needs: VersionNeeds
    problems: Sequence[Finding] = ()


@dataclass(frozen=True)
class _Feedback:
    """The feedback model: whether it must be registered first, and what is wrong."""

    registers: str = ""  # the schema in which
    problems: Sequence[Finding] = ()


@dataclass(frozen=True)
class _Judged:
    """What the deployer lacks, and what everybody has anyhow."""

    verdict: Verdict = field(default_factory=Verdict)
    opened: Sequence[Access] = ()
    principal: str = ""
    problems: Sequence[Finding] = ()


class _Verifying:
    """One verification. What the workspace leaves unanswered is kept in ``_unanswered``, and the rest goes on."""

    def __init__(self, context: Context, asked: WantedDeployment) -> None:
        self._context, self._required = context, asked.requirements
        self._workspace, self._memory, self._facts = looked_up(context), memory_of(context), facts_of(context)
        self._malformed = [findings.RESOURCE.found(each) for each in check_resources("resources", asked.resources)]
        well_formed = (each for each in asked.resources if not check_resources("resources", [each]))
        self._asked = replace(asked, resources=tuple(well_formed))
        self._model = asked.model_name or ""
        self._unanswered: list[WorkspaceError] = []

    def result(self) -> Verification:
        """Two rounds of look-ups: what the program names, then what the versions need besides."""
        finding = [begin(self._find, wanted) for wanted in self._asked.versions]
        serving, rating = begin(self._served), begin(self._feedback)
        checking = [begin(check, self._context, self._asked) for check in CHECKS]
        self._foresee()
        found = [self._settled(future.result, _Found(NOT_FOUND)) for future in finding]
        served, traffic = self._settled(serving.result, (Values(), dict[str, int]()))
        previous = self._kept(served, traffic, found)
        feedback = self._settled(rating.result, _Feedback())
        named = [each for future in checking for each in self._settled(future.result, list[Finding]())]
        first = found[0].told if found else NOT_FOUND
        versions: list[_Needs] = []
        judged = _Judged()
        # Who gets no answer now gets none in the second round either, and need not wait for that.
        if not self._unanswered:
            numbers = [each.number for each in found if each.number]
            numbers += [str(entity["entityVersion"]) for entity in previous.values()]
            reading = [begin(self._needs, number) for number in dict.fromkeys(numbers)]
            nothing = _Needs(VersionNeeds("", (), ()))
            versions = [self._settled(future.result, nothing) for future in reading]
            judged = self._settled(lambda: self._judge(versions, feedback, first["experimentId"]), judged)
        of_versions = [problem for version in versions for problem in version.problems]
        told = [*self._of_models(found, judged.verdict), *named, *of_versions, *feedback.problems]
        judgement = judged.verdict
        problems = [*self._malformed, *judged.problems, *_problems(told, judgement), *self._causes()]
        answer = VerifiedDeployment(
            numbers=tuple(each.number for each in found),
            experiment_id=first["experimentId"],
            workspace_url=first["workspaceUrl"],
            kept=previous,
            needs=tuple(version.needs for version in versions),
            open_to_all=tuple(OpenPrivilege(o.target.type, o.target.name, o.privilege) for o in judged.opened),
            unverified=tuple(map(str, judgement.unverified)),
            problems=tuple(map(str, problems)),
        )
        return Verification(answer, problems, judgement, judged.principal)

    # ---- look-ups

    def _foresee(self) -> None:
        """Begins what the second round will ask in any case; the answers are in memory then."""
        wanted = needs(self._asked.resources, self._required)
        self._facts.begin_gathering(wanted, self._asked.principal, self._with_entitlements)
        for each in self._asked.versions if self._reads_models else ():
            if each.version:
                begin(self._declared, each.version)

    @property
    def _with_entitlements(self) -> bool:
        return bool(self._required.endpoint_name)

    def _find(self, wanted: WantedVersion) -> _Found:
        version, alias = wanted.version or "", wanted.alias or ""
        key = ("model version", self._model, version, alias)
        try:
            told = self._memory.once(key, lambda: describe_version(self._workspace, self._model, version, alias))
        except ApiError as error:
            if error.status != 403:
                raise
            return _Found({**NOT_FOUND, "problem": str(error)}, wanted.field, hidden=True)
        if told["found"]:
            remember(self._memory, self._model, str(told["version"]), str(told["versionId"]))
        return _Found(told, wanted.field)

    def _served(self) -> tuple[Values, dict[str, int]]:
        """What this stack's endpoint serves before the program changes it, in ServingEndpoint's words."""
        if not self._asked.keep_previous or not self._required.endpoint_name:
            return {}, {}
        remote = self._facts.look_up(f"{states.PATH}/{segment(self._required.endpoint_name)}").document
        if states.tags_of(remote).get(OWNER_TAG) not in self._asked.owner_marks:
            return {}, {}
        inputs = states.inputs_of({**remote, "pending_config": None}, {})
        return inputs.get("servedEntities", {}), states.routes_of(remote.get("config"))

    def _feedback(self) -> _Feedback:
        name = self._asked.feedback_model
        if not name:
            return _Feedback()
        key = ("feedback model", name)
        try:
            found = self._memory.once(key, lambda: feedback_model(ModelRegistry(self._workspace, name), name))
        except NoFeedbackModel as error:
            at = Securable.of("function", name)
            return _Feedback(problems=[findings.FEEDBACK.found(error, at, error.hidden)])
        if found.version:
            remember(self._memory, name, found.version, found.version_id)
        return _Feedback() if found.exists else _Feedback(registers=name.rpartition(".")[0])

    def _kept(self, served: Values, traffic: Mapping[str, int], found: Iterable[_Found]) -> dict[str, Any]:
        declared = [served_entity_name(self._model, each.number) for each in found if each.number]
        if self._asked.feedback_model:
            declared.append(FEEDBACK_ENTITY)
        return dict(kept(served, traffic, self._model, declared, self._asked.keep_previous))

    @property
    def _reads_models(self) -> bool:
        return self._asked.auth != MANUAL

    def _declared(self, number: str) -> tuple[Declared, list[str]]:
        key = ("declared resources", self._model, number)
        return self._memory.once(key, lambda: declared_resources(self._workspace, self._model, number))

    def _needs(self, number: str) -> _Needs:
        if not self._reads_models:
            return _Needs(VersionNeeds(number, (), ()))
        replaces, hidden = self._asked.replace_resources, False
        try:
            declared, wrong = self._declared(number)
        except ApiError as error:
            if error.status == 401 or error.status >= 500:
                raise
            hidden = error.status == 403
            declared, wrong = Declared(), [unreadable(self._model, number, error)]
        at = Securable.of("function", self._model)
        problems = [findings.MLMODEL.found(each, at, hidden) for each in wrong]
        problems += [findings.KIND.found(each, at, hidden) for each in _unknown(number, declared.unknown_kinds)]
        problems = [] if replaces else problems
        needed = combine(declared.resources, self._asked.resources, replaces)
        if self._asked.auth == PASSTHROUGH:
            granted = needed if wrong and not replaces else declared.resources
            beyond = beyond_passthrough(number, needed, granted)
            problems += [findings.PASSTHROUGH.found(each, at, hidden) for each in beyond]
        return _Needs(VersionNeeds(number, tuple(needed), declared.user_scopes), problems)

    def _judge(self, versions: Sequence[_Needs], feedback: _Feedback, logged_in: str) -> _Judged:
        """For all versions at once: each object is looked up once. ``logged_in`` is the first one's experiment."""
        required = replace(self._required, feedback_schema=self._required.feedback_schema or feedback.registers or None)
        if self._asked.shares_experiment and not required.experiment_id:
            required = replace(required, experiment_id=logged_in or None)
        if required.create_service_principal and required.endpoint_name:
            of_principals = (secret_scope(required.endpoint_name, version.needs.version) for version in versions)
            required = replace(required, secret_scopes=(*required.secret_scopes, *of_principals))
        resources = (*self._asked.resources, *(each for version in versions for each in version.needs.resources))
        wanted = needs(dict.fromkeys(resources), required)
        try:
            principal = self._facts.principal(self._asked.principal, self._with_entitlements)
        except UnknownPrincipal as error:
            return _Judged(problems=[findings.NO_PRINCIPAL.found(error)])
        facts = self._facts.gather(wanted, principal)
        return _Judged(verdict(wanted, facts, principal), open_to_all(wanted, facts), principal.name)

    def _of_models(self, found: Sequence[_Found], judged: Verdict) -> Iterator[Finding]:
        """What is wrong with versions, each cause once: that there is no such model is said of its name, for all."""
        if not self._model:
            return
        model = Securable.of("function", self._model)
        fields: dict[tuple[str, bool], dict[str, None]] = {}
        for each in found:
            if problem := str(each.told["problem"]):
                named = "model_name" if model in judged.missing else each.field
                fields.setdefault((problem, each.hidden), {})[named] = None
        for (problem, hidden), where in fields.items():
            # Of the model itself this says more than that it is not there.
            at = model if hidden else next(iter(model.parents), None)
            yield findings.VERSION.found(f"{', '.join(where)}: {problem}", at, hidden)

    def _causes(self) -> list[Finding]:
        """A workspace that does not answer, or refuses the caller, does so at every look-up: told once."""
        first: dict[tuple[type, int | None], WorkspaceError] = {}
        for error in self._unanswered:
            first.setdefault((type(error), getattr(error, "status", None)), error)
        return [findings.UNANSWERED.found(error) for error in first.values()]

    def _settled(self, answer: Callable[[], T], instead: T) -> T:
        try:
            return answer()
        except WorkspaceError as error:
            self._unanswered.append(error)
            return instead


def _problems(told: Iterable[Finding], judged: Verdict) -> Iterator[Finding | Failure]:
    """What was found, without what something around it answers for; and of a missing model only what says which."""
    left = [finding for finding in told if not judged.answers(finding)]
    yield from left
    of_versions = any(finding.rule is findings.VERSION for finding in left)
    for failure in judged.failures:
        if not (of_versions and failure.rule is findings.MISSING and failure.kind == "model"):
            yield failure


def _unknown(number: str, kinds: Iterable[str]) -> Iterator[str]:
    remedy = "use a newer agent_deploy, or say resources and replace_resources"
    for kind in kinds:
        yield f"version {number} declares a {kind!r}, a kind of resource that is not known here: {remedy}"
