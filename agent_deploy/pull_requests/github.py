"""GitHub, through PyGithub."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from github import Auth, Github, GithubException, GithubRetry
from github.PullRequest import PullRequest

from agent_deploy.client.masking import cause, masked
from agent_deploy.pull_requests.forge import Change, Comment, ForgeError, NotAllowed, NotThere

_PER_PAGE, _TIMEOUT = 100, 30
# A conflict, or a server that has a bad moment; besides these, PyGithub waits where a limit of requests is reached.
_AGAIN = [409, 500, 502, 503, 504]
_TRIES, _LONGEST_WAIT = 6, 300.0
_RIGHT = (
    "a token that may write comments on pull requests. In a workflow: `permissions: {pull-requests: write}`; of a "
    "fine-grained token: Pull requests, read and write"
)

# It tells each request that is tried again; what comes of it, we tell.
logging.getLogger("github").setLevel(logging.WARNING)


class GitHub:
    """One pull request."""

    def __init__(self, url: str, token: str, repository: str, number: int, wait: float = 60.0) -> None:
        """``wait`` is for how many seconds a secondary limit without a time of its own is waited for."""
        self.called = f"{repository}#{number}"
        retry = GithubRetry(
            secondary_rate_wait=wait,
            max_rate_limit_wait=_LONGEST_WAIT,
            total=_TRIES,
            backoff_factor=0.5,
            status_forcelist=_AGAIN,
            allowed_methods=None,
        )
        self._client = Github(
            auth=Auth.Token(token), base_url=url, per_page=_PER_PAGE, timeout=_TIMEOUT, retry=retry,
            seconds_between_requests=None, seconds_between_writes=None, lazy=True,
        )  # fmt: skip
        self._repository, self._number = repository, number
        self._found: PullRequest | None = None

    def change(self) -> Change:
        """See `Forge`."""
        with self._told():
            self._found = self._client.get_repo(self._repository).get_pull(self._number)
            commits = tuple(each.sha for each in self._found.get_commits())
            return Change(self._found.state == "open", self._found.head.sha, commits)

    def own_comments(self) -> list[Comment]:
        """See `Forge`."""
        with self._told():
            name = self._name()
            return [
                Comment(each.id, each.body or "", each.html_url)
                for each in self._pull.get_issue_comments()
                if (each.user.login == name if name else each.user.type == "Bot")
            ]

    def create(self, body: str) -> Comment:
        """See `Forge`."""
        with self._told():
            made = self._pull.create_issue_comment(body)
            return Comment(made.id, body, made.html_url)

    def update(self, comment: Comment, body: str) -> Comment | None:
        """See `Forge`."""
        try:
            with self._told():
                self._pull.get_issue_comment(comment.id).edit(body)
        except NotThere:
            return None
        return Comment(comment.id, body, comment.url)

    def delete(self, comment: Comment) -> None:
        """See `Forge`."""
        try:
            with self._told():
                self._pull.get_issue_comment(comment.id).delete()
        except NotThere:
            return

    @property
    def _pull(self) -> PullRequest:
        if self._found is None:
            self.change()
        assert self._found is not None
        return self._found

    def _name(self) -> str:
        """Whose token it is; empty for that of a workflow, which is an app's and nobody's."""
        try:
            return self._client.get_user().login
        except GithubException as error:
            if error.status == 403:
                return ""
            raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A library's errors as ours."""
        try:
            yield
        except GithubException as error:
            raise _error(error, self.called) from None
        except requests.RequestException as error:
            raise ForgeError(f"{self.called}: GitHub does not answer ({cause(error)}). Try again later.") from None


def _error(error: GithubException, called: str) -> ForgeError:
    said: Any = error.data.get("message") if isinstance(error.data, dict) else error.data
    why = f"{called}: GitHub answers {error.status} ({masked(str(said))})"
    if error.status == 401:
        return NotAllowed(f"{why}: it does not know the token. Expected a valid one in GITHUB_TOKEN.")
    if error.status == 403:
        return NotAllowed(f"{why}. Expected {_RIGHT}.")
    if error.status == 404:
        return NotThere(f"{why}: there is no such pull request, or the token may not see it.")
    return ForgeError(f"{why}.")
