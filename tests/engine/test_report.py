"""`agent-deploy report` on previews that the engine makes now: as on the recorded ones."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent_deploy.report.build import report_of
from agent_deploy.report.markdown import markdown
from agent_deploy.report.preview import read
from agent_deploy.report.structure import SAFE, UNTOLD
from tests.engine.previews import FOLDER, PROGRAM, prepare, record
from tests.engine.serving import Site
from tests.engine.support import BIN, RUN_SECONDS, both_plugins


def test_previews_are_as_recorded(
    local_workspace_factory: Callable[..., Any], open_stack: Callable[..., Any], tmp_path: Path
) -> None:
    site = Site(local_workspace_factory(serving_start="on_request"))
    prepare(site)
    opened = open_stack(PROGRAM, environment=site.environment, plugins=both_plugins(tmp_path / "plugins"))
    for kind, said, log in record(opened, ("unknown_value", "first_deployment")):
        of_preview, of_log = (report_of(read(text, opened.project, opened.name)) for text in (said, log))
        assert markdown(of_preview) == (FOLDER / f"{kind}.md").read_text("utf-8")
        # What passthrough gives to a version that comes, the JSON does not have.
        assert of_log.verdict.kinds == tuple(each for each in of_preview.verdict.kinds if each != UNTOLD) or (SAFE,)
    # Without a file, the command runs the preview itself.
    done = subprocess.run(
        [BIN / "agent-deploy", "report", "--json", "--project", opened.project],
        cwd=opened.folder, env=opened.environment(), capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]["kind"] == SAFE
