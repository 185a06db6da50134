"""The addresses of a host: which are its own, which are broadcasts, which one to send from."""

from __future__ import annotations

from errno import EADDRNOTAVAIL, ENETUNREACH

from pystack.ip import source_selection
from pystack.ip.route_metrics import RouteMetrics
from pystack.printed import printed
from pystack.wire import address
from pystack.wire.address import is_v4


class Addresses:
    """Addresses with their prefixes. The host has one way out, so packets need no route. Routes are
    for a program with several hosts, or with the kernel beside: they say what it sends this way;
    and for what connections by them do (`route_metrics`). `has_metrics`: any of them asks for
    something."""

    __slots__ = ("local", "broadcast", "has_metrics", "_prefixes", "_routes")

    def __init__(self) -> None:
        self.local: set[bytes] = set()
        self.broadcast: set[bytes] = {address.BROADCAST_V4}
        # address, whether it is IPv4, as int, mask as int
        self._prefixes: list[tuple[bytes, bool, int, int]] = []
        self._routes: list[tuple[bool, int, int, RouteMetrics | None]] = []
        self.has_metrics = False

    def __repr__(self) -> str:
        return printed(self, lambda: ", ".join(address.text(own) for own in self.all()) or "none")

    def add(self, text: str) -> bytes:
        """Add "address/prefix-length"; its 16 bytes. Raises ValueError as `address.interface`."""
        interface = address.interface(text)
        own = address.pack(str(interface.ip))
        network = interface.network
        bits = network.prefixlen + (96 if interface.version == 4 else 0)
        mask = (1 << 128) - (1 << (128 - bits))
        self.local.add(own)
        self._prefixes.append((own, interface.version == 4, int.from_bytes(own, "big"), mask))
        if interface.version == 4 and network.prefixlen < 31:
            self.broadcast.add(address.pack(str(network.broadcast_address)))
        return own

    def remove(self, own: bytes) -> None:
        """Take an address away. Raises OSError EADDRNOTAVAIL when it is none of ours."""
        if own not in self.local:
            raise OSError(EADDRNOTAVAIL, "not an address of this host")
        self.local.discard(own)
        self._prefixes = [entry for entry in self._prefixes if entry[0] != own]

    def all(self) -> list[bytes]:
        """All addresses in the order in which they were added."""
        return [entry[0] for entry in self._prefixes]

    def add_route(self, network: bytes, mask: int, metrics: RouteMetrics | None = None) -> None:
        """Add a network (see `wire.address.network`) to those that `has_route`, with what is asked
        of the connections there; in place of one that is the same."""
        route = (is_v4(network), int.from_bytes(network, "big"), mask, metrics)
        self._routes = [known for known in self._routes if known[:3] != route[:3]]
        self._routes.append(route)
        self.has_metrics = any(known[3] is not None for known in self._routes)

    def has_route(self, remote: bytes) -> bool:
        """Whether `remote` is one of ours, in one of our prefixes, or in one of the routes."""
        if remote in self.local:
            return True
        number = int.from_bytes(remote, "big")
        v4 = is_v4(remote)
        return any(
            network_v4 == v4 and (as_int ^ number) & mask == 0
            for network_v4, as_int, mask in (
                *(own[1:] for own in self._prefixes), *(route[:3] for route in self._routes)
            )
        )  # fmt: skip

    def metrics_for(self, remote: bytes) -> RouteMetrics | None:
        """What the route to `remote` asks for: that of the longest prefix, our own ones, which ask
        for nothing, among them. None for nothing."""
        if not self.has_metrics:
            return None
        number = int.from_bytes(remote, "big")
        v4 = is_v4(remote)
        found = None
        longest = 0
        for own in self._prefixes:
            if own[1] == v4 and (own[2] ^ number) & own[3] == 0 and own[3] > longest:
                longest = own[3]
        for route_v4, as_int, mask, metrics in self._routes:
            if route_v4 == v4 and (as_int ^ number) & mask == 0 and mask >= longest:
                longest = mask
                found = metrics
        return found

    def source_for(self, remote: bytes) -> bytes:
        """The address to send from (RFC 9293 MUST-44): of IPv4 one on the same subnet, else the
        first; of IPv6 by RFC 6724. Raises OSError ENETUNREACH when there is none."""
        if remote in self.local:
            return remote
        number = int.from_bytes(remote, "big")
        v4 = is_v4(remote)
        mine = [entry for entry in self._prefixes if entry[1] == v4]
        if not mine:
            raise OSError(ENETUNREACH, "no address of that family")
        if v4:
            for own, _, own_number, mask in mine:
                if (own_number ^ number) & mask == 0:
                    return own
        elif len(mine) > 1:
            return max(mine, key=lambda one: source_selection.rank(one[2], one[3], number))[0]
        return mine[0][0]
