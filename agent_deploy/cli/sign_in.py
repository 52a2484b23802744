"""`agent-deploy local sign-in`: a link that opens the workspace's pages as one of its users, once."""

from __future__ import annotations

from typing import Annotated

import typer

from agent_deploy.cli.errors import CommandError
from agent_deploy.cli.folder import DEFAULT_FOLDER, Folder, running_status


def sign_in(
    folder: Folder = DEFAULT_FOLDER,
    user: Annotated[str, typer.Option(help="Whose pages; the administrator's by default.")] = "",
    page: Annotated[str, typer.Option(help="Where it leads, a path below /ml/.")] = "/ml/deployments",
) -> None:
    """Print a link that signs a browser in as a user of the local workspace; it works once, for five minutes."""
    import httpx

    from agent_deploy.local import running
    from agent_deploy.local.pages.links import sign_in_link

    if not page.startswith("/ml/"):
        raise CommandError(f"--page {page!r}: expected a path below /ml/")
    host = running_status(folder)["host"]
    token = (folder / running.TOKEN_FILE).read_text().strip()
    try:
        typer.echo(sign_in_link(host, token, user, page))
    except httpx.HTTPStatusError as error:
        raise CommandError(str(error.response.json()["message"])) from error
