"""What a served entity was made of: that very version, with these contents, deployed by that very person.

A model's name with a number, and a person's name, may be others' later. A process runs only what was deployed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.principals import Principal, Principals
from agent_deploy.local.core.store import Document
from agent_deploy.local.registry.models import Registry
from agent_deploy.local.serving.process import BuildFailed

# Of an entity's document; no answer has them.
VERSION, CREATOR, DIGEST = "version_id", "creator_id", "digest"
_AGAIN = "Deploy the endpoint again to serve what is there now"
_BLOCK = 1 << 20


def complete(principals: Principals, registry: Registry, entity: Document) -> bool:
    """An entity of an earlier version of this workspace is what its names mean now; whether it was one."""
    if VERSION in entity:
        return False
    creator = principals.by_name(entity["creator"])
    entity |= {VERSION: _version_id(registry, entity) or "", CREATOR: creator.id if creator else ""}
    return True


def still_holds(principals: Principals, registry: Registry, entity: Document) -> bool:
    """Whether its names mean nothing else by now: then the same request means another entity."""
    return _version_id(registry, entity) in (entity[VERSION], None) and _creator(principals, entity) is not None


def require_version(registry: Registry, entity: Document) -> None:
    """Raises BuildFailed when the version is gone, or was registered anew under its number."""
    found = _version_id(registry, entity)
    if found == entity[VERSION]:
        return
    what = f"Version {entity['entity_version']} of '{entity['entity_name']}'"
    if found is None:
        raise BuildFailed(f"{what}, which was deployed, is not in the registry any more. Deploy another version.")
    raise BuildFailed(
        f"{what} is not the one that was deployed: that was deleted, and another model was registered under its name "
        f"and number. {_AGAIN}."
    )


def require_content(entity: Document, folder: Path) -> None:
    """Raises BuildFailed when the files are not those that were deployed; notes them at the first build.

    Reads them all: not for the event loop.
    """
    found = digest(folder)
    if entity.setdefault(DIGEST, found) != found:
        raise BuildFailed(
            f"The files of version {entity['entity_version']} of '{entity['entity_name']}' were changed since it was "
            f"deployed: something wrote into {folder}. Register the model as a new version, and deploy that one."
        )


def deployer(principals: Principals, entity: Document) -> Principal:
    """By whose privileges its secrets are read; raises BuildFailed when he is gone, whoever bears his name now."""
    creator = _creator(principals, entity)
    if creator is None:
        raise BuildFailed(
            f"{entity['creator']}, who deployed the served entity, is not in the workspace any more. Deploy it again."
        )
    return creator


def digest(folder: Path) -> str:
    """Of names and contents of all files below a folder."""
    whole = hashlib.blake2b(digest_size=32)
    for path in sorted(_files(folder)):
        content = hashlib.blake2b(digest_size=32)
        if path.is_symlink():
            content.update(b"link " + os.fsencode(os.readlink(path)))
        else:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    content.update(block)
        # A name has no zero byte, so nothing can be moved between it and what follows.
        whole.update(os.fsencode(path.relative_to(folder)) + b"\0" + content.digest())
    return whole.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        yield from (Path(parent) / name for name in (*files, *links))


def _version_id(registry: Registry, entity: Document) -> str | None:
    try:
        version = registry.get_version(entity["entity_name"], entity["entity_version"])
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    return str(version["id"])


def _creator(principals: Principals, entity: Document) -> Principal | None:
    try:
        return principals.principal(entity[CREATOR])
    except ApiError:
        return None
