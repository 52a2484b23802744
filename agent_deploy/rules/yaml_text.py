"""YAML that PyYAML, which goes by YAML 1.1, and Pulumi, which goes by YAML 1.2, read as the same values."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from agent_deploy.rules.problems import InvalidInput, Problem

if TYPE_CHECKING:
    import yaml

_INDENT = 2
_NEVER_FOLDED = 2**31  # a width
# What no version of YAML reads as anything but this text. All else is quoted: 7831e12 is a number in 1.2 alone.
_WORD = re.compile(
    r"(?!(?:y|n|yes|no|on|off|true|false|null)\Z)[a-z_][a-z0-9_./-]*(?::[a-z_][a-z0-9_./-]*)*", re.IGNORECASE | re.ASCII
)
# Tag → its plain spellings in YAML 1.2, and what they begin with.
_RESOLVED = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


def dumped(value: Any) -> str:
    """A document in lines, each ended by a line feed; no text in it is broken over lines."""
    import yaml

    return str(
        yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=_NEVER_FOLDED, indent=_INDENT)
    )


def scalar(text: str) -> str:
    """One text as it stands behind a key."""
    return dumped([text])[2:].removesuffix("\n")


def composed(text: str, label: str) -> yaml.Node | None:
    """The nodes of a file's only document, with their places; raises InvalidInput with ``label``, the file, where it is
    none that YAML reads.
    """
    import yaml

    try:
        return yaml.compose(text, _loader())
    except yaml.YAMLError as error:
        raise _no_yaml(label, error) from error


def loaded(text: str, label: str) -> Any:
    """What a file says, as Pulumi reads it; raises InvalidInput where `composed` does."""
    import yaml

    try:
        return yaml.load(text, _loader())
    except (yaml.YAMLError, ValueError) as error:  # such as !!int abc
        raise _no_yaml(label, error) from error


def _no_yaml(label: str, error: Exception) -> InvalidInput:
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark else ""
    # Neither the text nor its values: there may be secrets in it.
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable"
    return InvalidInput([Problem(label, None, "one document in YAML", f"Correct it{where}: {what}")])


@cache
def _dumper() -> type[yaml.SafeDumper]:
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = None if _WORD.fullmatch(value) else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)

    Dumper.add_representer(str, text)
    return Dumper


@cache
def _loader() -> type[yaml.SafeLoader]:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    for tag, (pattern, first) in _RESOLVED.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})\\Z"), first)

    def integer(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
        value = str(loader.construct_scalar(node))
        return int(value, {"0o": 8, "0x": 16}.get(value[:2], 10))

    def fraction(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float:
        return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))

    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    Loader.add_constructor("tag:yaml.org,2002:float", fraction)
    return Loader
