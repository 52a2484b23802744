"""GRANT and REVOKE on securables of Unity Catalog."""

from __future__ import annotations

import pyarrow as pa

from agent_deploy.local.catalog.grants import checked_change
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.statements.errors import SqlError, of_api
from agent_deploy.local.statements.phrases import Phrase
from agent_deploy.local.statements.run import Run
from agent_deploy.rules.unity_catalog import ALL_PRIVILEGES, PRIVILEGES, Securable

_KINDS = {"VIEW": "table", "DATABASE": "schema", "MODEL": "function", "SERVER": "connection"}
METASTORE = "metastore"


def grant(run: Run, phrase: Phrase) -> pa.Table:
    """``GRANT privileges ON securable TO principal``; needs MANAGE."""
    return _change(run, phrase, "GRANT", "TO", "add")


def revoke(run: Run, phrase: Phrase) -> pa.Table:
    """``REVOKE privileges ON securable FROM principal``; needs MANAGE."""
    return _change(run, phrase, "REVOKE", "FROM", "remove")


def securable(run: Run, phrase: Phrase) -> Securable:
    """``[kind] name``, a table when no kind is said; raises SqlError for an unknown kind."""
    if phrase.take("METASTORE"):
        return Securable(METASTORE, METASTORE)
    said = next((kind for kind in (*_KINDS, *_written()) if phrase.take(kind)), "TABLE")
    kind = _KINDS.get(said, said.lower().replace(" ", "_"))
    target = phrase.table(f"the name of a {kind}")
    if kind == "schema":
        return Securable.of(kind, run.session.schema_name(target))
    if kind in ("table", "function", "volume"):
        return Securable.of(kind, run.session.name(target).full)
    return Securable.of(kind, target.name)


def _written() -> list[str]:
    # Longest first: EXTERNAL LOCATION before any shorter word that it may begin with.
    return sorted((kind.upper().replace("_", " ") for kind in PRIVILEGES), key=len, reverse=True)


def _change(run: Run, phrase: Phrase, verb: str, preposition: str, field: str) -> pa.Table:
    phrase.expect(verb)
    privileges = [_privilege(text) for text in phrase.until("ON")]
    phrase.expect("ON")
    target = securable(run, phrase)
    phrase.expect(preposition)
    principal = phrase.word("a principal")
    phrase.finish()
    access = run.workspace.authorization
    try:
        access.require(run.session.principal, "MANAGE", target.type, target.name)
        entry = {"principal": principal, field: privileges}
        name, add, remove = checked_change(run.workspace, target, entry)
    except ApiError as error:
        raise of_api(error) from error
    if not privileges:
        raise SqlError("PARSE_SYNTAX_ERROR", f"{verb} expects at least one privilege.")
    access.change_grants(target.type, target.name, name, add, remove)
    return pa.table({})


def _privilege(text: str) -> str:
    name = text.upper().replace(" ", "_")
    return ALL_PRIVILEGES if name in ("ALL", ALL_PRIVILEGES) else name
