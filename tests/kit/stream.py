"""What a sender's packets show of its stream, and what no sender may send.

Octets sent again are the same octets, none is skipped, the promised right edge of the window stays,
nothing is sent beyond the peer's.
"""

from __future__ import annotations

from tests.kit.flow import MASK, signed
from tests.kit.packets.decode import BadPacket, Packet
from tests.kit.packets.encode import ACK, FIN, RST, SYN


class Stream:
    """One direction of one connection, as its sender's packets show it."""

    def __init__(self, syn: Packet) -> None:
        self.iss = syn.seq
        self.sent = bytearray()
        self.finished = False
        self.acked_wire: int | None = None  # the last ACK number, as all of these from here
        self.right_edge = 0  # of its own offer
        scale = syn.option("wscale")
        self.scale = None if scale is None else scale[0]

    def note(self, packet: Packet, other: Stream | None) -> None:
        """Check a packet against all before; `other` is the opposite direction."""
        if packet.flags & RST:
            return
        self._note_text(packet, other)
        if packet.flags & ACK:
            self._note_offer(packet, other)

    def _note_text(self, packet: Packet, other: Stream | None) -> None:
        at = signed(packet.seq - self.iss - 1) + (packet.flags & SYN > 0)
        if at > len(self.sent) + self.finished:
            raise BadPacket(f"octets {len(self.sent)}..{at} were never sent")
        if not packet.payload and not packet.flags & FIN:
            return  # an acknowledgement, or a probe that repeats a number
        end = at + len(packet.payload)
        known = bytes(self.sent[at:end])
        if known != packet.payload[: len(known)]:
            raise BadPacket("octets sent again are not the same octets")
        if self.finished and end > len(self.sent):
            raise BadPacket("text behind the FIN")
        if packet.flags & FIN:
            if end < len(self.sent):
                raise BadPacket("a FIN before the end of the text")
            self.finished = True
        self.sent += packet.payload[len(known) :]
        if packet.payload and other is not None and other.acked_wire is not None:
            if signed(packet.seq + len(packet.payload) - other.right_edge) > 0:
                raise BadPacket("text beyond the window that was offered")

    def _note_offer(self, packet: Packet, other: Stream | None) -> None:
        if packet.flags & SYN and self.acked_wire is not None:
            return  # a SYN,ACK again says what it said; an ACK since may have rounded that up
        scaled = self.scale is not None and (other is None or other.scale is not None)
        shift = (self.scale or 0) if scaled and not packet.flags & SYN else 0
        edge = (packet.ack + (packet.window << shift)) & MASK
        if self.acked_wire is not None:
            if signed(edge - self.right_edge) < 0:
                raise BadPacket(f"the offered window shrank by {signed(self.right_edge - edge)}")
            if signed(packet.ack - self.acked_wire) < 0:
                raise BadPacket("the ACK number went back")
        self.acked_wire = packet.ack
        self.right_edge = edge


class Streams:
    """All that pass, by their addresses and ports."""

    def __init__(self) -> None:
        self._streams: dict[tuple[bytes, int, bytes, int], Stream] = {}

    def note(self, packet: Packet) -> None:
        """Check a TCP segment against all before. Raises BadPacket."""
        way = (packet.src, packet.src_port, packet.dst, packet.dst_port)
        stream = self._streams.get(way)
        if packet.flags & SYN and (stream is None or stream.iss != packet.seq):
            stream = self._streams[way] = Stream(packet)
        if stream is not None:
            stream.note(packet, self._streams.get((*way[2:], *way[:2])))
