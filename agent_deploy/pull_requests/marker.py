"""The hidden line by which a comment is found again: HTML that no forge shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from agent_deploy.report.structure import SCHEMA_VERSION

_SHAPE = re.compile(
    r"<!-- agent-deploy:report schema=(?P<schema>\d+) project=(?P<project>\S*) stack=(?P<stack>\S*)"
    r" commit=(?P<commit>\S*) -->"
)


@dataclass(frozen=True)
class Marker:
    """Which report a comment shows, and of which commit."""

    project: str
    stack: str
    commit: str
    schema: int = SCHEMA_VERSION

    def __str__(self) -> str:
        # Two dashes would end the comment.
        project, stack, commit = (
            quote(text, safe="").replace("--", "%2D%2D") for text in (self.project, self.stack, self.commit)
        )
        return f"<!-- agent-deploy:report schema={self.schema} project={project} stack={stack} commit={commit} -->"

    def is_about_the_same(self, other: Marker) -> bool:
        """Whether one comment is for both; its text is written anew, whatever schema the other one had."""
        return (self.project, self.stack) == (other.project, other.stack)


def found_in(body: str) -> Marker | None:
    """The marker with which a comment begins; what somebody quotes further down is none."""
    if (match := _SHAPE.match(body)) is None:
        return None
    given = {name: unquote(match[name]) for name in ("project", "stack", "commit")}
    return Marker(**given, schema=int(match["schema"]))
