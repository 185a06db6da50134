"""What one host keeps of IP: its addresses, the paths it knows, ICMP, packets in fragments."""

from __future__ import annotations

from pystack.config import Config
from pystack.counters import Counters
from pystack.ip.addresses import Addresses
from pystack.ip.fragments import Reassembly
from pystack.ip.icmp import Icmp
from pystack.ip.keyed_hash import keyed_hash
from pystack.ip.path_mtu import PathMtu
from pystack.printed import printed


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

    `secret` (16 to 64 bytes) keys the first identification, `mtu` is the device's in bytes.
    `receiving_loopback` is True while packets are received that the host has sent to itself.
    """

    __slots__ = ("config", "counters", "addresses", "interface", "path_mtus", "icmp", "reassembly",
                 "receiving_loopback", "_ident")  # fmt: skip

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
        self._ident = keyed_hash(secret, b"", b"ip ident") & 0xFFFF

    def __repr__(self) -> str:
        return printed(self, lambda: f"MTU {self.mtu}, {self.addresses!r}")

    @property
    def mtu(self) -> int:
        """The device's MTU, in bytes."""
        return self.path_mtus.device_mtu

    def next_ident(self, destination: bytes) -> int:
        """An IPv4 identification for a packet that may be fragmented (RFC 6864 §4.3)."""
        self._ident = self._ident + 1 & 0xFFFF
        return self._ident
