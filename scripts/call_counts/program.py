"""The program that `pystack run` is given: it has asyncio's own calls and knows of no stack."""

from __future__ import annotations

import asyncio
import socket

from scripts.call_counts import on_loop


async def main() -> None:
    loop = asyncio.get_running_loop()
    doors = on_loop.Doors(
        socket.socket, loop.create_connection, loop.create_server, loop.create_datagram_endpoint
    )
    await on_loop.body(doors)


if __name__ == "__main__":
    asyncio.run(main())
