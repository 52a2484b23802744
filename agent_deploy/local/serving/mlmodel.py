"""The MLmodel of a version, which its maker wrote: read within limits, as fast as YAML is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.core.store import Document

MAX_BYTES = 256 << 10  # MLflow's own have some kilobytes
_MAX_DEPTH = 100
_MAX_ALIASES = 16  # each may double what a reader walks through
# The parser in C, where PyYAML was built with it, is ten times as fast. What puts the document together is Python all
# the same: in C it lets no other thread run meanwhile, and ends the process when a document is nested too deep.
_BASES: Any = (Composer, yaml.CSafeLoader) if hasattr(yaml, "CSafeLoader") else (yaml.SafeLoader,)


class _Loader(*_BASES):  # type: ignore[misc]
    """Of plain values, within the limits."""

    def __init__(self, text: str) -> None:
        for base in _BASES[::-1]:
            base.__init__(self, *([] if base is Composer else [text]))
        self._depth = self._aliases = 0

    def get_event(self) -> Any:
        event = super().get_event()
        self._depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        self._aliases += isinstance(event, yaml.AliasEvent)
        if self._depth > _MAX_DEPTH:
            raise _not_read(f"it is nested more than {_MAX_DEPTH} levels deep")
        if self._aliases > _MAX_ALIASES:
            raise _not_read(f"it has more than {_MAX_ALIASES} aliases")
        return event


def read(folder: Path) -> Document:
    """Its fields; raises 400 for what is no MLmodel. Takes a while for a large one: not for the event loop."""
    file = folder / "MLmodel"
    if (size := file.stat().st_size) > MAX_BYTES:
        raise _not_read(f"it has {size} bytes; at most {MAX_BYTES} are read")
    try:
        text = file.read_text(encoding="utf-8")
        document = yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise _not_read(str(error)) from error
    if not isinstance(document, dict):
        raise _not_read("expected a mapping")
    return document


def _not_read(why: str) -> ApiError:
    return ApiError(400, "INVALID_STATE", f"The MLmodel file cannot be read: {why}.")
