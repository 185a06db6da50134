"""Replaceable parts by way of asyncio: chosen on a transport's socket, and what raises is told."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import pystack
from pystack.aio.endpoint.stack import Stack
from pystack.cc.reno import Reno
from pystack.sockets.constants import IPPROTO_TCP, TCP_CONGESTION, TCP_VARIANT
from tests.aio.two_stacks import RIGHT, take_failures, two_stacks


class Failing(Reno):
    """Reno, up to the first ACK."""

    name = "failing"

    def on_ack(self, sample: object) -> None:
        raise ZeroDivisionError("of all things")


class Unwilling(Reno):
    name = "unwilling"

    def on_mss(self, mss: int) -> None:
        raise RuntimeError("no")


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionResetError):
        while data := await reader.read(1000):
            writer.write(data)
    writer.close()


@two_stacks()
async def test_a_part_is_chosen_on_the_socket_of_a_transport(left: Stack, right: Stack) -> None:
    await right.start_server(_echo, None, 7000)
    reader, writer = await left.open_connection(RIGHT, 7000)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(IPPROTO_TCP, TCP_VARIANT, "ack_policy=quick")
    assert sock.getsockopt(IPPROTO_TCP, TCP_VARIANT, 1000).startswith(b"ack_policy=quick,")
    writer.write(b"hello")
    assert await reader.read(100) == b"hello"
    writer.close()


@two_stacks()
async def test_a_part_that_raises_is_told_to_the_loop_once_and_to_the_connections_user(
    left: Stack, right: Stack
) -> None:
    pystack.register_variant("congestion_control", "failing", Failing)
    await right.start_server(_echo, None, 7000)
    reader, writer = await left.open_connection(RIGHT, 7000)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"failing")
    others = await left.open_connection(RIGHT, 7000)
    writer.write(b"hello")
    words = "congestion control 'failing' raised ZeroDivisionError: of all things"
    with pytest.raises(ConnectionAbortedError) as caught:
        await reader.readexactly(100)
    assert caught.value.strerror == words
    await asyncio.sleep(1)
    (context,) = take_failures()
    assert context["message"] == words
    assert type(context["exception"]) is ZeroDivisionError
    assert context["exception"].__traceback__ is not None
    others[1].write(b"hello")
    assert await others[0].read(100) == b"hello"
    others[1].close()


@two_stacks()
async def test_a_connection_that_fails_while_it_is_opened_is_gone_at_once(
    left: Stack, right: Stack
) -> None:
    pystack.register_variant("congestion_control", "unwilling", Unwilling)
    left.host.sysctl("tcp_congestion_control", "unwilling")
    with pytest.raises(ConnectionAbortedError, match="'unwilling' raised RuntimeError: no"):
        await left.open_connection(RIGHT, 7000)
    await asyncio.sleep(0)
    assert not left.host.connections
    assert len(take_failures()) == 1


def test_an_unknown_part_is_a_setup_error_that_tells_what_there_is() -> None:
    with pytest.raises(pystack.SetupError, match="no ACK policy 'nosuch': there is ack-rate"):
        Stack.over_tun("tun0", "198.18.0.2/24", sysctl={"tcp_ack_policy": "nosuch"})
