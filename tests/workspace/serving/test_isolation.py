"""What a served model may not reach, tried by one, where this machine can keep it from that; and what it may."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_deploy.local import LocalWorkspace
from agent_deploy.local.serving import isolation, landlock
from tests.processes import descendants
from tests.workspace.conftest import http_client
from tests.workspace.serving.conftest import API, Endpoint, ok, register, wait

_SECRET, _OF_THE_SERVER = "CANARY-victim-s-secret", "CANARY-of-the-server-s-environment"
_FILES = ("admin.token", "workspace.key", "workspace.db", "server.json", "mlflow/mlflow.db", "logs/workspace.log")
_OTHERS = ("server", "victim", "tracking")
_FILES_OF_PROCESSES = ("environ", "mem", "maps", "fd", "cwd/.", "root/etc/passwd", "task")

# Each prints REACHED when it got what it was after. `W` is the workspace's folder, `P` the ids of its processes.
_ATTACKS = {
    **{f"reads {file}": f"print('REACHED', open(f'{{W}}/{file}', 'rb').read(1))" for file in _FILES},
    "lists the workspace's folder": "print('REACHED', os.listdir(W))",
    "lists the identities' tokens": "print('REACHED', os.listdir(f'{W}/serving/credentials'))",
    "reads another's token": "print('REACHED', open(glob_of_victim + '/model-dependencies-oauth-token').read(1))",
    "writes into the workspace's folder": "open(f'{W}/planted', 'w').write('x'); print('REACHED')",
    "removes the workspace's state": "os.unlink(f'{W}/server.json'); print('REACHED')",
    "moves the workspace's state": "os.rename(f'{W}/server.json', f'{W}/server.old'); print('REACHED')",
    "cuts the workspace's state short": "os.truncate(f'{W}/workspace.db', 0); print('REACHED')",
    "plants code in another's model": "open(model_of_victim, 'a').write('#'); print('REACHED')",
    "reads by a link of its own": "os.symlink(f'{W}/admin.token', 'link'); print('REACHED', open('link').read(1))",
    "takes a hard link": "os.link(f'{W}/admin.token', 'hard'); print('REACHED', open('hard').read(1))",
    "reads in a child": "print('REACHED' * (subprocess.run(['cat', f'{W}/admin.token']).returncode == 0))",
    "reads in a thread": """
        import threading
        def read(): print('REACHED', open(f'{W}/admin.token').read(1))
        thread = threading.Thread(target=read); thread.start(); thread.join()
    """,
    "reads a user's file": "print('REACHED', open(canary).read())",
    "reads other programs' temporary files": "print('REACHED', os.listdir(os.path.dirname(os.environ['TMPDIR'])))",
    **{
        f"looks into {name} of the {other}'s process": f"""
            path = f'/proc/{{P["{other}"]}}/{name}'
            print('REACHED', os.listdir(path) if os.path.isdir(path) else open(path, 'rb'))
        """
        for other in _OTHERS
        for name in _FILES_OF_PROCESSES
    },
    **{
        f"attaches to the {other}'s process": f"print('REACHED' * (C.ptrace(0x4206, P['{other}'], 0, 0) == 0))"
        for other in _OTHERS
    },
    "takes a descriptor of the server's": """
        pidfd = os.pidfd_open(P['server'])
        print('REACHED' * (C.syscall(438, pidfd, 0, 0) >= 0))
    """,
    "mounts": "print('REACHED' * (C.mount(b'none', os.environ['TMPDIR'].encode(), b'tmpfs', 0, None) == 0))",
    "mounts in a name space of its own": """
        C.unshare(0x10000000 | 0x00020000)
        print('REACHED' * (C.mount(b'none', os.environ['TMPDIR'].encode(), b'tmpfs', 0, None) == 0))
    """,
    "asks MLflow's server itself": """
        import http.client, socket
        asking = http.client.HTTPConnection('localhost')
        asking.sock = socket.socket(socket.AF_UNIX); asking.sock.connect(f'{W}/mlflow/server.sock')
        asking.request('GET', '/api/2.0/mlflow/experiments/search?max_results=1')
        print('REACHED' * (asking.getresponse().status == 200))
    """,
    "has privileges to gain": """
        status = dict(line.split(':', 1) for line in open('/proc/self/status'))
        print('REACHED' * (status['NoNewPrivs'].strip() != '1' or int(status['CapEff'], 16) != 0))
    """,
    "finds the server's variables in its own": f"print('REACHED' * ('{_OF_THE_SERVER}' in str(os.environ)))",
}
_SIGNALS_SINCE = 6
if landlock.version() >= _SIGNALS_SINCE:
    _ATTACKS |= {f"signals the {other}'s process": f"os.kill(P['{other}'], 0); print('REACHED')" for other in _OTHERS}

# Each prints WORKS.
_NEEDS = {
    "reads its own token": "open(os.environ['SERVING_CREDENTIALS_DIR'] + '/model-dependencies-oauth-token').read()",
    "writes its home": "open(os.environ['HOME'] + '/file', 'w').write('x')",
    "writes temporary files": "import tempfile; tempfile.NamedTemporaryFile().write(b'x')",
    "moves a file from one to the other": """
        import tempfile, shutil
        name = tempfile.mkstemp()[1]; os.rename(name, os.environ['HOME'] + '/moved')
    """,
    "imports what it had not": "import sqlite3, xml.dom.minidom, pandas.io.sql, unittest",
    "asks the workspace": "import urllib.request; urllib.request.urlopen(H + '/_local/health').read()",
    "starts programs": "assert subprocess.run(['/bin/sh', '-c', 'echo x > /dev/null']).returncode == 0",
    "shares locks between processes": "import multiprocessing; multiprocessing.Lock().acquire()",
    "runs a server of locks": "import multiprocessing; multiprocessing.Manager().Lock().acquire()",
    "knows its machine": "import psutil; psutil.cpu_count(); psutil.virtual_memory(); psutil.Process().memory_info()",
    "knows names": "import socket; assert socket.gethostbyname('localhost') == '127.0.0.1'",
    "makes TLS contexts": "import ssl; ssl.create_default_context()",
    "signals its own children": "p = subprocess.Popen(['sleep', '60']); p.kill(); p.wait()",
}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[LocalWorkspace]:
    """A workspace of this file's own, with a variable in its server's environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CANARY", _OF_THE_SERVER)
        with LocalWorkspace() as workspace:
            yield workspace


