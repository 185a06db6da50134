"""The two sides of a test: a stack at one end of a TUN device, the kernel at the other."""

from __future__ import annotations

import asyncio

from pystack.aio.endpoint.stack import Stack

OURS = {4: "198.18.0.2", 6: "fd00:198:18::2"}
KERNELS = {4: "198.18.0.1", 6: "fd00:198:18::1"}
NAMES = {"localhost": OURS, "kernel.test": KERNELS}  # that asyncio is told
ADDRESSES_ONLY = "ASYNCIO_SUITES_ADDRESSES_ONLY"  # set: nothing else of the tests is changed
GRACE = 0.15  # s, for connections that a test leaves open


def open_stack() -> Stack:
    """A stack in this process's network namespace, open and on no loop; it knows `NAMES`.

    Raises SetupError.
    """
    stack = Stack.over_tun(
        "tun0", f"{OURS[4]}/24", addr6=f"{OURS[6]}/64", peer=KERNELS[4], peer6=KERNELS[6],
        names={name: list(found.values()) for name, found in NAMES.items()}, grace=GRACE,
    )  # fmt: skip

    async def opened() -> None:
        await stack.__aenter__()
        await stack.leave()

    asyncio.run(opened())
    return stack
