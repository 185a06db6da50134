"""The client of all measurements: blocking kernel sockets, the same for every server.

    python -m scripts.benchmarks.client send HOST --seconds 2

prints one line of JSON. What it connects to is `server.py`; whether that runs on pystack or on the
kernel it cannot know.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import select
import socket
import sys
import time
from collections.abc import Callable

from scripts.benchmarks.ports import ECHO, MESSAGE, ONCE, SINK, SOURCE, WEB

CHUNK = 1 << 20
WARM_UP = 200  # round trips, or connections, that are not counted
PATIENCE = 30.0  # s; a peer that is silent for so long has failed


def connected(host: str, port: int) -> socket.socket:
    """A connection whose sender is cubic: bbr, where it is the default, would pace."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.suppress(OSError):  # without rights in the first user namespace
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(PATIENCE)
    sock.connect((host, port))
    return sock


def send(host: str, seconds: float, _parallel: int) -> dict[str, float]:
    """Bulk to the server, timed until the server has confirmed the last octet."""
    data = bytes(CHUNK)
    sent = 0
    with connected(host, SINK) as sock:
        sock.settimeout(None)
        began = time.perf_counter()
        until = began + seconds
        while time.perf_counter() < until:
            sock.sendall(data)
            sent += CHUNK
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(PATIENCE)
        confirmed = int.from_bytes(sock.recv(8, socket.MSG_WAITALL), "big")
        took = time.perf_counter() - began
    if confirmed != sent:
        raise SystemExit(f"{sent} bytes were sent and {confirmed} received")
    return {"value": sent * 8 / took / 1e9, "work": sent / 1e6}


def receive(host: str, seconds: float, _parallel: int) -> dict[str, float]:
    """Bulk from the server, from the first octet on."""
    buffer = bytearray(CHUNK)
    got = 0
    with connected(host, SOURCE) as sock:
        sock.recv_into(buffer)
        began = now = time.perf_counter()
        until = began + seconds
        while now < until:
            count = sock.recv_into(buffer)
            if not count:
                raise SystemExit("the server closed in the midst of it")
            got += count
            now = time.perf_counter()
        sock.shutdown(socket.SHUT_WR)
        while sock.recv_into(buffer):
            pass
    return {"value": got * 8 / (now - began) / 1e9, "work": got / 1e6}


