"""What changes at a serving endpoint: versions and traffic, settings, secrets, relative cost, inference tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from agent_deploy.report.access import text
from agent_deploy.report.preview import Step, is_unknown
from agent_deploy.report.structure import UNKNOWN, Changed, SecretChange, Served, TableChange
from agent_deploy.rules.credentials import CLIENT_ID
from agent_deploy.rules.environment import AGENT_ENVIRONMENT
from agent_deploy.rules.names import FEEDBACK_ENTITY
from agent_deploy.rules.workload import WORKLOAD_SIZES, WORKLOAD_TYPES

_REFERENCE = re.compile(r"\{\{secrets/[A-Za-z0-9._@-]{1,128}/[A-Za-z0-9._-]{1,128}\}\}")
Entities = Mapping[str, Mapping[str, Any]]

# Settings of the endpoint that are named and not quoted: their texts are anybody's.
NAMED = {
    "description": "description",
    "budgetPolicyId": "budget policy",
    "emailNotifications": "e-mail notifications",
    "instanceProfileArn": "instance profile",
}


def entities(step: Step, which: str) -> Entities:
    """Served entities by name; empty where they are not known."""
    found = step.inputs(which).get("servedEntities")
    known = found.items() if isinstance(found, Mapping) else ()
    return {str(name): entity for name, entity in known if isinstance(entity, Mapping)}


def unknown_fields(step: Step) -> list[str]:
    """What decides about people or money and is not known before the update."""
    values = step.inputs("after")
    found = [field for field in ("name", "servedEntities", "traffic", "aiGateway") if is_unknown(values.get(field))]
    given = values.get("servedEntities")
    for name, entity in given.items() if isinstance(given, Mapping) else ():
        if is_unknown(entity):
            found.append(f"servedEntities.{name}")
            continue
        # The feedback model's version is made by the deployment itself.
        kept = ("entityName",) if name == "feedback" else ("entityName", "entityVersion")
        fields = (*kept, "workloadSize", "workloadType", "scaleToZeroEnabled")
        found += [f"servedEntities.{name}.{field}" for field in fields if is_unknown(entity.get(field))]
    traffic = values.get("traffic")
    shares = traffic.items() if isinstance(traffic, Mapping) else ()
    return found + [f"traffic.{name}" for name, share in shares if is_unknown(share)]


def served(step: Step) -> tuple[Served, ...]:
    """Each version with its traffic before and after, those that leave included."""
    before, after = entities(step, "before"), entities(step, "after")
    shares = {which: _shares(step, which) for which in ("before", "after")}
    return tuple(
        Served(
            name,
            text((after.get(name) or before[name]).get("entityName")),
            text((after.get(name) or before[name]).get("entityVersion")),
            shares["before"].get(name, 0) if name in before else None,
            shares["after"].get(name, 0) if name in after else None,
        )
        for name in sorted({*before, *after})
    )


def _shares(step: Step, which: str) -> dict[str, int | str]:
    given, served_ = step.inputs(which).get("traffic"), entities(step, which)
    if not isinstance(given, Mapping):
        if is_unknown(given):
            return dict.fromkeys(served_, UNKNOWN)
        # A single version has all of it, and an import says no more than that.
        agents = [name for name in served_ if name != FEEDBACK_ENTITY]
        return dict.fromkeys(agents, 100) if len(agents) == 1 else {}
    return {name: int(share) if isinstance(share, (int, float)) else UNKNOWN for name, share in given.items()}


def settings(step: Step) -> tuple[Changed, ...]:
    """What else changes, of versions that stay and of the endpoint; texts and values of variables are not quoted."""
    return (*_plain_settings(step), *_entity_settings(step))


def _plain_settings(step: Step) -> Iterator[Changed]:
    before, after = step.inputs("before"), step.inputs("after")
    if not before or not after:
        return
    if before.get("name") != after.get("name"):
        yield Changed("endpoint's name", text(before.get("name")), text(after.get("name")))
    if bool(before.get("routeOptimized")) != bool(after.get("routeOptimized")):
        yield Changed("route optimised", _flag(before.get("routeOptimized")), _flag(after.get("routeOptimized")))
    for field, title in NAMED.items():
        if (before.get(field) or None) != (after.get(field) or None):
            yield Changed(title, _set(before.get(field)), "changed" if after.get(field) else "none")
    yield from _by_name("tag", before.get("tags"), after.get("tags"))


def _entity_settings(step: Step) -> Iterator[Changed]:
    seen: set[Changed] = set()
    for name, before, after in _successions(step):
        if before is None:
            continue
        for change in _by_name("variable", _own(before), _own(after)):
            seen.add(change)
        for field, title in (("workloadSize", "size"), ("workloadType", "compute"), ("scaleToZeroEnabled", "to zero")):
            # What an import's state does not have is no change where the engine sees none.
            unseen = before.get(field) is None and step.paths and not any(field in path for path in step.paths)
            if before.get(field) != after.get(field) and not unseen:
                title_ = f"scale {title}" if field == "scaleToZeroEnabled" else title
                seen.add(Changed(f"{title_} of {name}", _short(before.get(field)), _short(after.get(field))))
    yield from sorted(seen, key=lambda change: change.what)


def _successions(step: Step) -> Iterator[tuple[str, Mapping[str, Any] | None, Mapping[str, Any]]]:
    """Each served entity with what it was: itself, or, for a version that comes, one that goes."""
    old, new = entities(step, "before"), entities(step, "after")
    gone = [entity for name, entity in old.items() if name not in new]
    for name, after in new.items():
        yield name, old.get(name) or (gone.pop(0) if gone else None), after


def _own(entity: Mapping[str, Any]) -> Mapping[str, Any]:
    given = entity.get("environmentVars")
    return {k: v for k, v in given.items() if k not in AGENT_ENVIRONMENT} if isinstance(given, Mapping) else {}


def _by_name(what: str, before: object, after: object) -> Iterator[Changed]:
    """By their names alone."""
    old, new = (each if isinstance(each, Mapping) else {} for each in (before, after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            now = "none" if name not in new else "changed" if name in old else "set"
            yield Changed(f"{what} {name}", "set" if name in old else "none", now)


def secrets(step: Step) -> tuple[SecretChange, ...]:
    """References in the environment of the versions that came or went."""
    before, after = ({v for e in entities(step, w).values() for v in _references(e)} for w in ("before", "after"))
    added, removed = sorted(after - before), sorted(before - after)
    return (
        *(SecretChange(each, "added") for each in added),
        *(SecretChange(each, "removed") for each in removed),
    )


def _references(entity: Mapping[str, Any]) -> Iterator[str]:
    variables = entity.get("environmentVars")
    for value in variables.values() if isinstance(variables, Mapping) else ():
        if isinstance(value, str) and _REFERENCE.fullmatch(value):
            yield value


def has_credentials(step: Step, which: str) -> bool | None:
    """Whether its versions sign in as a service principal of their own; None without versions."""
    known = [entity for name, entity in entities(step, which).items() if name != "feedback"]
    variables = [entity.get("environmentVars") for entity in known]
    return any(isinstance(each, Mapping) and CLIENT_ID in each for each in variables) if known else None


def costs(step: Step) -> tuple[str, ...]:
    """What costs more or less from then on, in words: prices are not known here."""
    return tuple(_costs(step))


def _costs(step: Step) -> Iterator[str]:
    old, new = entities(step, "before"), entities(step, "after")
    if len(new) > len(old) and old:
        yield f"more: {len(new)} served entities at work, {len(old)} before"
    if 0 < len(new) < len(old):
        yield f"less: {len(new)} served entities at work, {len(old)} before"
    if not new and old:
        yield "less: the endpoint goes"
    for name, before, after in _successions(step):
        if after.get("scaleToZeroEnabled") is False and (before is None or before.get("scaleToZeroEnabled") is True):
            yield f"more: {name} does not scale to zero"
        if before is None:
            continue
        if before.get("scaleToZeroEnabled") is False and after.get("scaleToZeroEnabled") is True:
            yield f"less: {name} scales to zero"
        yield from _compared(name, "size", WORKLOAD_SIZES, before.get("workloadSize"), after.get("workloadSize"))
        yield from _compared(name, "compute", WORKLOAD_TYPES, before.get("workloadType"), after.get("workloadType"))
        for field in ("minProvisionedConcurrency", "maxProvisionedConcurrency"):
            least, most = before.get(field) or 0, after.get(field) or 0
            if isinstance(least, (int, float)) and isinstance(most, (int, float)) and least != most:
                yield f"{'more' if most > least else 'less'}: {name} {field} {least:g} → {most:g}"


def _compared(name: str, what: str, order: tuple[str, ...], before: object, after: object) -> Iterator[str]:
    if before != after and before in order and after in order:
        word = "more" if order.index(str(after)) > order.index(str(before)) else "less"
        yield f"{word}: {name} {what} {before} → {after}"


def tables(step: Step) -> tuple[TableChange, ...]:
    """What becomes of the payload table."""
    was, will = (_table(step, which) for which in ("before", "after"))
    name = text(step.outputs("before").get("payloadTable") or _table_name(was or will or {}))
    goes = not step.new or step.replaces
    if was and goes:
        change = TableChange(name, "dropped" if drops_table(step) else "kept")
        return (change, TableChange(_table_name(will), "turned on")) if will else (change,)
    if will and not was:
        return (TableChange(_table_name(will), "turned on"),)
    if was and not will:
        return (TableChange(name, "turned off, rows kept"),)
    if was and will and any(was.get(k) != will.get(k) for k in ("catalogName", "schemaName", "tableNamePrefix")):
        return (TableChange(name, "kept, no longer written"), TableChange(_table_name(will), "turned on"))
    return ()


def drops_table(step: Step) -> bool:
    """Whether the rows go when the endpoint goes."""
    return bool((_table(step, "before") or {}).get("deleteOnDestroy"))


def will_drop_table(step: Step) -> bool:
    """Whether they will from now on."""
    return bool((_table(step, "after") or {}).get("deleteOnDestroy"))


def payload_table(step: Step, which: str) -> str:
    """Its name, empty where it is off."""
    table = _table(step, which)
    return "" if table is None else text(step.outputs(which).get("payloadTable") or _table_name(table))


def _table(step: Step, which: str) -> Mapping[str, Any] | None:
    """The table's configuration, None where it is off."""
    gateway = step.inputs(which).get("aiGateway")
    config = gateway.get("inferenceTableConfig") if isinstance(gateway, Mapping) else None
    return config if isinstance(config, Mapping) and config.get("enabled") is not False else None


def _table_name(config: Mapping[str, Any]) -> str:
    prefix = config.get("tableNamePrefix") or config.get("tableNamePrefixHint")
    return f"{text(config.get('catalogName'))}.{text(config.get('schemaName'))}.{text(prefix)}_payload"


def _flag(value: object) -> str:
    return "on" if value is True else UNKNOWN if is_unknown(value) else "off"


def _set(value: object) -> str:
    return "set" if value else "none"


def _short(value: object) -> str:
    if isinstance(value, bool) or is_unknown(value):
        return _flag(value)
    if value is None:
        return "default"
    return str(value) if value in (*WORKLOAD_SIZES, *WORKLOAD_TYPES) else "another"
