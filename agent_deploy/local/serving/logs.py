"""The output of a model's process, as the build log until it is ready and the service log after; secrets masked."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from agent_deploy.local.core.folders import make
from agent_deploy.rules.redaction import longest, places, redacted, replaced

MASK = "[REDACTED]"  # what Databricks shows in place of a secret
_MIN_MASKED = 3  # characters; shorter values would blot out ordinary text
_MAX_BYTES = 5_000_000  # of one log; older output moves to one file beside it
_TAIL_BYTES = 200_000  # of a log that the API returns
_logger = logging.getLogger(__name__)


class Mask:
    """Takes secret values out of text; `agent_deploy.rules.redaction` says in which forms."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._values: frozenset[str] = frozenset()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide this value from now on, and each of its lines: a log is written by lines."""
        found = {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}
        self._values |= {value for value in found if len(value) >= _MIN_MASKED}

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        return redacted(text, self._values, MASK)

    def split(self, text: str) -> tuple[str, str]:
        """What can be shown of it, masked, and its end, in which a secret may have begun: to go before what follows."""
        # The secrets' lines are secrets themselves: after a line nothing is open.
        line = text.rfind("\n") + 1
        at = max(line, len(text) - max(map(longest, self._values), default=0))
        spans = [span for span in places(text, self._values) if span[0] < at]
        at = max([at, *(end for _, end in spans)])
        return replaced(text[:at], spans, MASK), text[at:]

    def bytes(self, content: bytes) -> bytes:
        """The same for an answer's body."""
        return self(content.decode("utf-8", "replace")).encode() if self._values else content


class Log:
    """Appends to one file at a time."""

    def __init__(self, folder: Path, name: str, mask: Mask) -> None:
        make(folder)
        self._build, self._service = folder / f"{name}.build.log", folder / f"{name}.service.log"
        self._file = self._build
        self._mask = mask
        self._pending = ""
        self._closed = False

    def start_build(self) -> None:
        """A new build log; the one before it goes."""
        self._pending = ""
        self._file = self._build
        self._build.unlink(missing_ok=True)

    def start_service(self) -> None:
        """What follows belongs to the service log."""
        self.flush()
        self._file = self._service

    def write(self, text: str) -> None:
        """Append, masked, wherever the text is cut: the end of a line, which may have half a secret, waits for more."""
        shown, self._pending = self._mask.split(self._pending + text)
        self._append(shown)

    def flush(self) -> None:
        """Nothing follows: what waits is written."""
        pending, self._pending = self._pending, ""
        self._append(self._mask(pending))

    def close(self) -> None:
        """Nothing is written any more: the folder may go."""
        self.flush()
        self._closed = True

    def _append(self, text: str) -> None:
        if self._closed or not text:
            return
        try:
            if self._file.exists() and self._file.stat().st_size > _MAX_BYTES:
                self._file.replace(self._file.with_suffix(".1.log"))
            with self._file.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            # A full disk must neither stop the model, which writes on, nor what waits for its end.
            _logger.warning("%s cannot be written: %s", self._file, error)


def read(folder: Path, name: str, kind: str) -> str:
    """The end of the ``build`` or ``service`` log; empty when there is none."""
    file = folder / f"{name}.{kind}.log"
    if not file.exists():
        return ""
    with file.open("rb") as content:
        content.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return content.read().decode("utf-8", "replace")


def last_lines(text: str, count: int = 20) -> str:
    """For messages."""
    return "\n".join(text.rstrip().splitlines()[-count:])
