"""Where Pulumi gets the plugin from, without our environment: `pulumi package add` of a checkout, the engine's download
of a release. Pulumi installs what it needs, starts it, and a program uses its components.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import yaml

from agent_deploy.stand_in.selection import select_plugin
from tests.engine.serving import Site
from tests.engine.support import Stack
from tests.languages.compiled import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import release

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


def test_the_engine_downloads_a_release(open_stack: Callable[..., Stack], tmp_path: Path) -> None:
    dist = tmp_path / "dist"
    wheel = ("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(dist), str(ROOT))
    subprocess.run([sys.executable, "-m", "pip", *wheel], check=True, timeout=180)
    release.plugin_archives(dist)
    stack = open_stack(warm=False)
    stack.set_environment({"PYTHONPATH": "", "PIP_FIND_LINKS": str(dist), "PULUMI_IGNORE_AMBIENT_PLUGINS": "true"})
    asked: list[str] = []

    class Server(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *said: object) -> None:
            asked.append(self.path)

    released = release.version()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(dist))) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            where = f"http://127.0.0.1:{server.server_address[1]}"
            stack.run("plugin", "install", "resource", "agent-deploy", f"v{released}", "--server", where)
        finally:
            server.shutdown()
    assert [path.partition("-v")[0] for path in asked] == ["/pulumi-resource-agent-deploy"]
    # As above, the old language host starts the `__main__` that Python finds first, by the Python that is on PATH.
    [installed] = Path(stack.environment()["PULUMI_HOME"], "plugins").glob("resource-agent-deploy-v*/__main__.py")
    (stack.folder / "__main__.py").unlink()
    stack.set_environment({"PYTHONPATH": str(installed.parent)})
    said = stack.run_apart("package", "get-schema", f"agent-deploy@{released}")
    schema = json.loads(said)
    assert schema["version"] == released
    assert "agent-deploy:index:FeedbackModel" in schema["resources"]
