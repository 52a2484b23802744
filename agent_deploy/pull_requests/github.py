"""GitHub, through PyGithub."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, suppress
from functools import cached_property

from github import Auth, Github, GithubException, GithubRetry
from github.PullRequest import PullRequest

from agent_deploy.pull_requests.forge import Change, Comment, NotThere
from agent_deploy.pull_requests.refusals import Words, told

_PER_PAGE, _TIMEOUT = 100, 30
# A conflict, or a server that has a bad moment; besides these, PyGithub waits where a limit of requests is reached.
_AGAIN = [409, 500, 502, 503, 504]
_TRIES, _LONGEST_WAIT = 6, 300.0
_WORDS = Words(
    "GitHub",
    "pull request",
    "a valid one in GITHUB_TOKEN",
    "a token that may write comments on pull requests. In a workflow: `permissions: {pull-requests: write}`; of a "
    "fine-grained token: Pull requests, read and write",
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

    def change(self) -> Change:
        """See `Forge`."""
        with self._told():
            commits = tuple(each.sha for each in self._pull.get_commits())
            return Change(self._pull.state == "open", self._pull.head.sha, commits)

    def own_comments(self) -> list[Comment]:
        """See `Forge`."""
        with self._told():
            name = self._name
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
        with suppress(NotThere), self._told():
            self._pull.get_issue_comment(comment.id).delete()

    @cached_property
    def _pull(self) -> PullRequest:
        return self._client.get_repo(self._repository).get_pull(self._number)

    @cached_property
    def _name(self) -> str:
        """Whose token it is; empty for that of a workflow, which is an app's and nobody's."""
        try:
            return self._client.get_user().login
        except GithubException as error:
            if error.status == 403:
                return ""
            raise

    def _told(self) -> AbstractContextManager[None]:
        return told(_WORDS, self.called, GithubException, _said)


def _said(error: GithubException) -> tuple[int, str]:
    return error.status, str(error.data.get("message") if isinstance(error.data, dict) else error.data)
