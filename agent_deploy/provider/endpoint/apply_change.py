"""One create or update of a serving endpoint: sends only what differs, in one order, and tells failures truthfully."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from agent_deploy.client.errors import Interrupted, WorkspaceError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.endpoint import served_versions
from agent_deploy.provider.endpoint import state as states
from agent_deploy.provider.endpoint.conflicts import when_free
from agent_deploy.provider.endpoint.messages import kept_line
from agent_deploy.provider.endpoint.request import (
    config_body,
    gateway_body,
    is_on,
    notifications_body,
    tag_list,
    wanted_tags,
)
from agent_deploy.provider.endpoint.state import PATH, Remote
from agent_deploy.provider.endpoint.waiting import EndpointFailed, get, wait_until_ready
from agent_deploy.provider.plugin.resource import Cancelled, Context, PartialFailure, Values
from agent_deploy.provider.workspace.unity_tables import same_name
from agent_deploy.rules.endpoint_fields import OWNER_TAG, PLAIN_FIELDS, FieldRule


class EndpointChange:
    """Knows, at every moment, what the workspace has accepted: `PartialFailure` carries that to the state."""

    def __init__(
        self,
        context: Context,
        workspace: Workspace,
        name: str,
        deadline: float,
        inputs: Values,
        old: Values | None = None,
    ) -> None:
        """``old`` are the properties in the state; none of what an earlier run of ours left without a state."""
        self._context, self._workspace, self._name, self._deadline = context, workspace, name, deadline
        self._old = old or {}
        # Before anything is sent: a version that is registered anew meanwhile is another one than that.
        self._versions = served_versions.registered(context, inputs.get("servedEntities"))
        self._deployed = False
        self._url = f"{PATH}/{segment(name)}"
        self._remote: Remote = {"name": name}
        # Whether anything was changed: before that a failure leaves the state as it was.
        self._touched = False
        # What the API never tells, by field: what it was last given.
        self._unseen: Values = {}

    def created(self, remote: Remote, inputs: Values) -> None:
        """The endpoint was just made by a request that held all of the inputs; waits for it."""
        self._remote, self._touched, self._unseen = remote, True, _unseen(inputs)
        with self._told(inputs):
            self._wait(config_body(inputs), is_new=True)

    def adopt(self, remote: Remote, inputs: Values) -> None:
        """Brings an endpoint that an interrupted run of this stack has made to the wanted state."""
        self._touched = True
        with self._told(inputs):
            self._bring(remote, ({},), inputs)

    def update(self, remote: Remote, old_inputs: Values, old: Values, inputs: Values) -> None:
        """Brings the endpoint from what it is to the wanted state."""
        self._unseen = _unseen(old)
        with self._told(inputs):
            self._bring(remote, (old_inputs, old), inputs)

    def finished(self, inputs: Values) -> Values:
        """All properties."""
        return {**inputs, **states.outputs_of(self._remote, self._workspace.host), **self._record(inputs)}

    def _record(self, properties: Values) -> Values:
        """Of which versions the entities were made, as far as that is known."""
        entities = properties.get("servedEntities") or {}
        record = served_versions.carried(self._old, entities)
        if self._deployed:
            record |= {name: identity for name, identity in self._versions.items() if name in entities}
        return {served_versions.RECORD: record}

    @contextmanager
    def _told(self, inputs: Values) -> Iterator[None]:
        """Turns whatever ends the work into a PartialFailure with what is really there, once something is."""
        try:
            yield
        except EndpointFailed as error:
            self._remote = error.remote
            raise self._partial(inputs, str(error)) from error
        except (Cancelled, Interrupted) as error:
            if not self._touched:
                raise Cancelled from error
            reason = "interrupted while the workspace was still at work; the next `pulumi up` goes on from there"
            raise self._partial(inputs, reason) from error
        except WorkspaceError as error:
            if not self._touched:
                raise
            raise self._partial(inputs, str(error)) from error

    def _partial(self, inputs: Values, reason: str) -> PartialFailure:
        try:
            # A view of its own: the user's interruption must not keep us from reading the truth.
            self._remote = get(self._workspace.during(None, patience=10.0), self._name)
        except WorkspaceError as error:
            reason = f"{reason}\n(the endpoint could not be read again: {error})"
        known = {**inputs, **dict.fromkeys(_unseen(inputs)), **self._unseen}
        found = states.inputs_of(self._remote, {key: value for key, value in known.items() if value is not None})
        properties = {**found, **states.outputs_of(self._remote, self._workspace.host), **self._record(found)}
        return PartialFailure(self._name, properties, found, [reason])

    def _bring(self, remote: Remote, before: tuple[Values, ...], inputs: Values) -> None:
        self._remote = remote
        self._bring_config(inputs)
        self._bring_tags(before, inputs)
        self._bring_gateway(before, inputs)
        for name, rule in PLAIN_FIELDS.items():
            if rule.call:
                self._bring_field(name, rule, before, inputs)
        self._bring_notifications(before, inputs)

    def _bring_config(self, inputs: Values) -> None:
        remote, wanted = self._remote, config_body(inputs)
        if not inputs.get("servedEntities") and not states.entities_of(states.newest_config(remote)):
            return
        # What the workspace has under the same names and numbers was made of other versions.
        record = served_versions.carried(self._old, inputs.get("servedEntities") or {})
        anew = served_versions.changed(record, self._versions)
        if self._is_at(wanted, remote) and not anew:
            if not states.is_healthy(remote):
                self._wait(wanted)
            self._deployed = True
            return

        def is_under_way(remote: Remote) -> bool:
            return self._is_at(wanted, remote) and (not anew or states.is_updating(remote))

        self._send(lambda: self._workspace.put(f"{self._url}/config", wanted), is_under_way)
        self._wait(wanted)

    @staticmethod
    def _is_at(wanted: Mapping[str, Any], remote: Remote) -> bool:
        """Whether the endpoint has the wanted config or is on its way to it, and no failure stands in the way."""
        if not states.same_config(wanted, states.newest_config(remote)):
            return False
        if states.is_updating(remote):
            return True
        failed = (states.ENTITY_FAILED, states.ENTITY_ABORTED)
        entities = states.entity_states(remote).values()
        return states.config_update(remote) == states.NOT_UPDATING and all(
            state["deployment"] not in failed for state in entities
        )

    def _wait(self, wanted: Mapping[str, Any], is_new: bool = False) -> None:
        def is_wanted(remote: Remote) -> bool:
            return not wanted["served_entities"] or states.same_config(wanted, remote.get("config"))

        view = self._context, self._workspace, self._name, self._deadline
        self._remote = wait_until_ready(*view, is_wanted, is_new)
        self._deployed = True

    def _bring_tags(self, before: tuple[Values, ...], inputs: Values) -> None:
        present, wanted = states.tags_of(self._remote), wanted_tags(inputs)
        changed = {key: value for key, value in wanted.items() if present.get(key) != value}
        # Tags that others have put there stay: only what the program had is taken away. A changed value is an addition
        # alone, as adding and deleting one key in one request may lose it.
        ours = {key for values in before for key in values.get("tags") or {}}
        ours |= {OWNER_TAG} if any(values.get("ownerMark") for values in before) else set()
        gone = sorted(key for key in ours if key in present and key not in wanted)
        if changed or gone:
            body: dict[str, Any] = {"add_tags": tag_list(changed)} if changed else {}
            if gone:
                body["delete_tags"] = gone
            self._send(lambda: self._workspace.patch(f"{self._url}/tags", body))

    def _bring_gateway(self, before: tuple[Values, ...], inputs: Values) -> None:
        wanted = gateway_body(inputs.get("aiGateway") or {})
        present = self._remote.get("ai_gateway") or {}
        if not _declared("aiGateway", before, inputs) or _same_gateway(wanted, present):
            return
        table = present.get("inference_table_config") or {}
        wants_table = is_on(wanted.get("inference_table_config"))
        # What others have set besides (guardrails, rate limits) is sent along, as the call replaces everything.
        others = {key: part for key, part in {**present, **wanted}.items() if key != "inference_table_config"}
        if "usage_tracking_config" in present and "usage_tracking_config" not in wanted:
            others["usage_tracking_config"] = {"enabled": False}
        if is_on(table) and not (wants_table and _same_place(wanted["inference_table_config"], table)):
            # Its place changes only while it is off.
            self._put_gateway({**others, "inference_table_config": {**table, "enabled": False}})
            self._context.info(kept_line(states.payload_table_in(table)))
        if wants_table or not is_on(table):
            self._put_gateway({**others, **{k: wanted[k] for k in ("inference_table_config",) if wants_table}})
        self._remote = get(self._workspace, self._name)
        if not wants_table and self._table_is_on():
            # Off was not heard: a gateway without the table clears it.
            self._put_gateway(others)
            self._remote = get(self._workspace, self._name)
            if self._table_is_on():
                reason = "the workspace keeps the inference table on although it was turned off"
                raise EndpointFailed(reason, self._remote)

    def _table_is_on(self) -> bool:
        return is_on((self._remote.get("ai_gateway") or {}).get("inference_table_config"))

    def _put_gateway(self, body: Mapping[str, Any]) -> None:
        self._send(lambda: self._workspace.put(f"{self._url}/ai-gateway", body))

    def _bring_field(self, name: str, rule: FieldRule, before: tuple[Values, ...], inputs: Values) -> None:
        wanted = inputs.get(name) or rule.default
        present = self._remote.get(rule.wire) or (None if rule.echoed else self._unseen.get(name)) or rule.default
        if _declared(name, before, inputs) and wanted != present:
            body = {"name": self._name, rule.wire: wanted}
            self._send(lambda: self._workspace.patch(f"{self._url}/{rule.call}", body))
            if not rule.echoed:
                self._unseen[name] = wanted

    def _bring_notifications(self, before: tuple[Values, ...], inputs: Values) -> None:
        wanted = notifications_body(inputs.get("emailNotifications") or {})
        present = self._remote.get("email_notifications") or {}
        same = all(list(present.get(key) or []) == addresses for key, addresses in wanted.items())
        if _declared("emailNotifications", before, inputs) and not same:
            body = {"email_notifications": wanted}
            self._send(lambda: self._workspace.patch(f"{self._url}/notifications", body))

    def _send(self, call: Callable[[], object], is_done: Callable[[Remote], bool] | None = None) -> None:
        when_free(self._context, self._workspace, self._name, self._deadline, call, is_done)
        self._touched = True


def _unseen(properties: Values) -> Values:
    """Of these, what the workspace never tells."""
    return {name: properties[name] for name, rule in PLAIN_FIELDS.items() if not rule.echoed and name in properties}


def _declared(field: str, before: tuple[Values, ...], inputs: Values) -> bool:
    """Whether the program says, or said, anything about a field; what it never mentions is left to others."""
    return any(values.get(field) is not None for values in (*before, inputs))


def _same_gateway(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> bool:
    ours, theirs = (gateway.get("inference_table_config") or {} for gateway in (wanted, present))
    if is_on(ours) != is_on(theirs) or (is_on(ours) and not _same_place(ours, theirs)):
        return False
    return is_on(wanted.get("usage_tracking_config")) == is_on(present.get("usage_tracking_config"))


def _same_place(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(same_name(ours.get(key, theirs.get(key)), theirs.get(key)) for key in states.TABLE_NAME_FIELDS)
