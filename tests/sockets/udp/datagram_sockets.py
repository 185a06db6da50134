"""UDP sockets for tests: one that is bound, a pair."""

from __future__ import annotations

from typing import Any

from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET, AF_INET6
from tests.sockets.world import (
    World,
)

RECVERR = {
    AF_INET: (c.IPPROTO_IP, c.IP_RECVERR, 1), AF_INET6: (c.IPPROTO_IPV6, c.IPV6_RECVERR, 1)
}  # fmt: skip
DISCOVER = {
    AF_INET: (c.IPPROTO_IP, c.IP_MTU_DISCOVER), AF_INET6: (c.IPPROTO_IPV6, c.IPV6_MTU_DISCOVER)
}  # fmt: skip
REUSE = (c.SOL_SOCKET, c.SO_REUSEADDR, 1)
REUSE_PORT = (c.SOL_SOCKET, c.SO_REUSEPORT, 1)


def bound(world: World, *options: tuple[int, int, Any]) -> Any:
    """A far socket at its address and a free port."""
    sock = world.datagram(far=True)
    for option in options:
        sock.setsockopt(*option)
    sock.bind((world.there, 0))
    return sock


def pair(world: World) -> tuple[Any, Any]:
    """Two sockets connected to each other, the near one first."""
    far = bound(world)
    near = world.datagram()
    near.connect(world.where(far))
    far.connect(near.getsockname()[:2])
    return near, far
