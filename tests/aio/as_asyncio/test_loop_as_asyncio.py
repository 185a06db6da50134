"""Calls of the loop with wrong arguments, and in the wrong state: the errors are asyncio's."""

from __future__ import annotations

import asyncio
import io
import ssl
from asyncio import Protocol
from collections.abc import Callable, Coroutine
from socket import AF_INET, AF_INET6, SOCK_STREAM, socket
from typing import Any

import pytest

from tests.aio.as_asyncio.both_loops import Ends, failure_of, same

CLOSED_PORT = 9
SECURE = ssl.create_default_context()


def named(options: dict[str, Any]) -> str:
    """The name of a test with these options: the same in each process."""
    return str(options).replace(repr(SECURE), "a context")


def loop() -> Any:
    """The running one; typeshed would refuse what is tried here."""
    return asyncio.get_running_loop()


# -- create_connection ----------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"server_hostname": "web"},
        {"server_hostname": "", "ssl": False},
        {"host": None, "ssl": True},
        {"host": "", "ssl": SECURE},
        {"ssl_handshake_timeout": 1},
        {"ssl_shutdown_timeout": 1},
        {"host": None, "port": None},
        {"host": None, "port": None, "ssl": SECURE},
        {"port": []},
        {"port": str(CLOSED_PORT)},
        {"port": b"9"},
        {"port": "discard"},
        {"port": "no-such-service"},
        {"family": AF_INET6},
        {"proto": 17, "family": AF_INET6},
        {"local_addr": ("::1", 0)},
        {"local_addr": ("192.0.2.77", 0)},
        {"local_addr": ("0.0.0.0", 0)},
        {"local_addr": ("no-such-name.invalid", 0)},
        {"happy_eyeballs_delay": 0.1},
        {"happy_eyeballs_delay": 0.1, "interleave": 2},
        {"interleave": 1},
    ],
    ids=named,
)
def test_create_connection_fails_as_asyncios(options: dict[str, Any]) -> None:
    async def scenario(ends: Ends) -> str:
        place = {"host": ends.address, "port": CLOSED_PORT, **options}
        return await failure_of(loop().create_connection(Protocol, **place))

    assert same(scenario) != "none"


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_an_overflow(port: int) -> None:
    async def scenario(ends: Ends) -> str:
        errors = [
            await failure_of(call(Protocol, ends.address, port))
            for call in (loop().create_connection, loop().create_server)
        ]
        return " ".join(error.split()[0] for error in errors)

    assert same(scenario) == "OverflowError OverflowError"


def test_options_that_there_are_not_are_refused() -> None:
    async def scenario(ends: Ends) -> str:
        async def made(call: Callable[..., Any]) -> None:
            await call(Protocol, ends.address, 0, nonsense=True)

        calls = loop().create_connection, loop().create_server
        errors = [await failure_of(made(call)) for call in calls]
        return " ".join(error.split()[0] for error in errors)

    assert same(scenario) == "TypeError TypeError"


def test_a_host_in_bytes_is_a_host() -> None:
    async def scenario(ends: Ends) -> str:
        return await failure_of(
            loop().create_connection(Protocol, ends.address.encode(), CLOSED_PORT)
        )

    assert same(scenario).startswith("ConnectionRefusedError")


def test_several_places_that_fail_are_told_together() -> None:
    async def scenario(ends: Ends) -> str:
        async def both(*args: Any, **options: Any) -> Any:
            return [(AF_INET, SOCK_STREAM, 6, "", (ends.address, port)) for port in (9, 10)]

        loop().getaddrinfo = both
        return await failure_of(loop().create_connection(Protocol, "several.test", 9))

    assert same(scenario) == (
        "OSError None Multiple exceptions: [Errno 111] Connect call failed ('127.0.0.1', 9), "
        "[Errno 111] Connect call failed ('127.0.0.1', 10)"
    )


