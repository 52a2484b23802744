"""`agent-deploy query`: asks a deployed agent and shows its answer as it comes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError


def query(
    endpoint: Annotated[str, typer.Argument(help="Name of the serving endpoint.")],
    question: Annotated[str, typer.Argument(help="What to ask; '-' reads it from standard input.")],
    conversation_id: Annotated[str, typer.Option(help="Sent with the question, and logged with it.")] = "",
    return_trace: Annotated[
        bool, typer.Option("--return-trace", help="Show what the agent did, step by step.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer's JSON as the endpoint sends it.")] = False,
    stream: Annotated[bool, typer.Option(help="Show the answer while it is written.")] = True,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the agent, its start included.")] = 600.0,
) -> None:
    """Ask a deployed agent."""
    # Here, not at the top: `agent-deploy --help` needs no HTTP client.
    from agent_deploy.client.errors import WorkspaceError
    from agent_deploy.client.query import Question, ask
    from agent_deploy.client.workspace import Workspace

    asked = sys.stdin.read().strip() if question == "-" else question
    if not asked.strip():
        raise CommandError("the question is empty: give it after the endpoint's name, or '-' to read it from a pipe")
    try:
        answer = ask(
            Workspace(),
            endpoint,
            Question(asked, conversation_id, return_trace),
            stream=stream and not as_json,
            on_text=_ignore if as_json else _show,
            on_waiting=_say_waiting,
            read_timeout=timeout,
        )
    except WorkspaceError as error:
        raise CommandError(" ".join(str(error).split())) from error
    if as_json:
        typer.echo(json.dumps(answer.document, indent=2, ensure_ascii=False))
        return
    typer.echo("" if answer.text.endswith("\n") else "\n", nl=False)
    if answer.request_id:
        typer.echo(f"request id {answer.request_id}", err=True)
    if return_trace:
        _show_trace(answer.trace)


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _ignore(_text: str) -> None:
    """JSON is printed when it is complete."""


def _say_waiting(what: str) -> None:
    typer.echo(f"{what} (since {time.strftime('%H:%M:%S')})…", err=True)


def _show_trace(trace: Mapping[str, Any] | None) -> None:
    if not trace:
        typer.echo("The endpoint sent no trace: is ENABLE_MLFLOW_TRACING set for its served entity?", err=True)
        return
    info, spans = trace.get("info") or {}, (trace.get("data") or {}).get("spans") or []
    typer.echo(f"\ntrace {info.get('trace_id', '')}")
    children: dict[str | None, list[Mapping[str, Any]]] = {}
    for span in spans:
        children.setdefault(span.get("parent_span_id") or None, []).append(span)
    known = {span.get("span_id") for span in spans}
    roots = [span for span in spans if span.get("parent_span_id") not in known]
    for root in roots:
        _show_span(root, children, depth=0)


def _show_span(span: Mapping[str, Any], children: Mapping[str | None, list[Mapping[str, Any]]], depth: int) -> None:
    nanoseconds = int(span.get("end_time_unix_nano") or 0) - int(span.get("start_time_unix_nano") or 0)
    kind = str((span.get("attributes") or {}).get("mlflow.spanType", "")).strip('"')
    typer.echo(f"{'  ' * depth}- {span.get('name')} {kind.lower()} {nanoseconds / 1e6:.1f} ms".replace("  ms", " ms"))
    for child in children.get(span.get("span_id"), []):
        _show_span(child, children, depth + 1)
