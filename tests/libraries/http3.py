"""An HTTP/3 server and client of aioquic's, as its users write them; a program for either side.

    python http3.py serve HOST PORT CERTIFICATE KEY      until it is ended; prints "ready"
    python http3.py fetch HOST PORT AUTHORITY [NAME]     prints what it has got, as JSON

The server answers GET / with the client's address, GET /N with N octets, POST with the SHA-256 of
the body.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

LENGTH = 2_000_000  # octets each way
PATIENCE = 120.0  # s, as in tests/surroundings.py, which a program of its own does not see


def some(length: int) -> bytes:
    """That many octets, none like its neighbour."""
    return (bytes(range(251)) * (length // 251 + 1))[:length]


class Http(QuicConnectionProtocol):
    """What server and client have in common: HTTP/3 in the streams of a QUIC connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.http = H3Connection(self._quic)
        self.headers: dict[int, dict[bytes, bytes]] = {}
        self.bodies: dict[int, bytearray] = defaultdict(bytearray)

    def quic_event_received(self, event: QuicEvent) -> None:
        for heard in self.http.handle_event(event):
            self.heard(heard)
        if isinstance(event, ConnectionTerminated):
            self.ended(event)

    def heard(self, event: H3Event) -> None:
        """Headers and bodies are kept until the stream ends."""
        if isinstance(event, HeadersReceived):
            self.headers[event.stream_id] = dict(event.headers)
        elif isinstance(event, DataReceived):
            self.bodies[event.stream_id] += event.data
        else:
            return
        if event.stream_ended:
            self.complete(
                event.stream_id,
                self.headers.pop(event.stream_id),
                bytes(self.bodies.pop(event.stream_id, b"")),
            )

    def complete(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        raise NotImplementedError

    def ended(self, event: ConnectionTerminated) -> None:
        """The connection is over."""

    def send(self, stream: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.http.send_headers(stream, headers, end_stream=not body)
        if body:
            self.http.send_data(stream, body, end_stream=True)
        self.transmit()


class Server(Http):
    def complete(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        path = headers[b":path"].decode()
        if headers[b":method"] == b"POST":
            answer = hashlib.sha256(body).hexdigest().encode()
        elif path == "/":
            answer = self._quic._network_paths[0].addr[0].encode()
        else:
            answer = some(int(path[1:]))
        self.send(stream, [(b":status", b"200")], answer)


class Client(Http):
    host = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}

    async def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer. Raises ConnectionError."""
        stream = self._quic.get_next_available_stream_id()
        self._waiting[stream] = asyncio.get_running_loop().create_future()
        words = {"method": method, "scheme": "https", "authority": self.host, "path": path}
        headers = [(f":{name}".encode(), value.encode()) for name, value in words.items()]
        self.send(stream, headers, body)
        return await self._waiting[stream]

    def complete(self, stream: int, headers: dict[bytes, bytes], body: bytes) -> None:
        assert headers[b":status"] == b"200"
        self._waiting.pop(stream).set_result(body)

    def ended(self, event: ConnectionTerminated) -> None:
        for waiting in self._waiting.values():
            waiting.set_exception(ConnectionError(event.reason_phrase))


@asynccontextmanager
async def served(host: str, port: int, certificate: str, key: str) -> AsyncIterator[None]:
    """The server, at one address."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, key)
    server = await serve(host, port, configuration=configuration, create_protocol=Server)
    yield
    server.close()


async def fetch(host: str, port: int, authority: str, name: str | None = None) -> dict[str, Any]:
    """What requests of several sorts give, those of one connection at the same time."""
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, server_name=name or host
    )
    configuration.load_verify_locations(authority)
    async with (
        asyncio.timeout(PATIENCE),
        connect(host, port, configuration=configuration, create_protocol=Client) as client,
    ):
        assert isinstance(client, Client)
        client.host = host
        seen, digest, *parts = await asyncio.gather(
            client.request("GET", "/"),
            client.request("POST", "/", some(LENGTH)),
            client.request("GET", f"/{LENGTH}"),
            *(client.request("GET", f"/{number}") for number in range(1, 20)),
        )
    return {
        "seen_as": seen.decode(),
        "digest": digest.decode(),
        "same": parts[0] == some(LENGTH),
        "lengths": [len(part) for part in parts[1:]],
    }


async def main(what: str, host: str, port: str, *files: str) -> None:
    if what == "serve":
        async with served(host, int(port), *files):
            print("ready", flush=True)
            await asyncio.get_running_loop().create_future()
    print(json.dumps(await fetch(host, int(port), *files)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
