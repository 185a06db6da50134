"""Every segment of a host as one line of text, with the state that it led to.

       0.000  listen()                                                            LISTEN
       0.412  < S 0:0(0) win 64240 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7>  SYN_RECEIVED

A `Trace` of `stack.table`. In fewer than 98 columns a segment whose options find no room has them
in a line of their own. Times are ms since the first line, timestamp values count from the first
of their sender, and a connection's state stands only where it changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from pystack.cli.terminal.colours import Palette
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_1,
    LAST_ACK,
    LISTEN,
    NAMES,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.wire.batch import Packet
from pystack.wire.seq import MASK
from pystack.wire.show import Notation

# The arrows that a call of the user takes, or the clock; all others are taken by a segment.
CAUSES: Final = {
    (CLOSED, LISTEN): "listen()",
    (LISTEN, CLOSED): "close()",
    (CLOSED, SYN_SENT): "connect()",
    (SYN_SENT, CLOSED): "close()",
    (SYN_RECEIVED, FIN_WAIT_1): "close()",
    (ESTABLISHED, FIN_WAIT_1): "close()",
    (CLOSE_WAIT, LAST_ACK): "close()",
    (TIME_WAIT, CLOSED): "2 MSL have passed",
}

WIDE: Final = 98  # columns that hold every line whole
_AROUND: Final = 23  # of these, what is not the segment: the time, and the longest state
_LEAST: Final = 45  # columns of a segment without its options
_OPTIONS: Final = re.compile(r"(.*?) (<.*>)")
_TIMESTAMPS: Final = re.compile(r"TS val (\d+) ecr (\d+)")


class Transcript:
    """Writes lines as a host runs.

    A line is held until it is known which state it led to: until the next one, or `flush`.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        palette: Palette,
        *,
        clock: Callable[[], int],
        soon: Callable[[Callable[[], None]], object],
        over: Callable[[], object],
        columns: int = WIDE,
    ) -> None:
        """`clock` is the host's, for calls before the first packet. `soon` is given `flush`
        to be called at the end of the turn: an event loop's `call_soon`. `over` is called when
        a connection has come back to CLOSED. `columns` is how wide lines may be."""
        self._write = write
        self._palette = palette
        self._clock = clock
        self._soon = soon
        self._over = over
        self._width = max(min(columns, WIDE) - _AROUND, _LEAST)  # of a segment
        self._notation = Notation()
        self._first_us = 0
        self._held: tuple[str, str, Callable[[str], str]] | None = None  # time, line, colour
        self._clocks: dict[bool, int] = {}  # the first timestamp value seen inbound, outbound
        self._states: dict[bytes, int] = {}

    def heading(self) -> str:
        """What stands above the lines."""
        return f"{'ms':>8}  {'segment, or call':{self._width}} our state"

    # -- a Trace ----------------------------------------------------------------------------------
    def packet(self, inbound: bool, packet: Packet, now_us: int) -> None:
        """A packet came in or goes out."""
        text = self._notation.line(packet[0])
        if text.startswith("S"):
            self._clocks.pop(inbound, None)
        text = _TIMESTAMPS.sub(lambda found: self._relative(inbound, found), text)
        palette = self._palette
        colour = palette.inbound if inbound else palette.outbound
        self._hold(now_us, f"{'<' if inbound else '>'} {text}", colour)

    def state(self, key: bytes, old: int, new: int, now_us: int) -> None:
        """A connection changed its state."""
        if self._states.get(key) == new:
            return  # a half-open record became a connection: no news to the reader
        self._states[key] = new
        cause = CAUSES.get((old, new))
        if cause is not None:
            # a call has the time of what the host was given last; before all that, the clock's
            self._hold(now_us if self._first_us else self._clock(), cause, self._palette.faint)
        self._release(NAMES[new])
        if new == CLOSED:
            del self._states[key]
            self._over()

    # -- lines ------------------------------------------------------------------------------------
    def listening(self) -> None:
        """A listener was made: from CLOSED to LISTEN."""
        self.state(b"", CLOSED, LISTEN, 0)

    def start(self, state: int) -> None:
        """Begin in `state`; the next line is at 0.000 ms."""
        self.flush()
        self._first_us = 0
        self._release(NAMES[state])

    def flush(self) -> None:
        """Write the line that is held."""
        self._release("")

    def _hold(self, now_us: int, text: str, colour: Callable[[str], str]) -> None:
        self.flush()
        self._first_us = self._first_us or now_us
        self._held = (f"{(now_us - self._first_us) / 1000:.3f}", text, colour)
        self._soon(self.flush)

    def _release(self, state: str) -> None:
        palette = self._palette
        held, self._held = self._held, None
        if held is None:
            if not state:
                return
            held = "", "", str
        time, text, colour = held
        options = ""
        if len(text) > self._width and (found := _OPTIONS.fullmatch(text)):
            text, options = found.groups()
        line = f"{palette.faint(time.rjust(8))}  {colour(text)}"
        if state:
            line += " " * (self._width - len(text)) + " " + palette.state(state)
        self._write(line)
        if options:
            self._write(f"{'':12}{colour(options)}")

    def _relative(self, inbound: bool, found: re.Match[str]) -> str:
        value, echo = int(found[1]), int(found[2])
        ours = self._clocks.setdefault(inbound, value)
        theirs = self._clocks.get(not inbound)
        if echo and theirs is not None:
            echo = echo - theirs & MASK
        return f"TS val {value - ours & MASK} ecr {echo}"
