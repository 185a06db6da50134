"""What one host keeps: its IP layer, its connections and listeners, UDP, what waits to be sent.

All that acts on it stands above: `connections` (how a connection comes, changes hands and goes),
`demux` (which connection a segment is for) with `passive_open` and `no_connection`, `not_tcp_input`
and `icmp_input`, and `host`, the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from pystack import arguments
from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.counters import Counters
from pystack.ip.addresses import Addresses
from pystack.ip.ip_state import IpState
from pystack.ip.ports import Ports
from pystack.printed import printed, several
from pystack.stack.half_open import HalfOpen
from pystack.stack.listener import Listener
from pystack.stack.time_wait import TimeWait, TimeWaits
from pystack.stack.wakeups import Wakeups
from pystack.tcp.state.stack_shared import Shared
from pystack.tcp.tcb import Tcb
from pystack.udp.endpoints import UdpTable
from pystack.wire.address import text
from pystack.wire.batch import Packet, TxBatch


class Trace(Protocol):
    """Sees everything: each packet, each change of state."""

    def packet(self, inbound: bool, packet: Packet, now_us: int) -> None:
        """A packet came in or goes out; its buffer is valid during the call only."""

    def state(self, key: bytes, old: int, new: int, now_us: int) -> None:
        """The connection `key` went from state `old` to `new`."""


@mypyc_attr(allow_interpreted_subclasses=True)
class HostState:
    """The records of a host; see `HostCore` for the arguments.

    `connections` leads from a flow key to what stands for the connection: a TCB, a half-open record
    or a TIME_WAIT record. `dirty` are the TCBs that the next transmit looks at.
    """

    def __init__(
        self, addresses: Iterable[str], secret: bytes, mtu: int, gso: bool, checksum_offload: bool,
        config: Config | None,
    ) -> None:  # fmt: skip
        secret = arguments.secret(secret)
        if config is not None and not isinstance(config, Config):
            raise TypeError(arguments.unfit("config", config, "a pystack.Config was expected"))
        self.config: Config = config if config is not None else Config()
        self.secret = secret
        self.shared = Shared(self.config, secret)
        self.counters: Counters = self.shared.counters
        self.ip = IpState(self.config, self.counters, secret, arguments.mtu(mtu))
        for own in arguments.texts("addresses", addresses, "10.0.0.1/24"):
            self.ip.addresses.add(own)
        self.addresses: Addresses = self.ip.addresses  # the host's own
        self.now_us = 1

        self.ports = Ports(self.config, secret)
        self.connections: dict[bytes, Tcb | HalfOpen | TimeWait] = {}
        self.listeners: dict[bytes, Listener] = {}  # address and port, 18 bytes
        self.time_waits = TimeWaits(self.config)
        self.wakeups = Wakeups()
        self.udp = UdpTable(self.ip, secret, self.wake)
        self.tx = TxBatch(gso=gso, checksum_offload=checksum_offload)

        self.dirty: list[Tcb] = []
        self.acceptable: list[Listener] = []  # their owners are notified after the batch
        self.opening: list[Tcb] = []  # they wait for their ISS, which takes a clock
        self.cookies = 0  # of sockets, given so far
        self.realtime_offset_us = 0  # of the time of day, from the clock that drives the host
        self.has_local_connections = False  # to one of our own addresses

        self.on_dirty: Callable[[], None] | None = None
        self.on_part_failed: Callable[[str, Exception], None] | None = None
        self.trace: Trace | None = None

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        own = ", ".join(text(address) for address in self.addresses.all()) or "without an address"
        counters = self.counters
        return (
            f"{own}: {several(len(self.connections), 'connection')}"
            f" ({counters.curr_estab} established), {several(len(self.listeners), 'listener')},"
            f" {counters.in_packets} packets in, {counters.out_packets} out"
        )

    @property
    def mtu(self) -> int:
        """The device's MTU, in bytes."""
        return self.ip.mtu

    def next_cookie(self) -> int:
        """A number for a socket that no other has had."""
        self.cookies += 1
        return self.cookies

    def set_realtime(self, now_us: int, realtime_us: int) -> None:
        """The time of day, in µs since 1970, at `now_us` of the clock that drives the host: what
        SO_TIMESTAMP and its like tell. Without it they tell that clock's time."""
        self.realtime_offset_us = realtime_us - now_us

    def set_interface(self, index: int, name: str) -> None:
        """The number, above 0, and the name of the host's interface, which is 1 and "tun0" else:
        what scope ids, SO_BINDTODEVICE and IP_PKTINFO say."""
        self.ip.interface.be(index, name)

    # -- what the next transmit looks at --------------------------------------------------------
    def touch(self, tcb: Tcb) -> None:
        """`tcb` is to be looked at by the next transmit."""
        if not tcb.dirty:
            tcb.dirty = True
            self.dirty.append(tcb)

    def mark(self, tcb: Tcb) -> None:
        """As `touch`, from a socket call: `on_dirty` is called."""
        if not tcb.dirty:
            tcb.dirty = True
            self.dirty.append(tcb)
            if len(self.dirty) == 1 and self.on_dirty is not None:
                self.on_dirty()

    def wake(self) -> None:
        """A socket call has left a datagram to be sent: `on_dirty` is called."""
        if not self.dirty and self.on_dirty is not None:
            self.on_dirty()

    def note_acceptable(self, listener: Listener) -> None:
        """A connection can be accepted: the listener's owner is notified after the batch."""
        if not listener.notified:
            listener.notified = True
            self.acceptable.append(listener)

    def take_acceptable(self) -> Listener:
        """Remove and return one of those whose owner is to be notified."""
        listener = self.acceptable.pop()
        listener.notified = False
        return listener
