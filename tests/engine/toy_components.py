"""What programs declare with the toy plugin: a thin class, and a component of two."""

# No `from __future__ import annotations`: the schema of Pair is inferred from this module.

from typing import Any, TypedDict

import pulumi


class PairArgs(TypedDict):
    """Arguments of Pair."""

    label: pulumi.Input[str]
    """Label of both."""


class ThingResource(pulumi.CustomResource):
    """The thin class."""

    gen: pulumi.Output[str]

    def __init__(self, name: str, inputs: dict[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("toy:index:Thing", name, {**inputs, "gen": None}, opts)


class Pair(pulumi.ComponentResource):
    """Two things."""

    gens: pulumi.Output[str]
    """Both results."""

    def __init__(self, name: str, args: PairArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("toy:index:Pair", name, {}, opts)
        options = pulumi.ResourceOptions(parent=self)
        both = [ThingResource(f"{name}-{side}", {"label": args["label"]}, options) for side in ("left", "right")]
        self.gens = pulumi.Output.concat(both[0].gen, "+", both[1].gen)
        self.register_outputs({"gens": self.gens})
