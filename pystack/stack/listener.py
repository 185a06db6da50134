"""LISTEN: a port, its bounds, and the connections that wait to be accepted (RFC 9293 §3.10.7.2).

As in Linux the backlog bounds both the half-open connections and the accept queue. Segments don't
come here: `passive_open` makes a record of `half_open` of a SYN. A listener never changes state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from pystack.config import Config
from pystack.events import Owner
from pystack.printed import printed
from pystack.stack.fast_accepts import FastAccepts
from pystack.tcp.tcb import Tcb
from pystack.wire.address import place


class Listener:
    """A port in LISTEN. `queue` holds established connections that nobody has accepted yet."""

    __slots__ = ("local", "port", "v6only", "backlog", "owner", "settings", "defer_accept",
                 "rcvbuf", "rcvbuf_locked", "max_seg", "window_clamp", "tos", "ttl", "df", "queue",
                 "half_open", "notified", "option", "ecn", "ect", "fast_accepts",
                 "group")  # fmt: skip

    def __init__(
        self, local: bytes, port: int, backlog: int, owner: Owner, config: Config
    ) -> None:
        self.local = local
        self.port = port
        self.v6only = False
        self.backlog = backlog
        self.owner = owner
        self.settings: Callable[[Tcb], None] | None = None  # what accepted sockets inherit
        self.defer_accept = 0  # SYN,ACK repeats to wait for data (TCP_DEFER_ACCEPT)
        self.rcvbuf = config.tcp_rmem[1]
        self.rcvbuf_locked = False  # SO_RCVBUF was set
        self.max_seg = 0
        self.window_clamp = 0
        self.tos = 0
        self.ttl = config.ip_default_ttl
        self.df = 0 if config.ip_no_pmtu_disc else 1
        self.queue: deque[Tcb] = deque()
        self.half_open = 0
        self.fast_accepts = FastAccepts()
        self.ecn = 0  # ECN that its congestion control asks for, whatever `tcp_ecn` says
        self.ect = 0  # the ECN field of SYN,ACKs (RFC 8257 §3.4)
        self.option = ""  # name of an experimental option, "" for the stack's
        self.notified = False  # its owner is notified after the batch
        # all that share address and port with SO_REUSEPORT, itself too; empty: it shares nothing
        self.group: list[Listener] = []

    def __repr__(self) -> str:
        return printed(
            self,
            lambda: f"{place(self.local, self.port)} backlog {self.backlog}:"
            f" {self.half_open} half open, {len(self.queue)} to be accepted",
        )

    def share_with(self, others: list[Listener]) -> None:
        """Take a place among those that share the address and port (SO_REUSEPORT)."""
        self.group = others
        others.append(self)

    def leave_group(self) -> Listener | None:
        """Share nothing any more: the last of the others takes the place, as in Linux, so that few
        flows come to another one. One that is left, None for none."""
        group, self.group = self.group, []
        if not group:
            return None
        place = group.index(self)
        last = group.pop()
        if last is not self:
            group[place] = last
        return group[0] if group else None

    def accept(self) -> Tcb | None:
        """The first connection of the accept queue; None when there is none."""
        return self.queue.popleft() if self.queue else None

    def set_backlog(self, backlog: int) -> None:
        """listen() again on a listening socket."""
        self.backlog = backlog

    @property
    def name(self) -> bytes:
        """By which a host keeps it: address and port, 18 octets."""
        return self.local + self.port.to_bytes(2, "big")

    @property
    def largest_window(self) -> int:
        """The largest window, in bytes, that an accepted connection can offer; 0: no clamp."""
        if not self.rcvbuf_locked:
            return self.window_clamp
        return min(self.rcvbuf >> 1, self.window_clamp or self.rcvbuf)

    @property
    def accept_queue_full(self) -> bool:
        """Whether no more connections fit; as in Linux one more than the backlog does."""
        return len(self.queue) > self.backlog
