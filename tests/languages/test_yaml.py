"""The example as a YAML program on the real engine: all four components up, changed and destroyed."""

from __future__ import annotations

from collections.abc import Callable

from tests.engine.serving import Site
from tests.engine.support import Stack
from tests.languages.example import PROGRAM, change, check_changed, check_gone, check_made, configure, write_project


def test_a_yaml_program_is_up_changed_and_destroyed(site: Site, open_stack: Callable[[], Stack]) -> None:
    stack = open_stack()
    write_project(stack, **PROGRAM)
    configure(stack)
    stack.up()
    endpoint_id = check_made(site, stack, stack.outputs())
    stack.preview("--expect-no-changes")
    change(stack)
    stack.up()
    check_changed(site, endpoint_id)
    stack.destroy()
    check_gone(site, stack)
