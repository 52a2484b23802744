"""`agent-deploy feedback`: rates an answer of a deployed agent, or takes a rating back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.showing import waiting

if TYPE_CHECKING:
    from agent_deploy.client.give_feedback import Given, Rating


def feedback(
    endpoint: Annotated[str, typer.Argument(help="Name of the serving endpoint.")],
    request_id: Annotated[str, typer.Option(help="databricks_request_id of the answer; `query` prints it.")] = "",
    answer: Annotated[
        str, typer.Option(help="File with the answer's JSON (`query --json` prints it) instead of its id; '-': a pipe.")
    ] = "",
    rating: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, such as answer_correct=positive; may be repeated.")
    ] = None,
    comment: Annotated[str, typer.Option(help="In your own words.")] = "",
    suggested: Annotated[str, typer.Option(help="What should have been answered.")] = "",
    retrieval: Annotated[
        list[str] | None,
        typer.Option(help="POSITION:NAME=VALUE of a retrieved document, 0 the first; may be repeated."),
    ] = None,
    source: Annotated[str, typer.Option(help="Who rates; default: you.")] = "",
    source_type: Annotated[str, typer.Option(help="human, expert, end_user, ai_judge, llm_judge or code.")] = "human",
    again: Annotated[bool, typer.Option("--again", help="Rate even what was rated and withdrawn before.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take your earlier feedback off the trace.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Rate an answer: a row in the inference table, and an assessment on the answer's trace."""
    # Here, not at the top: `agent-deploy --help` needs no HTTP client.
    from agent_deploy.client import give_feedback
    from agent_deploy.client.errors import WorkspaceError

    if not request_id and not answer:
        raise CommandError("which answer? Give its --request-id, or the --answer itself")
    if withdraw and (rating or retrieval or comment or suggested or not request_id):
        raise CommandError("--withdraw takes an endpoint, a --request-id and perhaps a --source, nothing else")
    try:
        if withdraw:
            with _told() as on_waiting:
                given = give_feedback.withdraw(endpoint, request_id, source=source, on_waiting=on_waiting)
        else:
            # Read before anything is awaited: what is wrong with them is told at once.
            answered = _read(answer) if answer else None
            ratings = dict(_rating("--rating", each) for each in rating or ())
            by_position = _by_position(retrieval or [])
            with _told() as on_waiting:
                given = give_feedback.feedback(
                    endpoint,
                    request_id,
                    answer=answered,
                    ratings=ratings,
                    comment=comment,
                    suggested=suggested,
                    retrieval=by_position,
                    source=source,
                    source_type=source_type,
                    again=again,
                    on_waiting=on_waiting,
                )
    except WorkspaceError as error:
        raise CommandError(" ".join(str(error).split())) from error
    _show(given, withdraw, as_json)


@contextmanager
def _told() -> Iterator[Callable[[str], None]]:
    """Says what is awaited, one after the other, and nothing before that."""
    with ExitStack() as shown:

        def on_waiting(what: str) -> None:
            shown.close()
            shown.enter_context(waiting(f"Waiting for {what}"))

        yield on_waiting


def _read(file: str) -> Mapping[str, Any]:
    try:
        document = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except (OSError, ValueError) as error:
        raise CommandError(f"--answer {file}: expected a file with the JSON of an answer ({error})") from error
    if not isinstance(document, dict):
        raise CommandError(f"--answer {file}: expected the JSON object that the endpoint answered")
    return document


def _rating(option: str, text: str) -> tuple[str, Rating]:
    name, equals, value = text.partition("=")
    if not name or not equals or not value:
        raise CommandError(f"{option} {text!r}: expected NAME=VALUE, such as answer_correct=positive")
    try:
        parsed = json.loads(value)
    except ValueError:
        return name, value
    # Numbers and booleans as such; whatever else looks like JSON is text.
    return name, parsed if isinstance(parsed, (bool, int, float)) else value


def _by_position(texts: list[str]) -> dict[int, dict[str, Rating]]:
    found: dict[int, dict[str, Rating]] = {}
    for text in texts:
        position, colon, rest = text.partition(":")
        if not colon or not position.isdecimal():
            raise CommandError(f"--retrieval {text!r}: expected POSITION:NAME=VALUE, such as 0:groundedness=positive")
        name, value = _rating("--retrieval", rest)
        found.setdefault(int(position), {})[name] = value
    return found


def _show(given: Given, withdrawn: bool, as_json: bool) -> None:
    if as_json:
        document = {
            "request_id": given.request_id,
            "trace_id": given.trace_id,
            "assessments": list(given.assessments),
            "notes": list(given.notes),
        }
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    names = ", ".join(given.assessments)
    if withdrawn:
        typer.echo(f"{given.request_id}: withdrawn from trace {given.trace_id}: {names}")
        return
    typer.echo(f"{given.request_id}: rated; the request is logged in the endpoint's inference table")
    if names:
        typer.echo(f"assessments on trace {given.trace_id}: {names}")
    for note in given.notes:
        typer.echo(f"note: {note}", err=True)
