"""The function verifyDeployments: all that deployments take, looked up at once and told in one list each.

It is getModelVersion, getDeclaredResources and checkPermissions in one, for all versions of a deployment, with what
else the program names. A further look-up is one more entry of CHECKS in named_objects.py, a further privilege one more
requirement in rules/verification.py.
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
from agent_deploy.provider import endpoint_state as states
from agent_deploy.provider.check_permissions import by_target, privilege, requirements_of
from agent_deploy.provider.feedback_look_up import NoFeedbackModel, feedback_model
from agent_deploy.provider.get_declared_resources import NOTHING_DECLARED, declared_resources, unreadable
from agent_deploy.provider.get_model_version import NOT_FOUND, describe_version
from agent_deploy.provider.look_ups import begin, memory_of, patient
from agent_deploy.provider.named_objects import CHECKS
from agent_deploy.provider.permission_facts import facts_of
from agent_deploy.provider.resource import Context, Values
from agent_deploy.provider.served_versions import remember
from agent_deploy.rules.credentials import MANUAL, PASSTHROUGH
from agent_deploy.rules.declared_resources import beyond_passthrough, combine, from_program
from agent_deploy.rules.endpoint_fields import OWNER_TAG
from agent_deploy.rules.names import FEEDBACK_ENTITY, secret_scope, served_entity_name
from agent_deploy.rules.previous_versions import kept
from agent_deploy.rules.resources import Access, Resource, Target
from agent_deploy.rules.unity_catalog import Securable
from agent_deploy.rules.verification import (
    Held,
    Need,
    Presence,
    Verdict,
    needs,
    open_to_all,
    together,
    verdict,
)

T = TypeVar("T")


# How many deployments are verified at once. Apart from the threads of their look-ups, for which they wait.
_POOL = ThreadPoolExecutor(32, "deployment")


def verify_deployments(context: Context, arguments: Values) -> Values:
    """See the schema; a failure that is no deployment's own, such as no workspace at all, is raised for all of them."""
    if not arguments["deployments"]:
        # A program that is still declaring (resources/head_start.py): who deploys is what all of its agents will ask.
        facts_of(context).principal(None, with_entitlements=True)
    return {"deployments": list(_POOL.map(partial(verify_deployment, context), arguments["deployments"]))}


def verify_deployment(context: Context, arguments: Values) -> Values:
    """One of them; ``problems`` is empty when it may be made."""
    return _Verification(context, arguments).result()


@dataclass(frozen=True)
class _Found:
    """A wanted version as getModelVersion tells it; ``hidden``: whoever deploys may not see it."""

    field: str
    told: Values
    hidden: bool = False

    @property
    def number(self) -> str:
        return str(self.told["version"]) if self.told["found"] else ""


@dataclass(frozen=True)
class _Needs:
    """What one version needs, and what is wrong with that; ``hidden``: whoever deploys may not see its MLmodel."""

    number: str
    resources: Sequence[Resource] = ()
    user_scopes: Sequence[str] = ()
    problems: Sequence[str] = ()
    hidden: bool = False


@dataclass(frozen=True)
class _Feedback:
    """The feedback model: whether it must be registered first, and what is wrong; ``hidden`` as with versions."""

    registers: str = ""  # the schema in which
    problems: Sequence[str] = ()
    hidden: bool = False


@dataclass(frozen=True)
class _Judged:
    """What the deployer lacks, what everybody has anyhow, and what is not there."""

    verdict: Verdict = field(default_factory=Verdict)
    opened: Sequence[Access] = ()
    missing: frozenset[Target] = frozenset()


