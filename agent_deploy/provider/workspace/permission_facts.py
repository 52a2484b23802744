"""Asks a workspace what a principal may do: concurrently, and about each object once, however many agents need it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agent_deploy.client.errors import ApiError
from agent_deploy.client.workspace import Workspace, segment
from agent_deploy.provider.plugin.resource import Context
from agent_deploy.provider.workspace.connection import looked_up
from agent_deploy.provider.workspace.look_ups import Memory, begin, memory_of
from agent_deploy.rules.groups import ACCOUNT_USERS, USERS
from agent_deploy.rules.object_permissions import OBJECT_TYPES
from agent_deploy.rules.requirements import SECRET_SCOPE, WORKSPACE, Need
from agent_deploy.rules.resource_kinds import ROUTES, Route, Target, WorkspaceObject
from agent_deploy.rules.unity_catalog import MANAGE, Securable
from agent_deploy.rules.verification import METASTORE, Held, Presence, Principal, in_workspace, satisfied

CATALOG = "/api/2.1/unity-catalog"
SCIM = "/api/2.0/preview/scim/v2"


def securable_routes(securable_type: str) -> tuple[str, ...]:
    """Where one is found: tables, model-services; a function may be a registered model, an index answers as a table."""
    own = f"{securable_type.replace('_', '-')}s"
    return (own, "models") if securable_type == "function" else (own,)


@dataclass(frozen=True)
class Answer:
    """What one look-up brought: the document, or why there is none."""

    presence: Presence
    document: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""


class UnknownPrincipal(Exception):
    """The workspace has no such user, group or service principal."""


class PermissionFacts:
    """Look-ups in one workspace; safe to share by threads. Methods raise WorkspaceError when it does not answer."""

    def __init__(self, workspace: Workspace, memory: Memory) -> None:
        self._workspace, self._memory = workspace, memory

    def principal(self, name: str | None, with_entitlements: bool = False, kind: str = "") -> Principal:
        """Who is asked about: the caller, or the one of that name, and of that kind; raises UnknownPrincipal."""
        key = ("principal", name, with_entitlements, kind)
        return self._memory.once(key, lambda: self._principal(name, with_entitlements, kind))

    def gather(self, wanted: Iterable[Need], principal: Principal) -> dict[Target, Held]:
        """What the principal has on each target, as far as it takes to decide the wanted privileges; concurrently."""
        targets = _by_target(wanted)
        found = [begin(self._held, target, privileges, principal) for target, privileges in targets.items()]
        return dict(zip(targets, [each.result() for each in found], strict=True))

    def begin_gathering(self, wanted: Iterable[Need], name: str | None, with_entitlements: bool) -> None:
        """Begins to gather what will be asked about the caller, or the one of that name; does not wait for it."""

        def held(target: Target, privileges: frozenset[str]) -> Held:
            return self._held(target, privileges, self.principal(name, with_entitlements))

        for target, privileges in _by_target(wanted).items():
            begin(held, target, privileges)

    # ---- who

    def _principal(self, name: str | None, with_entitlements: bool, wanted: str) -> Principal:
        me = self._memory.once("me", lambda: self._workspace.get(f"{SCIM}/Me"))
        own_name = str(me.get("userName") or "")
        own_kind = "service_principal" if _is_uuid(own_name) else "user"
        if name is None or (name.lower() == own_name.lower() and wanted in ("", own_kind)):
            return self._described(own_name, own_kind, me, True, with_entitlements)
        for kind, route, attribute in _places(name):
            if wanted not in ("", kind):
                continue
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            found = self._workspace.get(f"{SCIM}/{route}", {"filter": f'{attribute} eq "{quoted}"'})
            if resources := found.get("Resources"):
                return self._described(name, kind, resources[0], False, with_entitlements)
        raise UnknownPrincipal(
            f"principal {name!r}: expected the e-mail address of a user, the application id of a service principal, "
            "or the name of a group of this workspace"
        )

    def _described(
        self, name: str, kind: str, document: Mapping[str, Any], is_caller: bool, with_entitlements: bool
    ) -> Principal:
        groups = {str(group.get("display") or "") for group in document.get("groups") or []} - {""}
        identities = frozenset(each.lower() for each in (name, *groups, USERS, ACCOUNT_USERS))
        entitlements = self._entitlements(document, identities) if with_entitlements else None
        return Principal(name, kind, identities, is_caller, entitlements)

    def _entitlements(self, document: Mapping[str, Any], identities: frozenset[str]) -> frozenset[str] | None:
        """Its own and its groups'; None when the workspace tells of nobody's."""
        own = _values(document.get("entitlements"))
        by_group = {
            str(group.get("displayName", "")).lower(): _values(group.get("entitlements")) for group in self._groups()
        }
        if not any(by_group.values()):
            return None
        return own.union(*(values for group, values in by_group.items() if group in identities))

    def _groups(self) -> list[Mapping[str, Any]]:
        """All groups, page after page; none when the workspace does not tell of all of them."""
        found: list[Mapping[str, Any]] = []
        params = {"attributes": "displayName,entitlements", "count": "1000"}
        while True:
            answer = self.look_up(f"{SCIM}/Groups", params)
            if answer.presence is not Presence.FOUND:
                return []
            page = answer.document.get("Resources") or []
            found += page
            if not page or len(found) >= int(answer.document.get("totalResults") or 0):
                return found
            params["startIndex"] = str(len(found) + 1)  # SCIM counts from 1

    # ---- what he has

    def _held(self, target: Target, wanted: frozenset[str], principal: Principal) -> Held:
        if target == WORKSPACE:
            return in_workspace(principal)
        if isinstance(target, Securable):
            return self._held_on_securable(target, wanted, principal)
        if target.type == SECRET_SCOPE:
            return self._held_on_scope(target.name, principal)
        return self._held_on_object(target, wanted, principal)

    def _held_on_securable(self, securable: Securable, wanted: frozenset[str], principal: Principal) -> Held:
        answer = self._grants(securable, principal)
        if answer.presence in (Presence.MISSING, Presence.UNREADABLE):
            return Held(answer.presence, message=answer.message)
        by_principal: Mapping[str, frozenset[str]] = answer.document.get("effective", {})
        privileges = frozenset(
            privilege for who, found in by_principal.items() if who in principal.identities for privilege in found
        )
        held = Held(
            answer.presence,
            privileges,
            open_to_all=by_principal.get(ACCOUNT_USERS, frozenset()),
            granted=answer.document.get("granted"),
        )
        if answer.presence is Presence.FOUND and all(satisfied(securable, each, held) for each in wanted):
            return held
        # Only now: ownership costs a look-up of its own, and grants decide most cases.
        presence, owner = self._owner(securable)
        if Presence.FOUND not in (presence, held.presence):
            return Held(presence)
        owns = owner in principal.identities
        owns_parent = not owns and MANAGE in wanted and self._owns_parent(securable, principal)
        return replace(held, presence=Presence.FOUND, owns=owns, owns_parent=owns_parent)

    def _owns_parent(self, securable: Securable, principal: Principal) -> bool:
        return any(self._owner(each)[1] in principal.identities for each in (*securable.parents, METASTORE))

    def _grants(self, securable: Securable, principal: Principal) -> Answer:
        """As `_effective`: of everybody, or else of the one."""
        answer = self._memory.once(("grants", securable), lambda: self._effective(securable, None))
        if answer.presence is Presence.HIDDEN:
            # Who may not see everybody's grants may see one principal's.
            key = ("grants", securable, principal.name)
            answer = self._memory.once(key, lambda: self._effective(securable, principal.name))
        return answer

    def _effective(self, securable: Securable, principal: str | None) -> Answer:
        """Principal (lower case) → ``effective`` privileges, and, of everybody, those ``granted`` on this very one."""
        path = f"{CATALOG}/effective-permissions/{securable.type}/{segment(securable.name)}"
        found: dict[str, frozenset[str]] = {}
        granted: dict[str, frozenset[str]] = {}
        params = {"max_results": "0", **({"principal": principal} if principal else {})}
        while True:
            answer = self._asked(path, params)
            if answer.presence is not Presence.FOUND:
                return answer
            for each in answer.document.get("privilege_assignments") or []:
                name = str(each.get("principal", "")).lower()
                told = each.get("privileges") or []
                found[name] = found.get(name, frozenset()) | _privileges(told)
                own = _privileges(one for one in told if not one.get("inherited_from_name"))
                granted[name] = granted.get(name, frozenset()) | own
            if not (token := answer.document.get("next_page_token")):
                return Answer(Presence.FOUND, {"effective": found, "granted": None if principal else granted})
            params["page_token"] = str(token)

    def _owner(self, securable: Securable) -> tuple[Presence, str]:
        if securable == METASTORE:
            answer = self.look_up(f"{CATALOG}/metastore_summary")
            return answer.presence, str(answer.document.get("owner") or "").lower()
        answer = Answer(Presence.MISSING)
        for route in securable_routes(securable.type):
            answer = self.look_up(f"{CATALOG}/{route}/{segment(securable.name)}")
            if answer.presence is not Presence.MISSING:
                break
        # A model service answers with its owner under another name.
        owner = answer.document.get("owner") or answer.document.get("effective_owner")
        return answer.presence, str(owner or "").lower()

    def _held_on_object(self, target: WorkspaceObject, wanted: frozenset[str], principal: Principal) -> Held:
        route = ROUTES[target.type]
        id, own_level = target.name, ""
        if route.id_field:
            answer = self.look_up(route.path.format(segment(target.name)))
            if answer.presence is not Presence.FOUND:
                return Held(answer.presence, message=answer.message)
            id = str(answer.document.get(route.id_field) or "")
            if not id:
                # The platform's own endpoints have no list of their own: all users of the workspace may use them.
                return Held(Presence.FOUND, frozenset(OBJECT_TYPES[target.type].levels))
            own_level = str(answer.document.get(route.level_field) or "") if principal.is_caller else ""
        held = Held(Presence.FOUND, frozenset({own_level} - {""}), id=id)
        if own_level and all(satisfied(target, level, held) for level in wanted):
            return held
        return self._held_by_list(target, route, held, principal)

    def _held_by_list(self, target: WorkspaceObject, route: Route, held: Held, principal: Principal) -> Held:
        answer = self.look_up(f"/api/2.0/permissions/{target.type}/{segment(held.id)}")
        if answer.presence is Presence.FOUND:
            levels = _levels(answer.document, principal.identities)
            return Held(Presence.FOUND, held.privileges | levels, id=held.id)
        if answer.presence is Presence.HIDDEN and not route.id_field:
            # Who may not read the list may still see the object; only the object tells whether it exists.
            answer = self.look_up(route.path.format(segment(target.name)))
        if answer.presence in (Presence.MISSING, Presence.UNREADABLE):
            return Held(answer.presence, id=held.id, message=answer.message)
        if route.level_field and principal.is_caller and held.privileges:
            return held  # the object itself has said which level the caller has
        seen = route.id_field or answer.presence is Presence.FOUND
        return Held(Presence.UNREADABLE if seen else Presence.HIDDEN, held.privileges, id=held.id)

    def _held_on_scope(self, name: str, principal: Principal) -> Held:
        # A listing of scopes shows those that one may read: only asking for this one tells that it is another's.
        answer = self.look_up("/api/2.0/secrets/acls/list", {"scope": name})
        levels = {
            str(item.get("permission", ""))
            for item in answer.document.get("items") or answer.document.get("acls") or []
            if str(item.get("principal", "")).lower() in principal.identities
        }
        if answer.presence is Presence.FOUND and principal.is_caller:
            levels.add("MANAGE")  # nobody else is shown the list
        presence = Presence.FOUND if answer.presence is Presence.HIDDEN else answer.presence
        return Held(presence, frozenset(levels), message=answer.message)

    # ---- asking

    def look_up(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """The document at a path; raises WorkspaceError when the workspace does not answer, or refuses the caller."""
        key = (path, *sorted((params or {}).items()))
        return self._memory.once(key, lambda: self._asked(path, params))

    def _asked(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        """The document; not there, not to be seen, not understood is an Answer, too. Raises what is nobody's fault."""
        try:
            return Answer(Presence.FOUND, self._workspace.get(path, params))
        except ApiError as error:
            if error.is_missing:
                return Answer(Presence.MISSING, message=error.message)
            if error.status == 403:
                return Answer(Presence.HIDDEN, message=error.message)
            if error.status == 401 or (error.status >= 500 and error.status != 501):
                raise
            return Answer(Presence.UNREADABLE, message=str(error))


