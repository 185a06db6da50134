"""create_connection: how it succeeds, fails, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder
from tests.aio.two_stacks import LEFT, RIGHT, RIGHT6, device_of, two_stacks


@two_stacks()
async def test_a_closed_port_refuses_the_connection(left: Stack, right: Stack) -> None:
    for host in RIGHT, RIGHT6:
        with pytest.raises(ConnectionRefusedError, match="Connect call failed"):
            await left.create_connection(Recorder, host, 7000)
    assert not left.host.connections


@two_stacks()
async def test_silence_is_a_timeout_after_as_long_as_linux_tries(left: Stack, right: Stack) -> None:
    device_of(left).lose = lambda packet: True
    loop = asyncio.get_running_loop()
    start = loop.time()
    with pytest.raises(TimeoutError) as caught:
        await left.create_connection(Recorder, RIGHT, 7000)
    assert caught.value.errno == errno.ETIMEDOUT
    assert 130 < loop.time() - start < 140
    assert not left.host.connections


@two_stacks()
async def test_cancelled_it_leaves_neither_a_connection_nor_a_port(
    left: Stack, right: Stack
) -> None:
    device_of(left).lose = lambda packet: True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(10):
            await left.create_connection(Recorder, RIGHT, 7000, local_addr=(LEFT, 5000))
    await asyncio.sleep(0)
    assert not left.host.connections
    device_of(left).lose = lambda packet: False
    server = await right.create_server(Recorder, None, 7000)
    transport, _ = await left.create_connection(Recorder, RIGHT, 7000, local_addr=(LEFT, 5000))
    transport.close()
    server.close()


@two_stacks()
async def test_cancelled_in_the_turn_in_which_it_was_established_it_leaves_nothing_either(
    left: Stack, right: Stack
) -> None:
    await right.create_server(Recorder, None, 7000)
    for turns in range(1, 12):
        task = asyncio.create_task(left.create_connection(Recorder, RIGHT, 7000))
        await asyncio.sleep(0)
        await asyncio.sleep(0.002)  # there and back again
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            transport, _ = task.result()
            transport.abort()
            break
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(100)
        assert not left.host.connections
    else:
        pytest.fail("it was never established")


@two_stacks()
async def test_a_raising_protocol_factory_leaves_nothing(left: Stack, right: Stack) -> None:
    await right.create_server(Recorder, None, 7000)

    def broken() -> Recorder:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await left.create_connection(broken, RIGHT, 7000)
    await asyncio.sleep(100)
    assert not left.host.connections


@two_stacks()
async def test_the_protocol_is_told_before_the_call_returns_and_of_data_after(
    left: Stack, right: Stack
) -> None:
    class Greeter(Recorder):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.transport.write(b"welcome")

    await right.create_server(Greeter, None, 7000)
    transport, protocol = await left.create_connection(Recorder, RIGHT, 7000)
    assert protocol.calls == ["connection_made"]
    assert protocol.transport is transport
    assert protocol.data == b""
    await asyncio.sleep(1)
    assert protocol.data == b"welcome"


@two_stacks()
async def test_a_local_address_that_is_not_ours_is_refused(left: Stack, right: Stack) -> None:
    with pytest.raises(OSError, match="error while attempting to bind") as caught:
        await left.create_connection(Recorder, RIGHT, 7000, local_addr=("192.0.2.1", 5000))
    assert caught.value.errno == errno.EADDRNOTAVAIL


@two_stacks()
async def test_a_local_address_of_the_other_family_is_refused(left: Stack, right: Stack) -> None:
    with pytest.raises(OSError, match="no matching local address"):
        await left.create_connection(Recorder, RIGHT6, 7000, local_addr=(LEFT, 5000))


@two_stacks()
async def test_the_kernels_own_loopback_cannot_be_reached(left: Stack, right: Stack) -> None:
    for host in "127.0.0.1", "::1":
        with pytest.raises(OSError, match="unreachable") as caught:
            await left.create_connection(Recorder, host, 7000)
        assert caught.value.errno == errno.ENETUNREACH


@two_stacks()
async def test_a_stack_may_connect_to_itself(left: Stack, right: Stack) -> None:
    accepted: list[Recorder] = []

    def accept() -> Recorder:
        accepted.append(Recorder())
        return accepted[-1]

    await left.create_server(accept, LEFT, 7000)
    transport, protocol = await left.create_connection(Recorder, LEFT, 7000)
    transport.write(b"myself")
    transport.close()
    await protocol.lost
    await accepted[0].lost
    assert accepted[0].data == b"myself"


@two_stacks()
async def test_a_family_may_be_asked_for(left: Stack, right: Stack) -> None:
    with pytest.raises(socket.gaierror):
        await left.create_connection(Recorder, RIGHT, 7000, family=socket.AF_INET6)


class Resolver:
    """Stands in for the kernel's resolver."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked: list[tuple[object, ...]] = []

    async def __call__(
        self, host: str, port: int, *, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[tuple[object, ...]]:  # fmt: skip
        self.asked.append((host, port))
        return [
            (socket.AF_INET6 if ":" in one else socket.AF_INET, type, 6, "",
             (one, port, 0, 0) if ":" in one else (one, port))
            for one in self.addresses
        ]  # fmt: skip


@two_stacks()
async def test_each_address_of_a_name_is_tried_in_turn(left: Stack, right: Stack) -> None:
    resolver = Resolver("198.18.0.77", RIGHT6, RIGHT)
    asyncio.get_running_loop().getaddrinfo = resolver  # type: ignore[method-assign,assignment]
    await right.create_server(Recorder, RIGHT, 7000)
    transport, _ = await left.create_connection(Recorder, "right.example", 7000)
    assert resolver.asked == [("right.example", 7000)]
    assert transport.get_extra_info("peername") == (RIGHT, 7000)


@two_stacks()
async def test_when_all_addresses_fail_alike_that_is_raised_else_all_are_told(
    left: Stack, right: Stack
) -> None:
    loop = asyncio.get_running_loop()
    loop.getaddrinfo = Resolver(RIGHT, RIGHT)  # type: ignore[method-assign,assignment]
    with pytest.raises(ConnectionRefusedError):
        await left.create_connection(Recorder, "right.example", 7000)
    loop.getaddrinfo = Resolver(RIGHT, RIGHT6)  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match=r"Multiple exceptions: .*198\.18\.0\.2.*fd00::2"):
        await left.create_connection(Recorder, "right.example", 7000)


@two_stacks()
async def test_a_name_without_an_address_of_our_families_is_no_name(
    left: Stack, right: Stack
) -> None:
    loop = asyncio.get_running_loop()
    loop.getaddrinfo = Resolver()  # type: ignore[method-assign,assignment]
    with pytest.raises(socket.gaierror, match=r"nowhere\.example"):
        await left.create_connection(Recorder, "nowhere.example", 7000)
