"""Runs the process that derives, Python and Spark, shut off as served models are: its source may be anybody's.

It reads programs and packages; it reads and writes the tables of its schema, its checkpoints and its scratch folder. Of
the server's environment it has nothing but where programs lie.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_deploy.local.core.folders import make
from agent_deploy.local.serving import isolation
from agent_deploy.tables.jars import delta_jars
from agent_deploy.tables.java import find_java
from agent_deploy.tables.refresh import Target
from agent_deploy.tables.spark import MODULE

_PASSED_ON = ("PATH", "TZ", "LANG", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR")


def terms(folder: Path, payload: str, scratch: Path) -> dict[str, Any]:
    """Of one payload table's derivation, in the workspace of ``folder``; for `command`."""
    target = Target(folder, payload)
    make(target.storage)
    # The derived tables' folders come and go; what they lie in stays.
    return isolation.terms([folder], [], [scratch], plain=[target.path().parent, target.storage])


def command(wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """What to start instead of Spark's process; raises JavaMissing and JarsMissing."""
    java = find_java()
    jars = sorted({str(jar.parent.resolve()) for jar in delta_jars(java)})
    # Debian's Java has its settings there, and links to them.
    settings = map(str, Path("/etc").glob("java-*"))
    readable = [*wanted["readable"], str(java.resolve()), *jars, *settings]
    order = json.dumps({**wanted, "readable": readable})
    return (*isolation.command(__name__), order, *isolation.command(MODULE))


def environment(scratch: Path) -> dict[str, str]:
    """Built, not inherited."""
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # Its source may write packages into that home: they would run in its next process before that is shut off.
    return {**passed_on, "HOME": str(scratch), "PYTHONNOUSERSITE": "1"}


def main() -> None:
    """Shuts this process off for ever, and becomes the one that is named."""
    isolation.apply(json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
