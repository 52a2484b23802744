"""GitHub's and GitLab's APIs on 127.0.0.1, as far as comments go; they behave as the real ones do, limits included.

A double: the real ones cannot be had on a machine without the network. Sources: GitHub, "REST API endpoints for issue
comments", "Rate limits for the REST API", "Using pagination in the REST API"; GitLab, "Notes API", "Pagination".
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

ME, ELSE = "agent-bot", "somebody"
TOKEN, READ_ONLY, OF_A_WORKFLOW = "token-that-writes", "token-that-reads", "token-of-a-workflow"
GITHUB_LIMIT = 65_536  # characters of a comment
MOST_PER_PAGE = 100


@dataclass
class State:
    """What the forge holds about one pull request; tests read and change it."""

    open: bool = True
    commits: list[str] = field(default_factory=lambda: ["c1", "c2", "c3"])
    comments: list[dict[str, Any]] = field(default_factory=list)
    # Answers that come before the real one, by method: (status, message, headers, whether it is done nevertheless).
    faults: list[tuple[str, int, str, dict[str, str], bool]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: count(1001))
    url: str = ""
    # Where two runs wait for each other, once, when they list the comments.
    gate: threading.Barrier | None = None

    def listed(self) -> list[dict[str, Any]]:
        """What is there when somebody looks."""
        found = list(self.comments)
        if (gate := self.gate) is not None:
            gate.wait(30)
            self.gate = None
        return found

    def add(self, body: str, author: str = ME, kind: str = "User") -> dict[str, Any]:
        """A comment that is there."""
        found = {"id": next(self.ids), "body": body, "author": author, "kind": kind}
        self.comments.append(found)
        return found

    def find(self, number: int) -> dict[str, Any] | None:
        """By id."""
        return next((each for each in self.comments if each["id"] == number), None)

    def own(self) -> list[str]:
        """The bodies of what the token's bearer has written."""
        return [each["body"] for each in self.comments if each["author"] != ELSE]


@contextmanager
def served(app: FastAPI, state: State) -> Iterator[State]:
    """Runs the double until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        state.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.should_exit = True
            thread.join(30)


def faulty(app: FastAPI, state: State) -> None:
    """Answers with the next fault for a request's method."""

    @app.middleware("http")
    async def middle(request: Request, proceed: Any) -> Any:
        state.asked.append((request.method, request.url.path))
        for fault in state.faults:
            method, status, message, headers, is_done = fault
            if method == request.method:
                state.faults.remove(fault)
                if is_done:
                    await proceed(request)
                return JSONResponse({"message": message}, status, headers=headers)
        return await proceed(request)


