"""A world of `pystack.sim`: asyncio in virtual time, and traffic without it."""

import asyncio
import hashlib
import socket

from pystack import sim
from pystack.sim.traffic import Bulk, Sink

SIZE = 1_000_000
TEXT = hashlib.shake_256(b"there").digest(SIZE)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while text := await reader.read(65536):
        writer.write(text)
        await writer.drain()
    writer.close()


async def main() -> None:
    world = sim.World(seed=1)
    client, server = world.host("client"), world.host("server")
    world.link(client, server, rate="100mbit", delay="20ms")
    await asyncio.start_server(echo, "server", 7)
    for family in (socket.AF_INET, socket.AF_INET6):
        reader, writer = await asyncio.open_connection("server", 7, family=family)
        assert writer.get_extra_info("socket").family == family
        sending = asyncio.create_task(reader.readexactly(SIZE))
        writer.write(TEXT)
        assert await sending == TEXT
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(1)  # of virtual time, in which the server ends too


sim.run(main())
world = sim.World(seed=1)
a, b = world.host("a"), world.host("b")
world.link(a, b, rate="100mbit", delay="5ms")
sink = Sink(b, 5001)
Bulk(a, b, 5001, octets=SIZE)
world.run(for_s=10)
assert [flow.received for flow in sink.flows] == [SIZE]
print("done")
