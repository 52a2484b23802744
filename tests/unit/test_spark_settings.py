"""What Java is told of the scratch folder."""

from __future__ import annotations

import shlex
from pathlib import Path

from agent_deploy.tables.spark import settings


def test_the_scratch_folder_is_one_option_of_java_whatever_its_name() -> None:
    options = settings([], Path("/a b/c'd"))["spark.driver.extraJavaOptions"]
    assert shlex.split(options)[-1] == "-Djava.io.tmpdir=/a b/c'd"
