"""How a page is made: templates, the headers that keep foreign content out, who is signed in, errors as pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from agent_deploy.local.catalog.metastore import Metastore
from agent_deploy.local.core.context import Workspace
from agent_deploy.local.core.errors import ApiError
from agent_deploy.local.pages import formats
from agent_deploy.local.pages.sessions import Session, Sessions
from agent_deploy.local.serving.endpoints import Endpoints
from agent_deploy.local.tracking.experiments import Experiments

HERE = Path(__file__).parent
HEADERS: Mapping[str, str] = {
    # No inline script nor style, nothing from elsewhere, in nobody's frame.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
START = "/ml/deployments"
_TITLES = {403: "You may not see this", 404: "There is nothing here"}


@dataclass(frozen=True)
class Pages:
    """Renders templates for whoever is signed in, and holds what the pages show."""

    workspace: Workspace
    metastore: Metastore
    endpoints: Endpoints
    experiments: Experiments
    sessions: Sessions
    templates: Environment

    @classmethod
    def of(
        cls,
        workspace: Workspace,
        metastore: Metastore,
        endpoints: Endpoints,
        experiments: Experiments,
        sessions: Sessions,
    ) -> Pages:
        """With the templates of this folder; what they show is escaped."""
        templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters.update(formats.FILTERS)
        return cls(workspace, metastore, endpoints, experiments, sessions, templates)

    def show(self, template: str, session: Session | None, status: int = 200, **content: Any) -> HTMLResponse:
        """A page; ``session`` None is somebody who is not signed in."""
        text = self.templates.get_template(template).render(session=session, host=self.workspace.host, **content)
        return HTMLResponse(text, status, headers={**HEADERS, "Cache-Control": "no-store"})

    def failed(self, error: ApiError, session: Session | None) -> HTMLResponse:
        """An error as a page."""
        title = _TITLES.get(error.status, "This did not work")
        return self.show("error.html", session, error.status, title=title, message=error.message)

    def to_sign_in(self, request: Request) -> Response:
        """For who is not signed in: the sign-in page, which leads back here."""
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A strict cookie is not sent with the first request that a link elsewhere makes: ask from here again.
            return HTMLResponse("", headers={**HEADERS, "Refresh": f"0; url={quote(wanted, safe='/?&=%')}"})
        return RedirectResponse(f"/login?next={quote(wanted, safe='')}", 303)


def local_path(wanted: str) -> str:
    """Where to go after signing in: a page of ours, never another site."""
    parts = urlsplit(wanted)
    is_ours = not parts.scheme and not parts.netloc and wanted.startswith("/ml/") and "\\" not in wanted
    return wanted if is_ours else START
