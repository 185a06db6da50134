"""A whole host without I/O: packets in, packets out, time as an argument.

The loop of whoever drives it: `receive` (or `receive_batch`), then `transmit` until it is
empty, send what it gives, sleep until `next_deadline`, `on_time`, `transmit` again. Owners of
connections are told of events after each batch and may make socket calls while being told.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import ECONNABORTED

from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.ip.fragments import Reassembly, fragment
from pystack.ip.icmp import Icmp
from pystack.ip.loopback import take_local
from pystack.stack import demux, ip_input
from pystack.stack.connections import ConnectionTable
from pystack.stack.half_open import HalfOpen
from pystack.tcp.ecn.ecn import ecn
from pystack.tcp.input.segment_arrives import segment_arrives
from pystack.tcp.output.output import emit, output, output_ack
from pystack.tcp.state.states import (
    CLOSED,
    EVENT_ACCEPTABLE,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.tcp.timeouts import timer_handlers
from pystack.tcp.timing import timers
from pystack.tcp.user import user_calls
from pystack.udp.endpoints import UdpTable
from pystack.wire.batch import Packet, RxBatch, TxBatch
from pystack.wire.consts import (
    CHECKSUM_COMPLETE,
    DROP_TX_FULL,
    IPV4_MIN_MTU,
    IPV6_MIN_MTU,
    KIND_TCP,
)
from pystack.wire.segment import CHECKSUM_STATE_OFFSET, RECORD_SIZE, Segment

_SLOTS = 32


@mypyc_attr(allow_interpreted_subclasses=True)
class HostCore(ConnectionTable):
    """Connections, listeners and everything below them. `sockets.Host` adds the socket calls.

    `addresses` are "address/prefix-length" texts, or a single one; `secret` (16 to 64 random
    bytes) keys ISNs, timestamp offsets and ports; `mtu` is the device's; with `gso` runs of up to
    64 KB leave uncut, with `checksum_offload` their checksums are left for the device. `on_dirty`
    is called when a socket call has made something to transmit and nothing was waiting before.
    Raises TypeError for an argument of another type, ValueError for a malformed address and for a
    secret or an MTU out of bounds.
    """

    def __init__(
        self, addresses: Iterable[str] = (), *, secret: bytes, mtu: int = 1500, gso: bool = False,
        checksum_offload: bool = False, config: Config | None = None,
    ) -> None:  # fmt: skip
        super().__init__(addresses, secret, mtu, config)
        self.icmp = Icmp(
            self.config, self.addresses.local, self.counters.dropped, self.next_ident,
            self.addresses.broadcast,
        )  # fmt: skip
        self.reassembly = Reassembly(self.config, self.icmp, self.counters.dropped)
        self.udp = UdpTable(self.config, secret)
        self.tx = TxBatch(gso=gso, checksum_offload=checksum_offload)
        self.rx: RxBatch | None = None  # for `receive`, made when first used
        self.seg = Segment()
        self.looping = False  # what is being received was sent by ourselves
        self._looped: list[Packet] = []
        self._handed_out = False

    # -- packets in -----------------------------------------------------------------------------
    def receive(self, packets: Iterable[Packet], now_us: int) -> None:
        """Take packets `(buffer, gso_size, checksum state)` in order, all at time `now_us`."""
        if self.rx is None:
            self.rx = RxBatch(_SLOTS)
        rx = self.rx
        rx.clear()
        for buffer, gso_size, checksum_state in packets:
            rx.add(buffer, gso_size, checksum_state)
            if rx.count == rx.capacity:
                self.receive_batch(rx, rx.count, now_us)
                rx.clear()
        if rx.count:
            self.receive_batch(rx, rx.count, now_us)
            rx.clear()

    def receive_packet(self, packet: Packet, now_us: int) -> None:
        """As `receive`, one packet."""
        rx = self.rx
        if rx is None:
            rx = self.rx = RxBatch(_SLOTS)
        rx.clear()
        rx.add(*packet)
        self.receive_batch(rx, 1, now_us)

    def receive_batch(self, rx: RxBatch, count: int, now_us: int) -> None:
        """Take the first `count` packets of a batch that was read and parsed."""
        self._begin(now_us)
        trace = self.trace
        seg = self.seg
        view = rx.view
        records = rx.records
        connections = self.connections
        dirty = self.dirty
        counters = self.counters
        counters.in_packets += count
        for index in range(count):
            kind = seg.load(view, records, index)
            if trace is not None:
                state = records[index * RECORD_SIZE + CHECKSUM_STATE_OFFSET]
                trace.packet(True, (view[seg.start : seg.end], seg.gso_size, state), now_us)
            if kind != KIND_TCP:
                ip_input.not_tcp(self, seg, now_us)
                continue
            counters.in_segs += 1
            connection = connections.get(seg.key)
            if type(connection) is not Tcb:
                demux.segment_arrives(self, connection, seg, now_us)
                continue
            if self.talks_to_itself and not demux.is_addressed_well(self, seg):
                continue  # our own address, but from outside
            try:
                if connection.pending & ACK_NOW or (
                    connection.ecn and ecn.ack_goes_first(connection, seg)
                ):
                    output_ack(connection, self.tx, now_us)
                if segment_arrives(connection, seg, now_us):
                    self.send_reset(seg)
            except Exception as error:
                if not self.blames(connection, error):
                    raise
            if not connection.dirty:
                connection.dirty = True
                dirty.append(connection)
        self._tell_owners()

    def receive_segment(self, seg: Segment, now_us: int) -> None:
        """Take one segment that was parsed already, as `receive_batch` one packet."""
        self._begin(now_us)
        counters = self.counters
        counters.in_packets += 1
        counters.in_segs += 1
        connection = self.connections.get(seg.key)
        if type(connection) is not Tcb:
            demux.segment_arrives(self, connection, seg, now_us)
        elif not self.talks_to_itself or demux.is_addressed_well(self, seg):
            self.segment_for(connection, seg, now_us)
        self._tell_owners()

    def one_segment(self, seg: Segment, now_us: int) -> None:
        """A segment found otherwise than in a batch (put together from fragments)."""
        self.counters.in_segs += 1
        connection = self.connections.get(seg.key)
        if type(connection) is Tcb:
            self.segment_for(connection, seg, now_us)
        else:
            demux.segment_arrives(self, connection, seg, now_us)

    def segment_for(self, tcb: Tcb, seg: Segment, now_us: int) -> None:
        """Give `seg` to a connection."""
        try:
            if tcb.pending & ACK_NOW or (tcb.ecn and ecn.ack_goes_first(tcb, seg)):
                output_ack(tcb, self.tx, now_us)
            if segment_arrives(tcb, seg, now_us):
                self.send_reset(seg)
        except Exception as error:
            if not self.blames(tcb, error):
                raise
        if not tcb.dirty:
            tcb.dirty = True
            self.dirty.append(tcb)

    def send_reset(self, seg: Segment) -> None:
        """The RST that answers a segment nobody takes."""
        if emit.reset_for(self.tx, seg, self.config.ip_default_ttl):
            self.counters.out_rsts += 1

    # -- packets out ----------------------------------------------------------------------------
    def transmit(self, now_us: int) -> TxBatch:
        """What is to be sent now. Call until the batch is empty; it is valid until the next
        call of `receive` or `transmit`."""
        if now_us != self.now_us or self._handed_out or self.opening:
            self._begin(now_us)
        tx = self.tx
        dirty = self.dirty
        done = 0
        while done < len(dirty):
            tcb = dirty[done]
            tcb.dirty = False
            try:
                whole = output(tcb, tx, now_us)
            except Exception as error:
                tcb.dirty = True  # where it is, it is looked at once more: for the RST
                if not self.blames(tcb, error):
                    raise
                continue
            if not whole:
                tcb.dirty = True
                break
            done += 1
            state = tcb.state
            if state in (CLOSED, TIME_WAIT):
                self.retire(tcb, now_us)
            else:
                at_us = timers.next_at(tcb)
                if at_us and (not tcb.wake_at_us or at_us < tcb.wake_at_us):
                    self.wakeups.at(tcb, at_us)
            if tcb.events:
                self._tell(tcb)
        del dirty[:done]
        if self.icmp.out:
            self._send_icmp()
        if self.udp.out:
            self._send_datagrams()
        if self.talks_to_itself:
            self._looped += take_local(tx, self.addresses.local)
        self._handed_out = True
        count = tx.count
        if count:
            self.counters.out_packets += count
            if self.trace is not None:
                for packet in tx:
                    self.trace.packet(False, packet, now_us)
        return tx

    def _begin(self, now_us: int) -> None:
        self.now_us = now_us
        if self._handed_out:
            self._handed_out = False
            self.tx.clear()
        if self.opening:  # before any segment can meet them
            for tcb in self.opening:
                if tcb.state == SYN_SENT:
                    try:
                        tcb.set_send_sequence(self.next_isn(tcb.key, now_us))
                    except OSError as error:
                        user_calls.fail(tcb, ECONNABORTED, str(error.strerror))
            self.opening.clear()

    def _send_icmp(self) -> None:
        """Whole packets made by ICMP, cut into fragments where the MTU asks for it."""
        for packet in self.icmp.take_out():
            pieces = [packet]
            least = IPV4_MIN_MTU if packet[0] >> 4 == 4 else IPV6_MIN_MTU
            mtu = max(self.mtu, least)
            if len(packet) > mtu:
                pieces = fragment(packet, mtu, self.next_ident(b""))
            for piece in pieces:
                if self._put(piece):
                    self.counters.icmp_out += 1
                else:
                    self.counters.dropped[DROP_TX_FULL] += 1

    def _send_datagrams(self) -> None:
        """What UDP has left, as far as there is room: the rest goes with the next batch."""
        udp = self.udp
        while udp.out:
            packet, endpoint, cost, is_local = udp.out[0]
            if is_local:
                self._looped.append((packet, 0, CHECKSUM_COMPLETE))
            elif not self._put(packet):
                break
            udp.out.popleft()
            udp.has_left(endpoint, cost)
        udp.tell_owners(self.counters)

    def _put(self, packet: bytes) -> bool:
        """Put a finished packet into the batch; whether there was room."""
        tx = self.tx
        off = tx.reserve(len(packet))
        if off < 0:
            return False
        tx.view[off : off + len(packet)] = packet
        tx.commit(off, len(packet), 0, CHECKSUM_COMPLETE)
        return True

    def wake(self) -> None:
        """A socket call has left a datagram to be sent: whoever drives the host is told."""
        if not self.dirty and self.on_dirty is not None:
            self.on_dirty()

    # -- time -----------------------------------------------------------------------------------
    def next_deadline(self) -> int:
        """When `on_time` is to be called, in µs; 0 when nothing waits for time to pass."""
        if self._looped or self.udp.out:
            return self.now_us
        least = self.wakeups.next_at()
        if self.time_waits.queue or self.reassembly.packets or self.path_mtus.learnt:
            for at_us in (
                self.time_waits.next_at(),
                self.reassembly.next_deadline(),
                self.path_mtus.next_deadline(),
            ):
                if at_us and (at_us < least or not least):
                    least = at_us
        return least

    def on_time(self, now_us: int) -> None:
        """Handle every deadline that has passed; `transmit` then sends what that marked."""
        self._begin(now_us)
        if self._looped:
            packets, self._looped = self._looped, []
            self.looping = True
            try:
                self.receive(packets, now_us)
            finally:
                self.looping = False
        while (what := self.wakeups.take_due(now_us)) is not None:
            if type(what) is Tcb:
                at_us = timers.next_at(what)
                if at_us > now_us:
                    self.wakeups.at(what, at_us)
                elif at_us:
                    self._deadline(what, now_us)
            elif type(what) is HalfOpen:
                demux.half_open_due(self, what, now_us)
        while (record := self.time_waits.take_due(now_us)) is not None:
            self.remove_time_wait(record)
        self.reassembly.on_time(now_us)
        for destination in self.path_mtus.on_time(now_us):
            self.path_mtu_changed(destination, False)
        self._tell_owners()

    def _deadline(self, tcb: Tcb, now_us: int) -> None:
        try:
            timer_handlers.on_time(tcb, now_us)
        except Exception as error:
            if not self.blames(tcb, error):
                raise
        self.touch(tcb)

    # -- owners ---------------------------------------------------------------------------------
    def _tell_owners(self) -> None:
        while self.acceptable:
            listener = self.acceptable.pop()
            listener.told = False
            try:
                listener.owner.notify(EVENT_ACCEPTABLE)
            except Exception:  # as in `_tell`; the connections wait in the queue
                self.counters.owner_errors += 1
        dirty = self.dirty
        for index in range(len(dirty)):
            tcb = dirty[index]
            if tcb.events:
                self._tell(tcb)
        if self.udp.touched:
            self.udp.tell_owners(self.counters)

    def _tell(self, tcb: Tcb) -> None:
        events = tcb.events
        owner = tcb.owner
        if owner is None:
            return  # not accepted yet: the events stay
        tcb.events = 0
        try:
            owner.notify(events)
        except Exception:  # an owner must not raise; the others shall not suffer for it
            self.counters.owner_errors += 1
            user_calls.abort(tcb)
            self.touch(tcb)

    def fail_all(self, error: int) -> None:
        """The device is gone: every connection ends with `error`, without a word to the peers. Who
        listens is told to look, too."""
        self.abandon_all(error)
        for listener in self.listeners.values():
            if not listener.told:
                listener.told = True
                self.acceptable.append(listener)
        self.udp.fail(error)
        self._tell_owners()
