"""What is wrong with a ServingEndpoint's inputs, and the names that are chosen when the user gave none."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.request import traffic_of
from agent_deploy.provider.endpoint.waiting import find
from agent_deploy.provider.plugin.resource import UNKNOWN, Context, Failure, Values
from agent_deploy.provider.workspace.unity_tables import same_name, table_exists
from agent_deploy.rules.endpoint_fields import OWNER_TAG, is_field
from agent_deploy.rules.environment import AGENT_ENVIRONMENT, check_environment
from agent_deploy.rules.names import MAX_NAME, check_endpoint_name, check_model_name, check_own_endpoint_name
from agent_deploy.rules.problems import Problem
from agent_deploy.rules.secrets import parse_reference
from agent_deploy.rules.tables import payload_table
from agent_deploy.rules.traffic import check_count, check_traffic
from agent_deploy.rules.values import Unknown
from agent_deploy.rules.workload import check_workload

# As databricks.agents.deploy() counts: the hint itself, then hint_1 … hint_19, then a random suffix.
PREFIX_ATTEMPTS = 20


def check_fields(context: Context, inputs: Mapping[str, Any]) -> list[Failure]:
    """All that can be seen without asking the workspace; what is not known yet is passed over."""
    problems = [] if inputs.get("name") is UNKNOWN else check_own_endpoint_name("name", inputs.get("name"))
    failures = [Failure("", str(problem)) for problem in problems]
    failures += _unknown_fields("", inputs)
    failures += _unknown_fields("emailNotifications.", inputs.get("emailNotifications"), "emailNotifications")
    entities = inputs.get("servedEntities")
    if isinstance(entities, dict):
        failures += [Failure("", str(p)) for p in check_count("servedEntities", len(entities))]
        for name, entity in entities.items():
            failures += _check_entity(context, name, entity)
        failures += _check_traffic(inputs)
    elif entities is None and inputs.get("traffic") not in (None, {}, UNKNOWN):
        failures.append(Failure("traffic", "there is nothing to route to: servedEntities is empty"))
    failures += _check_gateway(inputs.get("aiGateway"))
    tags = inputs.get("tags")
    if isinstance(tags, dict) and OWNER_TAG in tags:
        failures.append(Failure(f'tags["{OWNER_TAG}"]', "this tag is the owner's mark; set ownerMark instead"))
    return failures


def _check_entity(context: Context, name: str, entity: object) -> Iterator[Failure]:
    where = f'servedEntities["{name}"]'
    yield from (Failure("", str(p)) for p in check_endpoint_name(f"{where} key", name, "Choose another name"))
    if not isinstance(entity, dict):
        return
    yield from _unknown_fields(f"{where}.", entity, "servedEntities", name)
    problems: list[Problem] = []
    if entity.get("entityName") is not UNKNOWN:
        problems += check_model_name(f"{where}.entityName", entity.get("entityName"))
    version = entity.get("entityVersion")
    if version is not UNKNOWN and not (isinstance(version, str) and version.isdigit()):
        problems.append(Problem(f"{where}.entityVersion", version, "the number of a model version, such as '3'"))
    known = {field: None if value is UNKNOWN else value for field, value in entity.items()}
    problems += check_workload(f"{where}.", known.get("workloadSize"), known.get("workloadType"))
    if "workloadSize" in entity and any(field.endswith("ProvisionedConcurrency") for field in entity):
        problems.append(Problem(f"{where}.workloadSize", None, "either a size or provisioned concurrency, not both"))
    yield from (Failure("", str(p)) for p in problems)
    if isinstance(entity.get("environmentVars"), dict):
        yield from _check_variables(context, name, entity["environmentVars"])


def _check_variables(context: Context, entity: str, variables: Mapping[str, Any]) -> Iterator[Failure]:
    where = f'servedEntities["{entity}"].environmentVars'
    secret = {key for key in variables if context.is_secret("servedEntities", entity, "environmentVars", key)}
    for key in secret:
        if isinstance(variables[key], str) and parse_reference(variables[key]) is None:
            yield Failure(
                f'{where}["{key}"]',
                "a secret would stand in the endpoint's config as plain text. Put it into a Secret and give its "
                "reference here",
            )
    # Whether an agent's own three variables are right is for the component to say: other models may be served here.
    passed_over = {*secret, *AGENT_ENVIRONMENT}
    shown = {key: Unknown() if value is UNKNOWN or key in passed_over else value for key, value in variables.items()}
    yield from (Failure("", str(p)) for p in check_environment(where, shown))


def _check_traffic(inputs: Mapping[str, Any]) -> list[Failure]:
    traffic = inputs.get("traffic")
    if traffic is UNKNOWN or UNKNOWN in (traffic or {}).values():
        return []
    return [Failure("", str(p)) for p in check_traffic("traffic", traffic_of(inputs), list(inputs["servedEntities"]))]


def _check_gateway(gateway: object) -> Iterator[Failure]:
    if not isinstance(gateway, dict):
        return
    yield from _unknown_fields("aiGateway.", gateway, "aiGateway")
    for part, content in gateway.items():
        if is_field(("aiGateway", part)):
            yield from _unknown_fields(f"aiGateway.{part}.", content, "aiGateway", part)
    table = gateway.get("inferenceTableConfig")
    if isinstance(table, dict) and table.get("enabled", True) is True:
        for field in ("catalogName", "schemaName"):
            if table.get(field) in (None, ""):
                yield Failure(f"aiGateway.inferenceTableConfig.{field}", "needed where inference tables are on")


def _unknown_fields(where: str, values: object, *path: str) -> Iterator[Failure]:
    """Names in ``values``, which is at ``path``, that are not in the table of fields; ``where`` begins what is told."""
    for name in values if isinstance(values, dict) else ():
        if not is_field((*path, name)):
            yield Failure(f"{where}{name}", "this field does not exist")


class TablePrefixes:
    """Chooses the prefix of an endpoint's inference table, as Pulumi chooses names: once, and then it is kept.

    Names that differ in case alone are one table's, and keep the spelling that they had.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Given out in this run: the tables of endpoints that are created at the same time do not exist yet.
        self._given: dict[str, str] = {}
        # Endpoints that the state knows. When one of them is checked as if it were new, it is to be replaced: the table
        # of the old one stays, and cannot be the new one's.
        self._known: set[str] = set()

    def choose(self, context: Context, workspace: Workspace, old: Values, inputs: Values) -> list[Failure]:
        """Puts the prefix into ``inputs``, or says why the wanted one cannot be had."""
        if old:
            self._known.add(context.urn)
        table = _table(inputs)
        if table is None or not table.get("enabled", True):
            return []
        place = ("catalogName", "schemaName")
        wanted, hint, before = table.get("tableNamePrefix"), table.get("tableNamePrefixHint"), _table(old) or {}
        if UNKNOWN in [inputs.get("name"), wanted, hint, *(table.get(key) for key in ("enabled", *place))]:
            if hint is not None and wanted is None:
                # A saved plan holds only if it says that there will be one.
                table["tableNamePrefix"] = UNKNOWN
            return []
        same_place = all(same_name(before.get(key), table.get(key)) for key in place)
        had = before.get("tableNamePrefix")
        if same_place and had and (wanted is None or same_name(wanted, had)):
            table.update({key: before[key] for key in place if key in before})
            if hint or wanted:
                table["tableNamePrefix"] = had
            return []
        if wanted:
            return self._claim(context, workspace, inputs, table, wanted)
        if hint:
            table["tableNamePrefix"] = self._first_free(context, workspace, inputs, table, hint)
        return []

    def _claim(
        self, context: Context, workspace: Workspace, inputs: Values, table: Values, wanted: str
    ) -> list[Failure]:
        name = payload_table(table["catalogName"], table["schemaName"], wanted)
        if self._reserve(context, name) and not table_exists(workspace, name):
            return []
        if context.urn not in self._known and same_name(_prefix_of_own(workspace, inputs, table), wanted):
            return []
        reason = (
            f"the table {name} exists, and an endpoint starts with a table of its own. Choose another prefix "
            "(inference_tables.prefix of an AgentDeployment), leave it out to get a free one, or drop the table if its "
            "rows are no longer needed"
        )
        return [Failure("aiGateway.inferenceTableConfig.tableNamePrefix", reason)]

    def _first_free(self, context: Context, workspace: Workspace, inputs: Values, table: Values, hint: str) -> str:
        for attempt in range(PREFIX_ATTEMPTS):
            prefix = numbered(hint, str(attempt) if attempt else "")
            name = payload_table(table["catalogName"], table["schemaName"], prefix)
            if self._reserve(context, name) and not table_exists(workspace, name):
                return prefix
            # Perhaps it is the table of this very endpoint, which an interrupted run has made.
            if attempt == 0 and context.urn not in self._known and (own := _prefix_of_own(workspace, inputs, table)):
                return own
        return numbered(hint, secrets.token_hex(16))

    def _reserve(self, context: Context, table: str) -> bool:
        with self._lock:
            return self._given.setdefault(table.lower(), context.urn) == context.urn


def numbered(hint: str, suffix: str) -> str:
    """The hint with a suffix, cut to what the platform allows."""
    tail = f"_{suffix}" if suffix else ""
    return hint[: MAX_NAME - len(tail)] + tail


def _table(inputs: Mapping[str, Any]) -> Values | None:
    gateway = inputs.get("aiGateway")
    table = gateway.get("inferenceTableConfig") if isinstance(gateway, dict) else None
    return table if isinstance(table, dict) else None


def _prefix_of_own(workspace: Workspace, inputs: Values, table: Values) -> str | None:
    """The prefix that the endpoint already uses in that place, if it exists and carries this stack's mark."""
    remote = find(workspace, str(inputs["name"]))
    if remote is None:
        return None
    mark = inputs.get("ownerMark")
    found = (remote.get("ai_gateway") or {}).get("inference_table_config") or {}
    same_place = all(
        same_name(found.get(theirs), table[ours])
        for theirs, ours in (("catalog_name", "catalogName"), ("schema_name", "schemaName"))
    )
    if mark and states.tags_of(remote).get(OWNER_TAG) == mark and same_place:
        return str(found.get("table_name_prefix") or "") or None
    return None
