"""A link in memory between two stacks: delays, faults, the end; in virtual time and in real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pystack.aio.devices.cable import Cable
from pystack.aio.endpoint.stack import Stack
from pystack.path.link import Delay, Stage
from pystack.path.replaceable_stage import ReplaceableStage
from pystack.sim.vloop import VirtualLoop
from tests.aio.two_stacks import run
from tests.surroundings import PATIENCE

CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
MS = 1000


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(65536):
        writer.write(text)
        await writer.drain()
    writer.close()


Body = Callable[[VirtualLoop, Cable, Stack, Stack], Awaitable[None]]


def over_cable(*args: Any, **options: Any) -> Callable[[Body], Callable[[], None]]:
    """Make a test of an async function of two stacks that a cable joins, in virtual time."""

    def decorate(body: Body) -> Callable[[], None]:
        async def joined(loop: VirtualLoop) -> None:
            cable = Cable(*args, clock=loop.now_us, **options)
            async with (
                Stack.over(cable.left, f"{CLIENT}/24", clock=loop.now_us, secret=b"c" * 32) as one,
                Stack.over(cable.right, f"{SERVER}/24", clock=loop.now_us, secret=b"s" * 32) as two,
            ):
                await body(loop, cable, one, two)

        def test() -> None:
            run(joined)

        test.__name__ = body.__name__
        return test

    return decorate


async def echoed(client: Stack, server: Stack, text: bytes) -> bytes:
    await server.start_server(echo, SERVER, 7)
    reader, writer = await client.open_connection(SERVER, 7)
    writer.write(text)
    writer.write_eof()
    back = await reader.read()
    writer.close()
    await writer.wait_closed()
    return back


@over_cable("out: delay 15ms in: delay 5ms")
async def test_a_round_trip_takes_what_both_ways_take(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    begin_us = loop.now_us()
    await server.start_server(echo, SERVER, 7)
    _, writer = await client.open_connection(SERVER, 7)
    assert loop.now_us() - begin_us == 20 * MS
    writer.close()


@over_cable("delay 5ms 1ms loss 3% duplicate 1% corrupt 1% reorder 5%", seed=3)
async def test_a_bad_way_is_survived(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    text = bytes(range(256)) * 2000
    assert await echoed(client, server, text) == text
    await asyncio.sleep(1)  # for the last one
    counts = cable.there.counts()
    assert counts["lost"] > 3
    assert counts["corrupted"] > 0
    drops = {**await server.drop_counters(), **await client.drop_counters()}
    assert any(name.startswith("bad_") for name in drops)  # what was corrupted was seen to be
    lost = cable.left.sent + counts["duplicated"] - counts["lost"]
    assert cable.right.arrived == lost


@over_cable("mtu 1280 delay 1ms")
async def test_who_sends_what_is_too_large_for_the_way_is_told(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    text = bytes(100_000)
    assert await echoed(client, server, text) == text
    assert cable.there.counts()["too_big"] > 0


@over_cable((Delay(1000), Delay(1000)), offload=True)
async def test_with_offload_runs_pass_in_one_piece(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    sizes: list[int] = []
    cable.left.taps.append(lambda packets, _: sizes.extend(len(octets) for octets, *_ in packets))
    text = bytes(1_000_000)
    assert await echoed(client, server, text) == text
    assert max(sizes) > 10_000
    assert cable.left.octets == sum(sizes)
    assert cable.left.sent == len(sizes) < 400


@over_cable()
async def test_taps_see_what_is_sent_and_what_arrives(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    seen: dict[str, int] = {"sent": 0, "arrived": 0}

    def count(name: str) -> Callable[..., None]:
        def tap(packets: list[object], now_us: int) -> None:
            assert now_us == loop.now_us()
            seen[name] += len(packets)

        return tap

    cable.left.taps.append(count("sent"))
    cable.right.arrival_taps.append(count("arrived"))
    assert await echoed(client, server, b"hello") == b"hello"
    assert seen["sent"] == seen["arrived"] == cable.left.sent == cable.right.arrived > 3


@over_cable((ReplaceableStage(Delay(1000)), ReplaceableStage(Delay(1000))))
async def test_a_cable_that_is_cut_and_joined_again_delivers_what_waited(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    there = cable.there
    assert isinstance(there, ReplaceableStage)
    await server.start_server(echo, SERVER, 7)
    reader, writer = await client.open_connection(SERVER, 7)
    there.down = True
    writer.write(b"hello")
    await asyncio.sleep(1)
    assert there.cut_off > 1
    there.down = False
    assert await reader.readexactly(5) == b"hello"
    writer.close()


@over_cable((Stage(), Delay(50 * MS)))
async def test_what_is_on_its_way_from_an_end_that_is_closed_arrives(
    loop: VirtualLoop, cable: Cable, client: Stack, server: Stack
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"goodbye")
        await asyncio.sleep(10)

    await server.start_server(talk, SERVER, 7)
    reader, writer = await client.open_connection(SERVER, 7)
    reading = asyncio.ensure_future(reader.read(100))
    await asyncio.sleep(0.02)
    cable.right.close()
    await asyncio.sleep(0)
    assert await reading == b"goodbye"
    assert cable.right.write(None, 0) < 0  # type: ignore[arg-type]
    writer.transport.abort()


def test_it_has_the_time_of_a_usual_loop() -> None:
    async def main() -> float:
        cable = Cable("delay 10ms")
        async with (
            Stack.over(cable.left, f"{CLIENT}/24") as client,
            Stack.over(cable.right, f"{SERVER}/24") as server,
        ):
            begin = time.monotonic()
            assert await echoed(client, server, b"hello") == b"hello"
            return time.monotonic() - begin

    assert 0.04 <= asyncio.run(asyncio.wait_for(main(), PATIENCE)) < 10


def test_words_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="dely"):
        Cable("dely 20ms")
