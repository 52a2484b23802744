"""/Models/<catalog>/<schema>/<model>/<version>/…: who may read and write the files of a version."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.errors import ApiError, forbidden, not_found
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.core.query import is_whole
from agent_deploy.local.files.storage import Mount
from agent_deploy.local.registry.models import PENDING, Registry


def mount(registry: Registry, access: Authorization) -> Mount:
    """EXECUTE reads; whoever may create versions writes, until the version is finalized."""

    def resolve(principal: Principal, segments: tuple[str, ...], write: bool) -> Path:
        if len(segments) < 4 or not is_whole(segments[3]):
            raise ApiError(404, "NOT_FOUND", "A model's files lie in /Models/<catalog>/<schema>/<model>/<version>/.")
        full_name = registry.get_model(".".join(segments[:3]))["full_name"]
        access.require(principal, "CREATE_MODEL_VERSION" if write else "EXECUTE", "function", full_name)
        version = registry.get_version(full_name, segments[3])
        if write and version["status"] != PENDING:
            raise forbidden(
                f"Version {version['version']} of '{full_name}' is {version['status']}: its files are final."
            )
        if write and len(segments) == 4:
            raise not_found("A file's name is missing after the version.")
        return registry.version_folder(full_name, version["version"]).joinpath(*segments[4:])

    return resolve
