"""Writes schema.json: what the plugin answers when Pulumi asks for its schema, for tools that cannot ask it.

At the root, where who clones the repository looks, and not in the package: the plugin itself does not read it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

SCHEMA = Path(__file__).parent.parent / "schema.json"


def schema() -> str:
    """As the servicer answers it, laid out for a diff."""
    from agent_deploy.provider.package import package
    from agent_deploy.provider.plugin.servicer import Servicer

    answer = asyncio.run(Servicer(package()).GetSchema(None, None))
    return json.dumps(json.loads(answer.schema), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema())