class _Verification:
    """One verification. What the workspace leaves unanswered is kept in ``_unanswered``, and the rest goes on."""

    def __init__(self, context: Context, arguments: Values) -> None:
        self._context, self._asked = context, arguments
        self._workspace, self._memory, self._facts = patient(context), memory_of(context), facts_of(context)
        self._model = str(arguments.get("modelName") or "")
        self._wanted: list[Values] = arguments.get("versions") or []
        self._given = from_program("resources", arguments.get("resources") or [])[0]
        self._required = requirements_of(arguments.get("requirements") or {})
        self._unanswered: list[WorkspaceError] = []

    def result(self) -> Values:
        """Two rounds of look-ups: what the program names, then what the versions need besides."""
        finding = [begin(self._find, wanted) for wanted in self._wanted]
        serving, rating = begin(self._served), begin(self._feedback)
        checking = [begin(check, self._context, self._asked) for check in CHECKS]
        self._foresee()
        found = [self._settled(future.result, _Found("", NOT_FOUND)) for future in finding]
        served, traffic = self._settled(serving.result, (Values(), dict[str, int]()))
        previous = self._kept(served, traffic, found)
        feedback = self._settled(rating.result, _Feedback())
        named = [problem for future in checking for problem in self._settled(future.result, list[str]())]
        first = found[0].told if found else NOT_FOUND
        versions: list[_Needs] = []
        judged = _Judged()
        # Who gets no answer now gets none in the second round either, and need not wait for that.
        if not self._unanswered:
            numbers = [each.number for each in found if each.number]
            numbers += [str(entity["entityVersion"]) for entity in previous.values()]
            reading = [begin(self._needs, number) for number in dict.fromkeys(numbers)]
            versions = [self._settled(future.result, _Needs("")) for future in reading]
            judged = self._settled(lambda: self._judge(versions, feedback, first["experimentId"]), judged)
            named = self._without_echo(named, judged.missing)
        return {
            "numbers": [each.number for each in found],
            "experimentId": first["experimentId"],
            "workspaceUrl": first["workspaceUrl"],
            "kept": previous,
            "needs": [_described(version) for version in versions],
            "openToAll": [privilege(access) for access in judged.opened],
            "doubts": together(judged.verdict.unverified),
            "problems": [*_problems(self._model, found, versions, named, feedback, judged), *_causes(self._unanswered)],
        }

    # ---- look-ups

    def _foresee(self) -> None:
        """Begins what the second round will ask in any case; the answers are in memory then."""
        self._facts.foresee(by_target(needs(self._given, self._required)), self._with_entitlements)
        for wanted in self._wanted if self._reads_models else ():
            if wanted.get("version"):
                begin(self._declared, str(wanted["version"]))

    @property
    def _with_entitlements(self) -> bool:
        return bool(self._required.endpoint_name)

    def _find(self, wanted: Values) -> _Found:
        version, alias = str(wanted.get("version") or ""), str(wanted.get("alias") or "")
        key = ("model version", self._model, version, alias)
        try:
            told = self._memory.once(key, lambda: describe_version(self._workspace, self._model, version, alias))
        except ApiError as error:
            if error.status != 403:
                raise
            return _Found(str(wanted["field"]), {**NOT_FOUND, "problem": str(error)}, hidden=True)
        if told["found"]:
            remember(self._memory, self._model, str(told["version"]), str(told["versionId"]))
        return _Found(str(wanted["field"]), told)

    def _served(self) -> tuple[Values, dict[str, int]]:
        """What this stack's endpoint serves before the program changes it, in ServingEndpoint's words."""
        if not self._asked.get("keepPrevious") or not self._required.endpoint_name:
            return {}, {}
        remote = self._facts.look_up(f"{states.PATH}/{segment(self._required.endpoint_name)}").document
        if states.tags_of(remote).get(OWNER_TAG) not in (self._asked.get("ownerMarks") or ()):
            return {}, {}
        inputs = states.inputs_of({**remote, "pending_config": None}, {})
        return inputs.get("servedEntities", {}), states.routes_of(remote.get("config"))

    def _feedback(self) -> _Feedback:
        name = str(self._asked.get("feedbackModel") or "")
        if not name:
            return _Feedback()
        key = ("feedback model", name)
        try:
            found = self._memory.once(key, lambda: feedback_model(ModelRegistry(self._workspace, name), name))
        except NoFeedbackModel as error:
            return _Feedback(problems=[str(error)], hidden=error.hidden)
        if found.version:
            remember(self._memory, name, found.version, found.version_id)
        return _Feedback() if found.exists else _Feedback(registers=name.rpartition(".")[0])

    def _kept(self, served: Values, traffic: Mapping[str, int], found: Iterable[_Found]) -> dict[str, Any]:
        declared = [served_entity_name(self._model, each.number) for each in found if each.number]
        if self._asked.get("feedbackModel"):
            declared.append(FEEDBACK_ENTITY)
        return dict(kept(served, traffic, self._model, declared, int(self._asked.get("keepPrevious") or 0)))

    @property
    def _reads_models(self) -> bool:
        return self._asked.get("auth") != MANUAL

    def _declared(self, number: str) -> Values:
        key = ("declared resources", self._model, number)
        return self._memory.once(key, lambda: declared_resources(self._workspace, self._model, number))

    def _needs(self, number: str) -> _Needs:
        if not self._reads_models:
            return _Needs(number)
        replaces, hidden = bool(self._asked.get("replaceResources")), False
        try:
            declared = self._declared(number)
        except ApiError as error:
            if error.status == 401 or error.status >= 500:
                raise
            hidden = error.status == 403
            declared = {**NOTHING_DECLARED, "problem": unreadable(self._model, number, error)}
        problems = [] if replaces else [*declared["problem"].splitlines(), *_unknown(number, declared["unknownKinds"])]
        of_model = from_program("resources", declared["resources"])[0]
        needed = combine(of_model, self._given, replaces)
        if self._asked.get("auth") == PASSTHROUGH:
            granted = needed if declared["problem"] and not replaces else of_model
            problems += beyond_passthrough(number, needed, granted)
        return _Needs(number, needed, declared["userScopes"], problems, hidden)

    def _held(self, wanted: list[Need]) -> tuple[Mapping[Target, Held], Any]:
        principal = self._facts.principal(None, bool(self._required.endpoint_name))
        return self._facts.gather(by_target(wanted), principal), principal

    def _judge(self, versions: Iterable[_Needs], feedback: _Feedback, logged_in: str) -> _Judged:
        """For all versions at once: each object is looked up once. ``logged_in`` is the first one's experiment."""
        required = replace(self._required, feedback_schema=feedback.registers or None)
        if self._asked.get("sharesExperiment") and not required.experiment_id:
            required = replace(required, experiment_id=logged_in or None)
        if required.create_service_principal and required.endpoint_name:
            of_principals = tuple(secret_scope(required.endpoint_name, version.number) for version in versions)
            required = replace(required, secret_scopes=(*required.secret_scopes, *of_principals))
        resources = (*self._given, *(resource for version in versions for resource in version.resources))
        wanted = needs(dict.fromkeys(resources), required)
        facts, principal = self._held(wanted)
        missing = frozenset(target for target, held in facts.items() if held.presence is Presence.MISSING)
        return _Judged(verdict(wanted, facts, principal, required), open_to_all(wanted, facts), missing)

    def _without_echo(self, named: Sequence[str], missing: frozenset[Target]) -> list[str]:
        """Leaves out that a pipeline is refused where its schema is not there, which is told of the schema."""
        pipeline = self._asked.get("pipeline") or {}
        schema = Securable.of("schema", f"{pipeline['catalog']}.{pipeline['schema']}") if pipeline else None
        if schema is None or not missing.intersection((schema, *schema.parents)):
            return list(named)
        return [problem for problem in named if not problem.startswith(f"{pipeline['field']}: ")]

    def _settled(self, answer: Callable[[], T], instead: T) -> T:
        try:
            return answer()
        except WorkspaceError as error:
            self._unanswered.append(error)
            return instead


