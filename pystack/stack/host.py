"""The loop of a host without I/O: packets in, packets out, time as an argument.

Whoever drives it calls `receive` (or `receive_batch`), then `transmit` until it is empty and sends
what it gives, sleeps until `next_deadline`, calls `on_time`, `transmit` again. Owners of
connections are notified of events after each batch, and may make socket calls meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from errno import ECONNABORTED

from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.events import EVENT_ACCEPTABLE
from pystack.ip.loopback import take_local
from pystack.stack import not_tcp_input, not_tcp_output, passive_open
from pystack.stack.connections import ConnectionTable
from pystack.stack.demux import deliver
from pystack.stack.half_open import HalfOpen
from pystack.tcp.output.output import output
from pystack.tcp.state.states import CLOSED, SYN_SENT, TIME_WAIT
from pystack.tcp.tcb import Tcb
from pystack.tcp.timeouts import timer_handlers
from pystack.tcp.timing import timers
from pystack.tcp.user import user_calls
from pystack.wire.batch import Packet, RxBatch, TxBatch
from pystack.wire.consts import KIND_TCP
from pystack.wire.segment import CHECKSUM_STATE_OFFSET, RECORD_SIZE, Segment

_SLOTS = 32


@mypyc_attr(allow_interpreted_subclasses=True)
class HostCore(ConnectionTable):
    """A host as whoever drives it sees it. `sockets.Host` adds the socket calls.

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
        super().__init__(addresses, secret, mtu, gso, checksum_offload, config)
        self.rx: RxBatch | None = None  # for `receive`, made when first used
        self.seg = Segment()
        self._looped: list[Packet] = []  # sent to ourselves, not yet received
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
        counters = self.counters
        counters.in_packets += count
        for index in range(count):
            kind = seg.load(view, records, index)
            if trace is not None:
                state = records[index * RECORD_SIZE + CHECKSUM_STATE_OFFSET]
                trace.packet(True, (seg.packet(), seg.gso_size, state), now_us)
            if kind == KIND_TCP:
                counters.in_segs += 1
                deliver(self, seg, now_us)
            else:
                not_tcp_input.packet_arrives(self, seg, now_us)
        self._notify_owners()

    def receive_segment(self, seg: Segment, now_us: int) -> None:
        """Take one segment that was parsed already, as `receive_batch` one packet."""
        self._begin(now_us)
        counters = self.counters
        counters.in_packets += 1
        counters.in_segs += 1
        deliver(self, seg, now_us)
        self._notify_owners()

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
                if not self.contain_fault(tcb, error):
                    raise
                continue
            if not whole:
                tcb.dirty = True
                dirty.append(tcb)  # the others have their turn first
                done += 1
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
                self._notify(tcb)
        del dirty[:done]
        if self.ip.icmp.out:
            not_tcp_output.send_icmp(self)
        if self.udp.out:
            not_tcp_output.send_datagrams(self, self._looped)
        if self.has_local_connections:
            self._looped += take_local(tx, self.ip.addresses.local)
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

    # -- time -----------------------------------------------------------------------------------
    def next_deadline(self) -> int:
        """When `on_time` is to be called, in µs; 0 when nothing waits for time to pass."""
        if self._looped or self.udp.out:
            return self.now_us
        least = self.wakeups.next_at()
        ip = self.ip
        if self.time_waits.queue or ip.reassembly.packets or ip.path_mtus.learnt:
            for at_us in (
                self.time_waits.next_at(),
                ip.reassembly.next_deadline(),
                ip.path_mtus.next_deadline(),
            ):
                if at_us and (at_us < least or not least):
                    least = at_us
        return least

    def on_time(self, now_us: int, carrier_full: bool = False) -> None:
        """Handle every deadline that has passed; `transmit` then sends what that marked.

        With `carrier_full` packets of earlier batches still wait for the carrier: nothing is
        retransmitted for want of an answer.
        """
        self._begin(now_us)
        if self._looped:
            packets, self._looped = self._looped, []
            self.ip.receiving_loopback = True
            try:
                self.receive(packets, now_us)
            finally:
                self.ip.receiving_loopback = False
        while (what := self.wakeups.take_due(now_us)) is not None:
            if type(what) is Tcb:
                at_us = timers.next_at(what)
                if at_us > now_us:
                    self.wakeups.at(what, at_us)
                elif at_us:
                    self._deadline(what, now_us, carrier_full)
            elif type(what) is HalfOpen:
                passive_open.half_open_due(self, what, now_us)
        while (record := self.time_waits.take_due(now_us)) is not None:
            self.remove_time_wait(record)
        self.ip.reassembly.on_time(now_us)
        for destination in self.ip.path_mtus.on_time(now_us):
            self.path_mtu_changed(destination, False)
        self._notify_owners()

    def _deadline(self, tcb: Tcb, now_us: int, carrier_full: bool) -> None:
        try:
            if carrier_full:
                timers.put_off_retransmission(tcb, now_us)
            timer_handlers.on_time(tcb, now_us)
        except Exception as error:
            if not self.contain_fault(tcb, error):
                raise
        self.touch(tcb)

    # -- owners ---------------------------------------------------------------------------------
    def _notify_owners(self) -> None:
        while self.acceptable:
            listener = self.take_acceptable()
            try:
                listener.owner.notify(EVENT_ACCEPTABLE)
            except Exception:  # as in `_notify`; the connections wait in the queue
                self.counters.owner_errors += 1
        dirty = self.dirty
        for index in range(len(dirty)):
            tcb = dirty[index]
            if tcb.events:
                self._notify(tcb)
        if self.udp.touched:
            self.udp.notify_owners()

    def _notify(self, tcb: Tcb) -> None:
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
        """The device is gone: every connection ends with `error`, and nothing is sent to the peers.
        Owners of listeners are notified, too."""
        self.abandon_all(error)
        for listener in self.all_listeners():
            self.note_acceptable(listener)
        self.udp.fail(error)
        self._notify_owners()
