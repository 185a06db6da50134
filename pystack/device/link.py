"""Links, addresses and routes of one network namespace, by rtnetlink (pyroute2's AsyncIPRoute).

All that is known of pyroute2 is in this file.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute, NetlinkError
from pyroute2.netlink import NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_NEWLINK
from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from pystack.device.addresses import AddressPair, IPAddress
from pystack.device.link_state import GONE, LinkState
from pystack.device.netns import call_in

# It logs each message at DEBUG, which would fill the logs of programs that have that level. To see
# them, set this logger's level after pyroute2 is imported: the import forgets one from before.
_logger = logging.getLogger("pyroute2")
if _logger.level == logging.NOTSET:
    _logger.setLevel(logging.INFO)

_IFF_UP: Final = 1
_RTN_LOCAL: Final = 2
_IFF_LOWER_UP: Final = 1 << 16
_IFA_F_NODAD: Final = 2
_ADDR_GEN_MODE_NONE: Final = 1

_marshal: Final = MarshalRtnl()


@dataclass(frozen=True, slots=True)
class LinkCounters:
    """What went through the device, in packets, and what the kernel dropped at it.

    `read_dropped`: more came than its queue took, as we did not read fast enough (the kernel's
    tx_dropped). `written_dropped`: written by us, refused by the kernel (its rx_dropped and
    rx_errors). A packet with a gso_size counts as one.
    """

    read_packets: int
    read_dropped: int
    written_packets: int
    written_dropped: int


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """An address that an interface of the namespace has."""

    interface: str
    address: ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Netlink:
    """One rtnetlink socket; to be used as `async with`, in the thread of its event loop.

    Calls raise OSError with what the kernel answered.
    """

    def __init__(self, namespace: int | None) -> None:
        """`namespace`: descriptor of another network namespace; None for our own."""
        self._route: Any = None
        self._socket = netlink_socket(namespace)

    async def __aenter__(self) -> Self:
        # not AsyncIPRoute(netns=…): that forks, and makes a namespace that is missing
        self._route = AsyncIPRoute(fileno=self._socket.detach())
        try:
            await self._route.setup_endpoint()
        except BaseException:
            self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gone, also if it was never entered. May be called again."""
        self._socket.close()
        route, self._route = self._route, None
        if route is not None:
            route.close()

    async def _ask(self, noun: str, verb: str, **parameters: Any) -> list[Any]:
        try:
            answer = await getattr(self._route, noun)(verb, **parameters)
            return [m async for m in answer] if hasattr(answer, "__aiter__") else list(answer)
        except NetlinkError as error:
            raise OSError(error.code, f"{noun} {verb}: {error.args[-1]}") from None

    async def index_of(self, name: str) -> int:
        """The index of the interface of that name; 0 when there is none."""
        for link in await self._ask("link", "dump"):
            if link.get_attr("IFLA_IFNAME") == name:
                return int(link["index"])
        return 0

    async def kind_of(self, name: str) -> str:
        """Such as "tun" or "veth"; "" for hardware, the loopback, and a name that nothing has."""
        for link in await self._ask("link", "dump"):
            if link.get_attr("IFLA_IFNAME") == name:
                return str(link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "")
        return ""

    async def held_addresses(self) -> list[HeldAddress]:
        """Every address of every interface, with the prefix that is reached through it."""
        names = {m["index"]: m.get_attr("IFLA_IFNAME") for m in await self._ask("link", "dump")}
        held = []
        for message in await self._ask("addr", "dump"):
            name = str(names.get(message["index"], "?"))
            # IFA_ADDRESS is the far end of a point-to-point link: its prefix lies there
            for attribute in ("IFA_LOCAL", "IFA_ADDRESS"):
                if text := message.get_attr(attribute):
                    interface = ipaddress.ip_interface(f"{text}/{message['prefixlen']}")
                    held.append(HeldAddress(name, interface))
        return held

    async def leaves_through(self, address: IPAddress) -> str:
        """The name of the interface through which the kernel sends to `address`; "" for none."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            routes = await self._ask("route", "get", dst=str(address), family=family)
            index = routes[0].get_attr("RTA_OIF") if routes else None
            if index is None:
                return ""
            links = await self._ask("link", "get", index=index)
        except OSError:
            return ""
        return str(links[0].get_attr("IFLA_IFNAME"))

    async def takes(self, address: IPAddress) -> bool:
        """Whether the kernel takes packets to `address` for its own."""
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        try:
            routes = await self._ask("route", "get", dst=str(address), family=family)
        except OSError:
            return False
        return bool(routes) and routes[0]["type"] == _RTN_LOCAL

    async def set_link(self, index: int, **changes: Any) -> None:
        """Change a link: `mtu` in bytes, `txqlen` in packets, `state` "up" or "down"."""
        await self._ask("link", "set", index=index, **changes)

    async def set_quiet(self, index: int) -> None:
        """No link-local address: then IPv6 sends neither router solicitations nor MLD reports."""
        mode = {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", _ADDR_GEN_MODE_NONE]]}
        await self._ask("link", "set", index=index, IFLA_AF_SPEC={"attrs": [["AF_INET6", mode]]})

    async def add_address(self, index: int, pair: AddressPair) -> None:
        """Give the kernel's end to the link, with a route to our prefix."""
        ours = pair.ours
        inside = pair.peer in ours.network
        await self._ask(
            "addr",
            "add",
            index=index,
            family=socket.AF_INET if pair.version == 4 else socket.AF_INET6,
            local=str(pair.peer),
            address=str(pair.peer if inside else ours.ip),
            prefixlen=ours.network.prefixlen,
            **({} if pair.version == 4 else {"flags": _IFA_F_NODAD}),
        )

    async def counters(self, index: int) -> LinkCounters:
        """The link's counters."""
        link = (await self._ask("link", "get", index=index))[0]
        stats = link.get_attr("IFLA_STATS64") or link.get_attr("IFLA_STATS")
        return LinkCounters(
            read_packets=int(stats["tx_packets"]),
            read_dropped=int(stats["tx_dropped"]),
            written_packets=int(stats["rx_packets"]),
            written_dropped=int(stats["rx_dropped"]) + int(stats["rx_errors"]),
        )


