"""Where `pulumi` is."""

from __future__ import annotations

import shutil

INSTALL = "https://www.pulumi.com/docs/install/"
MISSING = "There is no `pulumi` on PATH"


def pulumi() -> str | None:
    """The path of the program, or None."""
    return shutil.which("pulumi")
