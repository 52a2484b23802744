"""`make demo`: an agent declared, deployed, asked, rated, changed and torn down, on this machine, for real."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.core.process_tree import kill_process_tree
from agent_deploy.local.pages.links import sign_in_link
from agent_deploy.local.workspace import WorkspaceError
from agent_deploy.rules.tables import derived_tables
from agent_deploy.stand_in.selection import Plugin, select_plugin
from agent_deploy.tables.jars import JarsMissing, delta_jars
from agent_deploy.tables.java import JavaMissing, find_java
from agent_deploy.tables.refresh import table_folder

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".agent-deploy" / "demo"
MODEL = "main.default.docs_agent"
FEEDBACK = "main.default.feedback"
ENDPOINT = "agents_main-default-docs_agent"
QUESTION = "What happens to the service principal when a model version leaves the endpoint?"
HARDER_QUESTION = "How do I roll back to an earlier version?"  # whose answer stands in more than one place
TABLES = ("main.default.docs_questions", "main.default.salaries")
UNITY_CATALOG = "/api/2.1/unity-catalog"
SPARK_SECONDS = 300.0  # the first run on a machine fetches Delta Lake's jars
ROWS_SECONDS = 30.0  # rows are written in batches of a second
PROGRESS_SECONDS = 10.0
API_KEY = "demo-key-that-nobody-may-see"

console = Console(highlight=False, soft_wrap=True)
Answer = TypeVar("Answer")


class Failed(Exception):
    """A step that did not work; the text says which command and with what result."""


# ValueError: settings that are none of ours, and answers that are no JSON. EOFError: nobody is there for --pause.
STOPS = (Failed, WorkspaceError, httpx.HTTPError, OSError, ValueError, EOFError)


def main() -> int:
    """0 when every step worked, 1 with the reason otherwise; nothing is left running either way."""
    started = time.monotonic()
    try:
        shutil.rmtree(FOLDER, ignore_errors=True)
        FOLDER.mkdir(parents=True, mode=0o700)
        with _workspace() as workspace:
            Demo(workspace).run()
    except STOPS as error:
        return _stopped(str(error))
    except KeyboardInterrupt:
        return _stopped("interrupted")
    console.print(f"\n[bold green]Done[/] in {time.monotonic() - started:.0f} s. Nothing is running any more.")
    console.print(f"Kept until the next demo: Delta tables in {FOLDER / 'workspace' / 'tables' / 'main' / 'default'}")
    console.print("Next: docs/sample-agent.md, with stacks/Pulumi.dev.yaml, and docs/your-own-agent.md.")
    return 0


def _stopped(reason: str) -> int:
    console.print(f"\n[bold red]The demo stopped:[/] {escape(reason)}")
    console.print(f"What the workspace wrote: {FOLDER / 'workspace' / 'logs'}")
    return 1


@contextmanager
def _workspace() -> Iterator[LocalWorkspace]:
    _step("A workspace on this machine", "Databricks' REST API on 127.0.0.1, so that no account is needed.")
    with LocalWorkspace(folder=FOLDER / "workspace", progress=_say) as workspace:
        console.print(f"  {workspace.host}, its state in {FOLDER / 'workspace'}")
        yield workspace


class Demo:
    """The steps, in the order in which a platform engineer takes them."""

    def __init__(self, workspace: LocalWorkspace) -> None:
        self._workspace = workspace
        self._settings = FOLDER / "Pulumi.demo.yaml"
        plugin = select_plugin(FOLDER / "plugins")
        self._environment = {
            **os.environ,
            **workspace.env(),
            **plugin.environment(os.environ),
            "PULUMI_BACKEND_URL": f"{(FOLDER / 'state').as_uri()}?metadata=skip",  # docs/known-failures.md
            "PULUMI_CONFIG_PASSPHRASE": "demo",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
            # Of MLflow's pages for runs and experiments, which a local workspace does not have.
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        }
        (FOLDER / "state").mkdir()
        console.print(f"  databricks plugin: {plugin}")
        if plugin.plugin is Plugin.STAND_IN:
            _say("it is ours, on the PATH of this demo alone; Pulumi warns of it in each run below")

    def run(self) -> None:
        """All of it."""
        self._tables()
        self._register("1")
        self._first_deployment()
        self._list()
        answer = self._ask()
        self._touch()
        self._rate(answer)
        self._show_pages()
        self._show_rows()
        self._show_logs()
        self._register("2")
        self._change()
        self._tear_down()

    def _register(self, version: str) -> None:
        _step(f"Version {version} of the agent", f"Logged with MLflow, registered in Unity Catalog as {MODEL}.")
        self._command(sys.executable, "-m", "stacks.agents.docs_agent.log", MODEL)

    def _first_deployment(self) -> None:
        _step("Declare it", "What stacks/__main__.py reads; the same program runs against an account.")
        self._declare(version="1", style="short", size="Small")
        console.print(_indented(self._settings.read_text()))
        self._pulumi("stack", "init", "demo")
        # The engine notes a new stack's encryption beside those of the repository; the demo keeps its own file.
        (ROOT / "stacks" / "Pulumi.demo.yaml").unlink(missing_ok=True)
        _say("a secret for the agent, read from standard input, encrypted with the stack's passphrase:")
        self._pulumi("config", "set", "--secret", "docs_api_key", stdin=API_KEY)
        _step("Preview", "Verified against the workspace before anything is created.")
        self._pulumi("preview")
        _step("Deploy", "A real `pulumi up`. The endpoint's state shows beside the resource until it is ready.")
        self._pulumi("up", "--yes", "--skip-preview")

    def _list(self) -> None:
        _step("What is deployed where", "The register that databricks.agents reads, and what the endpoints say.")
        self._command("agent-deploy", "deployments")

    def _ask(self) -> dict[str, Any]:
        url = f"{self._workspace.host}/serving-endpoints/{ENDPOINT}/invocations"
        body = {"input": [{"role": "user", "content": QUESTION}], "databricks_options": {"return_trace": True}}
        _step("Ask it, with curl", "Over HTTP, as any client does, the trace of the answer included.")
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "-u", f"token:{self._workspace.token}"]
        command += ["-H", "Content-Type: application/json", "-d", json.dumps(body), url]
        shown = shlex.join(command).replace(self._workspace.token, "$DATABRICKS_TOKEN")
        console.print(f"  [cyan]$ {escape(shown)}[/]")
        answer = json.loads(self._output(*command))
        console.print(_indented(answer["output"][0]["content"][0]["text"]))
        request_id = answer["databricks_output"]["databricks_request_id"]
        spans = answer["databricks_output"]["trace"]["data"]["spans"]
        console.print(f"  request id {request_id}; trace of {len(spans)} spans: {', '.join(s['name'] for s in spans)}")
        _step("Ask it, with Databricks' SDK and with MLflow's client", "Unmodified clients, as in your own code.")
        self._command(sys.executable, str(ROOT / "tools" / "demo_clients.py"), ENDPOINT, "What is a local workspace?")
        _step("Ask it, streaming", "From the command line; the words are shown as they come.")
        self._command("agent-deploy", "query", ENDPOINT, "How are secrets kept out of the state?")
        return answer

    def _tables(self) -> None:
        """Two tables of the same schema; the agent's model declares the first one when it is logged."""
        column = {"name": "question", "type_name": "STRING", "type_text": "string", "type_json": '"string"'}
        more = {"table_type": "MANAGED", "data_source_format": "DELTA", "columns": [{**column, "position": 0}]}
        for table in TABLES:
            catalog, schema, name = table.split(".")
            body = {"catalog_name": catalog, "schema_name": schema, "name": name, **more}
            self._call("POST", f"{UNITY_CATALOG}/tables", self._workspace.token, body).raise_for_status()

    def _touch(self) -> None:
        _step("What it may touch", "Granted by the platform to this version's own identity: what its model declares.")
        console.print(f"  two tables were made for this demo; the model declares {TABLES[0]} alone")
        (identity,) = json.loads(self._output("pulumi", "stack", "output", "docs_identities", "--json"))
        for line in identity["access"]:
            console.print(f"  version {identity['version']} ({identity['auth']}): {line}")
        # What databricks-sdk reads in the served processes: the tokens of identities that are in no listing, the
        # agent's, and the feedback model's, which may touch nothing.
        files = (FOLDER / "workspace" / "serving" / "credentials").rglob("model-dependencies-oauth-token")
        tokens = [json.loads(file.read_text())["OAUTH_TOKEN"][0]["oauthTokenValue"] for file in files]
        answers = [
            [self._call("GET", f"{UNITY_CATALOG}/tables/{table}", token) for table in TABLES] for token in tokens
        ]
        reached = sorted([answer.status_code for answer in each] for each in answers)
        if reached != [[200, 403], [403, 403]]:
            raise Failed(f"calls to {' and '.join(TABLES)} as the agent and as the feedback model ended in {reached}")
        (own,) = [each for each in answers if each[0].is_success]
        for table, answer in zip(TABLES, own, strict=True):
            told = "here it is" if answer.is_success else answer.json()["message"]
            console.print(f"  as the agent, GET {table}: {answer.status_code}, {told}")

    def _rate(self, answer: Mapping[str, Any]) -> None:
        output = answer["databricks_output"]
        trace_id = output["trace"]["info"]["trace_id"]
        _step("Rate the answer", "To the endpoint's feedback model, and the same as assessments on the answer's trace.")
        rated = ["feedback", ENDPOINT, "--request-id", output["databricks_request_id"]]
        rates = ["--rating", "answer_correct=positive", "--retrieval", "0:groundedness=positive"]
        self._command("agent-deploy", *rated, *rates, "--comment", "It names its source.")
        _step("Look at the rating", f"On trace {trace_id}, as mlflow.get_trace reads it; below, as a row of the table.")
        self._command(sys.executable, str(ROOT / "tools" / "demo_feedback.py"), trace_id)
        _step("Feedback that means nothing", "Refused by the name of its field, and written nowhere.")
        self._command("agent-deploy", *rated, "--source-type", "robot", "--rating", "accurate=positive", fails=True)

    def _show_pages(self) -> None:
        _step("The Review App", "Where people chat with the agent and rate it, while the demo runs.")
        workspace, page = self._workspace, f"/ml/review-v2/chat?endpoint={ENDPOINT}"
        console.print(f"  sign in, once: {sign_in_link(workspace.host, workspace.token, page=page)}")
        console.print(f"  from then on:  {workspace.host}{page}")
        console.print(f"  for the team:  {workspace.host}/ml/review-v2/team?endpoint={ENDPOINT}")
        console.print(f"  deployments:   {workspace.host}/ml/deployments")
        if "--pause" in sys.argv:
            console.input("  Enter goes on: ")
        else:
            _say("to have the demo wait here while you look: make demo DEMO_ARGS=--pause")

    def _show_rows(self) -> None:
        _step("The logged rows", f"{MODEL}_payload, a Delta table: every request, written within a second.")
        table = Table("time (UTC)", "request id", "status", "ms", "question, or feedback")
        rows = self._rows()
        for row in rows:
            request = json.loads(row["request"])
            asked = "input" in request
            question = request["input"][-1]["content"] if asked else _told(request["dataframe_records"][0])
            duration = str(row["execution_duration_ms"])
            moment, request_id = f"{row['request_time']:%H:%M:%S}", row["databricks_request_id"][:8] + "…"
            table.add_row(moment, request_id, str(row["status_code"]), duration, question)
        console.print(Padding.indent(table, 4))
        columns = ", ".join(rows[0])
        console.print(f"  all columns: {columns}")

    def _show_logs(self) -> None:
        _step("Request logs", "The job that the deployment made derives them each hour; here it is started at once.")
        try:
            # Delta Lake's jars are fetched once; where that cannot be, the message says what to do.
            delta_jars(find_java())
        except (JavaMissing, JarsMissing) as error:
            _say(f"left out: {error}")
            return
        [job] = self._get("/api/2.2/jobs/list")["jobs"]
        console.print(f"  job {job['settings']['name']!r}, Apache Spark in a process of its own")
        run = self._post("/api/2.2/jobs/run-now", {"job_id": job["job_id"]})["run_id"]

        def ended() -> dict[str, Any] | None:
            state: dict[str, Any] = self._get(f"/api/2.2/jobs/runs/get?run_id={run}")["state"]
            return state if state["life_cycle_state"] == "TERMINATED" else None

        state = _awaited("the end of the job", SPARK_SECONDS, ended)
        if state["result_state"] != "SUCCESS":
            raise Failed(f"the job ended with {state['result_state']}: {state['state_message']}")
        self._command("agent-deploy", "tables", "show", ENDPOINT, "requests", "--folder", str(FOLDER / "workspace"))

    def _rows(self) -> list[dict[str, Any]]:
        from deltalake import DeltaTable  # here, since it takes a moment to import

        from agent_deploy.tables.dataset import dataset

        catalog, schema, model = MODEL.split(".")
        path = FOLDER / "workspace" / "tables" / catalog / schema / f"{model}_payload"

        def written() -> list[dict[str, Any]] | None:
            rows = dataset(DeltaTable(path), path).to_table().to_pylist() if path.exists() else []
            return sorted(rows, key=lambda row: row["request_time"]) if len(rows) >= 4 else None

        return _awaited(f"three questions and a feedback in the payload table {path}", ROWS_SECONDS, written)

    def _change(self) -> None:
        _step(
            "Change it in place", "Version 2, longer answers, a larger size: the endpoint stays, and goes on answering."
        )
        before = self._endpoint_id()
        self._declare(version="2", style="long", size="Medium")
        self._review()
        self._pulumi("up", "--yes", "--skip-preview")
        if (after := self._endpoint_id()) != before:
            raise Failed(f"{ENDPOINT} was not changed in place: its id was {before} and is {after}")
        console.print(f"  the endpoint's id is {after}, as before")
        _step("Ask again", "Version 2 quotes several passages: the changed ANSWER_STYLE has reached its process.")
        self._command("agent-deploy", "query", ENDPOINT, HARDER_QUESTION)

    def _endpoints_of_users(self) -> list[Any]:
        """Without the foundation models', which nobody made."""
        listed = self._get("/api/2.0/serving-endpoints").get("endpoints", [])
        return [each for each in listed if each.get("creator")]

    def _review(self) -> None:
        _say("what a reviewer reads; `agent-deploy comment` keeps it on the pull request:")
        settings = ("--stack", "demo", "--config-file", str(self._settings), "--non-interactive")
        events = FOLDER / "events.json"
        self._output("pulumi", "preview", "--event-log", str(events), *settings)
        self._command("agent-deploy", "report", "--event-log", str(events))

    def _tear_down(self) -> None:
        _step("Tear it down", "A real `pulumi destroy`. The empty stack stays in the demo's folder.")
        self._pulumi("destroy", "--yes", "--skip-preview")
        _step("Proof that nothing is left", "Of the deployment, asked of the workspace itself.")
        left = {
            "serving endpoints": self._endpoints_of_users(),
            "secret scopes": self._get("/api/2.0/secrets/scopes/list").get("scopes", []),
            "pipelines": self._get("/api/2.0/pipelines").get("statuses", []),
            "jobs": self._get("/api/2.2/jobs/list").get("jobs", []),
            "feedback models": [each for each in self._models() if each["full_name"] == FEEDBACK],
            "service principals": self._get("/api/2.0/preview/scim/v2/ServicePrincipals").get("Resources", []),
        }
        left["registered agents"] = self._get("/api/2.0/agents/deployments")["chain_deployments"]
        for kind, objects in left.items():
            console.print(f"  {kind}: {len(objects)}")
        if any(left.values()):
            raise Failed(f"the teardown left something behind: {left}")
        state = b"".join(path.read_bytes() for path in (FOLDER / "state").rglob("*") if path.is_file())
        if API_KEY.encode() in state:
            raise Failed("the secret stands in plain text in the state")
        console.print("  the secret in Pulumi's state: encrypted, nowhere in plain text")
        console.print(f"  kept on purpose: the logged rows in {MODEL}_payload")
        names = derived_tables(f"{MODEL}_payload").values()
        if derived := [name for name in names if table_folder(FOLDER / "workspace", name).exists()]:
            console.print(f"  and what was derived from them: {', '.join(derived)}")
        console.print(f"  not the deployment's: both versions of {MODEL}, their experiment, the two tables")

    def _endpoint_id(self) -> str:
        return str(self._get(f"/api/2.0/serving-endpoints/{ENDPOINT}")["id"])

    def _models(self) -> list[dict[str, Any]]:
        query = "catalog_name=main&schema_name=default"
        found: list[dict[str, Any]] = self._get(f"{UNITY_CATALOG}/models?{query}").get("registered_models", [])
        return found

    def _declare(self, version: str, style: str, size: str) -> None:
        """Writes the stack's settings; the encryption salt and the secret in it stay."""
        import yaml  # a dependency of Pulumi's

        kept = yaml.safe_load(self._settings.read_text()) if self._settings.exists() else {}
        agent = {
            "model_name": MODEL,
            "versions": [{"version": version}],
            "workload_size": size,
            "scale_to_zero": True,
            "environment": {"ANSWER_STYLE": style},
            "secrets": {"DOCS_API_KEY": "docs_api_key"},
            "permissions": [{"group_name": "users", "level": "CAN_QUERY"}],
        }
        config = {**kept.get("config", {}), "agents:agents": {"docs": agent}}
        self._settings.write_text(yaml.safe_dump({**kept, "config": config}, sort_keys=False))

    def _pulumi(self, *arguments: str, stdin: str | None = None) -> None:
        verbs = ("stack", "config", "preview", "up", "destroy")
        stack = ["--stack", "demo"] if arguments[0] in verbs and arguments[0] != "stack" else []
        settings = ["--config-file", str(self._settings)] if arguments[0] != "stack" else []
        quiet = ["--non-interactive", "--color", "always" if console.is_terminal else "never"]
        self._command("pulumi", *arguments, *stack, *settings, *quiet, stdin=stdin)

    def _command(self, *command: str, stdin: str | None = None, fails: bool = False) -> None:
        """Runs it with its output indented as it comes; raises Failed when it does, or with ``fails`` when not."""
        shown = shlex.join([Path(command[0]).name, *command[1:]]).replace(f"{ROOT}/", "")
        console.print(f"  [cyan]$ {escape(shown)}[/]")
        with subprocess.Popen(
            command,
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                _follow(process, stdin)
            finally:
                if process.poll() is None:  # we were interrupted: the engine's plugins would outlive it
                    kill_process_tree(process.pid)
        if (process.returncode != 0) is not fails:
            raise Failed(f"`{shown}` ended with exit code {process.returncode}")

    def _output(self, *command: str) -> str:
        result = subprocess.run(command, cwd=ROOT, env=self._environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise Failed(f"`{command[0]}` ended with exit code {result.returncode}: {result.stdout}{result.stderr}")
        return result.stdout

    def _get(self, path: str) -> dict[str, Any]:
        response = self._call("GET", path, self._workspace.token)
        response.raise_for_status()
        body: dict[str, Any] = response.json()
        return body

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        response = self._call("POST", path, self._workspace.token, body)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def _call(self, method: str, path: str, token: str, body: dict[str, Any] | None = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self._workspace.host}{path}", headers=headers, json=body, timeout=30)


def _follow(process: subprocess.Popen[str], stdin: str | None) -> None:
    """Shows the output as it comes, to the end of the process."""
    if stdin and process.stdin:
        process.stdin.write(stdin)
        process.stdin.close()
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(f"    {line}")
        sys.stdout.flush()
    process.wait()


def _awaited(what: str, seconds: float, look: Callable[[], Answer | None]) -> Answer:
    """The first answer of ``look`` that is not None; every 10 s a line says since when. Raises Failed at the end."""
    started = told = time.monotonic()
    while (answer := look()) is None:
        now = time.monotonic()
        if now - started > seconds:
            raise Failed(f"{what} did not come within {seconds:.0f} s")
        if now - told > PROGRESS_SECONDS:
            told = now
            _say(f"waiting for {what} since {now - started:.0f} s")
        time.sleep(0.2)
    return answer


def _told(record: Mapping[str, Any]) -> str:
    ratings = [
        f"{name}: {rating['value']}"
        for assessment in (*(record["text_assessments"] or ()), *(record["retrieval_assessments"] or ()))
        for name, rating in assessment["ratings"].items()
    ]
    return f"{', '.join(ratings)} on {record['request_id'][:8]}…"


def _say(text: str) -> None:
    console.print(f"  {text}", markup=False)


def _step(title: str, why: str) -> None:
    console.print(f"\n[bold]▶ {title}[/]\n  [dim]{why}[/]")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


if __name__ == "__main__":
    sys.exit(main())
