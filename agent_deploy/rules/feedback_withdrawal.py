"""Feedback that was taken back: a tag of the answer's trace says so, since no row ever leaves an inference table."""

from __future__ import annotations

import hashlib

# With a digest of who has withdrawn: a tag's name takes no "@".
PREFIX = "agent_deploy.feedback_withdrawn."
TIME_FORMAT = "%Y-%m-%d %H:%M:%S UTC"  # of the tag's value


def tag(who: str) -> str:
    """The tag's name for one source of feedback."""
    return PREFIX + hashlib.sha256(who.encode()).hexdigest()[:12]
