"""Writes docs/endpoint-fields.md: for each field of a serving endpoint, what changing it takes, and who says so."""

from __future__ import annotations

from pathlib import Path

from agent_deploy.rules.endpoint_fields import FIELDS, Changing, FieldRule

PAGE = Path(__file__).parent.parent / "docs" / "endpoint-fields.md"
_HEAD = """\
# Fields of a serving endpoint

What a change of each field of `ServingEndpoint` takes. *In place*: the endpoint goes on answering. *Replaces*: the
preview calls it a replacement and says why. *Ignored*: no difference is ever seen in it. A field that is left out is
taken to have the default, and the workspace's own saying of it is no drift. `*` stands for a name that you give.

Fields are named here as on the wire. In a program the names are in snake_case:
`served_entities={"qa_1": {"entity_name": …}}`.

One thing more replaces: an endpoint that served versions and is to serve none, as the API takes no config without any.

This page is written by `tools/endpoint_fields.py` from the table that the provider goes by; a test compares them.

| field | a change | default | source |
|---|---|---|---|
"""


def page() -> str:
    """The page as the rules have it."""
    return _HEAD + "".join(_row(rule) for rule in FIELDS)


def _row(rule: FieldRule) -> str:
    return f"| `{rule.path}` | {_change(rule)} | {_default(rule.default)} | {rule.source} |\n"


def _default(value: object) -> str:
    if value is None:
        return ""
    if value in ("", []):
        return "empty"
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value}`"


def _change(rule: FieldRule) -> str:
    if rule.changing is not Changing.REPLACES:
        return rule.changing.value
    if rule.path == "name":
        return "replaces: the new one first, under its new name"
    return "replaces: the old one goes first, as two endpoints cannot have one name"


if __name__ == "__main__":
    PAGE.write_text(page())
