"""Which pull request a job is about, out of the variables that its forge sets, and what the user says instead.

Sources: GitHub, "Variables reference" and "Events that trigger workflows"; GitLab, "Predefined CI/CD variables".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent_deploy.client.masking import hide
from agent_deploy.rules.problems import InvalidInput, Problem

if TYPE_CHECKING:
    from agent_deploy.pull_requests.forge import Forge

GITHUB, GITLAB = "github", "gitlab"
TOKENS = {GITHUB: "GITHUB_TOKEN", GITLAB: "GITLAB_TOKEN"}
_PUBLIC = {GITHUB: "https://api.github.com", GITLAB: "https://gitlab.com"}
_FIELDS = {GITHUB: "number of a pull request", GITLAB: "iid of a merge request"}


@dataclass(frozen=True)
class Surroundings:
    """Where a comment goes, and by whose token."""

    forge: str
    url: str
    repository: str
    number: int
    commit: str
    token: str

    def connect(self) -> Forge:
        """The client library is loaded here."""
        if self.forge == GITHUB:
            from agent_deploy.pull_requests.github import GitHub

            return GitHub(self.url, self.token, self.repository, self.number)
        from agent_deploy.pull_requests.gitlab import GitLab

        return GitLab(self.url, self.token, self.repository, self.number)


def surroundings(
    environment: Mapping[str, str], forge: str = "", repository: str = "", number: int | None = None, commit: str = ""
) -> Surroundings | None:
    """None where there is no token; raises InvalidInput for what is missing then."""
    forge = forge or forge_of(environment)
    token = environment.get(TOKENS[forge], "").strip()
    hide(token)
    if not token:
        return None
    told = of_job(environment, forge)
    repository, commit = repository or told["repository"], commit or told["commit"]
    number = number if number is not None else told["number"]
    missing = [
        Problem(field, value, expected, remedy)
        for field, value, expected, remedy in (
            ("--repository", repository, "owner/name" if forge == GITHUB else "a project's path or id", "Give it"),
            ("--pull-request", number, _FIELDS[forge], "Run this for a pull request, or give it"),
            ("--commit", commit, "the commit that was previewed", "Give it, as `git rev-parse HEAD` prints it"),
        )
        if not value
    ]
    if missing:
        raise InvalidInput(missing)
    return Surroundings(forge, told["url"] or _PUBLIC[forge], repository, int(number), commit, token)


def forge_of(environment: Mapping[str, str]) -> str:
    """Whose job this is; GitHub's, where it is nobody's."""
    return GITLAB if environment.get("GITLAB_CI") else GITHUB


def of_job(environment: Mapping[str, str], forge: str) -> dict[str, Any]:
    """What the job's variables say: ``url``, ``repository``, ``number`` of the pull request or None, ``commit``."""
    return _of_github(environment) if forge == GITHUB else _of_gitlab(environment)


def _of_github(environment: Mapping[str, str]) -> dict[str, Any]:
    pull = _event(environment.get("GITHUB_EVENT_PATH", "")).get("pull_request") or {}
    # A pull request is tested as it would be merged: GITHUB_SHA is that merge, and none of its commits.
    head = (pull.get("head") or {}).get("sha") or environment.get("GITHUB_SHA", "")
    return {
        "url": environment.get("GITHUB_API_URL", ""),
        "repository": environment.get("GITHUB_REPOSITORY", ""),
        "number": pull.get("number"),
        "commit": head,
    }


def _of_gitlab(environment: Mapping[str, str]) -> dict[str, Any]:
    given = environment.get("CI_MERGE_REQUEST_IID", "")
    return {
        "url": environment.get("CI_SERVER_URL", ""),
        "repository": environment.get("CI_MERGE_REQUEST_PROJECT_PATH") or environment.get("CI_PROJECT_PATH", ""),
        "number": int(given) if given.isdigit() else None,
        # Of a merged results pipeline CI_COMMIT_SHA is the merge's.
        "commit": environment.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or environment.get("CI_COMMIT_SHA", ""),
    }


def _event(path: str) -> dict[str, Any]:
    if not path:
        return {}
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            [Problem("GITHUB_EVENT_PATH", path, f"the event of a workflow, as JSON ({error})")]
        ) from None
    return found if isinstance(found, dict) else {}
