"""What the server and a model's process say to each other over a pair of sockets: frames of a JSON header and a body.

The model's process imports this, so it imports little.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

Header = dict[str, Any]

_LENGTHS = struct.Struct(">II")


def pack(header: Header, body: bytes = b"") -> bytes:
    """One frame."""
    encoded = json.dumps(header).encode()
    return b"".join((_LENGTHS.pack(len(encoded), len(body)), encoded, body))


def receive(connection: socket.socket) -> tuple[Header, bytes] | None:
    """The next frame, blocking; None when the other side has closed."""
    lengths = _exactly(connection, _LENGTHS.size)
    if lengths is None:
        return None
    header_length, body_length = _LENGTHS.unpack(lengths)
    content = _exactly(connection, header_length + body_length)
    if content is None:
        return None
    return json.loads(content[:header_length]), bytes(content[header_length:])


async def receive_from(reader: asyncio.StreamReader) -> tuple[Header, bytes] | None:
    """The next frame; None when the other side has closed."""
    try:
        header_length, body_length = _LENGTHS.unpack(await reader.readexactly(_LENGTHS.size))
        content = await reader.readexactly(header_length + body_length)
    except (EOFError, ConnectionError):  # asyncio's IncompleteReadError is the first
        return None
    return json.loads(content[:header_length]), content[header_length:]


def _exactly(connection: socket.socket, length: int) -> bytearray | None:
    buffer = bytearray(length)
    view, filled = memoryview(buffer), 0
    while filled < length:
        try:
            count = connection.recv_into(view[filled:])
        except ConnectionError:
            return None
        if not count:
            return None
        filled += count
    return buffer
