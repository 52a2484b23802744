"""A model's process, whatever the model raises and wherever: its caller is told, it ends, and nothing of it stays."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import agent_deploy
from agent_deploy.local.core.store import Store
from agent_deploy.local.serving import isolation, landlock, process, scoring, wire
from agent_deploy.local.serving.connections import Connections, ProcessGone
from agent_deploy.local.serving.logs import Log, Mask, read
from agent_deploy.local.serving.process import BuildFailed, ModelProcess, Order
from agent_deploy.local.serving.scoring import Scorer
from tests.processes import alive

# How a test's own class is written into the process, and what each is called there.
RAISED = {
    "SystemExit": "SystemExit(3)",
    "KeyboardInterrupt": "KeyboardInterrupt()",
    "CancelledError": "__import__('asyncio').CancelledError()",
    "GeneratorExit": "GeneratorExit()",
    "PanicException": "type('PanicException', (BaseException,), {'__module__': 'rust'})('a Rust library')",
}
_STUB = """
    import agent_deploy.local.serving.model_process as module
    from agent_deploy.local.core.supervision import contained
    from agent_deploy.local.serving import wire

    class Stub:
        def description(self):
            return {}
        def flush(self):
            pass
        def answer(self, header, body):
            exec(body.decode(), {})
            yield wire.pack({"status": 200, "length": 0})

    def load(order):
        exec(order["model"], {})
        return Stub()

    module._loaded = load
    module.main()
