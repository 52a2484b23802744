"""Builds what a release is made of, into `dist/`, and tries it: wheel, sdist, plugin archives, an SBOM, the notes.

The wheel is installed into an empty environment, without extras and then with the local workspace, and used there. With
`--tag v1.2.3` it is the release of that version: pyproject.toml and CHANGELOG.md must have it.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sysconfig.get_path("scripts")) / "uv"
SBOM_TOOL = "cyclonedx-bom==7.5.0"
# What the engine's download asks for by name; ours is Python everywhere.
PLATFORMS = [f"{system}-{machine}" for system in ("linux", "darwin", "windows") for machine in ("amd64", "arm64")]


class ReleaseError(Exception):
    """What keeps this from being a release, in words for who makes it."""


def version() -> str:
    """pyproject.toml's, the one place where it stands."""
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def pulumi(which: str) -> str:
    """The requirement for the ``oldest`` SDK that pyproject.toml allows, or for the ``newest``."""
    found = re.search(r'"(pulumi>=([\d.]+),<\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert found is not None
    return f"pulumi=={found[2]}.*" if which == "oldest" else found[1]


def notes(tag: str | None) -> str:
    """What CHANGELOG.md says of this version; raises ReleaseError where it and the tag do not fit each other."""
    wanted, text = version(), (ROOT / "CHANGELOG.md").read_text("utf-8")
    if tag is not None and tag != f"v{wanted}":
        raise ReleaseError(f"tag {tag}: expected v{wanted}, the version of pyproject.toml. Change one of them")
    section = re.search(rf"^## {re.escape(wanted)}(?![\w.+-])(.*)$((?:\n(?!## ).*)*)", text, re.MULTILINE)
    if section is None or not section[2].strip():
        raise ReleaseError(f"CHANGELOG.md has no section '## {wanted}' with a text: write what this release changes")
    if tag is not None and "unreleased" in section[1].lower():
        raise ReleaseError(f"CHANGELOG.md calls {wanted} unreleased: put the date there")
    return section[2].strip() + "\n"


def build(to: Path) -> Path:
    """Wheel and sdist, which hold the same package; returns the wheel."""
    run(sys.executable, "-m", "hatchling", "build", "--directory", str(to))
    [wheel], [sdist] = to.glob("*.whl"), to.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as files:
        of_wheel = {name for name in files.namelist() if name.startswith("agent_deploy/")}
    with tarfile.open(sdist) as archive:
        of_sdist = {name.partition("/")[2] for name in archive.getnames()}
    if missing := of_wheel - of_sdist:
        raise ReleaseError(f"the sdist lacks what the wheel has: {', '.join(sorted(missing))}")
    return wheel


def plugin_archives(to: Path) -> list[Path]:
    """The plugin as the engine downloads and installs it: started as out of a checkout, with this release."""
    pin = f"agent-deploy=={version()}\n".encode()
    made = []
    for platform in PLATFORMS:
        made.append(to / f"pulumi-resource-agent-deploy-v{version()}-{platform}.tar.gz")
        with tarfile.open(made[-1], "w:gz") as archive:
            for name in ("PulumiPlugin.yaml", "__main__.py"):
                archive.add(ROOT / name, name)
            entry = tarfile.TarInfo("requirements.txt")
            entry.size = len(pin)
            archive.addfile(entry, io.BytesIO(pin))
    return made


def environment(to: Path, python: str, *requirements: str) -> Path:
    """An empty environment with these in it; returns its folder of programs."""
    run(str(UV), "venv", "--quiet", "--python", python, "--no-python-downloads", str(to))
    run(str(UV), "pip", "install", "--quiet", "--python", str(to), *requirements)
    return to / "bin"


def use(programs: Path) -> None:
    """The components in a user's unit test, the plugin's schema, the commands, without any extra."""
    page = (ROOT / "docs" / "testing.md").read_text("utf-8")
    example = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[1]
    with_folder = programs.parent / "try"
    with_folder.mkdir(exist_ok=True)
    (with_folder / "test_program.py").write_text(example)
    run(str(programs / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_program.py", cwd=with_folder)
    run(str(programs / "agent-deploy"), "--version")
    run(str(programs / "python"), str(ROOT / "tools" / "schema.py"), "--check")


def use_workspace(programs: Path) -> None:
    """The local workspace, started and stopped."""
    state = programs.parent / "try" / "state"
    run(str(programs / "agent-deploy"), "local", "start", "--folder", str(state))
    run(str(programs / "agent-deploy"), "local", "stop", "--folder", str(state))


def bill_of_materials(of: Path, to: Path) -> None:
    """What an installation brings, in CycloneDX's JSON."""
    command = ("tool", "run", "--quiet", "--no-python-downloads", "--from", SBOM_TOOL, "cyclonedx-py", "environment")
    run(str(UV), *command, "--output-reproducible", "--output-file", str(to), str(of / "python"))


def run(*command: str, cwd: Path = ROOT) -> None:
    """Raises ReleaseError with all that a command said when it fails."""
    clean = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(command, cwd=cwd, env=clean, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def tell(message: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"release: {message}\n")
    sys.stderr.flush()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tag", help="the release's tag, such as v0.1.0; none: a trial")
    parser.add_argument(
        "--to", type=Path, default=ROOT / "dist", help="folder that is not there yet; dist is made anew"
    )
    parser.add_argument("--python", default=sys.executable, help="of the environments in which it is tried")
    parser.add_argument("--pulumi", choices=("oldest", "newest"), default="newest", help="which supported one is tried")
    parser.add_argument("--without-workspace", action="store_true", help="try the package alone")
    given = parser.parse_args()
    to = given.to.resolve()
    try:
        text = notes(given.tag)
        if to.exists() and to != ROOT / "dist" and any(to.iterdir()):
            raise ReleaseError(f"--to {to}: expected a folder that is not there yet, or is empty")
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True)
        tell("wheel and sdist")
        wheel = build(to)
        plugin_archives(to)
        tell(f"an empty environment, Python {given.python}, {pulumi(given.pulumi)}")
        core = environment(to / "try-core", given.python, str(wheel), pulumi(given.pulumi))
        tell("SBOM")
        bill_of_materials(core, to / "sbom.cdx.json")
        run(str(UV), "pip", "install", "--quiet", "--python", str(to / "try-core"), "pytest")
        tell("the package is used")
        use(core)
        if not given.without_workspace:
            tell("the same with the local workspace")
            use_workspace(environment(to / "try-local", given.python, f"{wheel}[local]", pulumi(given.pulumi)))
        (to / "notes.md").write_text(text)
    except ReleaseError as error:
        sys.stderr.write(f"release: {error}\n")
        return 1
    finally:
        for tried in to.glob("try-*"):
            shutil.rmtree(tried)
    tell(f"ready: {to}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
