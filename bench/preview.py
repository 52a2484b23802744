"""(a) Preview of N agents, against the same resources hand-written with pulumi_databricks; (d) calls per preview.

Both programs run on the same engine, the same databricks plugin and the same workspace, in turn. The programs' memory
is the peak of the process that runs the program. Endpoints are made without waiting for a build: previews are measured.
What an AgentDeployment declares besides by default (derived tables, feedback model) is off: the resources are the same.
The floor is the same registrations again, by our thin classes, with no arguments to read and no verification. Where
AGENT_DEPLOY_BENCH_BASE names another checkout, such as an older commit's, its components are measured beside today's.
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

import agent_deploy
from agent_deploy.local import LocalWorkspace
from agent_deploy.stand_in.selection import select_plugin
from bench import models
from bench.report import Progress, Row

AGENTS = (1, 10, 50)
ROUNDS = 5
MODEL = "main.default.echo"
# Written by each program when it ends: its peak memory in kB.
MEASURE = """
import atexit, os, resource
peak = lambda: str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
atexit.register(lambda: open(os.environ["PEAK_FILE"], "w").write(peak()))
"""
OURS = """
import pulumi
from agent_deploy import AgentDeployment
key = pulumi.Config().require_secret("key")
for number in range(AGENTS):
    AgentDeployment(f"agent{number}", {
        "model_name": "main.default.echo", "model_version": "1", "endpoint_name": f"ours-AGENTS-{number}",
        "inference_tables": {"prefix": f"ours_AGENTS_{number}", "derive": False}, "environment": {"KEY": key},
        "permissions": [{"group_name": "users", "level": "CAN_QUERY"}],
        "feedback_model": False, "review_app": {"enabled": False},  # the other program has neither
    })
"""
THEIRS = """
import pulumi
import pulumi_databricks as databricks
key = pulumi.Config().require_secret("key")
for number in range(AGENTS):
    name = f"theirs-AGENTS-{number}"
    scope = databricks.SecretScope(f"agent{number}-secrets", name=name)
    secret = databricks.Secret(f"agent{number}-secret", scope=scope.name, key="KEY", string_value=key)
    variables = {"KEY": secret.config_reference, "ENABLE_MLFLOW_TRACING": "true",
                 "ENABLE_LANGCHAIN_STREAMING": "true", "RETURN_REQUEST_ID_IN_RESPONSE": "true"}
    endpoint = databricks.ModelServing(
        f"agent{number}", name=name,
        config=databricks.ModelServingConfigArgs(
            served_entities=[databricks.ModelServingConfigServedEntityArgs(
                name="echo_1", entity_name="main.default.echo", entity_version="1", workload_size="Small",
                workload_type="CPU", scale_to_zero_enabled=False, environment_vars=variables)],
            traffic_config=databricks.ModelServingConfigTrafficConfigArgs(
                routes=[databricks.ModelServingConfigTrafficConfigRouteArgs(
                    served_model_name="echo_1", traffic_percentage=100)])),
        ai_gateway=databricks.ModelServingAiGatewayArgs(
            inference_table_config=databricks.ModelServingAiGatewayInferenceTableConfigArgs(
                enabled=True, catalog_name="main", schema_name="default", table_name_prefix=f"theirs_AGENTS_{number}")))
    databricks.Permissions(f"agent{number}-permissions", serving_endpoint_id=endpoint.serving_endpoint_id,
        access_controls=[databricks.PermissionsAccessControlArgs(group_name="users", permission_level="CAN_QUERY")])
"""
FLOOR = """
import pulumi
from agent_deploy.resources.databricks import Permissions
from agent_deploy.resources.secret import Secret
from agent_deploy.resources.secret_scope import SecretScope
from agent_deploy.resources.serving_endpoint import ServingEndpoint
key = pulumi.Config().require_secret("key")
for number in range(AGENTS):
    name = f"floor-AGENTS-{number}"
    group = pulumi.ComponentResource("bench:index:Agent", f"agent{number}")
    under = pulumi.ResourceOptions(parent=group)
    scope = SecretScope(f"agent{number}-secrets", name=name, opts=under)
    secret = Secret(f"agent{number}-secret", scope=scope.name, name="KEY", value=key, opts=under)
    variables = {"KEY": secret.reference, "ENABLE_MLFLOW_TRACING": "true",
                 "ENABLE_LANGCHAIN_STREAMING": "true", "RETURN_REQUEST_ID_IN_RESPONSE": "true"}
    endpoint = ServingEndpoint(f"agent{number}", name=name, traffic={"echo_1": 100}, opts=under,
        served_entities={"echo_1": {"entity_name": "main.default.echo", "entity_version": "1", "workload_size": "Small",
                                    "workload_type": "CPU", "scale_to_zero_enabled": False,
                                    "environment_vars": variables}},
        ai_gateway={"inference_table_config": {"catalog_name": "main", "schema_name": "default",
                                               "table_name_prefix": f"floor_AGENTS_{number}"}})
    Permissions(f"agent{number}-permissions", serving_endpoint_id=endpoint.endpoint_id, opts=under,
        access_controls=[{"groupName": "users", "permissionLevel": "CAN_QUERY"}])
    group.register_outputs({})
