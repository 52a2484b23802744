"""`agent-deploy local faults`: make the local workspace fail in chosen ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.folder import DEFAULT_FOLDER, Folder, running_status

app = typer.Typer(help="Inject faults: failing answers, lost connections, builds that fail.", no_args_is_help=True)

_SECONDS = 10.0
_CHANGED = ("match", "method", "path", "entity", "version", "nth", "probability", "times")
_EFFECTS = ("status", "error_code", "retry_after", "reset", "lose_answer", "delay", "fail")


@app.command()
def add(
    folder: Folder = DEFAULT_FOLDER,
    method: Annotated[str, typer.Option(help="Of the requests that fail.")] = "*",
    path: Annotated[str, typer.Option(help="Pattern, such as '/api/2.0/serving-endpoints/*'.")] = "*",
    status: Annotated[int | None, typer.Option(min=400, max=599, help="Answer with this status.")] = None,
    error_code: Annotated[str | None, typer.Option(help="Databricks' error code, said with the status.")] = None,
    message: Annotated[str | None, typer.Option(help="Text, said with the status.")] = None,
    retry_after: Annotated[int | None, typer.Option(help="Seconds to wait, said with the status.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Cut the connection before anything is done.")] = False,
    lose_answer: Annotated[bool, typer.Option("--lose-answer", help="Do it, then cut the connection.")] = False,
    delay: Annotated[float, typer.Option(min=0, help="Seconds before the request is looked at, or a build ends.")] = 0,
    build: Annotated[str | None, typer.Option(help="Builds of served entities of this name (pattern) instead.")] = None,
    version: Annotated[str, typer.Option(help="Of the model, with --build.")] = "*",
    fail: Annotated[str | None, typer.Option(help="With --build: the build fails with this message.")] = None,
    nth: Annotated[int, typer.Option(min=1, help="From this matching call on.")] = 1,
    times: Annotated[int | None, typer.Option(min=1, help="So often at most.")] = None,
    probability: Annotated[float, typer.Option(min=0, max=1, help="Of each matching call.")] = 1.0,
) -> None:
    """Add a fault; it stays until it is cleared."""
    if build is not None and fail is None and not delay:
        raise CommandError("what happens to the builds? Give --fail MESSAGE, or --delay SECONDS")
    if build is None and not (status or reset or lose_answer or delay):
        raise CommandError("what happens to the requests? Give --status, --reset, --lose-answer or --delay")
    rule: dict[str, Any] = {"nth": nth, "probability": probability, "times": times, "delay": delay}
    if build is not None:
        rule |= {"match": "build", "entity": build, "version": version, "fail": fail}
    else:
        rule |= {"method": method.upper(), "path": path, "status": status, "retry_after": retry_after}
        rule |= {"error_code": error_code, "message": message, "reset": reset, "lose_answer": lose_answer}
    added = _call(folder, "POST", "", {name: value for name, value in rule.items() if value not in (None, False)})
    typer.echo(f"Fault {added['id']} added: {_told(added)}")


@app.command("list")
def listing(
    folder: Folder = DEFAULT_FOLDER, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Show the faults and how often each has happened."""
    rules = _call(folder, "GET")["faults"]
    if as_json:
        typer.echo(json.dumps(rules, indent=2))
        return
    for rule in rules:
        typer.echo(f"{rule['id']}: {_told(rule)}; matched {rule['matched']}, happened {rule['fired']}")
    if not rules:
        typer.echo("No faults.")


@app.command()
def clear(
    fault: Annotated[str | None, typer.Argument(help="Its number; all when left out.")] = None,
    folder: Folder = DEFAULT_FOLDER,
) -> None:
    """Remove one fault, or all."""
    cleared = _call(folder, "DELETE", f"/{fault}" if fault else "")["cleared"]
    typer.echo(f"Removed {cleared}.")


def _told(rule: dict[str, Any]) -> str:
    shown = {name: rule[name] for name in (*_CHANGED, *_EFFECTS) if rule[name] not in (None, False, "*", 0, 0.0)}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _call(folder: Path, method: str, path: str = "", body: dict[str, Any] | None = None) -> dict[str, Any]:
    import httpx

    from agent_deploy.local import running

    found = running_status(folder)
    token = (folder / running.TOKEN_FILE).read_text().strip()
    try:
        answer = httpx.request(
            method,
            f"{found['host']}/_local/faults{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=_SECONDS,
        )
    except httpx.HTTPError as error:
        raise CommandError(f"the local workspace at {found['host']} does not answer: {error}") from error
    if answer.is_error:
        raise CommandError(str(answer.json()["message"]))
    return dict(answer.json())