def echo(host: str, seconds: float, parallel: int) -> dict[str, float]:
    """Requests of 64 octets, one under way on each of `parallel` connections."""
    socks = [connected(host, ECHO) for _ in range(parallel)]
    message = b"?" * MESSAGE
    taken: list[int] = []
    if parallel == 1:
        trip = _trips_on_one(socks[0], message, taken)
    else:
        trip = _trips_on_many(socks, message, taken)
    for _ in range(WARM_UP // parallel):
        trip()
    warm_up = len(taken)
    taken.clear()
    began = now = time.perf_counter()
    until = began + seconds
    while now < until:
        trip()
        now = time.perf_counter()
    for sock in socks:
        sock.close()
    work = warm_up + len(taken)
    return {"value": len(taken) / (now - began), "work": work, **percentiles(taken)}


def _trips_on_one(sock: socket.socket, message: bytes, taken: list[int]) -> Callable[[], None]:
    clock = time.perf_counter_ns

    def trip() -> None:
        began = clock()
        sock.send(message)
        if len(sock.recv(MESSAGE)) != MESSAGE:
            raise SystemExit("the server answered with less than it was sent")
        taken.append(clock() - began)

    return trip


def _trips_on_many(
    socks: list[socket.socket], message: bytes, taken: list[int]
) -> Callable[[], None]:
    clock = time.perf_counter_ns
    poll = select.epoll()
    began: dict[int, int] = {}
    by_number = {sock.fileno(): sock for sock in socks}
    for number, sock in by_number.items():
        poll.register(number, select.EPOLLIN)
        began[number] = clock()
        sock.send(message)

    def trip() -> None:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise SystemExit("the server no longer answers")
        for number, _ in ready:
            sock = by_number[number]
            if len(sock.recv(MESSAGE)) != MESSAGE:
                raise SystemExit("the server answered with less than it was sent")
            now = clock()
            taken.append(now - began[number])
            began[number] = now
            sock.send(message)

    return trip


def once(host: str, seconds: float, parallel: int) -> dict[str, float]:
    """A connection for each request: open, request, response, close by the server, close."""
    taken: list[int] = []
    step = _one_connection(host, taken) if parallel == 1 else _connections(host, parallel, taken)
    for _ in range(max(WARM_UP // 4 // parallel, 1)):
        step()
    warm_up = len(taken)
    taken.clear()
    began = now = time.perf_counter()
    until = began + seconds
    while now < until:
        step()
        now = time.perf_counter()
    work = warm_up + len(taken)
    return {"value": len(taken) / (now - began), "work": work, **percentiles(taken)}


def _one_connection(host: str, taken: list[int]) -> Callable[[], None]:
    message = b"?" * MESSAGE

    def step() -> None:
        began = time.perf_counter_ns()
        with connected(host, ONCE) as sock:
            sock.send(message)
            got = sock.recv(MESSAGE)
            while more := sock.recv(MESSAGE):
                got += more
        if len(got) != MESSAGE:
            raise SystemExit("a response was cut short")
        taken.append(time.perf_counter_ns() - began)

    return step


def _connections(host: str, parallel: int, taken: list[int]) -> Callable[[], None]:
    message = b"?" * MESSAGE
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    poll = select.epoll()
    running: dict[int, tuple[socket.socket, int]] = {}
    got: dict[int, int] = {}

    def open_one() -> None:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.connect_ex((host, ONCE))
        running[sock.fileno()] = sock, time.perf_counter_ns()
        got[sock.fileno()] = 0
        poll.register(sock.fileno(), select.EPOLLOUT)

    def step() -> None:
        ready = poll.poll(PATIENCE)
        if not ready:
            raise SystemExit("the server no longer answers")
        for number, events in ready:
            sock, began = running[number]
            if events & select.EPOLLOUT:
                sock.send(message)
                poll.modify(number, select.EPOLLIN)
                continue
            part = sock.recv(MESSAGE)
            got[number] += len(part)
            if part:
                continue
            if got[number] != MESSAGE:
                raise SystemExit("a response was cut short")
            del running[number]
            poll.unregister(number)
            sock.close()
            taken.append(time.perf_counter_ns() - began)
            open_one()

    for _ in range(parallel):
        open_one()
    return step


def fetch(host: str, _seconds: float, megabytes: int) -> dict[str, float]:
    """One file of that many MB over HTTP, from the request to its last octet."""
    buffer = bytearray(CHUNK)
    with connected(host, WEB) as sock:
        began = time.perf_counter()
        sock.sendall(f"GET /{megabytes} HTTP/1.0\r\n\r\n".encode())
        head, _, body = sock.recv(CHUNK).partition(b"\r\n\r\n")
        if b" 200 " not in head.partition(b"\r\n")[0]:
            raise SystemExit(f"the server answered {head!r}")
        got = len(body)
        while count := sock.recv_into(buffer):
            got += count
        took = time.perf_counter() - began
    if got != megabytes * 1_000_000:
        raise SystemExit(f"{got} bytes came of {megabytes} MB")
    return {"value": got * 8 / took / 1e9, "work": got / 1e6}


def idle(host: str, _seconds: float, parallel: int) -> dict[str, float]:
    """`parallel` connections that have done one round trip each, held until stdin ends."""
    message = b"?" * MESSAGE
    socks = []
    for _ in range(parallel):
        sock = connected(host, ECHO)
        sock.send(message)
        if len(sock.recv(MESSAGE)) != MESSAGE:
            raise SystemExit("the server answered with less than it was sent")
        socks.append(sock)
    print(json.dumps({"value": len(socks)}), flush=True)
    sys.stdin.buffer.read()
    return {"value": len(socks)}


def percentiles(nanoseconds: list[int]) -> dict[str, float]:
    """p50, p90 and p99 in µs."""
    ranked = sorted(nanoseconds)
    if not ranked:
        raise SystemExit("too short a time: nothing was finished in it")
    last = len(ranked) - 1
    return {f"p{rank}_us": ranked[round(last * rank / 100)] / 1e3 for rank in (50, 90, 99)}


KINDS = {
    "send": send, "receive": receive, "echo": echo, "once": once, "fetch": fetch, "idle": idle,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("host")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--parallel", type=int, default=1)
    arguments = parser.parse_args()
    result = KINDS[arguments.kind](arguments.host, arguments.seconds, arguments.parallel)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
