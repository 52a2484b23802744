"""GitLab, through python-gitlab: the report is a note of the merge request."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from functools import cached_property
from typing import Any

import gitlab

from agent_deploy.pull_requests.forge import Change, Comment, NotThere
from agent_deploy.pull_requests.refusals import Words, told

_PER_PAGE, _TIMEOUT = 100, 30.0
_RIGHT = (
    "a project or personal access token with the scope `api` in GITLAB_TOKEN; a job's own token (CI_JOB_TOKEN) may not "
    "write notes"
)
_WORDS = Words("GitLab", "merge request", _RIGHT, _RIGHT)


class GitLab:
    """One merge request."""

    def __init__(self, url: str, token: str, project: str, number: int) -> None:
        self.called = f"{project}!{number}"
        self._client = gitlab.Gitlab(
            url, private_token=token, timeout=_TIMEOUT, per_page=_PER_PAGE, retry_transient_errors=True
        )
        self._project, self._number = project, number

    def change(self) -> Change:
        """See `Forge`."""
        with self._told():
            found = self._merge_request
            newest_first = [each.id for each in found.commits()]
            return Change(found.state == "opened", found.sha, tuple(reversed(newest_first)))

    def own_comments(self) -> list[Comment]:
        """See `Forge`."""
        with self._told():
            notes = self._merge_request.notes.list(iterator=True)
            return [self._comment(note) for note in notes if note.author["id"] == self._me and not note.system]

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
        with suppress(NotThere), self._told():
            self._merge_request.notes.delete(comment.id)

    @cached_property
    def _merge_request(self) -> Any:
        return self._client.projects.get(self._project, lazy=True).mergerequests.get(self._number)

    @cached_property
    def _me(self) -> int:
        """Whose token it is."""
        self._client.auth()
        assert self._client.user is not None
        return int(self._client.user.id)

    def _comment(self, note: Any) -> Comment:
        return Comment(note.id, note.body, f"{self._merge_request.web_url}#note_{note.id}")

    def _told(self) -> AbstractContextManager[None]:
        return told(_WORDS, self.called, gitlab.GitlabError, _said)


def _said(error: gitlab.GitlabError) -> tuple[int | None, str]:
    return error.response_code, str(error.error_message)