async def clash(namespace: int | None, pairs: Iterable[AddressPair]) -> str:
    """Which of the addresses is taken in that namespace, as a sentence; "" for none.

    Taken is what an interface has, and what lies in a prefix that goes to one and is not wider.
    """
    async with Netlink(namespace) as netlink:
        held = await netlink.held_addresses()
    for pair in pairs:
        for entry in held:
            other = entry.address
            if other.ip in (pair.ours.ip, pair.peer):
                return f"{other.ip} is in use on {entry.interface}"
            if pair.ours.ip in other.network and (
                other.network.prefixlen >= pair.ours.network.prefixlen
            ):
                return f"{pair.ours.ip} lies in {other.network}, which is {entry.interface}'s"
    return ""


def netlink_socket(namespace: int | None) -> socket.socket:
    """A socket of rtnetlink, in another network namespace when its descriptor is given. Raises
    OSError."""
    return _open_socket() if namespace is None else call_in(namespace, _open_socket)


def link_states(message: bytes, index: int) -> list[LinkState]:
    """What a message of rtnetlink says of the link of that index, in its order. Raises OSError for
    an error that is in it."""
    states = []
    for part in _marshal.parse(message):
        kind = part["header"]["type"]
        if kind == NLMSG_ERROR:
            code = -part["error"]
            if code == errno.ENODEV:
                states.append(GONE)
            elif code:
                raise OSError(code, os.strerror(code))
        elif kind in (RTM_NEWLINK, RTM_DELLINK) and part["index"] == index:
            if part["family"] == socket.AF_UNSPEC:
                states.append(GONE if kind == RTM_DELLINK else _state(part))
    return states


def _open_socket() -> socket.socket:
    if sys.platform != "linux":
        raise NotImplementedError
    # SOCK_DGRAM, as asyncio's datagram transport takes no other
    return socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, socket.NETLINK_ROUTE)


def _state(link: Any) -> LinkState:
    # carrier rather than IFF_RUNNING, which follows it with a delay
    up = link["flags"] & (_IFF_UP | _IFF_LOWER_UP) == _IFF_UP | _IFF_LOWER_UP
    return LinkState(present=True, up=up, mtu=int(link.get_attr("IFLA_MTU")))
