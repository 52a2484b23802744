"""Makes the report of a preview: what changes for each agent, and the verdict over all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agent_deploy.policies.endpoints import ENDPOINT
from agent_deploy.policies.judging import judge
from agent_deploy.policies.pack.reading import resource
from agent_deploy.report import access, endpoint
from agent_deploy.report.owners import DEPLOYMENT, IDENTITY, agents_of
from agent_deploy.report.preview import Preview, Step, is_unknown
from agent_deploy.report.structure import (
    DELETES,
    INTERRUPTS,
    SAFE,
    UNKNOWN,
    UNTOLD,
    VERDICTS,
    WIDENS,
    Access,
    Agent,
    Changed,
    Finding,
    Reason,
    Report,
    Resource,
    SecretChange,
    TableChange,
    Verdict,
)
from agent_deploy.rules.credentials import PASSTHROUGH, SERVICE_PRINCIPAL
from agent_deploy.rules.names import FEEDBACK_ENTITY

# Types whose deletion takes data with it. Source: the databricks provider's documentation of each.
HOLDS_DATA = {
    "Catalog": "catalog",
    "Schema": "schema",
    "SqlTable": "table",
    "Volume": "volume",
    "RegisteredModel": "registered model",
    "VectorSearchIndex": "vector search index",
    "VectorSearchEndpoint": "vector search endpoint",
    "DatabaseInstance": "database instance",
    "MlflowExperiment": "MLflow experiment",
    "OnlineTable": "online table",
}
_ABOUT_PEOPLE = ("serving-endpoints", "experiments")
OWN_CREDENTIALS = "a service principal of its own"
_STAYS = ("same", "read", "refresh")


def report_of(preview: Preview, policies: Mapping[str, Any] | None = None) -> Report:
    """The report of one preview; judged by policies where settings are given; InvalidInput for wrong ones."""
    by_agent = agents_of(preview)
    agents, reasons = list[Agent](), list[Reason]()
    for name, steps in sorted(by_agent.items()):
        if name and any(step.operation not in _STAYS for step in steps):
            agent, its_reasons = _agent(name, steps)
            agents.append(agent)
            reasons += its_reasons
    reasons += _others(by_agent.get("", []))
    if preview.failed:
        reasons.append(Reason(UNTOLD, f"the preview failed: {preview.failed} error(s), which its own output shows"))
    kind = next((kind for kind in VERDICTS if any(reason.verdict == kind for reason in reasons)), SAFE)
    reasons.sort(key=lambda reason: VERDICTS.index(reason.verdict))
    resources = tuple(_resource(step) for step in preview.steps if _shown(step))
    return Report(
        preview.project,
        preview.stack,
        Verdict(kind, tuple(dict.fromkeys(reasons))),
        bool(resources),
        tuple(agents),
        resources,
        tuple(_resource(step) for step in preview.drift),
        findings=() if policies is None else tuple(_findings(preview, policies)),
        notes=tuple(_notes(preview)),
    )


def _findings(preview: Preview, policies: Mapping[str, Any]) -> Iterator[Finding]:
    there = [
        resource(
            step.type,
            step.name,
            step.inputs("after"),
            step.urn,
            str(step.new.get("parent") or ""),
            step.inputs("before") or None,
        )
        for step in preview.steps
        if step.new and not step.operation.startswith("delete")
    ]
    for found in judge(there, policies):
        text = f"{found.resource.name}: {found.text}"
        yield Finding(found.policy.id, found.severity, text, found.policy.remedy)


def _shown(step: Step) -> bool:
    return step.operation not in _STAYS and not step.type.startswith("pulumi:")


def _resource(step: Step) -> Resource:
    return Resource(step.operation, step.type, step.name, step.paths)


def _notes(preview: Preview) -> Iterator[str]:
    if preview.is_partial:
        yield "What stays as it is is not in this preview. Make it with: pulumi preview --json --show-sames"


def _others(steps: Sequence[Step]) -> Iterator[Reason]:
    """Of what belongs to no agent: data that goes, and access that widens."""
    yield from _data_reasons("", steps)
    found = access.differences(steps, "")
    yield from (_widens("", held.access) for held in found.gained)
    yield from _unknown_access("", found.gained)


def _agent(name: str, steps: Sequence[Step]) -> tuple[Agent, list[Reason]]:
    ends = [step for step in steps if step.type == ENDPOINT]
    known = next((text for s in ends for w in ("after", "before") if (text := _name_of(s, w))), "")
    found = access.differences(steps, known)
    deletes = tuple(reason.text for reason in _data_reasons(name, steps))
    keeps = [change.name for step in ends for change in endpoint.tables(step) if change.change == "kept"]
    agent = Agent(
        name=name,
        endpoint=known,
        operation=_operation(ends, steps),
        served=tuple(each for step in ends for each in endpoint.served(step)),
        touches=_distinct(held.access for held in found.gained if held.of_agent),
        touches_no_more=_distinct(held.access for held in found.lost if held.of_agent),
        admits=_distinct(held.access for held in found.gained if not held.of_agent),
        admits_no_more=_distinct(held.access for held in found.lost if not held.of_agent),
        secrets=_secrets(ends, steps),
        authentication=_authentication(ends, steps),
        settings=tuple(each for step in ends for each in endpoint.settings(step)),
        replaced=tuple(f"{s.kind} {s.name}" for s in steps if s.replaces),
        tables=tuple(_tables(ends, steps)),
        costs=tuple(each for step in ends for each in endpoint.costs(step)),
        deletes=deletes,
        teardown_deletes=tuple(_teardown_deletes(ends, steps)),
        teardown_keeps=tuple(_teardown_keeps(ends, keeps)),
    )
    reasons = [
        *_data_reasons(name, steps),
        *(_widens(name, each) for each in (*agent.touches, *agent.admits)),
        *_unknown_access(name, found.gained),
        *(Reason(UNTOLD, f"{f} is {UNKNOWN}", name) for step in ends for f in endpoint.unknown_fields(step)),
        *_interruptions(name, ends),
        *_untold_reach(name, agent, steps),
    ]
    return agent, reasons


def _untold_reach(name: str, agent: Agent, steps: Sequence[Step]) -> Iterator[Reason]:
    """Versions that come, with what the platform gives them by itself, where the preview does not say that."""
    ends = [step for step in steps if step.type == ENDPOINT]
    passing = _mode(ends, steps, "after") == PASSTHROUGH
    new = [each.version for each in agent.served if each.before is None and each.name != FEEDBACK_ENTITY]
    if new and passing and not access.reach_is_told(steps):
        versions = ", ".join(new)
        text = f"what version {versions} may touch by passthrough: only the engine's event log has it (--event-log)"
        yield Reason(UNTOLD, text, name)


def _name_of(step: Step, which: str) -> str:
    name = step.inputs(which).get("name")
    return "" if name is None or is_unknown(name) else access.text(name)


def _operation(ends: Sequence[Step], steps: Sequence[Step]) -> str:
    """created, replaced, deleted or changed: as the endpoint, else as any of its resources."""
    words = {"create": "created", "delete": "deleted", "update": "changed"}
    for step in ends:
        if step.replaces:
            return "replaced"
        if step.operation in ("create", "delete"):
            return words[step.operation]
    return "changed" if any(step.operation not in _STAYS for step in steps) else "unchanged"


def _distinct(found: Iterator[Access]) -> tuple[Access, ...]:
    return tuple(sorted(set(found)))


def _widens(agent: str, gained: Access) -> Reason:
    return Reason(WIDENS, f"{gained.principal} may newly: {gained.privilege} on {gained.object}", agent)


def _unknown_access(agent: str, gained: Sequence[access.Held]) -> Iterator[Reason]:
    for held in gained:
        each = held.access
        if any(part.endswith(UNKNOWN) for part in (each.principal, each.privilege, each.object)):
            text = f"who may do what: {each.principal}, {each.privilege} on {each.object}"
            yield Reason(UNTOLD, text, agent)


def _data_reasons(agent: str, steps: Sequence[Step]) -> Iterator[Reason]:
    """What goes for good. A replacement deletes the old object as well."""
    for step in steps:
        goes = (step.operation.startswith("delete") or step.replaces) and not step.old.get("retainOnDelete")
        if goes and step.kind in HOLDS_DATA and step.type.startswith("databricks:"):
            yield Reason(DELETES, f"{HOLDS_DATA[step.kind]} {step.name} is deleted", agent)
        if goes and step.type == ENDPOINT and endpoint.drops_table(step):
            yield Reason(DELETES, f"table {endpoint.payload_table(step, 'before')} is dropped with its rows", agent)
        if goes and step.kind in _DATA_OF and step.inputs("before").get("deleteOnDestroy"):
            what = access.text(step.outputs("before").get("payloadTable") or step.inputs("before").get("payloadTable"))
            yield Reason(DELETES, f"{_DATA_OF[step.kind]} {what} with the rows", agent)
        if step.kind == "WorkspaceFile" and step.name.endswith("-retention") and step.operation in _NEW_RETENTION:
            yield Reason(DELETES, "old rows of the inference tables are deleted on a schedule (retention_days)", agent)


_DATA_OF = {
    "EndpointInferenceTable": "drops the payload table",
    "DerivedTables": "drops what was derived from",
}
_NEW_RETENTION = ("create", "update", "replace", "create-replacement")


def _interruptions(agent: str, ends: Sequence[Step]) -> Iterator[Reason]:
    for step in ends:
        name = _name_of(step, "before")
        if step.old.get("retainOnDelete"):
            continue
        if step.operation == "delete":
            yield Reason(INTERRUPTS, f"endpoint {name} goes: nobody answers there any more", agent)
        elif step.replaces and _name_of(step, "after") != name:
            now = _name_of(step, "after") or UNKNOWN
            text = f"endpoint {name} is replaced by {now}: {name} answers until the new one is ready, and no more then"
            yield Reason(INTERRUPTS, text, agent)
        elif step.replaces:
            yield Reason(INTERRUPTS, f"endpoint {name} is made anew: nobody answers until the new one is ready", agent)


def _secrets(ends: Sequence[Step], steps: Sequence[Step]) -> tuple[SecretChange, ...]:
    """By reference; a replaced secret's new key is chosen when the update runs."""
    rotated, gone, made = [], [], []
    for step in steps:
        if step.type != "agent-deploy:index:Secret":
            continue
        values = step.inputs("before") or step.inputs("after")
        given = step.outputs("before").get("reference")
        reference = access.text(given) if given else f"{{{{secrets/{access.text(values.get('scope'))}/…}}}}"
        if not given:
            reference = reference.replace("…", f"{access.text(values.get('name'))}-…")
        if step.replaces or step.operation == "update":
            rotated.append(SecretChange(reference, "rotated"))
        elif step.operation == "delete":
            gone.append(SecretChange(reference, "removed"))
        elif step.operation == "create":
            made.append(SecretChange(reference, "added"))
    told = {each.reference for each in (*rotated, *gone, *made)}
    others = [each for step in ends for each in endpoint.secrets(step) if each.reference not in told]
    return tuple(dict.fromkeys((*rotated, *made, *gone, *others)))


