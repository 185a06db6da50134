"""What is known of path MTUs: one cache for all connections of a host (RFC 1191, RFC 8201).

A message can only lower an MTU. An entry is forgotten `mtu_expires` seconds after the last message
about it (600 as in Linux; RFC 1191 §6.3 asks for 5 minutes at least and recommends 10), and then
the device's MTU is tried again. There is no tick: `next_deadline` says when the oldest entry
expires. Whether a message can be trusted (RFC 5927) is decided by the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pystack.config import Config
from pystack.ip.addresses import Addresses
from pystack.wire.address import is_v4
from pystack.wire.consts import IPV4_HEADER, IPV4_MIN_MTU, IPV6_MIN_MTU

MAX_ENTRIES: Final = 1024  # the one learnt longest ago makes room
# RFC 1191 §7.1, table 7-1: likely MTUs, for routers that don't say theirs.
PLATEAUS: Final = (32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, IPV4_MIN_MTU)


class PathMtu:
    """MTUs by destination (16 bytes). `device_mtu` may be changed at any time; `learnt`, what
    routers have reported, is only to be read. The routes of `addresses` may say less."""

    __slots__ = ("config", "addresses", "device_mtu", "learnt")

    def __init__(
        self, config: Config, device_mtu: int, addresses: Addresses | None = None
    ) -> None:
        self.config = config
        self.addresses = addresses if addresses is not None else Addresses()
        self.device_mtu = device_mtu
        # MTU, locked, when learnt; in order of learning
        self.learnt: OrderedDict[bytes, tuple[int, bool, int]] = OrderedDict()

    def __len__(self) -> int:
        """How many destinations have an MTU of their own."""
        return len(self.learnt)

    def first_hop_mtu(self, destination: bytes) -> int:
        """What device and route allow, whatever routers have reported."""
        if self.addresses.has_metrics:
            metrics = self.addresses.metrics_for(destination)
            if metrics is not None and metrics.mtu:
                return min(metrics.mtu, self.device_mtu)
        return self.device_mtu

    def mtu(self, destination: bytes) -> int:
        """The largest packet, in bytes, that may be sent there without being fragmented."""
        most = self.first_hop_mtu(destination) if self.addresses.has_metrics else self.device_mtu
        entry = self.learnt.get(destination)
        return min(entry[0], most) if entry else most

    def is_locked(self, destination: bytes) -> bool:
        """Whether packets go without DF: the path is narrower than `min_pmtu`, or the route's MTU
        is locked."""
        if self.addresses.has_metrics and self._is_fixed(destination):
            return True
        entry = self.learnt.get(destination)
        return entry is not None and entry[1]

    def _is_fixed(self, destination: bytes) -> bool:
        metrics = self.addresses.metrics_for(destination)
        return metrics is not None and metrics.mtu_locked

    def learn(self, destination: bytes, mtu: int, now_us: int, quoted_length: int = 0) -> bool:
        """A router reported `mtu` bytes; whether that lowers what `mtu()` says.

        For IPv6 below 1280 it is ignored (RFC 8201 §4). For IPv4, 0 means a router older than
        RFC 1191, and the next plateau below `quoted_length` (that of the packet that was too
        big) is taken; below `min_pmtu` (552) we stay there and let routers fragment, as Linux
        does, so that a forged message cannot make segments tiny. Where the route's MTU is locked
        nothing is believed.
        """
        if self._is_fixed(destination):
            return False
        entry = self.learnt.get(destination)
        if entry is not None and entry[2] + self.config.mtu_expires * 1_000_000 <= now_us:
            old = self.first_hop_mtu(destination)
        else:
            old = self.mtu(destination)
        locked = False
        if is_v4(destination):
            if mtu == 0:
                length = quoted_length or old
                if length >= old:  # some routers count the header twice; and what else was in
                    length -= IPV4_HEADER  # flight must not lower it once more (RFC 1191 §5)
                mtu = _plateau_below(length)
            if mtu < self.config.min_pmtu:
                mtu, locked = min(old, self.config.min_pmtu), True
        elif mtu < IPV6_MIN_MTU:
            return False
        if mtu > old or (mtu == old and not locked and destination not in self.learnt):
            return False
        was_locked = self.is_locked(destination)
        locked = locked or was_locked
        self.learnt[destination] = (mtu, locked, now_us)
        self.learnt.move_to_end(destination)
        if len(self.learnt) > MAX_ENTRIES:
            self.learnt.popitem(last=False)
        return mtu < old or (locked and not was_locked)

    def next_deadline(self) -> int:
        """When the oldest entry expires, in µs; 0 with none."""
        for _, _, learnt_at_us in self.learnt.values():
            return learnt_at_us + self.config.mtu_expires * 1_000_000
        return 0

    def on_time(self, now_us: int) -> list[bytes]:
        """Forget what has expired; the destinations whose MTU may have risen by that."""
        expired = []
        while self.learnt and self.next_deadline() <= now_us:
            expired.append(self.learnt.popitem(last=False)[0])
        return expired


def _plateau_below(length: int) -> int:
    """The largest likely MTU below `length` (RFC 1191 §5)."""
    return next((plateau for plateau in PLATEAUS if plateau < length), IPV4_MIN_MTU)
