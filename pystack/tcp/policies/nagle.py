"""Whether a last partial segment waits for an ACK: Nagle's algorithm and its variants.

RFC 9293 §3.7.4 (MUST-17), RFC 896. Asked only where TCP_NODELAY is off and neither TCP_CORK,
MSG_MORE nor urgent data has decided already. Writes nothing.
"""

from __future__ import annotations

from typing import ClassVar

from pystack.compiling import mypyc_attr
from pystack.tcp.policies.contracts import NaglePolicy
from pystack.tcp.state.variables import TcbVariables


@mypyc_attr(allow_interpreted_subclasses=True)
class Minshall(NaglePolicy):
    """Only behind another partial segment that is not acknowledged yet (draft-minshall-nagle,
    Linux): the tail of a long write need not wait for the ACK of its full segments."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def holds(self, tcb: TcbVariables, ahead: int) -> bool:
        return tcb.snd_sml > tcb.snd_una and tcb.snd_nxt > tcb.snd_una


@mypyc_attr(allow_interpreted_subclasses=True)
class Nagle(NaglePolicy):
    """While anything is unacknowledged (RFC 896, as RFC 9293 §3.7.4 has it)."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def holds(self, tcb: TcbVariables, ahead: int) -> bool:
        return tcb.snd_nxt + ahead > tcb.snd_una


@mypyc_attr(allow_interpreted_subclasses=True)
class Off(NaglePolicy):
    """Never, as with TCP_NODELAY."""

    shared: ClassVar[bool] = True
    __slots__ = ()

    def holds(self, tcb: TcbVariables, ahead: int) -> bool:
        return False
