"""GitLab, through python-gitlab: the report is a note of the merge request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gitlab
import requests

from agent_deploy.client.masking import cause, masked
from agent_deploy.pull_requests.forge import Change, Comment, ForgeError, NotAllowed, NotThere

_PER_PAGE, _TIMEOUT = 100, 30.0
_RIGHT = (
    "a project or personal access token with the scope `api` in GITLAB_TOKEN; a job's own token (CI_JOB_TOKEN) may not "
    "write notes"
)


class GitLab:
    """One merge request."""

    def __init__(self, url: str, token: str, project: str, number: int) -> None:
        self.called = f"{project}!{number}"
        self._client = gitlab.Gitlab(
            url, private_token=token, timeout=_TIMEOUT, per_page=_PER_PAGE, retry_transient_errors=True
        )
        self._project, self._number = project, number
        self._found: Any = None

    def change(self) -> Change:
        """See `Forge`."""
        with self._told():
            project = self._client.projects.get(self._project, lazy=True)
            self._found = project.mergerequests.get(self._number)
            newest_first = [each.id for each in self._found.commits()]
            return Change(self._found.state == "opened", self._found.sha, tuple(reversed(newest_first)))

    def own_comments(self) -> list[Comment]:
        """See `Forge`."""
        with self._told():
            self._client.auth()
            assert self._client.user is not None
            me = self._client.user.id
            notes = self._merge_request.notes.list(iterator=True)
            return [self._comment(note) for note in notes if note.author["id"] == me and not note.system]

    def create(self, body: str) -> Comment:
        """See `Forge`."""
        with self._told():
            return self._comment(self._merge_request.notes.create({"body": body}))

    def update(self, comment: Comment, body: str) -> Comment | None:
        """See `Forge`."""
        try:
            with self._told():
                self._merge_request.notes.update(comment.id, {"body": body})
        except NotThere:
            return None
        return Comment(comment.id, body, comment.url)

    def delete(self, comment: Comment) -> None:
        """See `Forge`."""
        try:
            with self._told():
                self._merge_request.notes.delete(comment.id)
        except NotThere:
            return

    @property
    def _merge_request(self) -> Any:
        if self._found is None:
            self.change()
        return self._found

    def _comment(self, note: Any) -> Comment:
        return Comment(note.id, note.body, f"{self._merge_request.web_url}#note_{note.id}")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A library's errors as ours."""
        try:
            yield
        except gitlab.GitlabError as error:
            raise _error(error, self.called) from None
        except requests.RequestException as error:
            raise ForgeError(f"{self.called}: GitLab does not answer ({cause(error)}). Try again later.") from None


def _error(error: gitlab.GitlabError, called: str) -> ForgeError:
    status = error.response_code
    why = f"{called}: GitLab answers {status} ({masked(str(error.error_message))})"
    if status == 401:
        return NotAllowed(f"{why}: it does not know the token. Expected {_RIGHT}.")
    if status == 403:
        return NotAllowed(f"{why}. Expected {_RIGHT}.")
    if status == 404:
        return NotThere(f"{why}: there is no such merge request, or the token may not see it.")
    return ForgeError(f"{why}.")
