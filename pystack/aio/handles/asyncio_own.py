"""What asyncio keeps to itself, and this room needs: read and written as a subclass of it would.

Each is a function of one object of asyncio's; a new release of Python is checked here.
"""

from __future__ import annotations

import asyncio
from asyncio import sslproto
from typing import Any


class _Secured(sslproto.SSLProtocol):
    def is_handshaking(self) -> bool:
        states: Any = sslproto.SSLProtocolState
        state: Any = self._state  # type: ignore[attr-defined]
        return state in (states.UNWRAPPED, states.DO_HANDSHAKE)

    def transport_inside(self) -> asyncio.Transport:
        inside: asyncio.Transport = self._app_transport
        return inside


class _Reader(asyncio.StreamReader):
    def take_all(self) -> bytes:
        buffer: bytearray = self._buffer  # type: ignore[attr-defined]
        data = bytes(buffer)
        buffer.clear()
        return data


class _Writer(asyncio.StreamWriter):
    def its_reader(self) -> asyncio.StreamReader | None:
        return getattr(self, "_reader", None)


def is_handshaking(protocol: asyncio.BaseProtocol | None) -> bool:
    """Whether it is TLS that has only begun."""
    return isinstance(protocol, sslproto.SSLProtocol) and _Secured.is_handshaking(protocol)  # type: ignore[arg-type]


def transport_inside(protocol: sslproto.SSLProtocol) -> asyncio.Transport:
    """The transport that the user of a TLS protocol writes to."""
    return _Secured.transport_inside(protocol)  # type: ignore[arg-type]


def taken_from(writer: asyncio.StreamWriter) -> bytes:
    """What a stream's reader has received and not given out; it gives out nothing from now on."""
    reader = _Writer.its_reader(writer)  # type: ignore[arg-type]
    if reader is None:
        return b""
    data = _Reader.take_all(reader)  # type: ignore[arg-type]
    reader.set_exception(RuntimeError("the connection was given a descriptor: read that"))
    return data
