"""TCP Fast Open where packets are lost, doubled and overtaken: each answer is that of its question,
and nothing stays."""

from __future__ import annotations

import asyncio

import pytest

from pystack import sim
from pystack.sim import World

ANSWERS = 40


@pytest.mark.parametrize("impair", ["loss 20%", "duplicate 20%", "delay 20ms 15ms loss 10%"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_the_network_does_each_answer_is_that_of_its_question(
    impair: str, seed: int
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async def main() -> None:
        world = World(seed=seed)
        on = {"tcp_fastopen": 3}
        client, server = world.host("client", sysctl=on), world.host("server", sysctl=on)
        world.link(client, server, impair=impair)
        await server.start_server(echo, port=7, fastopen=100)
        for number in range(ANSWERS):
            reader, writer = await client.open_connection("server", 7, fastopen=True)
            text = bytes([number]) * (number * 100 + 1)
            writer.write(text)
            writer.write_eof()
            assert await reader.read() == text
            writer.close()
            await asyncio.sleep(200)  # a pause after a failure is over
        counted = client.host.counters
        assert counted.fastopen_active + counted.fastopen_active_fail > ANSWERS // 2
        assert server.host.counters.owner_errors == client.host.counters.owner_errors == 0
        await client.aclose()
        await server.aclose()
        assert not client.host.connections
        assert not server.host.connections

    sim.run(main())
