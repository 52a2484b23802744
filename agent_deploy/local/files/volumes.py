"""/Volumes/<catalog>/<schema>/<volume>/…: plain folders, guarded by READ VOLUME and WRITE VOLUME."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.authorization import Authorization
from agent_deploy.local.core.errors import invalid
from agent_deploy.local.core.folders import make
from agent_deploy.local.core.principals import Principal
from agent_deploy.local.files.storage import Mount


def mount(metastore: Metastore, access: Authorization) -> Mount:
    """Paths of volumes that the catalog knows (document ``volume``, key full name in lower case)."""

    def resolve(principal: Principal, segments: tuple[str, ...], write: bool) -> Path:
        if len(segments) < 3:
            raise invalid("A volume's path is /Volumes/<catalog>/<schema>/<volume>/<file>.")
        catalog, schema, volume = (segment.lower() for segment in segments[:3])
        full_name = f"{catalog}.{schema}.{volume}"
        access.require(principal, "WRITE_VOLUME" if write else "READ_VOLUME", "volume", full_name)
        root = metastore.volume_folder(full_name)
        make(root)  # a volume is a directory from its creation on, if an empty one
        return root.joinpath(*segments[3:])

    return resolve
