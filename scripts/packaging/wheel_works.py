"""Shows that the installed pystack works: `python scripts/packaging/wheel_works.py C|Python`.

1 MB go from one stack to another, through a bad cable. It imports nothing of the checkout that it
lies in. The argument is the codec that the wheel is expected to bring.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from importlib.metadata import version
from pathlib import Path

import pystack
from pystack.aio.devices.cable import Cable
from pystack.wire import codec

TEXT = hashlib.shake_256(b"text").digest(1_000_000)


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the digest of what has come."""
    writer.write(hashlib.sha256(await reader.read()).digest())
    writer.close()


async def main() -> None:
    cable = Cable("delay 2ms loss 0.5%", seed=1)
    async with (
        pystack.Stack.over(cable.left, "10.0.0.1/24") as client,
        pystack.Stack.over(cable.right, "10.0.0.2/24") as server,
    ):
        await server.start_server(take, port=7)
        reader, writer = await client.open_connection("10.0.0.2", 7)
        writer.write(TEXT)
        writer.write_eof()
        if await reader.read() != hashlib.sha256(TEXT).digest():
            raise SystemExit("the text arrived damaged")
        writer.close()


if __name__ == "__main__":
    home = Path(pystack.__file__).resolve()
    if Path(__file__).resolve().parents[2] in home.parents:
        raise SystemExit(f"{home} is the checkout's, and not installed")
    used = "Python" if codec.PURE else "C"
    if sys.argv[1:] != [used]:
        raise SystemExit(f"the codec is in {used}, not in {' '.join(sys.argv[1:])}")
    try:
        asyncio.run(main())
    except KeyboardInterrupt:  # scripts/wheels says so
        raise SystemExit(130) from None
    print(f"pystack {version('pystack-tcp')} works, with the codec in {used}")
