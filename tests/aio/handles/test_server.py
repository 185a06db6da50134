"""Server: what asyncio's does, from start to the last of its clients."""

from __future__ import annotations

import asyncio
import errno

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.aio.handles.server import Server
from tests.aio.memory_device import DELAY
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import LEFT, RIGHT, RIGHT6, take_failures, two_stacks


@two_stacks()
async def test_no_host_is_all_addresses_of_both_families(left: Stack, right: Stack) -> None:
    for nothing in None, "":
        server = await right.create_server(Recorder, nothing, 7000)
        names = [socket.getsockname() for socket in server.sockets]
        assert names == [("0.0.0.0", 7000), ("::", 7000, 0, 0)]
        for host in RIGHT, RIGHT6:
            transport, _ = await left.create_connection(Recorder, host, 7000)
            transport.close()
        server.close()
        await server.wait_closed()


@two_stacks()
async def test_one_address_is_not_the_other(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000)
    with pytest.raises(ConnectionRefusedError):
        await left.create_connection(Recorder, RIGHT6, 7000)
    server.close()


@two_stacks()
async def test_several_hosts_may_be_given(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, [RIGHT, RIGHT6, RIGHT], 7000)
    assert len(server.sockets) == 2
    server.close()


@two_stacks()
async def test_port_0_is_a_free_one(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 0)
    port = server.sockets[0].getsockname()[1]
    assert port > 0
    await left.create_connection(Recorder, RIGHT, port)
    server.close()


@two_stacks()
async def test_a_port_that_is_taken_or_an_address_not_ours_is_an_error_and_leaves_nothing(
    left: Stack, right: Stack
) -> None:
    first = await right.create_server(Recorder, RIGHT6, 7000)
    with pytest.raises(OSError, match="error while attempting to bind") as caught:
        await right.create_server(Recorder, None, 7000)
    assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match="error while attempting to bind") as caught:
        await right.create_server(Recorder, LEFT, 7000)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    first.close()
    second = await right.create_server(Recorder, None, 7000)
    second.close()
    assert not right.host.listeners


@two_stacks()
async def test_a_server_may_start_later_than_it_is_made(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000, start_serving=False)
    assert not server.is_serving()
    with pytest.raises(ConnectionRefusedError):
        await left.create_connection(Recorder, RIGHT, 7000)
    await server.start_serving()
    await server.start_serving()
    assert server.is_serving()
    assert server.get_loop() is asyncio.get_running_loop()
    await left.create_connection(Recorder, RIGHT, 7000)
    server.close()
    assert not server.is_serving()
    with pytest.raises(RuntimeError, match="closed"):
        await server.start_serving()


@two_stacks()
async def test_closed_it_refuses_new_clients_and_keeps_the_old_ones(
    left: Stack, right: Stack
) -> None:
    client, accepted = await connected(left, right)  # which closes its server
    with pytest.raises(ConnectionRefusedError):
        await left.create_connection(Recorder, RIGHT, 7000)
    client.transport.write(b"still served")
    await asyncio.sleep(1)
    assert accepted.data == b"still served"


@two_stacks()
async def test_wait_closed_waits_for_the_last_client(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000)
    clients = [await left.create_connection(Recorder, RIGHT, 7000) for _ in range(3)]
    waiting = asyncio.create_task(server.wait_closed())
    await asyncio.sleep(1)
    server.close()
    server.close()
    assert server.sockets == ()
    for transport, _ in clients:
        await asyncio.sleep(1)
        assert not waiting.done()
        transport.close()
    await waiting
    await server.wait_closed()


@two_stacks()
async def test_as_a_context_it_closes_at_the_end(left: Stack, right: Stack) -> None:
    async with await right.create_server(Recorder, RIGHT, 7000) as server:
        assert isinstance(server, Server)
        assert server.is_serving()
    assert not server.is_serving()


@pytest.mark.parametrize("how", ["close_clients", "abort_clients"])
def test_clients_may_be_closed_all_at_once(how: str) -> None:
    @two_stacks()
    async def body(left: Stack, right: Stack) -> None:
        class Big(Recorder):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                self.transport.write(bytes(10_000_000))

        server = await right.create_server(Big, RIGHT, 7000)
        clients = [(await left.create_connection(Recorder, RIGHT, 7000))[1] for _ in range(3)]
        await asyncio.sleep(DELAY)  # the last one has to arrive
        server.close()
        getattr(server, how)()
        await server.wait_closed()
        for client in clients:
            await client.lost
            assert (len(client.data) == 10_000_000) == (how == "close_clients")

    body()


@two_stacks()
async def test_serve_forever_lasts_until_close(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000, start_serving=False)
    forever = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(1)
    assert server.is_serving()
    with pytest.raises(RuntimeError, match="already"):
        await server.serve_forever()
    server.close()
    with pytest.raises(asyncio.CancelledError):
        await forever


@two_stacks()
async def test_serve_forever_cancelled_closes_server_and_clients(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000)
    forever = asyncio.create_task(server.serve_forever())
    _, client = await left.create_connection(Recorder, RIGHT, 7000)
    await asyncio.sleep(1)
    forever.cancel()
    with pytest.raises(asyncio.CancelledError):
        await forever
    await client.ended
    assert not server.is_serving()


@two_stacks()
async def test_a_factory_that_raises_loses_that_client_only(left: Stack, right: Stack) -> None:
    count = 0

    def factory() -> Recorder:
        nonlocal count
        count += 1
        if count == 1:
            raise ZeroDivisionError
        return Recorder()

    server = await right.create_server(factory, RIGHT, 7000)
    _, first = await left.create_connection(Recorder, RIGHT, 7000)
    await first.lost
    _, second = await left.create_connection(Recorder, RIGHT, 7000)
    await asyncio.sleep(1)
    assert not second.lost.done()
    (failure,) = take_failures()
    assert isinstance(failure["exception"], ZeroDivisionError)
    assert failure["server"] is server


@two_stacks()
async def test_more_clients_than_the_backlog_may_come_at_once(left: Stack, right: Stack) -> None:
    server = await right.create_server(Recorder, RIGHT, 7000, backlog=2)
    connecting = [left.create_connection(Recorder, RIGHT, 7000) for _ in range(50)]
    connections = await asyncio.gather(*connecting)
    assert len(connections) == 50
    server.close()
    server.close_clients()
    await server.wait_closed()