def test_a_factory_that_raises_is_heard_and_its_connection_is_gone() -> None:
    async def scenario(ends: Ends) -> str:
        async with await asyncio.start_server(lambda r, w: w.close(), ends.address, 0) as server:
            port = server.sockets[0].getsockname()[1]
            return await failure_of(
                loop().create_connection(lambda: divmod(1, 0), ends.address, port)
            )

    assert same(scenario) == "ZeroDivisionError None integer division or modulo by zero"


def test_a_socket_and_a_host_are_one_too_many() -> None:
    async def scenario(ends: Ends) -> list[str]:
        with ends.socket() as sock:
            return [
                await failure_of(call(Protocol, ends.address, 9, sock=sock))
                for call in (loop().create_connection, loop().create_server)
            ]

    assert "same time" in same(scenario)[0]


def test_a_socket_that_is_closed_or_not_connected_is_no_connection() -> None:
    async def scenario(ends: Ends) -> list[object]:
        lost = loop().create_future()

        class Waits(Protocol):
            def connection_lost(self, error: Exception | None) -> None:
                lost.set_result(error)

        sock = ends.socket()
        sock.setblocking(False)
        await loop().create_connection(Waits, sock=sock)
        error = await lost
        closed = ends.socket()
        closed.close()
        return [
            type(error), error.errno, sock.fileno(),
            await failure_of(loop().create_connection(Protocol, sock=closed)),
            await failure_of(loop().connect_accepted_socket(Protocol, sock=closed)),
        ]  # fmt: skip

    same(scenario)


def test_accepted_sockets_take_no_times_for_tls_without_tls() -> None:
    async def scenario(ends: Ends) -> list[str]:
        with ends.socket() as sock:
            return [
                await failure_of(loop().connect_accepted_socket(Protocol, sock, **{name: 1}))
                for name in ("ssl_handshake_timeout", "ssl_shutdown_timeout")
            ]

    assert all("only meaningful with ssl" in text for text in same(scenario))


# -- create_server --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ssl": True},
        {"ssl_handshake_timeout": 1},
        {"ssl_shutdown_timeout": 1},
        {"host": "192.0.2.77"},
        {"host": None, "port": None},
        {"host": "no-such-name.invalid"},
        {"host": 7},
        {"host": []},
        {"port": None},
        {"port": "0"},
        {"port": "no-such-service"},
        {"start_serving": False},
        {"backlog": 0},
        {"reuse_port": True},
        {"reuse_address": False},
        {"family": AF_INET6},
        {"ssl": SECURE, "ssl_handshake_timeout": -1},
    ],
    ids=named,
)
def test_create_server_is_or_fails_as_asyncios(options: dict[str, Any]) -> None:
    async def scenario(ends: Ends) -> object:
        place = {"host": ends.address, "port": 0, **options}
        made: list[object] = []

        async def serves() -> None:
            server = await loop().create_server(Protocol, **place)
            made.extend((len(server.sockets), server.is_serving()))
            server.close()
            await server.wait_closed()
            made.extend((server.sockets, server.is_serving()))

        error = await failure_of(serves())
        return made or error.split(" ")[0] if options.get("host") == 7 else (made, error)

    same(scenario)


def test_a_port_that_is_taken_is_told_with_its_place() -> None:
    async def scenario(ends: Ends) -> str:
        async with await loop().create_server(Protocol, ends.address, 0) as server:
            port = server.sockets[0].getsockname()[1]
            error = await failure_of(loop().create_server(Protocol, ends.address, port))
            return error.replace(str(port), "PORT")

    assert same(scenario) == (
        "OSError 98 [Errno 98] error while attempting to bind on address ('127.0.0.1', PORT): "
        "address already in use"
    )


def test_a_server_that_is_closed_begins_no_more() -> None:
    async def scenario(ends: Ends) -> str:
        server = await loop().create_server(Protocol, ends.address, 0)
        server.close()
        return (await failure_of(server.serve_forever()))[-9:]

    assert same(scenario) == "is closed"