"""
BASE_VARIABLE = "AGENT_DEPLOY_BENCH_BASE"


def run(progress: Progress) -> list[Row]:
    """Seconds and megabytes, first preview and no-op; then the calls of a no-op preview."""
    rows, calls = [], {}
    # As pip does with what it installs, the vendor's package too; of a checkout, nobody does it where writing is off.
    compileall.compile_dir(Path(agent_deploy.__file__).parent, quiet=1)
    with tempfile.TemporaryDirectory() as text, LocalWorkspace(serving_start="on_request") as workspace:
        folder = Path(text)
        models.register(MODEL, folder, workspace.env())
        for agents in AGENTS:
            programs = {
                which: Program(folder / f"{which}{agents}", source, agents, workspace, package)
                for which, (source, package) in _programs().items()
            }
            for phase in ("first", "no-op"):
                progress(f"{agents} agents, {phase} preview")
                taken: dict[str, list[tuple[float, float]]] = {which: [] for which in programs}
                for _ in range(ROUNDS):
                    for which, program in programs.items():
                        taken[which].append(program.preview())
                what = f"{agents} agent{'s' if agents > 1 else ''}, {phase} preview"
                rows += _rows(what, taken)
                if phase == "first":
                    progress(f"{agents} agents, up")
                    for program in programs.values():
                        program.up()
            with _counted(workspace) as count:
                programs["ours"].preview()
            calls[agents] = count()
            progress(f"{agents} agents, destroy")
            for program in programs.values():
                program.destroy()
    rows += [Row(f"{n} agents: calls to the workspace per no-op preview", "calls", calls[n]) for n in AGENTS]
    per_agent = [calls[n] / n for n in AGENTS]
    return [*rows, Row("calls per agent, 50 agents against 10", "calls", per_agent[-1], per_agent[-2], goal=1.05)]


def _programs() -> dict[str, tuple[str, str]]:
    """Which → its source, and the folder that our package comes from, unless that is this one."""
    programs = {"ours": (OURS, ""), "theirs": (THEIRS, ""), "floor": (FLOOR, "")}
    if base := os.environ.get(BASE_VARIABLE):
        compileall.compile_dir(Path(base) / "agent_deploy", quiet=1)
        programs["base"] = (OURS.replace("ours", "base"), base)
    return programs


def _rows(what: str, taken: dict[str, list[tuple[float, float]]]) -> list[Row]:
    seconds, megabytes = (
        {which: statistics.median(round_[figure] for round_ in rounds) for which, rounds in taken.items()}
        for figure in (0, 1)
    )
    rows = [
        Row(f"{what}: time", "s", seconds["ours"], seconds["theirs"], 0.65, floor=seconds["floor"], floor_goal=1.15),
        Row(f"{what}: program's memory", "MB", megabytes["ours"], megabytes["theirs"], 0.4, floor=megabytes["floor"]),
    ]
    if "base" in seconds:
        rows.append(Row(f"{what}: time, against {BASE_VARIABLE}", "s", seconds["ours"], seconds["base"], goal=1.1))
    return rows


class Program:
    """One Pulumi program in a folder and a stack of its own."""

    def __init__(self, folder: Path, source: str, agents: int, workspace: LocalWorkspace, package: str = "") -> None:
        self._folder = folder
        (folder / "state").mkdir(parents=True)
        (folder / "__main__.py").write_text(MEASURE + source.replace("AGENTS", str(agents)))
        (folder / "Pulumi.yaml").write_text("name: bench\nruntime: python\n")
        plugin = select_plugin(folder / "plugins")
        self._environment = {
            **os.environ,
            **workspace.env(),
            **plugin.environment(os.environ),
            **({"PYTHONPATH": package} if package else {}),
            "PEAK_FILE": str(folder / "peak"),
            "PULUMI_BACKEND_URL": (folder / "state").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "bench",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            # Or the engine looks for the plugins on the network, which takes as long as that takes.
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }
        self._run("stack", "init", "bench")
        self._run("config", "set", "--secret", "key", stdin="a-secret")

    def preview(self) -> tuple[float, float]:
        """Seconds and the program's peak in MB."""
        begin = time.perf_counter()
        self._run("preview")
        return time.perf_counter() - begin, int((self._folder / "peak").read_text()) / 1024

    def up(self) -> None:
        """Makes what it declares."""
        self._run("up", "--yes", "--skip-preview")

    def destroy(self) -> None:
        """Removes it."""
        self._run("destroy", "--yes", "--skip-preview")

    def _run(self, *arguments: str, stdin: str = "") -> None:
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self._folder, env=self._environment, input=stdin, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"pulumi {' '.join(arguments)} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


@contextmanager
def _counted(workspace: LocalWorkspace) -> Iterator[Callable[[], int]]:
    headers = {"Authorization": f"Bearer {workspace.token}"}
    url = f"{workspace.host}/_local/requests"
    httpx.delete(url, headers=headers).raise_for_status()

    def count() -> int:
        requests = httpx.get(url, headers=headers, timeout=30).json()["requests"]
        return len([request for request in requests if not request["path"].startswith("/_local")])

    yield count
