"""tools/toolchain.py: the user's Pulumi where it will do, else its release or one that is built, once and whole."""

from __future__ import annotations

import functools
import hashlib
import http.server
import importlib.util
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.processes

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "toolchain.py"
VERSION = "v3.256.0"
SYSTEMS = ("linux", "darwin")
PROGRAMS = {
    "pulumi",
    "pulumi-language-python",
    "pulumi-language-python-exec",
    "pulumi-language-yaml",
    "pulumi-resource-pulumi-python",
}

# A port that nobody listens on.
NOBODY = "http://127.0.0.1:1"

# Stands for Go: logs what it is asked, and "builds" programs that print the version they were given.
FAKE_GO = f"""#!{sys.executable}
import json, os, pathlib, re, sys, time
home = pathlib.Path(__file__).parent
asked = sys.argv[1:]
with (home / "asked").open("a") as log:
    log.write(" ".join(asked) + "\\n")
if asked[0] == "env":
    print((home / "env.json").read_text())
elif "-m" in asked:
    print(home / "sdk")
elif asked[0] == "list":
    print("first\\nsecond", file=sys.stdout)
    print("go: downloading example.com/module v1.0.0", file=sys.stderr)
else:
    print("first", file=sys.stderr)
    if (home / "broken").exists():
        sys.exit("undefined: everything")
    (home / "started").touch()
    latest = time.monotonic() + 30
    while (home / "hold").exists() and time.monotonic() < latest:
        time.sleep(0.01)
    version = re.search(r"Version=(\\S+)", " ".join(asked))[1]
    target = pathlib.Path(asked[asked.index("-o") + 1])
    target.write_text(f"#!/bin/sh\\necho {{version}}\\n")
    target.chmod(0o755)
"""


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """A folder with the fake Go alone."""
    folder = tmp_path / "go"
    for name in ("python/cmd/pulumi-language-python-exec", "python/dist/pulumi-resource-pulumi-python"):
        file = folder / "sdk" / name
        file.parent.mkdir(parents=True)
        file.write_text(f"#!/bin/sh\n# {name}\n")
        file.chmod(0o444)  # as the module cache has it
    (folder / "go").write_text(FAKE_GO)
    (folder / "go").chmod(0o755)
    set_go(folder, tmp_path)
    return folder


def set_go(folder: Path, tmp_path: Path, version: str = "go1.99.0", toolchain: str = "local") -> None:
    settings = {
        "GOVERSION": version,
        "GOTOOLCHAIN": toolchain,
        "GOMODCACHE": str(tmp_path / "modules"),
        "GOCACHE": str(tmp_path / "build"),
        "GOPROXY": "direct",
    }
    (folder / "env.json").write_text(json.dumps(settings))


