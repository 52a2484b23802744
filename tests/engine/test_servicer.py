"""The generic servicer under the real engine, with a toy plugin: what any resource built on it can rely on."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.support import ROOT, Result, Stack, end_session, eventually
from tests.processes import alive

HEAD = "import pulumi\nfrom tests.engine.toy_components import ThingResource as Thing, Pair\n"
SECRET = "s3cr3t-value-of-the-test"


def thing(label: str = "one", more: str = "", opts: str = "") -> str:
    return f"{HEAD}thing = Thing('thing', {{'label': {label!r}, {more}}}{opts})\npulumi.export('gen', thing.gen)\n"


@pytest.fixture
def toy(tmp_path: Path, open_stack: Callable[..., Stack]) -> Callable[[str], Stack]:
    folder, store = tmp_path / "bin", tmp_path / "store"
    folder.mkdir()
    store.mkdir()
    script = folder / "pulumi-resource-toy"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.engine.toy_plugin import main\nmain()\n"
    )
    script.chmod(0o755)
    environment = {"TOY_STORE": str(store), "PYTHONPATH": str(ROOT)}

    def make(program: str) -> Stack:
        made = open_stack(program, environment=environment, plugins={"toy": folder})
        made.store = store
        return made

    return make


def test_created_changed_drifted_and_removed(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing(more="'parts': {'a b': 1, 'c': True}"))
    assert stack.preview().operations == {"thing": "create"}
    created = stack.up()
    assert "making one" in "".join(created.progress)
    assert "a line that stays" in created.messages
    assert stack.preview("--expect-no-changes").operations == {}
    assert stack.resources()["thing"]["outputs"]["gen"] == "g-thing"

    stack.write(thing("two", more="'parts': {'a b': 2, 'c': True}"))
    previewed = stack.preview()
    assert previewed.changed_paths == {"thing": {"label": "update", 'parts["a b"]': "update"}}
    assert "1 => 2" in previewed.output
    stack.up()

    path = stack.store / "thing"
    path.write_text(json.dumps({**json.loads(path.read_text()), "label": "by hand"}))
    assert stack.refresh().changed_paths == {"thing": {"label": "update"}}
    assert stack.up().operations == {"thing": "update"}
    stack.destroy()
    assert not path.exists()
    assert stack.destroy().operations == {}


def test_secrets_stay_secret_in_plan_state_messages_and_failures(toy: Callable[[str], Stack]) -> None:
    token = f"'token': pulumi.Output.secret({SECRET!r}), 'parts': {{'list': [pulumi.Output.secret({SECRET!r})]}}"
    stack = toy(thing(more=token))
    plan = stack.folder / "plan.json"
    stack.preview("--save-plan", str(plan))
    assert "ciphertext" in plan.read_text()
    stack.up("--plan", str(plan))
    assert json.loads((stack.store / "thing").read_text())["token"] == SECRET
    bad = stack_after(stack, "bad", token)
    assert bad.code != 0
    assert 'parts["a b"][0]: is wrong, and the token is [secret]' in bad.output
    assert stack_after(stack, "sick", token).code != 0
    everything = "".join([bad.output, bad.messages, stack.state_text(), plan.read_text()])
    assert SECRET not in everything
    outputs = stack.resources()["thing"]["outputs"]
    assert "ciphertext" in outputs["token"]
    assert "ciphertext" in outputs["parts"]["list"]


def stack_after(stack: Stack, label: str, more: str = "") -> Result:
    stack.write(thing(label, more))
    return stack.up(check=False)


def test_unknown_values_reach_a_preview(toy: Callable[[str], Stack]) -> None:
    second = "Thing('second', {'label': thing.gen, 'parts': {'deep': [thing.gen]}})\n"
    stack = toy(thing() + second)
    assert stack.preview().operations == {"thing": "create", "second": "create"}
    stack.up()
    assert stack.resources()["second"]["outputs"]["label"] == "g-thing"
    # A change of the first one does not move its `gen`, so the second one is left alone.
    stack.write(thing("two") + second)
    assert stack.preview().operations == {"thing": "update"}


def test_a_partial_failure_is_recorded_and_mended(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing("sick"))
    failed = stack.up(check=False)
    assert failed.code != 0
    assert "it is sick" in failed.output
    state = stack.resources()["thing"]
    assert state["id"] == "thing"
    assert state["outputs"]["label"] == "half"
    assert "it is sick" in state["initErrors"][0]
    # The same program tries again; a mended one is an update in place.
    assert stack.up(check=False).operations == {"thing": "update"}
    assert stack_after(stack, "well").operations == {"thing": "update"}
    assert "initErrors" not in stack.resources()["thing"]


def test_a_replacement_is_planned_and_done(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing(more="'place': 'here'"))
    stack.up()
    stack.write(thing(more="'place': 'there'"))
    assert stack.preview().changed_paths["thing"] == {"place": "update-replace"}


def test_errors_are_texts_for_the_user(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing("impossible"))
    told = stack.up(check=False)
    assert "choose another label" in told.output
    assert "Traceback" not in told.output
    assert "Unexpected" not in told.output
    stack.write(thing("bug"))
    unforeseen = stack.up(check=False).output
    assert "Unexpected ZeroDivisionError: division by zero" in unforeseen
    assert "toy_plugin.py" in unforeseen
    assert "https://example.org/issues" in unforeseen
    assert "Traceback" not in unforeseen


def test_an_interruption_ends_the_wait_and_keeps_the_truth(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing("slow"))
    running = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: (stack.store / "thing").exists())
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(timeout=60) != 0
    assert "interrupted while it was slow" in stack.started_output
    assert stack.resources()["thing"]["outputs"]["label"] == "half"


def test_a_killed_engine_leaves_no_plugin_behind(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing("slow"))
    running = stack.start("up", "--yes", "--skip-preview")
    eventually(lambda: (stack.store / "thing").exists())
    plugins = plugins_of(stack)
    assert plugins
    os.kill(running.pid, signal.SIGKILL)
    running.wait(timeout=60)
    eventually(lambda: not [pid for pid in plugins if alive(pid)])
    end_session(running)


def plugins_of(stack: Stack) -> list[int]:
    """Process ids of plugins that work on this stack's store: every process has the variable in its environment."""
    marker = f"TOY_STORE={stack.store}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                marker in (folder / "environ").read_bytes()
                and b"pulumi-resource-toy" in (folder / "cmdline").read_bytes()
            ):
                found.append(int(folder.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # not ours, or it ended just now
    return found


def test_components_and_functions_run_in_the_same_process(toy: Callable[[str], Stack]) -> None:
    program = (
        "import pulumi\n"
        "provider = pulumi.ProviderResource('toy', 'named', {'host': 'there', 'password': 'hush-hush'})\n"
        "class Remote(pulumi.ComponentResource):\n"
        "    gens: pulumi.Output[str]\n"
        "    def __init__(self, name, label, opts=None):\n"
        "        super().__init__('toy:index:Pair', name, {'label': label, 'gens': None}, opts, remote=True)\n"
        "pair = Remote('pair', 'x', pulumi.ResourceOptions(provider=provider))\n"
        "said = pulumi.runtime.invoke('toy:index:greet', {'name': 'you'}, pulumi.InvokeOptions(provider=provider))\n"
        "pulumi.export('gens', pair.gens)\n"
        "pulumi.export('said', said.value['greeting'])\n"
    )
    stack = toy(program)
    up = stack.up()
    assert set(up.operations) == {"named", "pair", "pair-left", "pair-right"}
    assert stack.outputs() == {"gens": "g-pair-left+g-pair-right", "said": "hello you from there"}
    assert "hush-hush" not in stack.state_text()
    # Another host is a change of the provider, not a replacement of all that it made.
    stack.write(program.replace("'there'", "'elsewhere'"))
    assert stack.preview().operations == {"named": "update"}
    stack.write(program.replace("'you'", "'nobody'"))
    assert "there is nobody to greet; give a name" in stack.preview(check=False).output


def test_the_schema_has_resources_and_components(toy: Callable[[str], Stack]) -> None:
    stack = toy(thing())
    folder = next(
        line.split("path: ")[1].rstrip("}")
        for line in (stack.folder / "Pulumi.yaml").read_text().splitlines()
        if "toy" in line
    )
    schema = json.loads(stack.run("package", "get-schema", f"{folder}/pulumi-resource-toy").output)
    assert set(schema["resources"]) == {"toy:index:Thing", "toy:index:Pair"}
    assert schema["resources"]["toy:index:Pair"]["isComponent"] is True
