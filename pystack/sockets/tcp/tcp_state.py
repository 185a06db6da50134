"""What is kept of a TCP socket; the calls act on it, and `Socket` is on top of them.

Two states are kept apart, as in Linux: TCP's own (`state`), and how far `connect` has been told
(`phase`). A connection that was refused has ended long before `connect` is called again and hears
of it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pystack.compiling import mypyc_attr
from pystack.sockets import sockaddr
from pystack.sockets.base import RCV_SHUTDOWN, SEND_SHUTDOWN, BaseSocket
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.stack.host import HostCore
from pystack.stack.listener import Listener
from pystack.tcp.state.states import CLOSED, LISTEN, NAMES, SYN_SENT, TIME_WAIT
from pystack.tcp.tcb import Tcb
from pystack.wire.address import place
from pystack.wire.flow_key import ends, remote_end

# `phase` (Linux: `sock->state`)
UNCONNECTED: Final = 0
CONNECTING: Final = 1
CONNECTED: Final = 2
DISCONNECTING: Final = 3

_NO_ARRIVALS: Final[deque[tuple[int, int]]] = deque()  # of all sockets that note none

# shared by the files of this room; `dir` leaves it out
_INSIDE: Final = frozenset((
    "apply_settings", "error", "error_taken", "listener", "local", "phase", "port", "reserved",
    "settings", "shutdowns",
))  # fmt: skip


@mypyc_attr(allow_interpreted_subclasses=True)
class TcpSocketState(BaseSocket):
    """The variables of a TCP socket: before it has a connection or a listener, and with one.

    `settings`: its options, see `tcp_settings`. `tcb`: the connection, `listener`: the port in
    LISTEN, None without. `phase`: UNCONNECTED to DISCONNECTING. `error`: a pending errno apart
    from that of `tcb` (Linux: `sk_err`); `error_taken`: a call has already met `tcb.error`.
    `local` (16 bytes) and `port`: what `getsockname` shows; `reserved`: what `host.ports` keeps
    for it, (address, port, SO_REUSEADDR, IPV6_V6ONLY, SO_REUSEPORT).
    """

    __slots__ = (
        "settings", "tcb", "listener", "phase", "error", "error_taken", "local", "port", "reserved",
        "arrivals", "stamp_base", "copies",
    )  # fmt: skip

    settings: Settings
    tcb: Tcb | None
    listener: Listener | None
    phase: int
    error: int
    error_taken: bool
    local: bytes
    port: int
    reserved: tuple[bytes, int, bool, bool, bool] | None

    arrivals: deque[tuple[int, int]]  # for SO_TIMESTAMP: up to which number all came, and when
    stamp_base: int  # from which number on SOF_TIMESTAMPING_OPT_ID names octets
    copies: int  # calls with MSG_ZEROCOPY

    def __init__(self, host: HostCore, family: int, settings: Settings) -> None:
        super().__init__(host, family)
        self.settings = settings
        self.tcb = None
        self.listener = None
        self.phase = UNCONNECTED
        self.error = 0
        self.error_taken = False
        self.local = sockaddr.any_address(family)
        self.port = 0
        self.reserved = None
        self.arrivals = _NO_ARRIVALS
        self.stamp_base = 0
        self.copies = 0

    def __dir__(self) -> list[str]:
        """Without what belongs to this room."""
        return [name for name in BaseSocket.__dir__(self) if name not in _INSIDE]

    def _words(self) -> str:
        tcb, listener = self.tcb, self.listener
        state = "closed" if self.closed else NAMES[self.state]
        own = place(self.local, self.port)
        if listener is not None:
            return f"{state} {own} backlog {listener.backlog}, waiting {len(listener.queue)}"
        if tcb is None:
            return state if self.closed and not self.port else f"{state} {own}"
        way = ends(tcb.key, "<-" if tcb.passive else "->")
        return f"{state} {way} unsent {tcb.unsent}, unread {tcb.recvbuf.held}"

    @property
    def state(self) -> int:
        """TCP's state (`pystack.tcp.state.states`) as a socket sees it. From TIME_WAIT on it is
        CLOSED: the stack keeps such a connection without its socket."""
        if self.listener is not None:
            return LISTEN
        if self.tcb is None or self.tcb.state == TIME_WAIT:
            return CLOSED
        return self.tcb.state

    @property
    def shutdowns(self) -> int:
        """RCV_SHUTDOWN and SEND_SHUTDOWN, by us or the peer; both once a connection has ended."""
        tcb = self.tcb
        if tcb is None:
            return self.shut
        if tcb.state in (CLOSED, TIME_WAIT):
            return RCV_SHUTDOWN | SEND_SHUTDOWN
        return self.shut | RCV_SHUTDOWN if tcb.fin_received else self.shut

    @property
    def is_bound(self) -> bool:
        """Whether it has a port, so that IPV6_V6ONLY can no longer change."""
        return self.reserved is not None or self.tcb is not None

    def own_name(self) -> tuple[bytes, int]:
        """The local address and port; a connection's stay after its end, as in Linux."""
        return self.local, self.port

    def peer_name(self) -> tuple[bytes, int] | None:
        """The peer's address and port, None before the handshake has begun to be answered."""
        tcb = self.tcb
        if tcb is None or self.state in (CLOSED, SYN_SENT):
            return None
        return remote_end(tcb.key)

    def note_arrivals(self) -> None:
        """SO_TIMESTAMP was set: from now on it is noted when text comes."""
        if self.arrivals is _NO_ARRIVALS:
            self.arrivals = deque()

    def begin_stamps(self, seq: int) -> None:
        """Timestamps name octets by their distance from `seq`."""
        self.stamp_base = seq

    def take_copy_id(self) -> int:
        """The name of the next call with MSG_ZEROCOPY."""
        number = self.copies
        self.copies = number + 1 & 0xFFFF_FFFF
        return number

    def apply_settings(self, tcb: Tcb) -> None:
        """Give a new connection the options as they are now."""
        self.settings.apply(tcb)
