"""What a TUN device's user is told."""

import asyncio

from pystack import SetupError, Stack


async def main() -> None:
    async with Stack.over_tun("tun0", "198.18.0.2/24"):
        raise AssertionError("there is none")


try:
    asyncio.run(main())
except SetupError as error:
    print(error)