@pytest.fixture
def start(tmp_path: Path, go: Path) -> Callable[..., subprocess.Popen[str]]:
    def run(*path: Path, releases: str = "off") -> subprocess.Popen[str]:
        environment = {
            "PATH": os.pathsep.join(str(folder) for folder in (path or (go,))),
            "HOME": str(tmp_path),
            "AGENT_DEPLOY_TOOLCHAIN": str(tmp_path / "cache"),
            "AGENT_DEPLOY_PULUMI_RELEASES": releases,
        }
        return subprocess.Popen(
            [sys.executable, str(SCRIPT), "--print-path"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out.strip(), err


def asked(go: Path, command: str) -> int:
    return [line.split()[0] for line in (go / "asked").read_text().splitlines()].count(command)


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def installed(folder: Path, version: str, host: bool = True) -> Path:
    folder.mkdir()
    for name in ("pulumi", *(["pulumi-language-python"] if host else [])):
        (folder / name).write_text(f"#!/bin/sh\necho {version}\n")
        (folder / name).chmod(0o755)
    return folder


def left_over(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir()}


def test_builds_once_and_is_used_from_then_on(start: Callable[..., subprocess.Popen[str]], go: Path) -> None:
    code, path, told = finish(start())
    assert code == 0, told
    assert {file.name for file in Path(path).iterdir()} == PROGRAMS
    assert all(os.access(file, os.X_OK) for file in Path(path).iterdir())
    assert "building Pulumi once" in told
    assert "building, 2 packages" in told
    before = (go / "asked").read_text()
    assert all("-mod=readonly" in line for line in before.splitlines() if not line.startswith("env"))
    assert finish(start()) == (0, path, "")
    assert finish(start(releases=NOBODY)) == (0, path, "")
    assert (go / "asked").read_text() == before


def test_a_build_that_takes_long_says_how_far_it_is(
    module: ModuleType, go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def tell(message: str) -> None:
        told.append(message)
        if "1 packages compiled" in message:  # an earlier line may come before the build has said anything
            (go / "hold").unlink(missing_ok=True)

    monkeypatch.setattr(module, "tell", tell)
    monkeypatch.setattr(module, "PROGRESS_SECONDS", 0.05)
    (go / "hold").touch()
    arguments = ["build", "-ldflags", "-X Version=v1", "-o", str(tmp_path / "pulumi")]
    module.run_go(arguments, module.COMMANDS[0], {**os.environ, "PATH": str(go)}, "pulumi")
    assert told
    assert re.fullmatch(r"  pulumi: \d+ s, 1 packages compiled", told[-1])


def test_a_pulumi_on_path_is_used(start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path) -> None:
    theirs = installed(tmp_path / "theirs", "v3.250.1")
    code, path, told = finish(start(theirs, go))
    assert (code, path) == (0, str(theirs))
    assert "using pulumi 3.250.1 from PATH" in told
    assert not (go / "asked").exists()


@pytest.mark.parametrize(
    ("version", "host", "why"),
    [("v3.99.0", True, "older than 3.237.0"), ("v3.250.1", False, "no pulumi-language-python"), ("?", True, "older")],
)
def test_a_pulumi_that_will_not_do_is_passed_over(
    start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path, version: str, host: bool, why: str
) -> None:
    theirs = installed(tmp_path / "theirs", version, host)
    code, path, told = finish(start(theirs, go))
    assert (code, Path(path).is_relative_to(tmp_path / "cache")) == (0, True)
    assert why in told
    assert "passed over" in told


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    """What Pulumi publishes, on this machine."""
    folder = tmp_path / "releases" / VERSION
    folder.mkdir(parents=True)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Releases(folder, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


@dataclass
class Releases:
    """The folder of one version's files, and where all versions are served."""

    folder: Path
    url: str

    def publish(self, says: str = VERSION, without: str = "", checksum: str = "", cut: int = 0) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name in sorted(PROGRAMS - {without}):
                content = f"#!/bin/sh\necho {says}\n".encode()
                member = tarfile.TarInfo(f"pulumi/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        content = packed.getvalue()
        digest = checksum or hashlib.sha256(content).hexdigest()
        names = [f"pulumi-{VERSION}-{system}-{machine}.tar.gz" for system in SYSTEMS for machine in ("x64", "arm64")]
        for name in names:
            (self.folder / name).write_bytes(content[: len(content) - cut])
        listed = "".join(f"{digest}  {name}\n" for name in names)
        (self.folder / f"pulumi-{VERSION.lstrip('v')}-checksums.txt").write_text(listed)


def test_the_official_release_needs_no_go(
    start: Callable[..., subprocess.Popen[str]], releases: Releases, tmp_path: Path
) -> None:
    releases.publish()
    (tmp_path / "empty").mkdir()
    code, path, told = finish(start(tmp_path / "empty", releases=releases.url))
    assert code == 0, told
    assert {file.name for file in Path(path).iterdir()} == PROGRAMS
    assert "the official release, its checksum verified" in told
    assert left_over(tmp_path) == {"lock", Path(path).parent.name}
    assert finish(start(tmp_path / "empty", releases=NOBODY)) == (0, path, "")


@pytest.mark.parametrize(
    ("published", "why"),
    [
        (None, "404"),
        ({"checksum": "0" * 64}, "and the release says 0000"),
        ({"cut": 10}, "has the SHA-256"),
        ({"without": "pulumi-language-python-exec"}, "has no pulumi-language-python-exec"),
    ],
)
def test_a_release_that_will_not_do_is_built_instead(
    start: Callable[..., subprocess.Popen[str]],
    go: Path,
    releases: Releases,
    tmp_path: Path,
    published: dict[str, Any] | None,
    why: str,
) -> None:
    if published is not None:
        releases.publish(**published)
    code, path, told = finish(start(releases=releases.url))
    assert code == 0, told
    assert why in told
    assert "but one that is built from Go modules" in told
    assert asked(go, "build") == 3
    assert left_over(tmp_path) == {"lock", Path(path).parent.name}


def test_a_release_of_another_version_is_an_error(
    start: Callable[..., subprocess.Popen[str]], releases: Releases, tmp_path: Path
) -> None:
    releases.publish(says="v3.1.0")
    code, path, told = finish(start(releases=releases.url))
    assert (code, path) == (1, "")
    assert f"does not say {VERSION}, but: v3.1.0" in told
    assert left_over(tmp_path) == {"lock"}


def test_a_machine_without_a_network_finds_out_soon(start: Callable[..., subprocess.Popen[str]], go: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, and says nothing
        code, _, told = finish(start(releases=f"http://127.0.0.1:{silent.getsockname()[1]}"))
    assert code == 0, told
    assert "did not answer within 5 s" in told or "timed out" in told
    assert finish(start(releases=NOBODY))[0] == 0


def test_no_go(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, path, told = finish(start(tmp_path / "empty"))
    assert (code, path) == (1, "")
    assert "needs Go 1." in told
    assert "install Pulumi 3.237.0 or newer" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(("version", "toolchain"), [("go1.22.3", "local"), ("go1.19", ""), ("go1.19", "auto")])
def test_a_go_that_is_too_old(
    start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path, version: str, toolchain: str
) -> None:
    set_go(go, tmp_path, version, toolchain)
    code, _, told = finish(start())
    assert code == 1
    assert f"Go {version.removeprefix('go')}" in told
    assert "is too old" in told
    assert asked(go, "build") == 0


def test_a_go_that_fetches_the_newer_one(start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path) -> None:
    set_go(go, tmp_path, "go1.22.3", "auto")
    code, _, told = finish(start())
    assert code == 0
    assert "fetches the newer one by itself" in told


def test_a_build_that_fails_leaves_nothing(
    start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path
) -> None:
    (go / "broken").touch()
    code, path, told = finish(start())
    assert (code, path) == (1, "")
    assert "undefined: everything" in told
    assert "GOPROXY" in told
    assert left_over(tmp_path) == {"lock"}
    (go / "broken").unlink()
    assert finish(start())[0] == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_build_leaves_nothing(
    start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path, how: signal.Signals
) -> None:
    (go / "hold").touch()
    process = start()
    until((go / "started").exists)
    process.send_signal(how)
    code, path, _ = finish(process)
    assert code != 0
    assert path == ""
    assert left_over(tmp_path) == {"lock"}


def test_a_killed_build_is_cleared_by_the_next(
    start: Callable[..., subprocess.Popen[str]], go: Path, tmp_path: Path
) -> None:
    (go / "hold").touch()
    process = start()
    until((go / "started").exists)
    process.kill()
    (go / "hold").unlink()
    process.communicate(timeout=60)
    assert any(name.startswith("building-") for name in left_over(tmp_path))
    code, path, _ = finish(start())
    assert code == 0
    assert left_over(tmp_path) == {"lock", Path(path).parent.name}


def test_two_at_once_build_once(start: Callable[..., subprocess.Popen[str]], go: Path) -> None:
    (go / "hold").touch()
    first = start()
    until((go / "started").exists)
    second = start()
    assert second.stderr is not None
    assert "another run builds" in second.stderr.readline()
    (go / "hold").unlink()
    one, other = finish(first), finish(second)
    assert (one[0], other[0], one[1]) == (0, 0, other[1])
    assert asked(go, "build") == 3  # the engine and the two language hosts


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("toolchain", SCRIPT)
    assert spec
    assert spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["toolchain"] = loaded
    monkeypatch.syspath_prepend(SCRIPT.parent)
    spec.loader.exec_module(loaded)
    return loaded


def test_read_only_caches_are_moved(module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = {"GOMODCACHE": "/shared/mod", "GOCACHE": str(tmp_path), "GOPROXY": "https://proxy.example.com"}
    monkeypatch.setattr(module, "_is_writable", lambda folder: folder == tmp_path)
    moved = module.writable_caches(settings, tmp_path / "cache")
    assert moved == {
        "GOMODCACHE": str(tmp_path / "cache" / "go-modules"),
        "GOPROXY": "file:///shared/mod/cache/download,https://proxy.example.com",
    }
    assert module.writable_caches({**settings, "GOCACHE": "off"}, tmp_path)["GOCACHE"] == str(tmp_path / "go-build")


def test_the_key_names_what_is_pinned(module: ModuleType) -> None:
    key = module.pinned_key()
    assert key.startswith("pulumi-3.256.0-python-3.79.0-")
    assert {command.version for command in module.COMMANDS} == {"v3.256.0", "v3.79.0", "v1.38.1"}
