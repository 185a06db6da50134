"""One connection as the script sees it: 4-tuple, relative numbers, and what must always hold.

Relative numbers: ours count from our ISS, the peer's from its IRS (so both SYNs are 0). Our
timestamps count from the first one of ours that a script line named: that line's number stands
for the value on the wire.
"""

from __future__ import annotations

from tests.kit.notation import OptionSpec, ScriptError, TcpSpec, Value
from tests.kit.packets.decode import BadPacket, Packet
from tests.kit.packets.encode import ACK, RST, SYN

MASK = 0xFFFF_FFFF

_CYCLE = bytes(range(251)) * 264


def pattern(start: int, length: int) -> bytes:
    """`length` octets of the stream that scripts carry, from offset `start` (0 = first octet)."""
    whole = _CYCLE
    while len(whole) < length + 251:
        whole += _CYCLE
    start %= 251
    return whole[start : start + length]


def signed(number: int) -> int:
    """A 32-bit difference as a number between -2**31 and 2**31."""
    return ((number + 0x8000_0000) & MASK) - 0x8000_0000


class Flow:
    """Addresses are packed; ports are None until a segment or the test names them."""

    def __init__(
        self, name: str, local: bytes, remote: bytes, iss: int | None, irs: int, remote_port: int
    ) -> None:
        self.name = name
        self.local = local
        self.remote = remote
        self.local_port: int | None = None
        self.remote_port: int | None = None
        self.default_remote_port = remote_port
        self.iss = iss
        self.irs = irs
        self.ts_base: int | None = None
        self.window = 65535
        self.shrinkable = False
        self._syn_scale: int | None = None
        self._peer_scale: int | None = None
        self._right_edge: int | None = None
        self._stream = bytearray()

    @property
    def version(self) -> int:
        return 4 if len(self.local) == 4 else 6

    # -- 4-tuple -----------------------------------------------------------------------------

    def owns(self, packet: Packet) -> bool:
        """Whether a packet of the stack may belong here; unknown ports fit any."""
        return (
            packet.src == self.local
            and packet.dst == self.remote
            and self.local_port in (None, packet.src_port)
            and self.remote_port in (None, packet.dst_port)
        )

    def bind(self, local_port: int, remote_port: int) -> None:
        self.local_port, self.remote_port = local_port, remote_port

    def restart(self) -> None:
        """Forget the numbers of the connection so far: a new one on the same 4-tuple begins.

        Our ISS is taken from the next SYN that we send; give `irs` a new value if it has one.
        """
        self.iss = None
        self.ts_base = self._right_edge = self._syn_scale = self._peer_scale = None
        self._stream.clear()

    # -- numbers: script to wire ---------------------------------------------------------------

    def our_wire(self, value: Value) -> int:
        """A sequence number of ours, on the wire."""
        if value.absolute:
            return value.exact & MASK
        if self.iss is None:
            raise ScriptError("our ISS is not known yet: write =number for an absolute one")
        return (value.exact + self.iss) & MASK

    def their_wire(self, value: Value) -> int:
        """A sequence number of the peer, on the wire."""
        return (value.exact if value.absolute else value.exact + self.irs) & MASK

    # -- numbers: wire to script ---------------------------------------------------------------

    def our_number(self, wire: int) -> int:
        return wire if self.iss is None else signed(wire - self.iss)

    def their_number(self, wire: int) -> int:
        return signed(wire - self.irs)

    def our_ts(self, wire: int) -> int:
        return wire if self.ts_base is None else signed(wire - self.ts_base)

    # -- what the peer sends ---------------------------------------------------------------------

    def note_incoming(self, spec: TcpSpec) -> None:
        """Remember what a script line of the peer agrees on."""
        if spec.flags is not None and spec.flags & SYN:
            self._peer_scale = _scale_of(spec.options)

    # -- what the stack sends ----------------------------------------------------------------------

    def note_outgoing(self, packet: Packet) -> None:
        """Learn ports and ISS, and check what must hold for every segment of a connection.

        Octets sent again are the same octets, none is skipped, and the right edge of the
        window, once promised, never moves left (RFC 9293 SHLD-14; unless `shrinkable`).
        """
        if self.local_port is None or self.remote_port is None:
            self.bind(packet.src_port, packet.dst_port)
        if packet.flags & SYN and self.iss is None:
            self.iss = packet.seq
        if packet.flags & RST or self.iss is None:
            return
        if packet.flags & SYN:
            scale = packet.option("wscale")
            self._syn_scale = None if scale is None else scale[0]
        self._check_stream(packet)
        if packet.flags & ACK:
            self._check_right_edge(packet)

    def _check_stream(self, packet: Packet) -> None:
        at = self.our_number(packet.seq) - 1 + (packet.flags & SYN > 0)
        payload = packet.payload
        if at < 0 or not payload:
            return
        if at > len(self._stream):
            raise BadPacket(f"octets {len(self._stream) + 1}..{at} were never sent")
        known = bytes(self._stream[at : at + len(payload)])
        if known != payload[: len(known)]:
            raise BadPacket("octets sent again are not the same octets")
        self._stream += payload[len(known) :]

    def _check_right_edge(self, packet: Packet) -> None:
        scaled = self._syn_scale is not None and self._peer_scale is not None
        shift = (self._syn_scale or 0) if scaled and not packet.flags & SYN else 0
        edge = self.their_number(packet.ack) + (packet.window << shift)
        if self._right_edge is not None and edge < self._right_edge and not self.shrinkable:
            raise BadPacket(f"right edge of the window moved left: {self._right_edge} to {edge}")
        self._right_edge = edge

    @property
    def sent(self) -> bytes:
        """Every octet the stack has sent on this connection so far, in order."""
        return bytes(self._stream)

    # -- text ----------------------------------------------------------------------------------

    def show(self, packet: Packet) -> str:
        """A TCP packet of the stack in the notation of the scripts."""
        start = self.our_number(packet.seq)
        length = len(packet.payload)
        text = f"{flag_letters(packet.flags):<2} {start}:{start + length}({length})"
        if packet.flags & ACK:
            text += f" ack {self.their_number(packet.ack)}"
        text += f" win {packet.window}"
        if packet.urgent:
            text += f" urg {packet.urgent}"
        if packet.options:
            text += f" <{','.join(self._show_option(*option) for option in packet.options)}>"
        return text

    def _show_option(self, name: str, numbers: tuple[int, ...]) -> str:
        if name == "TS":
            return f"TS val {self.our_ts(numbers[0])} ecr {numbers[1]}"
        if name == "sack":
            edges = [str(self.their_number(edge)) for edge in numbers]
            blocks = zip(edges[::2], edges[1::2], strict=True)
            return "sack " + " ".join(f"{left}:{right}" for left, right in blocks)
        if name == "raw":
            return "raw 0x" + bytes(numbers).hex()
        return " ".join([name, *map(str, numbers)])


def _scale_of(options: tuple[OptionSpec, ...]) -> int | None:
    for option in options:
        if option.name == "wscale":
            return option.numbers[0].exact
        if option.name == "raw" and b"\x03\x03" in option.raw:
            return option.raw[option.raw.index(b"\x03\x03") + 2]
    return None


def flag_letters(flags: int) -> str:
    """`S.`, `P.`, `F.`, `R`, …; `-` for none."""
    order = (("S", 2), ("F", 1), ("R", 4), ("P", 8), (".", 16), ("E", 64), ("W", 128),
             ("U", 32), ("A", 256))  # fmt: skip
    return "".join(letter for letter, bit in order if flags & bit) or "-"