def _problems(
    model: str,
    found: Sequence[_Found],
    versions: Sequence[_Needs],
    named: Iterable[str],
    feedback: _Feedback,
    judged: _Judged,
) -> Iterator[str]:
    """One line for each cause: what keeps the deployer from a model keeps him from its versions, too."""
    place = (Securable.of("function", model),) if model else ()
    around = frozenset(parent for securable in place for parent in securable.parents)
    failures = judged.verdict.failures
    is_closed = any(failure.kind in ("model", "schema", "catalog") for failure in failures)
    # That there is no such model is said of its name, once for all versions.
    is_gone = bool(judged.missing.intersection(place))
    fields: dict[str, dict[str, None]] = {}
    for each in found:
        if each.told["problem"] and not (each.hidden and is_closed) and not around & judged.missing:
            fields.setdefault(str(each.told["problem"]), {})["model_name" if is_gone else each.field] = None
    yield from (f"{', '.join(where)}: {problem}" for problem, where in fields.items())
    yield from named
    for version in versions:
        yield from () if version.hidden and is_closed else version.problems
    is_place_closed = any(failure.kind in ("schema", "catalog") for failure in failures)
    yield from () if feedback.hidden and is_place_closed else feedback.problems
    said = bool(fields) and is_gone
    yield from together(failure for failure in failures if not (said and failure.kind == "model"))


def _unknown(number: str, kinds: Iterable[str]) -> Iterator[str]:
    remedy = "use a newer agent_deploy, or say resources and replace_resources"
    for kind in kinds:
        yield f"version {number} declares a {kind!r}, a kind of resource that is not known here: {remedy}"


def _causes(errors: Iterable[WorkspaceError]) -> list[str]:
    """A workspace that does not answer, or refuses the caller, does so at every look-up: told once."""
    first: dict[tuple[type, int | None], WorkspaceError] = {}
    for error in errors:
        first.setdefault((type(error), getattr(error, "status", None)), error)
    return [str(error) for error in first.values()]


def _described(version: _Needs) -> Values:
    resources = [
        {"kind": each.kind, "name": each.name, "onBehalfOfUser": each.on_behalf_of_user} for each in version.resources
    ]
    return {"version": version.number, "resources": resources, "userScopes": list(version.user_scopes)}
