"""The transmission control block: a connection, with the parts that can be replaced in it.

Data with slots; the verbs are functions in the folders of this room. Each variable is declared,
with its unit, its source and the file that writes it, in `state.variables`, and in `state.records`
where no segment needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pystack.cc.base import CongestionControl
from pystack.printed import printed
from pystack.tcp.policies.contracts import (
    AckPolicy,
    InitialWindow,
    LossDetection,
    NaglePolicy,
    Pacing,
    RttEstimator,
)
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.state import states
from pystack.tcp.state.stack_shared import Shared
from pystack.tcp.state.variables import TcbVariables
from pystack.wire.flow_key import ends

# bits of Tcb.pending: what the one exit (`output`) is to do
ACK_NOW: Final = 1  # acknowledge, on a data segment if one goes, else bare
CHALLENGE_ACK: Final = 2  # an ACK whose rate is limited (RFC 5961 §7)
SEND_SYN: Final = 4  # (re)send the SYN, or the SYN,ACK of a simultaneous open
SEND_RST: Final = 8  # RST,ACK at snd_nxt, then gone
WINDOW_PROBE: Final = 16
KEEPALIVE_PROBE: Final = 32
WINDOW_UPDATE: Final = 64  # the application has read: offer more if it is worth a segment
ARM: Final = 128  # a socket call changed something that only a clock can put into effect
RETRANSMIT_NOW: Final = 256  # the first lost range goes whatever the window (fast retransmit)
ACK_SOON: Final = 512  # acknowledge after the batch: what follows in it may be covered too
PROBE_TAIL: Final = 1024  # a tail loss probe (RFC 8985 §7)
NEW_PATH: Final = 2048  # take another IPv6 flow label
BEGIN_KEEPALIVE: Final = 4096  # with ARM: keep-alive's idle time begins now

ANY_ACK: Final = ACK_NOW | ACK_SOON | CHALLENGE_ACK


class Tcb(TcbVariables):
    """One connection. Created by the stack; handed to every verb of this room."""

    # parts that can be replaced: set by the stack (`parts.variants`)
    ack_policy: AckPolicy
    rtt_estimator: RttEstimator
    nagle_policy: NaglePolicy
    initial_window: InitialWindow
    loss: LossDetection
    pacing: Pacing
    option: ExperimentalOption | None
    # observers. The stack writes `watch`, `recording` writes `recorder`
    watch: Callable[[Tcb, int, int], None] | None  # told of each change of state: old, new
    recorder: Any  # a recording.Observer, None for none

    __slots__ = tuple(__annotations__)

    def __init__(
        self, key: bytes, shared: Shared, cc: CongestionControl, ident: int = 0
    ) -> None:
        """`key`: local address, remote address, ports (36 bytes, `wire.flow_key`); `ident`:
        the IPv4 ID of the first packet, or the IPv6 flow label."""
        super().__init__(key, shared, cc, ident)
        self.option = None
        self.watch = None
        self.recorder = None

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        return (
            f"{states.NAMES[self.state]} {ends(self.key, '<-' if self.passive else '->')}"
            f" flight {self.flight}, unsent {self.unsent}, unread {self.recvbuf.held},"
            f" cwnd {self.cc.cwnd}, srtt_us {self.srtt_us}, rto_us {self.rto_us}"
        )
