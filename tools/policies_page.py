"""Writes docs/policies.md: what a platform team can demand of agents, each policy with its id, reason and settings."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from agent_deploy.policies.catalogue import POLICIES
from agent_deploy.policies.policy import Policy

PAGE = Path(__file__).parent.parent / "docs" / "policies.md"
_HEAD = """\
# Policies

What a platform team demands of agents, judged before anything is created: by the components, as a policy pack in
`pulumi preview` and `pulumi up`, and by the function `judge` in `agent_deploy.policies.judging`. Ids stay: one that
is no longer judged is not given again.

```console
$ pulumi preview --policy-pack "$(command -v agent-deploy-policies)" --policy-pack-config policies.json
```

The command lies in the environment that holds this package; Pulumi starts it itself, from 3.256 on. What is mandatory
refuses the preview and the update, what is advisory is a warning. Each message ends with the remedy and the id.

## Settings

`policies.json` has a policy's level, or its level and its settings; `all` has the level of every policy. Levels are
`advisory`, `mandatory`, `disabled`, and `remediate`, with which a policy that can mend does so, and is mandatory
otherwise. Each policy has `stacks`: the stacks in which it holds, as patterns (`prod*`). An unknown policy or setting
is an error.

```json
{
  "AGD007": "disabled",
  "AGD001": {"stacks": ["prod", "live-*"]},
  "AGD006": {"enforcementLevel": "remediate", "tags": {"team": "search"}},
  "AGD009": {"groups": ["agent-users", "agent-operators"]}
}
```

## Without a policy pack

A team that writes the same settings into the stack's file has them judged in every run, with any engine: of this
package's components in every language, and of its resource classes in Python.

```yaml
config:
  agents:policies:
    AGD001: {stacks: [prod]}
    AGD009: {groups: [agent-users]}
```

Policies that the settings do not name hold at their own level; `all: disabled` turns off all but those that say their
level themselves (`AGD001: {enforcementLevel: mandatory, stacks: [prod]}`).

A preview tells at once all that is refused of an agent. An update that comes without one (`--skip-preview`) ends at the
first resource that is refused, before that is created; what does not depend on it may have changed by then.
`agent-deploy report --policies policies.json` judges a preview that others have made, and
`agent-deploy check MODEL VERSION --policies policies.json` the endpoint that is there, with who may use it. A test has
one program for each policy; pack, report and components find the same.

## What is judged, and what is not

The resources of this package and the vendor's that its components declare, whoever declares them; an endpoint that is
declared as `databricks.ModelServing` is not. A value that a preview does not know yet is not minded; the update judges
it. AGD008 compares with what was there before, which Pulumi does not tell a policy pack: it judges where the caller of
`judge` gives `before`. AGD014 looks at a whole stack, which an update has only when it is done.

This page is written by `tools/policies_page.py` from `agent_deploy/policies`; a test compares them, and another one has
a good and a bad stack for each policy.

| id | demands | level |
|---|---|---|
"""


def page() -> str:
    """The page as the policies have it."""
    rows = (f"| [{each.id}](#{each.id.lower()}) | {each.title} | {each.severity} |\n" for each in POLICIES)
    return _HEAD + "".join(rows) + "".join(map(_section, POLICIES))


def _section(policy: Policy) -> str:
    mends = "" if policy.mend is None else " Remediation does this."
    told = f"**{_sentence(policy.title)}** {policy.why} {policy.remedy}.{mends}"
    text = f"\n## {policy.id}\n\n{textwrap.fill(told, 120, break_on_hyphens=False)}\n\n"
    text += f"Source: {policy.source}.\n\n| setting | meaning | default |\n|---|---|---|\n"
    for setting in policy.settings:
        text += f"| `{setting.name}` | {setting.description} | `{json.dumps(setting.default)}` |\n"
    return text


def _sentence(title: str) -> str:
    return f"{title[0].upper()}{title[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page())
