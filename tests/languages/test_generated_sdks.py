"""SDKs and programs that Pulumi's generators make of schema.json compile, and hold a user's mistakes against it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.languages.compiled import Go, TypeScript, golang, mypy

# What is right in the example → a mistake there, and what a compiler says of it.
TYPESCRIPT_MISTAKES = {
    'schedule: "triggered"': ('scheduel: "triggered"', "'scheduel' does not exist in type 'InferenceTablesArgs'"),
    "agent_deploy.WorkloadSize.Small": ('"small"', "Type '\"small\"' is not assignable to type"),
    'modelName: "main.default.docs_agent",': ("", "Property 'modelName' is missing"),
}
GO_MISTAKES = {
    "Schedule: ": ("Scheduel: ", "unknown field Scheduel"),
    "agentdeploy.WorkloadSizeSmall": ('pulumi.String("Small")', "missing method ToWorkloadSizePtrOutput"),
}
PYTHON_MISTAKES = {
    'schedule="triggered"': ('scheduel="triggered"', 'No overload variant of "InferenceTables"'),
    "scale_to_zero=True": ('scale_to_zero="yes"', 'No overload variant of "AgentDeployment"'),
}


def write_mistake(source: Path, target: Path, right: str, wrong: str) -> None:
    text = source.read_text()
    assert text.count(right) == 1
    target.write_text(text.replace(right, wrong))


def test_tsc_refuses_mistakes(typescript: TypeScript, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(typescript.folder / "node_modules")
    for number, (right, (wrong, _)) in enumerate(TYPESCRIPT_MISTAKES.items()):
        write_mistake(typescript.folder / "index.ts", tmp_path / f"mistake{number}.ts", right, wrong)
    done = TypeScript(tmp_path).compile()
    assert done.returncode != 0
    for number, (_, told) in enumerate(TYPESCRIPT_MISTAKES.values()):
        lines = done.stdout.split(f"mistake{number}.ts", 1)[1].split(f"mistake{number + 1}.ts")[0]
        assert told in lines


@pytest.mark.parametrize("right", GO_MISTAKES)
def test_go_refuses_a_mistake(right: str, go_program: Go, tmp_path: Path) -> None:
    folder = shutil.copytree(go_program.folder, tmp_path / "module")
    wrong, told = GO_MISTAKES[right]
    write_mistake(folder / "main.go", folder / "main.go", right, wrong)
    done = Go(folder).build()
    assert done.returncode != 0
    assert told in done.stdout


def test_mypy_refuses_mistakes(sdk: Path, tmp_path: Path) -> None:
    programs = []
    for number, (right, (wrong, _)) in enumerate(PYTHON_MISTAKES.items()):
        programs.append(tmp_path / f"mistake{number}.py")
        write_mistake(sdk / "examples" / "python" / "__main__.py", programs[-1], right, wrong)
    done = mypy(sdk, *programs)
    assert done.returncode != 0
    for program, (_, told) in zip(programs, PYTHON_MISTAKES.values(), strict=True):
        assert any(told in line for line in done.stdout.splitlines() if program.name in line), done.stdout


def test_the_example_compiles_in_go_as_it_was_generated(sdk: Path, tmp_path: Path) -> None:
    module = golang(sdk, tmp_path / "module", automation=False)
    assert (module.folder / "program").exists()


def test_mypy_passes_the_example(sdk: Path) -> None:
    done = mypy(sdk, sdk / "examples" / "python" / "__main__.py")
    assert done.returncode == 0, done.stdout
