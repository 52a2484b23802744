"""Writes docs/verification.md: what the verification can find, each with its id and what to do."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.rules.findings import RULES

PAGE = Path(__file__).parent.parent / "docs" / "verification.md"
_HEAD = """\
# What the verification finds

The previews of `AgentDeployment`, `InferenceTables`, `AgentServicePrincipal` and `FeedbackModel` verify before anything
is created, and `agent-deploy check` as the first of them. What is found in the workspace ends with an id, such as
`[AGV002]`, and says itself which object it is about and which statement mends it; a mistake in an argument names that,
and has no id. What is missing answers for all that lies in it, and is told once. Ids stay: one that is no longer found
is not given again.

What a preview cannot know waits for `pulumi up`, which verifies it before anything of this component is created: values
that are unknown, and objects whose name is an output of another resource of the same program, which may only be about
to make them. The preview names these fields. What comes from another stack (a StackReference) is verified at once.

This page is written by `tools/verification_page.py` from the table in `agent_deploy/rules/findings.py`; a test compares
them.

| id | found | what to do |
|---|---|---|
"""


def page() -> str:
    """The page as the rules have it."""
    return _HEAD + "".join(f"| {rule.id} | {rule.title} | {rule.remedy} |\n" for rule in RULES)


if __name__ == "__main__":
    PAGE.write_text(page())
