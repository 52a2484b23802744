"""MkDocs calls this file: a reference, made out of the schema and of what the commands say of themselves, and links
as they stand in the repository."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "schema.json"
COMPONENTS = ("AgentDeployment", "InferenceTables", "FeedbackModel", "AgentServicePrincipal")
# Pages of the repository's root, where GitHub looks for them.
ROOT_PAGES = ("CONTRIBUTING.md", "CHANGELOG.md")
_LINK = re.compile(r"\]\((?:\.\./)?(?:docs/)?([\w./-]+\.md)")
_FOREIGN_SCRIPT = re.compile(r'<script src="https?://[^"]*"></script>')
_TYPE = re.compile(r"#/types/.+:(\w+)$")

Schema = Mapping[str, Any]


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in `docs`."""
    from mkdocs.structure.files import File

    for name in ROOT_PAGES:
        files.append(File.generated(config, name, content=flattened((ROOT / name).read_text("utf-8"))))
    for name, text in reference().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Without what the theme loads from elsewhere, by which a page on the disk could be searched."""
    return _FOREIGN_SCRIPT.sub("", output)


def on_post_template(output_content: str, template_name: str, config: Any) -> str:
    """The same for the pages that are no document's, such as 404.html."""
    return _FOREIGN_SCRIPT.sub("", output_content)


def flattened(text: str) -> str:
    """A page of the root as if it lay in `docs`."""
    return _LINK.sub(r"](\1", text)


def reference() -> dict[str, str]:
    """Name → Markdown."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    resources = {token.rpartition(":")[2]: resource for token, resource in schema["resources"].items()}
    components = {name: resources.pop(name) for name in COMPONENTS}
    return {
        "components": "".join(_page("Components", "In Python names have underscores.", components, schema)),
        "resources": "".join(
            _page("Resources", "What components are made of; a program may declare them itself.", resources, schema)
        ),
        "commands": commands(),
    }


def commands() -> str:
    """What the command line takes, as it says itself."""
    from typer import Context
    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from agent_deploy.cli.app import app

    command = get_command(app)
    context = Context(command, info_name="agent-deploy")
    return get_docs_for_click(obj=command, ctx=context, name="agent-deploy", title="Commands")


def _page(title: str, about: str, resources: Mapping[str, Schema], schema: Schema) -> Iterator[str]:
    yield f"# {title}\n\n{about}\n"
    for name, resource in resources.items():
        yield f"\n## {name}\n\n{resource.get('description', '')}\n"
        inputs = resource.get("inputProperties", {})
        yield from _table("Inputs", inputs, resource.get("requiredInputs", ()))
        # A resource's inputs are outputs as well; a component hands out what it declares, by whatever name.
        repeated = () if resource.get("isComponent") else inputs
        outputs = {key: value for key, value in resource.get("properties", {}).items() if key not in repeated}
        yield from _table("Outputs", outputs, ())
    used = list(_types(resources.values(), schema["types"]))
    for name in used:
        described = schema["types"][name]
        yield f"\n### {name.rpartition(':')[2]}\n\n{described.get('description', '')}\n"
        if "enum" in described:
            yield "\n" + ", ".join(f"`{each['value']}`" for each in described["enum"]) + "\n"
        yield from _table("", described.get("properties", {}), described.get("required", ()))


def _table(title: str, properties: Mapping[str, Schema], required: Iterable[str]) -> Iterator[str]:
    if not properties:
        return
    if title:
        yield f"\n**{title}**\n"
    yield "\n| name | type | |\n|---|---|---|\n"
    for name, each in properties.items():
        notes = [each.get("description", "").replace("\n", " ").replace("|", "\\|")]
        notes += ["Required."] if name in required else []
        notes += ["Secret."] if each.get("secret") else []
        notes += ["A change replaces the resource."] if each.get("willReplaceOnChanges") else []
        yield f"| `{name}` | {_type(each)} | {' '.join(filter(None, notes))} |\n"


def _type(each: Schema) -> str:
    if named := _TYPE.match(each.get("$ref", "")):
        return f"[{named[1]}](#{named[1].lower()})"
    if "oneOf" in each:
        return " or ".join(dict.fromkeys(_type(one) for one in each["oneOf"]))
    if each.get("type") == "array":
        return f"list of {_type(each['items'])}"
    if "additionalProperties" in each:
        return f"map of {_type(each['additionalProperties'])}"
    return str(each.get("type", "any")) if each.get("$ref") is None else "any"


def _types(of: Iterable[Schema], types: Mapping[str, Schema]) -> Iterator[str]:
    """The types that these use, each once, those that types use in turn as well."""
    seen: dict[str, None] = {}
    waiting: list[Any] = list(of)
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, Mapping):
            name = str(each.get("$ref", "")).removeprefix("#/types/")
            if name in types and name not in seen:
                seen[name] = None
                waiting.append(types[name])
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    yield from seen
