"""Spans that searches filter by: clients upload a trace's spans as a file, MLflow's server searches its own table.

The table is filled from the files before a search that asks for spans or text, with what is new since the last one.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

from agent_deploy.local.core.context import Workspace
from agent_deploy.local.tracking.artifacts import FOLDER
from agent_deploy.local.tracking.process import SPANS_PATH
from agent_deploy.local.tracking.server import MlflowServer
from agent_deploy.tables.folders import folder_name

_ASKS = re.compile(r"\bspan\.|\btext\b|\bname\b", re.IGNORECASE)
_AT_ONCE = 500  # files in one request


class Spans:
    """Thread-safe. What was taken is forgotten with the process, and then taken again: that changes nothing."""

    def __init__(self, workspace: Workspace, server: MlflowServer) -> None:
        self._folder = workspace.folder / FOLDER
        self._server = server
        self._lock = threading.Lock()
        self._taken: dict[Path, int] = {}

    def prepare(self, filter_string: object, experiment_ids: set[str]) -> None:
        """Before a search: see to it that the table has the spans of these experiments, if the filter asks for them."""
        if not isinstance(filter_string, str) or not _ASKS.search(filter_string):
            return
        with self._lock:
            for experiment_id in sorted(experiment_ids):
                found = (self._folder / folder_name(experiment_id) / "Traces").glob("*/artifacts/traces.json")
                changed = {path: path.stat().st_mtime_ns for path in found}
                new = [path for path, at in changed.items() if self._taken.get(path) != at]
                for first in range(0, len(new), _AT_ONCE):
                    part = new[first : first + _AT_ONCE]
                    body = {"experiment_id": experiment_id, "files": [str(path) for path in part]}
                    self._server.request("POST", SPANS_PATH, json=body).raise_for_status()
                    self._taken |= {path: changed[path] for path in part}
