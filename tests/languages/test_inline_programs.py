"""The example in TypeScript and in Go, as inline programs of the Automation API: up, changed, destroyed.

Their language hosts are on no registry; an inline program needs none, since the engine connects to it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence

from tests.engine.serving import Site
from tests.engine.support import RUN_SECONDS, Stack
from tests.languages.compiled import Go, TypeScript, needed
from tests.languages.example import change, check_changed, check_gone, check_made, configure


def lifecycle(program: Sequence[str], site: Site, stack: Stack) -> None:
    """Up, changed and destroyed; ``program`` is a command that takes the engine's."""

    def operate(command: str) -> str:
        done = subprocess.run(
            [*program, command, stack.name, stack.project, str(stack.folder)], env=stack.environment(),
            capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    configure(stack)
    endpoint_id = check_made(site, stack, json.loads(operate("up")))
    change(stack)
    operate("up")
    check_changed(site, endpoint_id)
    operate("destroy")
    check_gone(site, stack)


def test_a_typescript_program(site: Site, open_stack: Callable[[], Stack], typescript: TypeScript) -> None:
    node = needed("node", "install Node.js 20 or newer (https://nodejs.org)")
    lifecycle([node, str(typescript.folder / "automation.js")], site, open_stack())


def test_a_go_program(site: Site, open_stack: Callable[[], Stack], go_program: Go) -> None:
    lifecycle([str(go_program.folder / "program")], site, open_stack())