"""


@dataclass
class Running:
    """A process of the test's own, and where its log lies."""

    model: ModelProcess
    logs: Path

    def log(self) -> str:
        """All that it said."""
        return read(self.logs, "first", "build")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process does what the model's path and a request's body say, and MLflow is not loaded."""
    monkeypatch.setattr(process, "command", lambda python: (python, "-c", textwrap.dedent(_STUB)))


async def start(
    folder: Path,
    load: str = "pass",
    seconds: float = 60,
    more: dict[str, str] | None = None,
    hidden: tuple[Path, ...] = (),
) -> Running:
    """Spawned, not yet ready."""
    store = Store(folder / "state.db")
    whole = {**os.environ, **(more or {})}
    order = Order(Path(load), "agent", whole, folder / "home", seconds=seconds, hidden=hidden)
    log = Log(folder / "logs", "first", Mask())
    return Running(await ModelProcess.start(order, log, store), folder / "logs")


@pytest.mark.parametrize("raised", RAISED)
def test_what_is_raised_while_loading_is_told(stub: None, raised: str, tmp_path: Path) -> None:
    async def run() -> Running:
        running = await start(tmp_path, f"raise {RAISED[raised]}")
        with pytest.raises(BuildFailed, match=raised):
            await running.model.ready(60)
        await running.model.end()
        return running

    running = asyncio.run(run())
    assert not alive(running.model.pid)
    assert f"{raised}" in running.log()


@pytest.mark.parametrize("raised", RAISED)
def test_a_thread_that_ends_hangs_up_and_its_process_is_ended_by_its_id(
    stub: None, raised: str, tmp_path: Path
) -> None:
    async def run() -> int:
        running = await start(tmp_path)
        await running.model.ready(60)
        connections = Connections(running.model, 1)
        with pytest.raises(Exception, match="ended before it answered"):
            async with connections.ask({"id": "r"}, f"raise {RAISED[raised]}".encode()):
                pass
        await running.model.end(0.1)
        return running.model.pid

    assert not alive(asyncio.run(run()))


def test_a_main_thread_that_is_interrupted_ends_the_process_whatever_threads_there_are(
    stub: None, tmp_path: Path
) -> None:
    hang = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()"

    async def run() -> None:
        running = await start(tmp_path, hang)
        await running.model.ready(60)
        connections = Connections(running.model, 1)
        with suppress(ProcessGone):  # it may end before it has answered
            async with connections.ask({"id": "r"}, b"import os, signal; os.kill(os.getpid(), signal.SIGINT)"):
                pass
        await asyncio.wait_for(asyncio.shield(running.model.exited), 20)

    asyncio.run(run())


def test_a_load_that_hangs_ends_and_its_log_says_where(stub: None, tmp_path: Path) -> None:
    async def run() -> Running:
        running = await start(tmp_path, "import time\ndef connect(): time.sleep(600)\nconnect()", seconds=4)
        with pytest.raises(BuildFailed, match=r"not loaded within 4 s.*serving_build_seconds"):
            await running.model.ready(4)
        await running.model.end()
        return running

    running = asyncio.run(run())
    assert "in connect" in running.log()
    assert not alive(running.model.pid)


def test_what_a_model_started_ends_with_it_in_a_session_of_its_own_too(stub: None, tmp_path: Path) -> None:
    pid = tmp_path / "home" / "pid"
    daemon = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        f" start_new_session=True); open({str(pid)!r}, 'w').write(str(p.pid))"
    )

    async def run() -> None:
        running = await start(tmp_path, daemon)
        await running.model.ready(60)
        await running.model.end()

    asyncio.run(run())
    assert not alive(int(pid.read_text()))


@pytest.fixture
def isolated() -> None:
    """Says so where this machine offers nothing."""
    if not landlock.version():
        pytest.skip(isolation.offered())


def test_what_a_model_left_in_its_home_runs_shut_off_as_the_model(isolated: None, stub: None, tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    packages = home / ".local" / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    packages.mkdir(parents=True)
    planted = f"""
        import os
        open({str(home / "ran")!r}, "a").close()
        try:
            open({str(outside)!r}, "w").close()
        finally:
            os._exit(1)
    """
    for module in (home / "agent_deploy.py", home / "socket.py", home / "struct.py", packages / "usercustomize.py"):
        module.write_text(textwrap.dedent(planted))

    async def run() -> None:
        running = await start(tmp_path, more={"HOME": str(home)})
        with pytest.raises(BuildFailed, match="exit code 1"):
            await running.model.ready(60)
        await running.model.end()

    asyncio.run(run())
    assert (home / "ran").exists()
    assert not outside.exists()


@pytest.mark.parametrize("variable", ["PYTHONPATH", "SSL_CERT_DIR", "LD_LIBRARY_PATH"])
def test_no_variable_of_whoever_deploys_opens_a_folder(
    isolated: None, stub: None, variable: str, tmp_path: Path
) -> None:
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"open({str(folder / 'ran')!r}, 'w').close()")

    async def run() -> None:
        running = await start(tmp_path, f"open({str(folder / 'sitecustomize.py')!r})", more={variable: str(folder)})
        with pytest.raises(BuildFailed, match="PermissionError"):
            await running.model.ready(60)
        await running.model.end()

    asyncio.run(run())
    assert not (folder / "ran").exists()


def test_a_package_beside_what_is_hidden_is_imported_all_the_same(isolated: None, tmp_path: Path) -> None:
    beside = Path(agent_deploy.__file__).parent.with_name("docs")

    async def run() -> None:
        running = await start(tmp_path, str(tmp_path / "no-model"), hidden=(beside,))
        with pytest.raises(BuildFailed, match="no-model"):
            await running.model.ready(60)
        await running.model.end()

    asyncio.run(run())


class _Raising:
    """A loaded model that raises what it is told, where it is told."""

    def __init__(self, where: str, error: BaseException) -> None:
        self._where, self._error = where, error
        self._predict_stream_fn = object()
        self.model_id, self.metadata = None, None

    def predict(self, *_: Any, **__: Any) -> Any:
        raise self._error

    def predict_stream(self, *_: Any, **__: Any) -> Any:
        if self._where == "the call of a stream":
            raise self._error
        return self._events()

    def _events(self) -> Iterator[Any]:
        if self._where == "a stream's middle":
            yield {"type": "first"}
        raise self._error


PLACES = ["an answer", "the call of a stream", "a stream's beginning", "a stream's middle"]


@pytest.mark.parametrize("raised", [*RAISED, "ValueError"])
@pytest.mark.parametrize("where", PLACES)
def test_the_caller_is_told_and_the_server_asked_to_end_the_process(
    where: str, raised: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error: BaseException = eval(RAISED.get(raised, "ValueError('an exception')"))
    scorer = object.__new__(Scorer)
    scorer._model = _Raising(where, error)
    scorer._traces, scorer._returns_ids = False, False
    question = scoring._Question("r", {}, None, True, "stream" in where, False, None)
    monkeypatch.setattr(scorer, "_parse", lambda *_: question)
    frames = [_frame(frame) for frame in scorer.answer({"id": "r", "type": "application/json"}, b"{}")]
    header, body = frames[-1]
    assert header["status"] == 500
    assert header.get("ends", "").startswith(f"The model raised {raised}") == (raised != "ValueError")
    said = frames[-2][1] if where == "a stream's middle" else body
    assert f"The model raised {raised}" in said


def test_a_caller_who_leaves_ends_no_process() -> None:
    scorer = object.__new__(Scorer)
    scorer._model = _Raising("a stream's middle", SystemExit())
    scorer._traces, scorer._returns_ids = False, False
    frames = scorer._answer_stream(scoring._Question("r", {}, None, True, True, False, None))
    assert _frame(next(frames))[0]["stream"]
    next(frames)
    frames.close()  # type: ignore[attr-defined]


def _frame(packed: bytes) -> tuple[wire.Header, str]:
    async def unpack() -> tuple[wire.Header, str]:
        reader = asyncio.StreamReader()
        reader.feed_data(packed)
        found = await wire.receive_from(reader)
        assert found is not None
        return found[0], found[1].decode()

    return asyncio.run(unpack())
