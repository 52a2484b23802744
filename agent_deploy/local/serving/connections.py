"""The connections to one model's process: as many requests at once as its size allows, the others wait in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent_deploy.local.serving import wire
from agent_deploy.local.serving.process import ModelProcess

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ProcessGone(Exception):
    """The process ended before it answered."""


class NotReached(ProcessGone):
    """The process had ended before the request was sent: it may be sent to another."""


class Connections:
    """Opened when first needed; each is a thread in the process."""

    def __init__(self, process: ModelProcess, limit: int) -> None:
        self.process = process
        self._slots = asyncio.Semaphore(limit)
        self._free: list[Streams] = []

    @asynccontextmanager
    async def ask(self, header: wire.Header, body: bytes) -> AsyncIterator[Answer]:
        """Send a request; the block reads the answer. Leaving it early hangs up on the model."""
        async with self._slots:
            reader, writer = await self._connect()
            answer = Answer(reader)
            try:
                writer.write(wire.pack(header, body))
                await answer.begin()
                yield answer
            finally:
                if answer.complete:
                    self._free.append((reader, writer))
                else:
                    writer.close()

    async def _connect(self) -> Streams:
        if self._free:
            return self._free.pop()
        try:
            return await self.process.connect()
        except ConnectionError as error:
            raise NotReached(str(error)) from error

    def close(self) -> None:
        """The process is going: free connections are hung up, those in use end with their requests."""
        while self._free:
            self._free.pop()[1].close()


class Answer:
    """``header`` and ``body`` of an answer; a stream's chunks follow."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.header: wire.Header = {}
        self.body = b""
        self.complete = False

    async def begin(self) -> None:
        """Read the first frame."""
        self.header, self.body = await self._frame()
        self.complete = not self.header.get("stream")

    async def chunks(self) -> AsyncIterator[bytes]:
        """Each event as it comes; after the last one ``header`` and ``body`` are the end's: status and trace."""
        while True:
            header, body = await self._frame()
            if header.get("end"):
                self.header, self.body, self.complete = {**self.header, **header}, body, True
                return
            yield body

    async def _frame(self) -> tuple[wire.Header, bytes]:
        frame = await wire.receive_from(self._reader)
        if frame is None:
            raise ProcessGone("the model's process ended before it answered")
        return frame
