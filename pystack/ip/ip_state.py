"""What one host keeps of IP: its addresses, the paths it knows, ICMP, packets in fragments."""

from __future__ import annotations

from typing import Final

from pystack.config import Config
from pystack.counters import Counters
from pystack.ip.addresses import Addresses
from pystack.ip.fragments import Reassembly
from pystack.ip.icmp import Icmp
from pystack.ip.keyed_hash import keyed_hash
from pystack.ip.path_mtu import PathMtu
from pystack.printed import printed
from pystack.wire.address import is_v4

_COUNTERS: Final = 256  # of IPv4 identifications
_APART: Final = 0x61C9  # where the next one begins


class Interface:
    """The one interface of a host, by the name and number that socket calls know it by: scope ids,
    SO_BINDTODEVICE, IP_PKTINFO."""

    __slots__ = ("index", "name")

    def __init__(self) -> None:
        self.index = 1
        self.name = "tun0"

    def __repr__(self) -> str:
        return printed(self, lambda: f"{self.index}: {self.name}")

    def be(self, index: int, name: str) -> None:
        """Have this number, which is above 0, and name from now on."""
        self.index = index
        self.name = name


class IpState:
    """The IP layer of a host, on which TCP and UDP stand.

    `secret` (16 to 64 bytes) keys identifications, `mtu` is the device's in bytes.
    `receiving_loopback` is True while packets are received that the host has sent to itself.
    """

    __slots__ = ("config", "counters", "addresses", "interface", "path_mtus", "icmp", "reassembly",
                 "receiving_loopback", "_secret", "_idents", "_packets")  # fmt: skip

    def __init__(self, config: Config, counters: Counters, secret: bytes, mtu: int) -> None:
        self.config = config
        self.counters = counters
        self.addresses = Addresses()
        self.interface = Interface()
        self.path_mtus = PathMtu(config, mtu, self.addresses)
        self.icmp = Icmp(
            config, self.addresses.local, counters.dropped, self.next_ident,
            self.addresses.broadcast,
        )  # fmt: skip
        self.reassembly = Reassembly(config, self.icmp, counters.dropped)
        self.receiving_loopback = False
        self._secret = secret
        first = keyed_hash(secret, b"", b"ip ident")
        self._idents = [first + number * _APART & 0xFFFF for number in range(_COUNTERS)]
        self._packets = 0

    def __repr__(self) -> str:
        return printed(self, lambda: f"MTU {self.mtu}, {self.addresses!r}")

    @property
    def mtu(self) -> int:
        """The device's MTU, in bytes."""
        return self.path_mtus.device_mtu

    def next_ident(self, destination: bytes) -> int:
        """An identification for a packet that may be fragmented: of 16 bits for IPv4, counted by
        destination (RFC 6864 §4.3), as Linux does, so that none tells what goes to others; of 32
        bits for IPv6, without an order (RFC 7739 §5.3)."""
        if is_v4(destination):
            number = keyed_hash(self._secret, destination, b"ident counter") % _COUNTERS
            ident = self._idents[number] = self._idents[number] + 1 & 0xFFFF
            return ident
        self._packets += 1
        key = destination + self._packets.to_bytes(8, "big")
        return keyed_hash(self._secret, key, b"ip6 ident") & 0xFFFF_FFFF or 1