def paged(request: Request, items: list[dict[str, Any]], default: int) -> tuple[list[dict[str, Any]], int, int]:
    """One page, its number and that of the last one."""
    size = min(int(request.query_params.get("per_page", default)), MOST_PER_PAGE)
    page = int(request.query_params.get("page", 1))
    return items[(page - 1) * size : page * size], page, max(1, -(-len(items) // size))


async def one_comment(state: State, number: int, request: Request, shown: Callable[[dict[str, Any]], Any]) -> Any:
    """Reads, changes or deletes one that is there."""
    comment = state.find(number)
    if comment is None:
        return JSONResponse({"message": "Not Found"}, 404)
    if request.method == "DELETE":
        state.comments.remove(comment)
        return Response(status_code=204)
    if request.method != "GET":
        comment["body"] = (await request.json())["body"]
    return shown(comment)


def github(state: State) -> FastAPI:
    """Pull request o/r#12."""
    app = FastAPI()
    pull, issue = "/repos/o/r/pulls/12", "/repos/o/r/issues/12"
    faulty(app, state)

    @app.middleware("http")
    async def authorized(request: Request, proceed: Any) -> Any:
        token = request.headers.get("authorization", "").rpartition(" ")[2]
        if token not in (TOKEN, READ_ONLY, OF_A_WORKFLOW):
            return JSONResponse({"message": "Bad credentials"}, 401)
        if token == READ_ONLY and request.method != "GET":
            return JSONResponse({"message": "Resource not accessible by personal access token"}, 403)
        if token == OF_A_WORKFLOW and request.url.path == "/user":
            return JSONResponse({"message": "Resource not accessible by integration"}, 403)
        request.state.bot = token == OF_A_WORKFLOW
        return await proceed(request)

    def shown(comment: dict[str, Any]) -> dict[str, Any]:
        address = f"{state.url}/repos/o/r/issues/comments/{comment['id']}"
        user = {"login": comment["author"], "type": comment["kind"], "id": 1, "url": f"{state.url}/users/x"}
        page = f"https://github.example/o/r/pull/12#issuecomment-{comment['id']}"
        return {"id": comment["id"], "body": comment["body"], "url": address, "html_url": page, "user": user}

    @app.get("/user")
    def user() -> Any:
        return {"login": ME, "id": 1, "type": "User"}

    @app.get(pull)
    def get() -> Any:
        head = {"sha": state.commits[-1], "ref": "b"}
        address = {"url": f"{state.url}{pull}", "issue_url": f"{state.url}{issue}"}
        return {"number": 12, "state": "open" if state.open else "closed", "head": head, **address}

    @app.get(f"{pull}/commits")
    def commits(request: Request) -> Any:
        found, page, last = paged(request, [{"sha": sha} for sha in state.commits], 30)
        return listing(found, f"{pull}/commits", page, last)

    @app.get(f"{issue}/comments")
    def comments(request: Request) -> Any:
        found, page, last = paged(request, [shown(each) for each in state.listed()], 30)
        return listing(found, f"{issue}/comments", page, last)

    def listing(found: list[Any], path: str, page: int, last: int) -> Response:
        size = f"per_page={MOST_PER_PAGE}"
        link = f'<{state.url}{path}?{size}&page={page + 1}>; rel="next"' if page < last else ""
        return JSONResponse(found, headers={"Link": link} if link else {})

    @app.post(f"{issue}/comments")
    async def create(request: Request) -> Any:
        body = (await request.json())["body"]
        if len(body) > GITHUB_LIMIT:
            return JSONResponse({"message": "Validation Failed: body is too long"}, 422)
        bot = request.state.bot
        return JSONResponse(shown(state.add(body, "github-actions[bot]" if bot else ME, "Bot" if bot else "User")), 201)

    @app.get("/repos/o/r/issues/comments/{number}")
    @app.patch("/repos/o/r/issues/comments/{number}")
    @app.delete("/repos/o/r/issues/comments/{number}")
    async def one(number: int, request: Request) -> Any:
        return await one_comment(state, number, request, shown)

    return app


def gitlab(state: State) -> FastAPI:
    """Merge request g/p!12."""
    app = FastAPI()
    base = "/api/v4/projects/g%2Fp/merge_requests/12"
    faulty(app, state)

    @app.middleware("http")
    async def authorized(request: Request, proceed: Any) -> Any:
        token = request.headers.get("private-token", "")
        if token not in (TOKEN, READ_ONLY):
            return JSONResponse({"message": "401 Unauthorized"}, 401)
        if token == READ_ONLY and request.method != "GET":
            return JSONResponse({"message": "403 Forbidden"}, 403)
        # A project's path is one part of the route, encoded; the framework would take it apart.
        raw = request.scope["raw_path"].decode()
        request.scope["path"] = raw.replace("%2F", "|")
        return await proceed(request)

    base = base.replace("%2F", "|")

    def shown(comment: dict[str, Any]) -> dict[str, Any]:
        author = {"id": 1 if comment["author"] == ME else 2, "username": comment["author"]}
        return {"id": comment["id"], "body": comment["body"], "author": author, "system": comment["kind"] == "System"}

    def listing(found: list[Any], page: int, last: int) -> Response:
        following = str(page + 1) if page < last else ""
        address = f'<{state.url}{base.replace("|", "%2F")}/notes?per_page={MOST_PER_PAGE}&page={page + 1}>; rel="next"'
        return JSONResponse(found, headers={"X-Next-Page": following, **({"Link": address} if following else {})})

    @app.get("/api/v4/user")
    def user() -> Any:
        return {"id": 1, "username": ME}

    @app.get(base)
    def get() -> Any:
        state_shown = "opened" if state.open else "merged"
        return {"iid": 12, "state": state_shown, "sha": state.commits[-1], "web_url": "https://gitlab.example/g/p/12"}

    @app.get(f"{base}/commits")
    def commits(request: Request) -> Any:
        found, page, last = paged(request, [{"id": sha} for sha in reversed(state.commits)], 20)
        return listing(found, page, last)

    @app.get(f"{base}/notes")
    def notes(request: Request) -> Any:
        # The newest first, unless asked otherwise.
        found, page, last = paged(request, [shown(each) for each in reversed(state.listed())], 20)
        return listing(found, page, last)

    @app.post(f"{base}/notes")
    async def create(request: Request) -> Any:
        return JSONResponse(shown(state.add((await request.json())["body"])), 201)

    @app.put(f"{base}/notes/{{number}}")
    @app.delete(f"{base}/notes/{{number}}")
    async def one(number: int, request: Request) -> Any:
        return await one_comment(state, number, request, shown)

    return app
