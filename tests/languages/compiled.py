"""The SDKs generated from schema.json and the example's programs, compiled in folders of the tests' own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "languages"
SECONDS = 600.0
# In Go, what `main` runs becomes what the Automation API runs.
_GO_MAIN = ("func main() {\n\tpulumi.Run(", "var program = pulumi.RunFunc(")


def run(*command: str | Path, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Its output; raises AssertionError with it when it fails."""
    done = compiled(*command, folder=folder, environment=environment)
    assert done.returncode == 0, done.stdout
    return done.stdout


def compiled(
    *command: str | Path, folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What a compiler says, its errors included."""
    return subprocess.run(
        [str(each) for each in command], cwd=folder, env={**os.environ, **(environment or {})}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
    )  # fmt: skip


def needed(program: str, how: str) -> str:
    """The path of a program that these tests need."""
    found = shutil.which(program)
    assert found is not None, f"{program} is not on PATH: {how}"
    return found


def node_modules() -> Path:
    """What TypeScript programs import, installed once for each version of package.json."""
    npm = needed("npm", "install Node.js 20 or newer (https://nodejs.org)")
    package = HERE / "nodejs" / "package.json"
    kept = CACHE / f"nodejs-{hashlib.sha256(package.read_bytes()).hexdigest()[:12]}"
    if not kept.exists():
        making = CACHE / f"making-{os.getpid()}"
        making.mkdir(parents=True)
        shutil.copy(package, making)
        try:
            run(npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", folder=making)
            making.rename(kept)
        except OSError:
            assert kept.exists(), "another run has installed them meanwhile, or the folder cannot be written"
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return kept / "node_modules"


@dataclass(frozen=True)
class TypeScript:
    """A folder with the SDK, compiled, and the example beside the program that runs it."""

    folder: Path

    def compile(self) -> subprocess.CompletedProcess[str]:
        """`tsc` on the folder's programs."""
        options = ("--strict", "--skipLibCheck", "--target", "es2022", "--module", "node16", "--types", "node")
        files = sorted(path.name for path in self.folder.glob("*.ts"))
        return compiled(self.folder / "node_modules" / ".bin" / "tsc", *options, *files, folder=self.folder)


def typescript(sdk: Path, folder: Path) -> TypeScript:
    """The SDK as a package that is installed, and the example in it."""
    node = needed("node", "install Node.js 20 or newer (https://nodejs.org)")
    modules, installed = folder / "node_modules", node_modules()
    (modules / "@pulumi").mkdir(parents=True)
    for each in installed.iterdir():
        if each.name != "@pulumi":
            (modules / each.name).symlink_to(each)
    (modules / "@pulumi" / "pulumi").symlink_to(installed / "@pulumi" / "pulumi")
    own = modules / "@pulumi" / "agent-deploy"
    shutil.copytree(sdk / "nodejs", own)
    # What npm runs when the package is installed: it compiles.
    path = os.pathsep.join((str(modules / ".bin"), os.environ["PATH"]))
    run(node, own / "scripts" / "postinstall.js", folder=own, environment={"PATH": path})
    shutil.copy(sdk / "examples" / "nodejs" / "index.ts", folder)
    shutil.copy(HERE / "nodejs" / "automation.ts", folder)
    made = TypeScript(folder)
    done = made.compile()
    assert done.returncode == 0, done.stdout
    return made


@dataclass(frozen=True)
class Go:
    """A module with the SDK, the example, and a program that runs it."""

    folder: Path

    def build(self) -> subprocess.CompletedProcess[str]:
        """`go build` of the module's program, as `program`."""
        go = needed("go", "install Go 1.25 or newer (https://go.dev/dl)")
        arguments = ("build", "-mod=readonly", "-trimpath", "-o", "program", ".")
        return compiled(go, *arguments, folder=self.folder, environment={"GOWORK": "off"})


def golang(sdk: Path, folder: Path, automation: bool) -> Go:
    """The example as it is, or for the Automation API."""
    folder.mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        shutil.copy(HERE / "go" / name, folder)
    shutil.copytree(sdk / "go", folder / "sdk")
    program = (sdk / "examples" / "go" / "main.go").read_text()
    if automation:
        assert program.count(_GO_MAIN[0]) == 1
        program = program.replace(*_GO_MAIN).rstrip().removesuffix("}")
        shutil.copy(HERE / "go" / "automation.go", folder)
    (folder / "main.go").write_text(program)
    made = Go(folder)
    done = made.build()
    assert done.returncode == 0, done.stdout
    return made


def mypy(sdk: Path, *programs: Path) -> subprocess.CompletedProcess[str]:
    """mypy on programs that use the generated Python SDK, and follow it: what it finds inside is Pulumi's own."""
    options = ("--config-file=", "--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={CACHE / 'mypy'}")
    path = {"MYPYPATH": str(sdk / "python")}
    return compiled(sys.executable, "-m", "mypy", *options, *programs, folder=sdk, environment=path)
