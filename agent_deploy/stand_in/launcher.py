"""How the engine gets the stand-in: an executable written into a private folder, for this interpreter."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

EXECUTABLE = "pulumi-resource-databricks"
# By this, `selection` tells our executable from the vendor's.
MARK = "# agent-deploy: the stand-in databricks plugin"

# Shell and Python at once: a shebang line cannot hold a long path, or one with spaces. As a script of its own folder,
# rather than with `-m`, it never finds a module of the user's project in place of one that it imports.
_SCRIPT = """\
#!/bin/sh
'''exec' {python} "$0" "$@"
' '''
{mark}
import sys

from agent_deploy.stand_in.__main__ import main

sys.exit(main())
"""


def plugin_folder(target_dir: str | os.PathLike[str]) -> Path:
    """Writes the plugin's executable into ``target_dir``, which is made, and returns that folder's absolute path.

    Name it in a project's ``plugins: providers: [{name: databricks, path: …}]``, or put it first on PATH; never on a
    user's own PATH. Safe to call again, and by several at once.
    """
    folder = Path(target_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    text = _SCRIPT.format(python=shlex.quote(sys.executable), mark=MARK)
    executable = folder / EXECUTABLE
    if not (executable.exists() and executable.read_text() == text):
        handle, staged = tempfile.mkstemp(dir=folder, prefix=f".{EXECUTABLE}-")
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(staged).chmod(0o755)
        Path(staged).replace(executable)
    return folder
