"""UDP's endpoints (RFC 768): which socket has which port and gets a datagram; as in Linux.

A socket has a `UdpEndpoint`, which is in the table as long as it has a port. `udp_input` brings it
datagrams, `udp_output` sends for it. Ports are chosen as those of TCP (`ip.ports`, RFC 6056), from
a table of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from errno import EADDRINUSE, EAGAIN, ENOMSG
from typing import Final

from pystack.config import Config
from pystack.events import EVENT_SOFT_ERROR, EVENT_WRITABLE, Owner
from pystack.ip.ip_state import IpState
from pystack.ip.keyed_hash import keyed_hash
from pystack.ip.ports import overlap
from pystack.ip.reports import (
    ORIGIN_TIMESTAMPING,
    STAMP_ONLY,
    STAMP_SCHEDULED,
    STAMP_SENT,
    TX_SCHED,
    TX_SOFTWARE,
    Report,
)
from pystack.printed import printed
from pystack.wire.address import ANY_V4, ANY_V6, is_v4, place
from pystack.wire.udp import MAX_PAYLOAD_V4, Datagram

# Linux's IP_PMTUDISC_…: what becomes of a datagram that is larger than the path's MTU
PMTUD_DONT, PMTUD_WANT, PMTUD_DO, PMTUD_PROBE, PMTUD_INTERFACE, PMTUD_OMIT = range(6)

OVERHEAD: Final = (
    768  # octets that a datagram costs a buffer beside its own; Linux's of a small one
)
MOST_REPORTS: Final = 64  # kept unread
MOST_PIECES: Final = 64  # datagrams that UDP_GRO takes as one (Linux: UDP_GRO_CNT_MAX)

# which timestamps of a datagram are wanted, its name there, its destination
Stamp = tuple[int, int, bytes, int]
Quoted = tuple[Report, bytes, int, bytes]  # what happened to a datagram: to whom, its payload


class Received:
    """A datagram in the queue: when it came, how many had found no room before it. With UDP_GRO
    it may stand for several of `segment_size`, whose payloads are `pieces`; 0: for one."""

    __slots__ = ("datagram", "at_us", "drops", "segment_size", "pieces", "size")

    def __init__(self, datagram: Datagram, at_us: int, drops: int) -> None:
        self.datagram = datagram
        self.at_us = at_us
        self.drops = drops
        self.segment_size = 0
        self.pieces = [datagram.payload]
        self.size = len(datagram.payload)

    @property
    def payload(self) -> bytes:
        """All of it."""
        return self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)

    def take(self, other: Datagram, at_us: int) -> bool:
        """Stand for `other` too, which came next, if it is of the same flow and batch, no larger,
        and none that was smaller came in between (Linux: udp_gro_receive)."""
        own = self.datagram
        size, length = len(own.payload), len(other.payload)
        if (
            at_us != self.at_us
            or not 0 < length <= size
            or len(self.pieces[-1]) != size
            or len(self.pieces) == MOST_PIECES
            or self.size + length > MAX_PAYLOAD_V4
            or (own.source, own.source_port, own.destination, own.tos, own.ttl)
            != (other.source, other.source_port, other.destination, other.tos, other.ttl)
        ):
            return False
        self.segment_size = size
        self.pieces.append(other.payload)
        self.size += length
        return True


class UdpEndpoint:
    """What UDP keeps of a socket. The socket writes its options; buffers are in octets, and -1
    stands for the host's own choice.

    `local` may be a wildcard; `port` is 0 outside of the table; `remote` is b"" unless
    connected. `error` is the errno that the next call meets.
    """

    __slots__ = (
        "local", "port", "remote", "remote_port", "owner", "events", "error", "queue", "held",
        "drops", "unsent", "kept", "tells", "gro", "unchecked_v6", "unsummed", "unsummed_v6",
        "wants_room", "reports", "rcvbuf", "sndbuf", "reuse_address", "reuse_port", "broadcast",
        "v6only", "tos", "tclass", "ttl", "hops", "multicast_ttl", "multicast_hops",
        "mtu_discover", "mtu_discover_v6", "recverr", "recverr_v6",
    )  # fmt: skip

    def __init__(self, local: bytes, owner: Owner, config: Config) -> None:
        self.local = local
        self.port = 0
        self.remote = b""
        self.remote_port = 0
        self.owner: Owner | None = owner
        self.events = 0  # of which the owner is still to be notified
        self.error = 0
        self.queue: deque[Received] = deque()
        self.held = 0  # what `queue` costs
        self.drops = 0  # datagrams that found no room in it
        self.unsent = 0  # what the datagrams that wait to be sent cost
        self.wants_room = False  # a send has met EAGAIN
        self.reports: deque[Quoted] = deque(maxlen=MOST_REPORTS)
        self.rcvbuf = config.rmem_default
        self.sndbuf = config.wmem_default
        self.kept: Mapping[str, int | bytes] = {}  # options that few set, by name
        self.tells = False  # one of them asks for ancillary data
        self.gro = False  # UDP_GRO
        self.unchecked_v6 = False  # UDP_NO_CHECK6_RX
        self.unsummed = False  # SO_NO_CHECK
        self.unsummed_v6 = False  # UDP_NO_CHECK6_TX
        self.reuse_address = False
        self.reuse_port = False
        self.broadcast = False
        self.v6only = False
        self.tos = 0
        self.tclass = 0
        self.ttl = -1
        self.hops = -1
        self.multicast_ttl = 1
        self.multicast_hops = 1
        self.mtu_discover = PMTUD_DONT if config.ip_no_pmtu_disc else PMTUD_WANT
        self.mtu_discover_v6 = PMTUD_WANT
        self.recverr = False
        self.recverr_v6 = False

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        names = place(self.local, self.port)
        if self.remote:
            names = f"{names} -> {place(self.remote, self.remote_port)}"
        return f"{names} unread {len(self.queue)}, unsent {self.unsent}, drops {self.drops}"

    def set_ends(self, local: bytes, remote: bytes, remote_port: int) -> None:
        """Where it is from now on, and its peer; b"" and 0 for none."""
        self.local = local
        self.remote = remote
        self.remote_port = remote_port

    def put(self, datagram: Datagram, at_us: int) -> bool:
        """Queue a datagram that arrived; False, and it is dropped, when there is no room."""
        if self.held > self.rcvbuf:  # so at least one is taken, whatever its size
            self.drops += 1
            return False
        self.held += len(datagram.payload) + OVERHEAD
        if self.gro and self.queue and self.queue[-1].take(datagram, at_us):
            return True
        self.queue.append(Received(datagram, at_us, self.drops))
        return True

    def get(self) -> Received:
        """Remove and return the oldest datagram of the queue, which there is."""
        received = self.queue.popleft()
        self.held -= received.size + OVERHEAD * len(received.pieces)
        return received

    def clear(self) -> None:
        """Drop all that is unread."""
        self.queue.clear()
        self.reports.clear()
        self.held = 0

    def set_error(self, code: int) -> None:
        """The next call meets this errno, 0 for none."""
        self.error = code

    def has_room(self) -> bool:
        """Whether another datagram may be sent; if not, EVENT_WRITABLE follows when it may."""
        if self.unsent < self.sndbuf:
            return True
        self.wants_room = True
        return False

    def charge(self, cost: int) -> None:
        """A datagram of that cost waits to be sent; a negative one: it waits no longer."""
        self.unsent += cost

    def pmtud(self, v4: bool) -> int:
        """PMTUD_… for datagrams of a version."""
        return self.mtu_discover if v4 else self.mtu_discover_v6

    def report(self, report: Report, remote: bytes, port: int, payload: bytes, v4: bool) -> bool:
        """Keep what happened to a datagram, if the user wants that (IP_RECVERR)."""
        wanted = self.recverr if v4 else self.recverr_v6
        if wanted:
            self.reports.append((report, remote, port, payload))
        return wanted

    def score(self, local: bytes, remote: bytes, remote_port: int) -> int:
        """How well a datagram to `local` from there fits, -1 for not at all (Linux:
        compute_score): the very address before a wildcard, then the very peer."""
        own = self.local
        if own == local:
            score = 8
        elif own == ANY_V4 and is_v4(local):
            score = 1
        elif own == ANY_V6 and not (self.v6only and is_v4(local)):
            score = 0
        else:
            return -1
        if not self.remote:
            return score
        return score + 4 if (self.remote, self.remote_port) == (remote, remote_port) else -1


class UdpTable:
    """The endpoints of a host that have a port, and what they have left to be sent.

    `secret` keys the ports; `wake` is called when a socket call has left a datagram to be sent.
    """

    __slots__ = ("ip", "config", "counters", "wake", "failed", "by_port", "out", "touched",
                 "_secret", "_next")  # fmt: skip

    def __init__(self, ip: IpState, secret: bytes, wake: Callable[[], None]) -> None:
        self.ip = ip
        self.config = ip.config
        self.counters = ip.counters
        self.wake = wake
        self.failed = 0  # the errno that every send meets once the device is gone
        self.by_port: dict[int, list[UdpEndpoint]] = {}  # the one bound last comes first
        # packet, whose it is, what it costs, whether it is for ourselves, timestamps
        self.out: deque[tuple[bytes, UdpEndpoint, int, bool, Stamp | None]] = deque()
        self.touched: list[UdpEndpoint] = []  # owners to be notified
        self._secret = secret
        self._next = 0

    # -- ports ----------------------------------------------------------------------------------
    def bind(
        self, endpoint: UdpEndpoint, local: bytes, port: int,
        within: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Give `endpoint` an address and a port, 0 for any free one of those `within`.

        Several may have the same if all have SO_REUSEADDR, or all SO_REUSEPORT. Raises OSError
        EADDRINUSE; EAGAIN when no port of `ip_local_port_range` is free.
        """
        if not port:
            port = self._free_port(endpoint, local, within or self.config.ip_local_port_range)
        elif any(
            overlap(local, endpoint.v6only, other.local, other.v6only)
            and not (endpoint.reuse_address and other.reuse_address)
            and not (endpoint.reuse_port and other.reuse_port)
            for other in self.by_port.get(port, ())
        ):
            raise OSError(EADDRINUSE, f"port {port} is in use")
        endpoint.local = local
        endpoint.port = port
        self.by_port.setdefault(port, []).insert(0, endpoint)

    def _free_port(self, endpoint: UdpEndpoint, local: bytes, within: tuple[int, int]) -> int:
        low, high = within
        count = high - low + 1
        self._next += 1
        offset = keyed_hash(self._secret, local + self._next.to_bytes(8, "big"), b"udp port")
        for step in range(count):
            port = low + (offset + step) % count
            if not any(
                overlap(local, endpoint.v6only, other.local, other.v6only)
                for other in self.by_port.get(port, ())
            ):
                return port
        raise OSError(EAGAIN, "all ports of ip_local_port_range are in use")

    def release(self, endpoint: UdpEndpoint) -> None:
        """Take an endpoint out of the table, if it is there."""
        port, endpoint.port = endpoint.port, 0
        if port:
            same_port = self.by_port[port]
            same_port.remove(endpoint)
            if not same_port:
                del self.by_port[port]

    # -- who gets a datagram --------------------------------------------------------------------
    def find(self, local: bytes, port: int, remote: bytes, remote_port: int) -> UdpEndpoint | None:
        """The endpoint that fits best: of equal ones that which was bound last, or, where all
        have SO_REUSEPORT, one that the flow decides."""
        best = 0
        found: list[UdpEndpoint] = []
        for endpoint in self.by_port.get(port, ()):
            score = endpoint.score(local, remote, remote_port)
            if score > best or (score == 0 and not found):
                best, found = score, [endpoint]
            elif score == best and found:
                found.append(endpoint)
        if not found:
            return None
        if len(found) == 1 or not all(endpoint.reuse_port for endpoint in found):
            return found[0]
        flow = local + remote + port.to_bytes(2, "big") + remote_port.to_bytes(2, "big")
        return found[keyed_hash(self._secret, flow, b"udp reuse port") % len(found)]

    def find_all(
        self, local: bytes, port: int, remote: bytes, remote_port: int
    ) -> list[UdpEndpoint]:
        """All endpoints that a broadcast is for."""
        return [
            endpoint
            for endpoint in self.by_port.get(port, ())
            if endpoint.score(local, remote, remote_port) >= 0
        ]

    # -- owners ---------------------------------------------------------------------------------
    def note(self, endpoint: UdpEndpoint, events: int) -> None:
        """The endpoint's owner is notified of these EVENT_… bits after the batch."""
        if not endpoint.events:
            self.touched.append(endpoint)
        endpoint.events |= events

    def on_sent(self, endpoint: UdpEndpoint, cost: int) -> None:
        """A datagram of that cost has left the send buffer."""
        endpoint.charge(-cost)
        if endpoint.wants_room and 2 * endpoint.unsent <= endpoint.sndbuf:
            endpoint.wants_room = False
            self.note(endpoint, EVENT_WRITABLE)

    def on_stamped(self, endpoint: UdpEndpoint, stamp: Stamp, packet: bytes, now_us: int) -> None:
        """A datagram has left whose time the error queue is to tell (SO_TIMESTAMPING)."""
        wanted, name, remote, port = stamp
        for flag, what in ((TX_SCHED, STAMP_SCHEDULED), (TX_SOFTWARE, STAMP_SENT)):
            if wanted & flag:
                report = (ENOMSG, ORIGIN_TIMESTAMPING, 0, 0, what, b"", name, now_us)
                quoted = b"" if wanted & STAMP_ONLY else packet
                endpoint.reports.append((report, remote, port, quoted))
        self.note(endpoint, EVENT_SOFT_ERROR)

    def notify_owners(self) -> None:
        """Notify owners of what was noted. One that raises is counted."""
        while self.touched:
            touched, self.touched = self.touched, []
            for endpoint in touched:
                events, endpoint.events = endpoint.events, 0
                if endpoint.owner is None:
                    continue
                try:
                    endpoint.owner.notify(events)
                except Exception:
                    self.counters.owner_errors += 1

    def fail(self, error: int) -> None:
        """The device is gone: each endpoint meets `error`, and so does every later send."""
        self.failed = error
        self.out.clear()
        for same_port in self.by_port.values():
            for endpoint in same_port:
                endpoint.error = error
                self.note(endpoint, EVENT_SOFT_ERROR)
