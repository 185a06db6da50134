"""The web server that libraries' clients are measured with: blocking kernel sockets, cubic.

    python -m scripts.benchmarks.origin

answers `GET /N` with N octets, as fast as the kernel takes them (`sendall` of a MB at a time, a
thread for each connection), and with the client's address in `X-Client`. It prints "ready" and
ends with the end of stdin.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from scripts.benchmarks.ports import ORIGIN

BLOB = memoryview(bytes(1 << 20))


def serve(connection: socket.socket) -> None:
    """Request after request, until the peer closes."""
    client = connection.getpeername()[0]
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection, contextlib.suppress(ConnectionError):
        while request := _request(connection):
            left = int(request.split(b" ", 2)[1].lstrip(b"/"))
            lines = ("HTTP/1.1 200 OK", f"Content-Length: {left}", f"X-Client: {client}", "", "")
            head = "\r\n".join(lines).encode()
            if left <= len(BLOB):
                connection.sendall(head + BLOB[:left])
                continue
            connection.sendall(head)
            while left:
                count = min(left, len(BLOB))
                connection.sendall(BLOB[:count])
                left -= count


def _request(connection: socket.socket) -> bytes:
    """The next request's head; nothing is sent behind it. Empty at the end."""
    request = connection.recv(65536)
    while request and not request.endswith(b"\r\n\r\n"):
        request += connection.recv(65536)
    return request


def accept(listening: socket.socket) -> None:
    """A thread for each connection."""
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=serve, args=[connection], daemon=True).start()


def main() -> None:
    listening = socket.create_server(("", ORIGIN), backlog=64)
    with contextlib.suppress(OSError):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    threading.Thread(target=accept, args=[listening], daemon=True).start()
    print("ready", flush=True)
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