def test_a_socket_of_the_user_is_served_on_and_closed_with_the_server() -> None:
    async def scenario(ends: Ends) -> list[object]:
        sock = ends.socket()
        server = await loop().create_server(Protocol, sock=sock)
        host, port = server.sockets[0].getsockname()
        seen = [host, port == sock.getsockname()[1], server.sockets[0].fileno() == sock.fileno()]
        server.close()
        return [*seen, sock.fileno()]

    assert same(scenario) == ["0.0.0.0", True, True, -1]


# -- sock_… ---------------------------------------------------------------------------------------
CALLS: dict[str, Callable[[socket, Ends], Coroutine[Any, Any, object]]] = {
    "recv": lambda sock, ends: loop().sock_recv(sock, 1),
    "recv_into": lambda sock, ends: loop().sock_recv_into(sock, bytearray(3)),
    "recvfrom": lambda sock, ends: loop().sock_recvfrom(sock, 10),
    "recvfrom_into": lambda sock, ends: loop().sock_recvfrom_into(sock, bytearray(3)),
    "sendall": lambda sock, ends: loop().sock_sendall(sock, b"x"),
    "sendall nothing": lambda sock, ends: loop().sock_sendall(sock, b""),
    "sendto": lambda sock, ends: loop().sock_sendto(sock, b"x", (ends.address, CLOSED_PORT)),
    "accept": lambda sock, ends: loop().sock_accept(sock),
    "connect": lambda sock, ends: loop().sock_connect(sock, (ends.address, CLOSED_PORT)),
    "connect to no port": lambda sock, ends: loop().sock_connect(sock, (ends.address,)),
    "connect to nothing": lambda sock, ends: loop().sock_connect(sock, None),
    "connect to no name": lambda sock, ends: loop().sock_connect(sock, ("no.invalid", 9)),
    "sendfile text": lambda sock, ends: loop().sock_sendfile(sock, io.StringIO("x"), count=-1),
    "sendfile count": lambda sock, ends: loop().sock_sendfile(sock, io.BytesIO(b"x"), count="a"),
    "sendfile offset": lambda sock, ends: loop().sock_sendfile(sock, io.BytesIO(b"x"), offset=-1),
    "sendfile": lambda sock, ends: loop().sock_sendfile(sock, io.BytesIO(b"x")),
    "sendfile nothing": lambda sock, ends: loop().sock_sendfile(sock, io.BytesIO()),
}


@pytest.mark.parametrize("call", CALLS)
def test_sock_calls_fail_as_asyncios(call: str) -> None:
    """On a socket that is not connected, one that is closed, and one that would block."""

    async def scenario(ends: Ends) -> list[str]:
        found = []
        with ends.socket() as sock:
            sock.setblocking(False)
            found.append(await failure_of(CALLS[call](sock, ends)))
        found.append(await failure_of(CALLS[call](sock, ends)))
        loop().set_debug(True)
        with ends.socket() as sock:
            found.append(await failure_of(CALLS[call](sock, ends)))
        return found

    assert same(scenario)[2] == "ValueError None the socket must be non-blocking"


def test_readers_and_writers_of_closed_sockets_are_refused() -> None:
    async def scenario(ends: Ends) -> list[str]:
        sock = ends.socket()
        sock.close()

        async def add(call: Callable[..., object], *args: object) -> None:
            call(sock, *args)

        return [
            await failure_of(add(loop().add_reader, print)),
            await failure_of(add(loop().add_writer, print)),
            await failure_of(add(loop().remove_reader)),
            await failure_of(add(loop().remove_writer)),
        ]

    assert same(scenario) == ["ValueError None Invalid file descriptor: -1"] * 4


def test_readers_and_writers_are_known_by_socket_and_by_descriptor() -> None:
    async def scenario(ends: Ends) -> list[bool]:
        with ends.socket() as sock:
            found = [loop().remove_reader(sock), loop().remove_writer(sock)]
            loop().add_reader(sock, print)
            loop().add_writer(sock.fileno(), lambda: None)
            found += [loop().remove_reader(sock.fileno()), loop().remove_writer(sock)]
            found += [loop().remove_reader(sock.fileno()), loop().remove_writer(sock)]
            return found

    assert same(scenario) == [False, False, True, True, False, False]