@pytest.fixture(scope="module")
def run(own: LocalWorkspace, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """``run(code)`` in a served model, beside another one's; what it printed."""
    canary = tmp_path_factory.mktemp("user") / "notes"
    canary.write_text("CANARY")
    http = http_client(own.host, own.token)
    for name in ("evil", "victim"):
        register(http, f"main.default.{name}", models / "evil")
        entity = {"entity_name": f"main.default.{name}", "entity_version": "1", "name": name}
        entity |= {"environment_vars": {"API_KEY": _SECRET}} if name == "victim" else {}  # type: ignore[dict-item]
        ok(http.post(API, json={"name": name, "config": {"served_entities": [entity]}}))
    ok(http.get("/api/2.0/mlflow/experiments/search", params={"max_results": 1}, timeout=120))
    endpoint, victim = Endpoint(http, "evil"), Endpoint(http, "victim")
    for each in (endpoint, victim):
        assert each.settled()["state"]["ready"] == "READY"
    pids = {"server": own.pid, "victim": victim.processes()["victim"]["pid"]}
    (pids["tracking"],) = wait(lambda: descendants(own.pid, "tracking.process"), bool)
    evils = ok(endpoint.post({"inputs": ["import os; print(os.environ['SERVING_CREDENTIALS_DIR'])"]}))["predictions"]
    tokens = [path for path in (own.folder / "serving" / "credentials").iterdir() if path != Path(evils[0].strip())]
    model = next((own.folder).rglob("main/default/victim/1/MLmodel"))
    before = f"""
import os, subprocess, ctypes
C = ctypes.CDLL(None, use_errno=True)
W, P, H, canary = {str(own.folder)!r}, {pids!r}, {own.host!r}, {str(canary)!r}
glob_of_victim, model_of_victim = {str(tokens[0])!r}, {str(model)!r}
"""

    def send(code: str) -> str:
        answer = ok(endpoint.post({"inputs": [before + textwrap.dedent(code)]}))
        return str(answer["predictions"][0])

    return send


@pytest.fixture(scope="module")
def isolated() -> None:
    """Says so where this machine offers nothing."""
    if not landlock.version():
        pytest.skip(isolation.offered())


def test_the_workspace_says_what_it_keeps_models_from(own: LocalWorkspace) -> None:
    assert isolation.offered() in own.log


@pytest.mark.parametrize("attack", _ATTACKS)
def test_a_model_does_not_reach(attack: str, isolated: None, run: Callable[[str], str]) -> None:
    said = run(_ATTACKS[attack])
    assert "REACHED" not in said
    # Not because the attack is wrong: the kernel, or what it asked, said no.
    assert said.strip() == "" or said.startswith(("raised PermissionError", "raised OSError")), said


@pytest.mark.parametrize("need", _NEEDS)
def test_a_model_still(need: str, run: Callable[[str], str]) -> None:
    assert run(f"{textwrap.dedent(_NEEDS[need])}\nprint('WORKS')") == "WORKS\n"


def test_where_the_server_writes_too_it_is_led_nowhere_by_a_link(isolated: None, tmp_path: Path) -> None:
    own, shared, secret = (tmp_path / name for name in ("own", "shared", "secret"))
    own.mkdir()
    shared.mkdir()
    secret.write_text("CANARY")
    given = isolation.terms([], [], [own], plain=[shared])
    code = f"""
        import os
        from agent_deploy.local.serving import isolation
        isolation.apply({given!r})
        os.chdir({str(tmp_path)!r})
        open('shared/file', 'w').close(); os.mkdir('shared/folder'); os.rename('shared/file', 'shared/folder/file')
        os.symlink({str(secret)!r}, 'own/link')
        for plant in (
            lambda: os.symlink({str(secret)!r}, 'shared/link'), lambda: os.rename('own/link', 'shared/link'),
            lambda: os.link('own/link', 'shared/link', follow_symlinks=False), lambda: os.mkfifo('shared/link'),
            lambda: os.link({str(secret)!r}, 'shared/link'),
        ):
            try:
                plant()
            except OSError:
                continue
            print('REACHED')
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert said.stdout == ""
    assert sorted(path.name for path in shared.rglob("*")) == ["file", "folder"]


_NAMES = st.text("ab", min_size=1, max_size=2)
_PATHS = st.lists(_NAMES, max_size=4)


@given(root=_PATHS, hidden=_PATHS.filter(bool), files=st.lists(_PATHS.filter(bool), max_size=12))
def test_nothing_hidden_lies_below_what_is_shown(
    tmp_path_factory: pytest.TempPathFactory, root: list[str], hidden: list[str], files: list[list[str]]
) -> None:
    top = tmp_path_factory.mktemp("shown")
    secret = top.joinpath(*hidden)
    secret.mkdir(parents=True, exist_ok=True)
    for file in files:
        top.joinpath(*file).mkdir(parents=True, exist_ok=True)
    top.joinpath(*root).mkdir(parents=True, exist_ok=True)
    shown = [Path(path) for path in isolation._without(str(top.joinpath(*root)), [str(secret)])]
    for path in shown:
        assert secret != path
        assert path not in secret.parents
        assert secret not in path.parents
    for folder, _, _ in os.walk(top.joinpath(*root)):
        is_shown = any(path == Path(folder) or path in Path(folder).parents for path in shown)
        on_the_way = secret == Path(folder) or Path(folder) in secret.parents or secret in Path(folder).parents
        assert is_shown != on_the_way
