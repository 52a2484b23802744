"""pip's list of packages, which Pulumi's language host asks for in every run: asked once for all runs of these tests.

It takes pip over a second of a processor, more than many a run; and nothing is installed while the tests run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

# As the language host asks.
COMMAND = ("-m", "pip", "list", "-v", "--format", "json")
_ANSWER = """
import sys
from pathlib import Path

if sys.argv[1:] != {arguments!r}:
    sys.exit("tests/engine/pip_list.py answers `pip list` alone, not " + repr(sys.argv[1:]))
sys.stdout.write(Path(__file__).with_name("list.json").read_text())
"""


@cache
def answered() -> str:
    """For PYTHONPATH: where `python -m pip list` is answered at once."""
    # Kept until the process ends, and removed with this object.
    folder = tempfile.TemporaryDirectory(prefix="agent-deploy-pip-")
    _kept.append(folder)
    package = Path(folder.name) / "pip"
    package.mkdir()
    listed = subprocess.run([sys.executable, *COMMAND], capture_output=True, text=True, check=True).stdout
    (package / "list.json").write_text(listed)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_ANSWER.format(arguments=list(COMMAND[2:])))
    return folder.name


_kept: list[tempfile.TemporaryDirectory[str]] = []