def facts_of(context: Context) -> PermissionFacts:
    """The look-ups of a context, remembered with everybody else's."""
    return PermissionFacts(looked_up(context), memory_of(context))


def _by_target(wanted: Iterable[Need]) -> dict[Target, frozenset[str]]:
    """All that is wanted of each object, to look it up once."""
    found: dict[Target, frozenset[str]] = {}
    for need in wanted:
        target = need.access.target
        found[target] = found.get(target, frozenset()) | {need.access.privilege}
    return found


def _levels(document: Mapping[str, Any], identities: frozenset[str]) -> frozenset[str]:
    """Levels of a permissions answer that these names have, inherited ones included."""
    return frozenset(
        str(permission.get("permission_level", ""))
        for entry in document.get("access_control_list") or []
        for permission in entry.get("all_permissions") or []
        if {str(entry.get(f"{kind}_name") or "").lower() for kind in ("user", "group", "service_principal")}
        & identities
    )


def _privileges(told: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(each.get("privilege", "")) for each in told)


def _values(entries: object) -> frozenset[str]:
    found = entries if isinstance(entries, list) else []
    return frozenset(str(entry.get("value")) for entry in found if entry.get("value"))


def _places(name: str) -> list[tuple[str, str, str]]:
    """Kinds of principal that a name may be: (kind, SCIM route, attribute)."""
    group = ("group", "Groups", "displayName")
    if "@" in name:
        return [("user", "Users", "userName"), group]
    if _is_uuid(name):
        return [("service_principal", "ServicePrincipals", "applicationId"), group]
    return [group, ("user", "Users", "userName")]


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return "-" in text
