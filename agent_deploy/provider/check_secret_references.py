"""The function checkSecretReferences: which references to secrets lead nowhere."""

from __future__ import annotations

from collections import defaultdict

from agent_deploy.client.errors import WorkspaceError
from agent_deploy.client.workspace import Workspace
from agent_deploy.provider.resource import Context, Values
from agent_deploy.provider.secret import keys_of
from agent_deploy.rules.secrets import SecretReference, parse_reference

# Seconds that a verification goes on asking a workspace that says "later".
PATIENCE = 60.0


def check_secret_references(context: Context, arguments: Values) -> Values:
    """``references`` to ``problems``, one line each; one look-up per scope."""
    workspace: Workspace = context.configuration.during(context.cancelled, PATIENCE)
    problems, wanted = [], defaultdict(list)
    for text in arguments.get("references") or []:
        reference = parse_reference(str(text))
        if reference is None:
            # Not shown: a half-written reference may hold the secret itself.
            problems.append("a secret reference is not of the form {{secrets/scope/key}}")
        else:
            wanted[reference.scope].append(reference)
    for scope, references in wanted.items():
        problems += _problems(workspace, scope, references)
    return {"problems": problems}


def _problems(workspace: Workspace, scope: str, references: list[SecretReference]) -> list[str]:
    try:
        keys = keys_of(workspace, scope)
    except WorkspaceError as error:
        return [str(error)]
    if keys is None:
        named = ", ".join(str(reference) for reference in references)
        return [f"{named}: there is no secret scope {scope!r}. Create it, or correct the name"]
    there = ", ".join(sorted(keys)[:20]) or "none"
    return [
        f"{reference}: there is no key {reference.key!r} in the secret scope {scope!r} (there: {there}). "
        f"Put the value with `databricks secrets put-secret {scope} {reference.key}`, or correct the name"
        for reference in references
        if reference.key not in keys
    ]
