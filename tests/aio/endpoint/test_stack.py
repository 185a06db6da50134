"""Stack: opening, and closing with connections in every stage."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pystack
from pystack.aio.endpoint.stack import Stack
from pystack.sim.vloop import VirtualLoop
from tests.aio.memory_device import joined_devices
from tests.aio.recorder import Recorder, connected
from tests.aio.two_stacks import LEFT, RIGHT, device_of, over, run, take_failures, two_stacks

MUCH = bytes(range(256)) * 40_000


@two_stacks()
async def test_leaving_delivers_what_was_written_to_closed_and_to_open_connections(
    left: Stack, right: Stack
) -> None:
    closed, first = await connected(left, right, port=7000)
    still_open, second = await connected(left, right, port=7001)
    closed.transport.write(MUCH)
    closed.transport.close()
    still_open.transport.write(MUCH)
    await left.aclose()
    assert first.data == second.data == MUCH
    assert still_open.error is closed.error is None
    assert device_of(left).closed
    assert left.host.counters.out_rsts == 0
    await left.aclose()


@two_stacks(grace=3.0)
async def test_who_does_not_close_its_side_is_reset_when_the_grace_is_over(
    left: Stack, right: Stack
) -> None:
    loop = asyncio.get_running_loop()
    client, server = await connected(left, right, keep_open=True)
    start = loop.time()
    await left.aclose()
    assert 3 <= loop.time() - start < 3.1
    await server.lost
    assert isinstance(server.error, BrokenPipeError)  # Linux: a RST after the FIN
    assert client.lost.done()


@two_stacks(grace=0.5)
async def test_who_does_not_read_is_reset_too_and_the_writer_hears_of_it(
    left: Stack, right: Stack
) -> None:
    client, server = await connected(left, right)
    server.transport.pause_reading()
    client.transport.write(MUCH)
    await left.aclose()
    assert isinstance(client.error, ConnectionAbortedError)
    server.transport.resume_reading()
    await server.lost
    assert isinstance(server.error, ConnectionResetError)


@two_stacks(grace=0.5)
async def test_a_connection_being_made_is_given_up(left: Stack, right: Stack) -> None:
    connecting = asyncio.create_task(left.create_connection(Recorder, "198.18.0.77", 7000))
    await asyncio.sleep(0.1)
    await left.aclose()
    with pytest.raises(ConnectionAbortedError):
        await connecting


@two_stacks()
async def test_servers_end_with_their_stack(left: Stack, right: Stack) -> None:
    server = await left.create_server(Recorder, None, 7000)
    forever = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0.1)
    await left.aclose()
    assert not server.is_serving()
    await server.wait_closed()
    with pytest.raises(asyncio.CancelledError):
        await forever


@two_stacks()
async def test_a_closed_stack_refuses_everything_with_a_clear_word(
    left: Stack, right: Stack
) -> None:
    client, _ = await connected(left, right)
    await left.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await left.create_connection(Recorder, RIGHT, 7000)
    with pytest.raises(RuntimeError, match="closed"):
        await left.create_server(Recorder, RIGHT, 7000)
    client.transport.write(b"nowhere")
    client.transport.close()
    with pytest.raises(BlockingIOError):
        left.host.socket().connect((RIGHT, 7000))  # the host is still one, driven by nobody
    with pytest.raises(RuntimeError, match="opened once"):
        await left.__aenter__()


def test_a_stack_that_was_not_opened_says_so() -> None:
    stack = Stack.over(joined_devices()[0], f"{LEFT}/24")
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(stack.open_connection(RIGHT, 7000))
    asyncio.run(stack.aclose())


def test_the_device_is_closed_when_the_body_raises_or_is_cancelled() -> None:
    async def body(loop: VirtualLoop) -> None:
        device = joined_devices()[0]
        with pytest.raises(ZeroDivisionError):
            async with over(device, f"{LEFT}/24", loop=loop):
                raise ZeroDivisionError
        assert device.closed

        device = joined_devices()[0]

        async def forever() -> None:
            async with over(device, f"{LEFT}/24", loop=loop) as stack:
                await stack.create_connection(Recorder, RIGHT, 7000)

        task = asyncio.create_task(forever())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert device.closed

    run(body)


@two_stacks(grace=100.0)
async def test_cancelled_while_it_closes_it_resets_and_is_gone_at_once(
    left: Stack, right: Stack
) -> None:
    _, server = await connected(left, right, keep_open=True)
    closing = asyncio.create_task(left.aclose())
    await asyncio.sleep(1)
    assert not closing.done()
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert device_of(left).closed
    await server.lost
    assert isinstance(server.error, BrokenPipeError)


def test_a_device_is_closed_when_what_comes_after_it_fails(tmp_path: Path) -> None:
    async def body(loop: VirtualLoop) -> None:
        device = joined_devices()[0]
        with pytest.raises(pystack.SetupError, match="no capture to"):
            async with over(device, f"{LEFT}/24", loop=loop, pcap=tmp_path / "no" / "where"):
                pass
        assert device.closed

    run(body)


def test_an_unknown_setting_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(pystack.SetupError, match="tcp_nonsense") as caught:
        Stack.over_tun("tun0", f"{LEFT}/24", sysctl={"net.ipv4.tcp_nonsense": 1})
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(pystack.SetupError, match="address"):
        Stack.over_tun("tun0")


@two_stacks(sysctl={"net.ipv4.tcp_timestamps": "0"})
async def test_settings_are_put_into_effect(left: Stack, right: Stack) -> None:
    assert left.host.sysctl("tcp_timestamps") == "0"
    client, _ = await connected(left, right)
    assert client.transport.get_extra_info("tcp_info").tcpi_options & 1 == 0


def test_both_directions_are_captured_with_their_checksums(tmp_path: Path) -> None:
    from dpkt import in_cksum, ip, pcapng

    async def body(loop: VirtualLoop) -> None:
        one, other = joined_devices(offload=True)
        async with (
            over(one, f"{LEFT}/24", loop=loop, pcap=tmp_path / "both") as left,
            over(other, f"{RIGHT}/24", loop=loop) as right,
        ):
            client, server = await connected(left, right)
            client.transport.write(MUCH[:100_000])
            client.transport.close()
            await server.lost

    run(body)
    with open(tmp_path / "both", "rb") as file:
        packets = [ip.IP(octets) for _, octets in pcapng.Reader(file)]
    assert packets[0].data.flags & 2
    sources = {packet.src for packet in packets}
    assert len(sources) == 2
    for packet in packets:
        tcp = bytes(packet.data)
        pseudo = packet.src + packet.dst + b"\0\6" + len(tcp).to_bytes(2, "big")
        assert in_cksum(pseudo + tcp) == 0  # type: ignore[operator]


def test_a_disk_that_is_full_already_takes_no_capture() -> None:
    async def body(loop: VirtualLoop) -> None:
        one, _ = joined_devices()
        with pytest.raises(pystack.SetupError, match="no capture to /dev/full") as caught:
            await over(one, f"{LEFT}/24", loop=loop, pcap="/dev/full").__aenter__()
        assert caught.value.errno == errno.ENOSPC

    run(body)
    assert take_failures() == []


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_capture_that_cannot_go_on_is_told_once_and_the_stack_goes_on(size: int) -> None:
    reading, writing = os.pipe()  # fails when its reader has left, as a disk does when it is full
    name = f"/dev/fd/{writing}"

    async def body(loop: VirtualLoop) -> None:
        one, other = joined_devices()
        async with (
            over(one, f"{LEFT}/24", loop=loop, pcap=name) as left,
            over(other, f"{RIGHT}/24", loop=loop) as right,
        ):
            os.close(reading)
            client, server = await connected(left, right)
            client.transport.write(MUCH[:size])
            client.transport.close()
            await server.lost
            assert len(server.data) == size
        assert isinstance(left.capture_error, BrokenPipeError)
        assert right.capture_error is None
        assert take_failures() == [
            {"message": f"the capture to {name} has ended early: Broken pipe"}
        ]

    try:
        run(body)
    finally:
        os.close(writing)


def test_importing_pystack_brings_in_neither_asyncio_nor_the_device() -> None:
    script = (
        "import sys, pystack; assert pystack.__version__; pystack.Host;"
        "print([n for n in ('asyncio', 'socket', 'pyroute2', 'pytun') if n in sys.modules]);"
        "pystack.Stack; print('asyncio' in sys.modules, 'pyroute2' in sys.modules);"
        "print(set(pystack.__all__) <= set(dir(pystack)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout == "[]\nTrue False\nTrue\n", result.stderr


def test_what_pystack_does_not_have_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pystack.nonsense


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert pystack.__version__ == version("pystack-tcp")
