"""Two hosts back to back in virtual time, with faults on the way, both watched all the time.

    pair = Pair(near, far, there=Link(Loss(0.01, random), Delay(5_000)), back=Delay(5_000))
    pair.run(until=lambda: ..., within_s=60)

Whatever either sends is taken apart (`decode`: lengths, checksums, options) and must be what it
may send: octets sent again are the same octets, none is skipped, the promised right edge of the
window stays, nothing is sent beyond the peer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pystack.path.link import Stage
from pystack.sockets import Host
from tests.kit.decode import BadPacket, Packet, decode
from tests.kit.encode import ACK, FIN, RST, SYN, TCP
from tests.kit.flow import MASK, signed

START_US = 1_000_000
ENDLESS = 10_000  # so many steps without time moving on are an endless loop


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


class Pair:
    """`near` and `far`; `there` is the way from near to far, `back` the other."""

    def __init__(self, near: Host, far: Host, there: Stage, back: Stage) -> None:
        self.near = near
        self.far = far
        self.now_us = START_US
        self.packets = 0
        self.history: list[tuple[int, str, Packet]] = []  # the last ones, for a look at a failure
        self._ways = ((near, far, there), (far, near, back))
        self._streams: dict[tuple[bytes, int, bytes, int], Stream] = {}

    # -- time ------------------------------------------------------------------------------------
    def run(
        self,
        until: Callable[[], bool],
        *,
        within_s: float,
        wake_at_us: Callable[[], int] = lambda: 0,
    ) -> bool:
        """Let time pass until `until()`, asked after each event; False when it is over before.

        `wake_at_us` says when the applications want something to happen, 0 for never.
        """
        end_us = self.now_us + round(within_s * 1e6)
        still = 0
        while True:
            self._send()
            over = until()
            self._send()  # what the applications did meanwhile
            if over:
                return True
            at_us = self._next_us(wake_at_us())
            if not at_us or at_us > end_us:
                self.now_us = end_us
                return False
            still = still + 1 if at_us <= self.now_us else 0
            assert still < ENDLESS, "time does not move on"
            self.now_us = max(self.now_us, at_us)
            self._arrive()

    def _next_us(self, wake_at_us: int) -> int:
        times = [wake_at_us]
        for sender, _, way in self._ways:
            times += [sender.next_deadline(), way.next_deadline()]
        return min((at for at in times if at), default=0)

    def _send(self) -> None:
        for sender, receiver, way in self._ways:
            while True:
                tx = sender.transmit(self.now_us)
                if not tx.count:
                    break
                arrived: list[Any] = []
                for buffer, gso_size, checksum_state in tx:
                    packet = bytes(buffer)
                    self._watch(sender, packet, gso_size, checksum_state)
                    arrived += way.feed((packet, gso_size, checksum_state), self.now_us)
                if arrived:
                    receiver.receive(arrived, self.now_us)

    def _arrive(self) -> None:
        for sender, receiver, way in self._ways:
            packets = way.take(self.now_us)
            if packets:
                receiver.receive(packets, self.now_us)
            at_us = sender.next_deadline()
            if at_us and at_us <= self.now_us:
                sender.on_time(self.now_us)

    # -- what is sent ------------------------------------------------------------------------------
    def _watch(self, sender: Host, octets: bytes, gso_size: int, checksum_state: int) -> None:
        for packet in decode(octets, gso_size, checksum_state):
            self.packets += 1
            self.history.append((self.now_us, "far" if sender is self.far else "near", packet))
            if packet.protocol == TCP:
                self._watch_segment(packet)
        del self.history[:-2000]

    def _watch_segment(self, packet: Packet) -> None:
        way = (packet.src, packet.src_port, packet.dst, packet.dst_port)
        stream = self._streams.get(way)
        if packet.flags & SYN and (stream is None or stream.iss != packet.seq):
            stream = self._streams[way] = Stream(packet)
        if stream is not None:
            stream.note(packet, self._streams.get((*way[2:], *way[:2])))
