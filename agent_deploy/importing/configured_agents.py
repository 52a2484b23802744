"""The agents that a stack's configuration has already, and the stack's file with those that are added to it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent_deploy.importing.stack_file import with_agent
from agent_deploy.rules.problems import InvalidInput, Problem
from agent_deploy.rules.stack_configuration import configuration, of_both, of_project, spelled


class ConfiguredAgents:
    """Of one stack, whose file need not be there. Raises InvalidInput where a file is none that can be read."""

    def __init__(self, path: Path, project_file: Path, project: str) -> None:
        self.path, self.text = path, _text(path)
        self._key = f"{project}:agents"
        self._project_file = project_file.name
        described = _text(project_file)
        self._of_project = _mapping(of_project(described, self._key, project_file.name))
        self._is_in_stack = spelled(configuration(self.text, path.name), self._key, path.name) is not None
        self.agents = _mapping(of_both(self.text, described, self._key, path.name))
        self.defaults = _mapping(of_both(self.text, described, f"{project}:defaults", path.name))

    def add(self, name: str, args: Mapping[str, Any]) -> None:
        """An agent's entry; raises InvalidInput where the name is taken, or the file takes no entry."""
        if self.agents.get(name) == args:
            return  # written by an earlier run
        if self._of_project and not self._is_in_stack:
            expected = f"the agents in {self.path.name}, as one entry there hides all that stand here"
            raise InvalidInput(
                [
                    Problem(
                        f"{self._key} in {self._project_file}", None, expected, "Move them there, then run this again"
                    )
                ]
            )
        self.text = with_agent(self.text, self._key, name, args, self.path.name)

    def write(self) -> None:
        """The stack's file, with the line ends that it has."""
        self.path.write_bytes(self.text.encode("utf-8"))


def _text(file: Path) -> str:
    """As it is, line ends included; empty where there is no file."""
    try:
        return file.read_bytes().decode("utf-8") if file.is_file() else ""
    except UnicodeDecodeError as error:
        where = f"Byte {error.start} is none: correct it"
        raise InvalidInput([Problem(file.name, None, "a file in UTF-8", where)]) from error


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
