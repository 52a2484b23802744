"""The text of an MLmodel file, which the model's maker wrote: read within limits, as fast as YAML is read.

Imported where such a file is read, not on every program's path: YAML's parser takes its time to import.
"""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import Composer

MAX_BYTES = 256 << 10  # MLflow's own have some kilobytes
_MAX_DEPTH = 100
_MAX_ALIASES = 16  # each may double what a reader walks through
# The parser in C, where PyYAML was built with it, is ten times as fast. What puts the document together is Python all
# the same: in C it lets no other thread run meanwhile, and ends the process when a document is nested too deep.
_BASES: Any = (Composer, yaml.CSafeLoader) if hasattr(yaml, "CSafeLoader") else (yaml.SafeLoader,)


class MLmodelError(ValueError):
    """The text is no MLmodel file, or not one that is read; says why."""


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
            raise MLmodelError(f"it is nested more than {_MAX_DEPTH} levels deep")
        if self._aliases > _MAX_ALIASES:
            raise MLmodelError(f"it has more than {_MAX_ALIASES} aliases")
        return event


def check_size(size: int) -> None:
    """Before a file of so many bytes is read; raises MLmodelError."""
    if size > MAX_BYTES:
        raise MLmodelError(f"it has {size} bytes; at most {MAX_BYTES} are read")


def parsed(text: str) -> dict[str, Any]:
    """Its fields; raises MLmodelError. Takes a while for a large one: not for an event loop."""
    check_size(len(text.encode(errors="surrogatepass")))
    try:
        document = yaml.load(text, Loader=_Loader)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise error if isinstance(error, MLmodelError) else MLmodelError(str(error)) from error
    if not isinstance(document, dict):
        raise MLmodelError("expected a mapping")
    return document
