"""Datagram transports of a stack: `create_datagram_endpoint`, flow control, the end."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.datagram import DatagramTransport
from pystack.sim import World, run
from pystack.sockets.constants import SO_SNDBUF, SOCK_DGRAM, SOL_SOCKET
from tests.aio.as_asyncio.test_datagrams_as_asyncio import Notes
from tests.aio.two_stacks import LEFT, LEFT6, RIGHT, RIGHT6, device_of, two_stacks

PORT = 5000


async def pair(left: Stack, right: Stack, **options: Any) -> tuple[Notes, Notes]:
    """A protocol on `left`, connected, and one on `right` at PORT."""
    _, there = await right.create_datagram_endpoint(
        lambda: Notes(**options), local_addr=(RIGHT, PORT)
    )
    _, here = await left.create_datagram_endpoint(Notes, remote_addr=(RIGHT, PORT))
    return here, there


@two_stacks()
async def test_empty_datagrams_are_datagrams(left: Stack, right: Stack) -> None:
    here, there = await pair(left, right, echo=True)
    for data in (b"", b"x", b""):
        here.transport.sendto(data)
    got = [(await here.got.get())[0] for _ in range(3)]
    assert got == [b"", b"X", b""]
    assert [(await there.got.get())[0] for _ in range(3)] == [b"", b"x", b""]


@two_stacks()
async def test_all_addresses_of_a_stack_hear_on_a_wildcard(left: Stack, right: Stack) -> None:
    for host, remote, own in ((None, RIGHT, LEFT), ("", RIGHT, LEFT), ("::", RIGHT6, LEFT6)):
        transport, there = await right.create_datagram_endpoint(
            Notes, local_addr=(host, PORT)
        )  # fmt: skip
        _, here = await left.create_datagram_endpoint(Notes, remote_addr=(remote, PORT))
        here.transport.sendto(b"x")
        data, address = await there.got.get()
        assert (data, address[0]) == (b"x", own)
        transport.close()
        await there.lost


@two_stacks()
async def test_a_family_alone_makes_a_socket_that_sends_anywhere(
    left: Stack, right: Stack
) -> None:
    _, there = await right.create_datagram_endpoint(Notes, local_addr=(RIGHT6, PORT))
    _, here = await left.create_datagram_endpoint(Notes, family=socket.AF_INET6)
    here.transport.sendto(b"x", (RIGHT6, PORT))
    assert (await there.got.get())[0] == b"x"
    with pytest.raises(ValueError, match="unexpected address family"):
        await left.create_datagram_endpoint(Notes)
    with pytest.raises(TypeError, match=r"local_addr=.* a pair such as"):
        await left.create_datagram_endpoint(Notes, local_addr=(LEFT, 0, 0))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="can not get address information"):
        await left.create_datagram_endpoint(
            Notes, local_addr=(LEFT, 0), remote_addr=(RIGHT6, PORT)
        )  # fmt: skip


@two_stacks()
async def test_broadcasts_may_be_sent_and_answered(left: Stack, right: Stack) -> None:
    await right.create_datagram_endpoint(lambda: Notes(echo=True), local_addr=(None, PORT))
    _, here = await left.create_datagram_endpoint(
        Notes, remote_addr=("255.255.255.255", PORT), allow_broadcast=True
    )
    here.transport.sendto(b"who is there?")
    data, address = await here.got.get()
    assert (data, address) == (b"WHO IS THERE?", (RIGHT, PORT))
    assert here.transport.get_extra_info("peername") is None
    with pytest.raises(PermissionError):
        await left.create_datagram_endpoint(Notes, remote_addr=("255.255.255.255", PORT))


@two_stacks()
async def test_a_full_socket_pauses_the_protocol_until_it_has_sent(
    left: Stack, right: Stack
) -> None:
    here, there = await pair(left, right)
    sock = here.transport.get_extra_info("socket")
    sock.setsockopt(SOL_SOCKET, SO_SNDBUF, 4000)
    there.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
    here.transport.set_write_buffer_limits(high=2000)
    for number in range(20):
        here.transport.sendto(b"%03d" % number + bytes(997))
    assert here.calls == ["connection_made", "pause_writing"]
    assert here.transport.get_write_buffer_size() > 2000
    got = [(await there.got.get())[0][:3] for _ in range(20)]
    assert got == [b"%03d" % number for number in range(20)]
    assert here.calls == ["connection_made", "pause_writing", "resume_writing"]
    assert here.transport.get_write_buffer_size() == 0


@two_stacks()
async def test_what_is_buffered_goes_before_the_transport_closes(left: Stack, right: Stack) -> None:
    here, there = await pair(left, right)
    here.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 4000)
    for number in range(20):
        here.transport.sendto(b"%d" % number + bytes(1000))
    here.transport.close()
    assert not here.lost.done()
    assert await here.lost is None
    await asyncio.sleep(1)
    assert there.got.qsize() == 20


@two_stacks()
async def test_an_aborted_transport_drops_what_it_has_buffered(left: Stack, right: Stack) -> None:
    here, there = await pair(left, right)
    here.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 4000)
    for _ in range(20):
        here.transport.sendto(bytes(1000))
    here.transport.abort()
    assert await here.lost is None
    await asyncio.sleep(1)
    assert 0 < there.got.qsize() < 20


@two_stacks()
async def test_an_error_among_buffered_datagrams_does_not_hold_up_the_rest(
    left: Stack, right: Stack
) -> None:
    here, there = await pair(left, right)
    here.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 4000)
    for number in range(20):
        here.transport.sendto(bytes(70_000 if number == 15 else 1000))
    await asyncio.sleep(1)
    assert here.got.get_nowait() == ("OSError", errno.EMSGSIZE)
    assert there.got.qsize() == 19


@two_stacks()
async def test_a_protocol_may_close_when_it_is_told(left: Stack, right: Stack) -> None:
    class Closes(Notes):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            super().datagram_received(data, addr)
            self.transport.close()

        def error_received(self, exc: Exception) -> None:
            super().error_received(exc)
            self.transport.abort()

    _, there = await right.create_datagram_endpoint(Closes, local_addr=(RIGHT, PORT))
    _, here = await left.create_datagram_endpoint(Closes, remote_addr=(RIGHT, PORT))
    here.transport.sendto(b"one")
    here.transport.sendto(b"two")
    assert await there.lost is None
    assert there.got.qsize() == 1
    assert here.got.qsize() == 0
    here.transport.sendto(b"three")
    assert await here.lost is None
    assert here.got.get_nowait() == ("ConnectionRefusedError", errno.ECONNREFUSED)


def test_closing_the_stack_closes_its_datagram_transports_and_sends_what_they_hold() -> None:
    protocols: list[Notes] = []
    stacks: list[Stack] = []

    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        here, there = await pair(left, right)
        here.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_SNDBUF, 4000)
        for _ in range(20):
            here.transport.sendto(bytes(1000))
        await left.aclose()
        assert here.lost.result() is None
        await asyncio.sleep(1)
        assert there.got.qsize() == 20
        with pytest.raises(RuntimeError, match="closed"):
            await left.create_datagram_endpoint(Notes, local_addr=(LEFT, 0))
        protocols.extend((here, there))
        stacks.extend((left, right))

    body()
    assert [protocol.calls.count("connection_lost") for protocol in protocols] == [1, 1]
    for stack in stacks:
        assert stack.host.udp.by_port == {}
        assert not stack.host.udp.out


@two_stacks()
async def test_a_removed_device_ends_every_transport_with_the_reason(
    left: Stack, right: Stack
) -> None:
    here, _ = await pair(left, right)
    device_of(left).remove()
    error = await here.lost
    assert isinstance(error, OSError)
    assert error.errno == errno.ENETDOWN
    assert here.got.qsize() == 0


@two_stacks()
async def test_calls_from_another_thread_are_refused(left: Stack, right: Stack) -> None:
    here, _ = await pair(left, right)
    failures: list[str] = []

    def calls() -> None:
        for call in (lambda: here.transport.sendto(b"x"), here.transport.close,
                     here.transport.abort):  # fmt: skip
            try:
                call()
            except RuntimeError as error:
                failures.append(str(error))

    thread = threading.Thread(target=calls)
    thread.start()
    thread.join()
    assert len(failures) == 3
    assert all("thread of its event loop" in failure for failure in failures)


@two_stacks()
async def test_what_is_sent_after_the_end_goes_nowhere(left: Stack, right: Stack) -> None:
    here, _ = await pair(left, right)
    here.transport.close()
    await here.lost
    for _ in range(10):
        here.transport.sendto(b"x")
    assert repr(here.transport).startswith("<pystack DatagramTransport closed")
    await asyncio.sleep(1)
    assert left.host.counters.udp_out_datagrams == 0


@two_stacks()
async def test_a_factory_that_raises_leaves_no_port(left: Stack, right: Stack) -> None:
    def fails() -> Notes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await left.create_datagram_endpoint(fails, local_addr=(LEFT, PORT))
    assert left.host.udp.by_port == {}


@two_stacks()
async def test_a_transport_can_be_made_over_any_socket_of_the_stack(
    left: Stack, right: Stack
) -> None:
    _, there = await right.create_datagram_endpoint(
        lambda: Notes(echo=True), local_addr=(RIGHT, PORT)
    )
    sock = left.socket(socket.AF_INET, SOCK_DGRAM)
    sock.setblocking(False)
    sock.sendto(b"early", (RIGHT, PORT))
    await asyncio.sleep(1)
    transport, here = await asyncio.get_running_loop().create_datagram_endpoint(Notes, sock=sock)
    assert isinstance(transport, DatagramTransport)
    assert await here.got.get() == (b"EARLY", (RIGHT, PORT)), "it came before the transport"
    assert await there.got.get()


def test_datagrams_pass_in_a_world_and_are_lost_there_by_its_seed() -> None:
    def received(seed: int) -> list[int]:
        async def main(world: World) -> list[int]:
            one, other = world.hosts
            await other.create_datagram_endpoint(
                lambda: Notes(echo=True), local_addr=(None, PORT)
            )
            loop = asyncio.get_running_loop()
            with one.as_default():  # asyncio's own call, at that host
                _, here = await loop.create_datagram_endpoint(
                    Notes, local_addr=("0.0.0.0", 0), remote_addr=(other.address, PORT)
                )
            started = loop.time()
            for number in range(100):
                here.transport.sendto(b"%d" % number)
                await asyncio.sleep(0.01)
            await asyncio.sleep(1)
            got = [here.got.get_nowait() for _ in range(here.got.qsize())]
            assert {address for _, address in got} == {(other.address, PORT)}
            assert 1.99 < loop.time() - started < 2.01
            return [int(data) for data, _ in got]

        world = World(seed=seed)
        world.link(world.host("one"), world.host("other"), delay="20ms", loss=0.1)
        return run(main(world), world=world)

    first = received(1)
    assert 60 < len(first) < 95
    assert first == received(1)
    assert first != received(2)
