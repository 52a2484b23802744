"""A plugin on the generic servicer whose workspace is a folder of JSON files: what the engine sees of the servicer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import ClassVar

from agent_deploy.provider.plugin.resource import (
    Cancelled,
    Context,
    Created,
    Failure,
    Found,
    Package,
    PartialFailure,
    Resource,
    UserError,
    Values,
)
from agent_deploy.provider.plugin.starting import start

STORE = "TOY_STORE"


class Thing(Resource):
    """``label`` says what shall go wrong."""

    inputs: ClassVar[tuple[str, ...]] = ("label", "token", "parts", "place")
    outputs: ClassVar[tuple[str, ...]] = ("gen",)
    replaces: ClassVar[frozenset[str]] = frozenset({"place"})

    def check(self, context: Context, old_inputs: Values, inputs: Values) -> tuple[Values, list[Failure]]:
        if inputs.get("label") == "bad":
            return inputs, [Failure(("parts", "a b", 0), f"is wrong, and the token is {inputs.get('token')}")]
        return inputs, []

    def create(self, context: Context, inputs: Values) -> Created:
        context.status(f"making {inputs['label']}")
        context.warn("a line that stays")
        if inputs["label"] == "impossible":
            raise UserError(f"cannot be made with {inputs.get('token')}; choose another label")
        if inputs["label"] == "bug":
            raise ZeroDivisionError("division by zero")
        properties = self._write(context.name, inputs)
        self._maybe_fail(context, properties, inputs)
        return Created(context.name, properties)

    def read(self, context: Context, id: str, old_inputs: Values, old: Values) -> Found | None:
        path = _store() / id
        if not path.exists():
            return None
        inputs = json.loads(path.read_text())
        return Found(id, {**inputs, "gen": f"g-{id}"}, inputs)

    def update(self, context: Context, id: str, old_inputs: Values, old: Values, inputs: Values) -> Values:
        properties = self._write(id, inputs)
        self._maybe_fail(context, properties, inputs)
        return properties

    def delete(self, context: Context, id: str, old_inputs: Values, old: Values) -> None:
        (_store() / id).unlink(missing_ok=True)

    def _write(self, id: str, inputs: Values) -> Values:
        (_store() / id).write_text(json.dumps(inputs))
        return {**inputs, "gen": f"g-{id}"}

    def _maybe_fail(self, context: Context, properties: Values, inputs: Values) -> None:
        reason = ""
        if inputs["label"] == "sick":
            reason = f"it is sick: {inputs.get('token')}"
        if inputs["label"] == "slow":
            try:
                context.pause(120)
            except Cancelled:
                reason = "interrupted while it was slow"
        if reason:
            raise PartialFailure(context.name, {**properties, "label": "half"}, inputs, [reason])


def greet(context: Context, arguments: Values) -> Values:
    """A function."""
    if arguments.get("name") == "nobody":
        raise UserError("there is nobody to greet; give a name")
    return {"greeting": f"hello {arguments.get('name')} from {context.configuration.get('host')}"}


def main() -> None:
    """Runs the plugin."""
    start(_package)


def _package() -> Package:
    return Package(
        name="toy",
        version="1.2.3",
        resources={"toy:index:Thing": Thing()},
        functions={"toy:index:greet": greet},
        schema=lambda: {"name": "toy", "resources": {"toy:index:Thing": {"inputProperties": {}}}},
        components=_components,
        configure=lambda values: values,
        secret_configuration=frozenset({"password"}),
        issues_url="https://example.org/issues",
    )


def _components() -> list[type]:
    from tests.engine.toy_components import Pair

    return [Pair]


def _store() -> Path:
    return Path(os.environ[STORE])