def _authentication(ends: Sequence[Step], steps: Sequence[Step]) -> Changed | None:
    """How the agent signs in, where that changes or begins."""
    before, after = (_mode(ends, steps, which) for which in ("before", "after"))
    return None if before == after or not after else Changed("authentication", before or "none", after)


def _mode(ends: Sequence[Step], steps: Sequence[Step], which: str) -> str:
    told = {
        access.text(identity.get("auth"))
        for step in steps
        if step.type == DEPLOYMENT
        for identity in access.listed(step.outputs(which).get("identities"))
        if isinstance(identity, dict)
    }
    if told:
        return ", ".join(sorted(told))
    has = next((h for step in ends if (h := endpoint.has_credentials(step, which)) is not None), None)
    if has is None:
        return ""
    made = any(IDENTITY in step.types and step.state for step in steps)
    return (SERVICE_PRINCIPAL if made else OWN_CREDENTIALS) if has else PASSTHROUGH


def _tables(ends: Sequence[Step], steps: Sequence[Step]) -> Iterator[TableChange]:
    for step in ends:
        yield from endpoint.tables(step)
    for step in steps:
        if step.kind in _DATA_OF and step.operation in ("create", "delete"):
            before = step.outputs("before").get("payloadTable") or step.inputs("before").get("payloadTable")
            what = access.text(before or step.inputs("after").get("payloadTable"))
            name = f"derived from {what}" if step.kind == "DerivedTables" else what
            drops = step.inputs("before").get("deleteOnDestroy")
            gone = "dropped" if drops else "kept, no longer written"
            yield TableChange(name, "turned on" if step.operation == "create" else gone)


def _teardown_deletes(ends: Sequence[Step], steps: Sequence[Step]) -> Iterator[str]:
    """What a `pulumi destroy` after this would take, of what the preview shows."""
    for step in ends:
        name = _name_of(step, "after")
        if name:
            yield f"endpoint {name} with its permissions and its records in the register"
        if endpoint.will_drop_table(step) and endpoint.payload_table(step, "after"):
            yield f"table {endpoint.payload_table(step, 'after')} with its rows"
    kinds = {"SecretScope": "secret scope", "ServicePrincipal": "service principal", "Pipeline": "pipeline"}
    for step in steps:
        if step.kind in kinds and step.new and not step.new.get("retainOnDelete"):
            yield f"{kinds[step.kind]} {access.text(_title(step))}"


def _title(step: Step) -> object:
    values = step.inputs("after")
    return values.get("displayName") or values.get("name") or step.name


def _teardown_keeps(ends: Sequence[Step], kept: Sequence[str]) -> Iterator[str]:
    for name in kept:
        yield f"table {name}"
    for step in ends:
        table = endpoint.payload_table(step, "after")
        if step.new and table and not endpoint.will_drop_table(step):
            yield f"table {table}"
