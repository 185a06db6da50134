"""What a transport tells of its connection, and the options that may be set through it."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from typing import Any
from unittest import mock

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import LEFT, LEFT6, RIGHT, RIGHT6, device_of, two_stacks


@two_stacks()
async def test_names_of_both_ends_are_known_and_stay_so_after_the_end(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right, local_addr=(LEFT, 5000))
    for _ in range(2):
        assert client.transport.get_extra_info("sockname") == (LEFT, 5000)
        assert client.transport.get_extra_info("peername") == (RIGHT, 7000)
        assert server.transport.get_extra_info("sockname") == (RIGHT, 7000)
        assert server.transport.get_extra_info("peername") == (LEFT, 5000)
        client.transport.close()
        await server.lost


@two_stacks()
async def test_ipv6_names_have_four_parts(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, None, 7000)
    transport, _ = await left.create_connection(Recorder, RIGHT6, 7000, local_addr=(LEFT6, 5000))
    assert transport.get_extra_info("sockname") == (LEFT6, 5000, 0, 0)
    assert transport.get_extra_info("peername") == (RIGHT6, 7000, 0, 0)
    assert transport.get_extra_info("socket").family == socket.AF_INET6
    server.close()


@two_stacks()
async def test_what_is_not_known_is_the_default(left: Stack, right: Stack) -> None:
    client, _ = await connected(left, right)
    assert client.transport.get_extra_info("sslcontext") is None
    assert client.transport.get_extra_info("cipher", 7) == 7


@two_stacks()
async def test_the_socket_takes_options_by_the_numbers_of_pythons_socket_module(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    for end in client, server:
        facade = end.transport.get_extra_info("socket")
        assert facade.family == socket.AF_INET
        assert facade.type == socket.SOCK_STREAM
        assert facade.proto == socket.IPPROTO_TCP
        assert facade.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        facade.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        assert facade.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        with pytest.raises(OSError, match="no such option"):
            facade.setsockopt(socket.SOL_SOCKET, 12345, 1)


@two_stacks()
async def test_options_of_one_accepted_connection_are_not_those_of_the_next(
    left: Stack, right: Stack
) -> None:
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder())
        return accepted[-1]

    await right.create_server(accept, None, 7000)
    for _ in range(2):
        await left.create_connection(Recorder, RIGHT, 7000)
    await asyncio.sleep(1)
    first, second = (one.transport.get_extra_info("socket") for one in accepted)
    first.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    assert second.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@two_stacks()
async def test_the_socket_is_names_and_options(left: Stack, right: Stack) -> None:
    client, _ = await connected(left, right, local_addr=(LEFT, 5000))
    facade = client.transport.get_extra_info("socket")
    assert facade == client.transport.get_extra_info("socket")
    assert len({facade, client.transport.get_extra_info("socket")}) == 1
    assert facade.getsockname() == (LEFT, 5000)
    assert facade.getpeername() == (RIGHT, 7000)
    assert facade.gettimeout() == 0
    facade.setblocking(False)
    facade.settimeout(0)
    for refused in (lambda: facade.setblocking(True), lambda: facade.settimeout(1)):
        with pytest.raises(ValueError, match="transport's socket"):
            refused()
    assert not hasattr(facade, "recv")
    assert "ESTABLISHED" in repr(facade)
    assert "ESTABLISHED" in repr(client.transport)


@two_stacks()
async def test_its_descriptor_polls_readable_while_there_is_something_to_take(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    facade = client.transport.get_extra_info("socket")
    client.transport.pause_reading()
    assert facade.fileno() == facade.fileno() >= 0
    assert not is_readable(facade.fileno())
    server.transport.write(b"text")
    await asyncio.sleep(1)
    assert is_readable(facade.fileno())
    client.transport.resume_reading()
    await asyncio.sleep(1)
    assert client.data == b"text"
    assert not is_readable(facade.fileno())
    client.transport.pause_reading()
    server.transport.close()
    await asyncio.sleep(1)
    assert is_readable(facade.fileno())  # the end: what httpcore takes for a dead connection
    fd = facade.fileno()
    client.transport.abort()
    assert facade.fileno() == -1
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


@two_stacks()
async def test_tcp_info_can_be_had_after_the_end(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    client.transport.write(bytes(1000))
    client.transport.close()
    await client.lost
    await server.lost
    assert server.transport.get_extra_info("tcp_info").tcpi_bytes_received == 1000
    await asyncio.sleep(1)
    info = client.transport.get_extra_info("tcp_info")
    assert info.tcpi_state == 7  # TCP_CLOSE
    assert info.tcpi_bytes_acked >= 1000


@two_stacks()
async def test_tcp_info_counts_what_passed(left: Stack, right: Stack) -> None:
    client, server = await connected(left, right)
    client.transport.write(bytes(1000))
    await asyncio.sleep(1)
    facade = client.transport.get_extra_info("socket")
    assert facade.tcp_info().tcpi_bytes_acked == 1000
    assert server.transport.get_extra_info("tcp_info").tcpi_bytes_received == 1000
    assert facade.ioctl(0x5411) == 0  # SIOCOUTQ
    device_of(left).lose = lambda packet: True
    client.transport.write(bytes(1000))
    assert facade.ioctl(0x5411) == 1000
    client.transport.abort()
    server.transport.abort()


@two_stacks()
async def test_attributes_may_be_set_on_a_transport_as_on_asyncios(
    left: Stack, right: Stack
) -> None:
    """mock.patch does so, and middlewares that count what is written."""
    client, server = await connected(left, right)
    own: Any = client.transport
    written: list[bytes] = []
    write = own.write
    own.write = lambda data: (written.append(data), write(data))
    client.transport.write(b"text")
    client.transport.write_eof()
    await server.lost
    assert (server.data, written) == (b"text", [b"text"])
    with mock.patch.object(own, "close"):
        own.close()
        assert not own.is_closing()
    own.close()
    assert own.is_closing()
    datagrams, _ = await left.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(LEFT, 9)
    )
    datagrams.sendto = lambda *_: written.append(b"datagram")  # type: ignore[method-assign]
    datagrams.sendto(b"")
    assert written[1:] == [b"datagram"]


@two_stacks()
async def test_what_libraries_read_off_asyncios_own_classes_is_there(
    left: Stack, right: Stack
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server: Any = await right.create_server(
        Recorder, RIGHT, 443, ssl=context, ssl_handshake_timeout=3, ssl_shutdown_timeout=4
    )
    assert server._ssl_context is context
    assert (server._ssl_handshake_timeout, server._ssl_shutdown_timeout) == (3, 4)
    plain: Any = await right.create_server(Recorder, RIGHT, 80)
    assert plain._ssl_context is plain._ssl_handshake_timeout is None
    assert plain._protocol_factory is Recorder
    assert plain._loop is asyncio.get_running_loop()
    assert plain._active_count == 0
    client, _ = await connected(left, right)
    transport: Any = client.transport
    assert transport._sock.getpeername() == (RIGHT, 7000)
    assert transport._sock_fd == transport.fileno() > 0
    assert transport._loop is asyncio.get_running_loop()
    assert transport._protocol is client
