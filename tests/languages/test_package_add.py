"""`pulumi package add` of a checkout: Pulumi installs what it needs, starts it, and a program uses its components."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import yaml

from agent_deploy.stand_in.selection import select_plugin
from tests.engine.serving import Site
from tests.engine.support import Stack
from tests.languages.compiled import ROOT

# What of the repository the plugin is made of.
FILES = ("PulumiPlugin.yaml", "__main__.py", "requirements.txt", "pyproject.toml", "README.md", "LICENSE")
NAME = "Agent Deploy"
FEEDBACK = {
    "type": "agent-deploy:FeedbackModel",
    "properties": {"catalog": "main", "schema": "default"},
}


def test_a_checkout_is_added_to_a_project_and_used(
    site: Site, open_stack: Callable[..., Stack], tmp_path: Path
) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "agent_deploy", checkout / "agent_deploy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, checkout)
    # To see that it is this folder that runs, and not what is installed here.
    schema = checkout / "agent_deploy" / "provider" / "schema.py"
    assert schema.read_text().count(NAME) == 1
    schema.write_text(schema.read_text().replace(NAME, "Agents of a checkout"))
    # Python and pip themselves, and not what other tests have in their place to be quicker.
    stack = open_stack(warm=False)
    # Python's language host, where it is the old one that can be built, starts the `__main__` that Python finds first,
    # and not the folder's; Pulumi's own release starts the folder.
    stack.set_environment({"PYTHONPATH": str(checkout)})
    (stack.folder / "__main__.py").unlink()
    project = stack.folder / "Pulumi.yaml"
    project.write_text(yaml.safe_dump({"name": stack.project, "runtime": "yaml"}))
    if folder := select_plugin(tmp_path / "plugins").folder:
        # Our plugin's requirements name the vendor's, which the engine would fetch.
        release = version("pulumi_databricks")
        stack.run("plugin", "install", "resource", "databricks", release, "--file", str(folder))
    assert "Added package Agents of a checkout" in stack.run_apart("package", "add", str(checkout))
    added = yaml.safe_load(project.read_text())
    assert list(added["packages"]) == ["agent-deploy"]

    project.write_text(
        yaml.safe_dump({**added, "resources": {"feedback": FEEDBACK}, "outputs": {"model": "${feedback.modelName}"}})
    )
    stack.run_apart("up", "--yes", "--skip-preview")
    assert stack.outputs() == {"model": "main.default.feedback"}
    stack.run_apart("destroy", "--yes", "--skip-preview")
    assert stack.resources() == {}
