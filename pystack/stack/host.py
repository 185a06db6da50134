"""A whole host without I/O: packets in, packets out, time as an argument.

The loop of whoever drives it: `receive` (or `receive_batch`), then `transmit` until it is
empty, send what it gives, sleep until `next_deadline`, `on_time`, `transmit` again. Owners of
connections are told of events after each batch and may make socket calls while being told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import EADDRINUSE
from typing import Protocol

from pystack.cc import registry
from pystack.config import Config
from pystack.counters import Counters
from pystack.stack import ip_input, strangers
from pystack.stack.addresses import Addresses
from pystack.stack.fragments import Reassembly, fragment
from pystack.stack.icmp import Icmp
from pystack.stack.icmp_errors import set_path_mtu
from pystack.stack.listener import HalfOpen, Listener
from pystack.stack.loopback import take_local
from pystack.stack.owner import Owner
from pystack.stack.path_mtu import PathMtu
from pystack.stack.ports import Ports
from pystack.stack.time_wait import TimeWait, TimeWaits
from pystack.stack.wakeups import Wakeups
from pystack.tcp import calls, emit, expiry, isn, options, timers
from pystack.tcp.output import output, output_ack
from pystack.tcp.segment_arrives import segment_arrives
from pystack.tcp.shared import Shared
from pystack.tcp.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    EVENT_ACCEPTABLE,
    SYN_SENT,
    TIME_WAIT,
    end,
)
from pystack.tcp.tcb import ACK_NOW, SEND_RST, Tcb
from pystack.wire.batch import Packet, RxBatch, TxBatch
from pystack.wire.consts import CHECKSUM_COMPLETE, DROP_TX_FULL, KIND_TCP
from pystack.wire.segment import CHECKSUM_STATE_OFFSET, RECORD_SIZE, Segment, flow_key
from pystack.wire.seq import MASK

_SLOTS = 32


class Trace(Protocol):
    """Who wants to see everything: each packet, each change of state."""

    def packet(self, inbound: bool, packet: Packet, now_us: int) -> None:
        """A packet came in or goes out; its buffer is valid during the call only."""

    def state(self, key: bytes, old: int, new: int, now_us: int) -> None:
        """The connection `key` went from state `old` to `new`."""


class HostCore:
    """Connections, listeners and everything below them. `sockets.Host` adds the socket calls.

    `addresses` are "address/prefix-length" texts; `secret` (16 to 64 random bytes) keys ISNs,
    timestamp offsets and ports; `mtu` is the device's; with `gso` runs of up to 64 KB leave
    uncut, with `checksum_offload` their checksums are left for the device. `on_dirty` is called
    when a socket call has made something to transmit and nothing was waiting before.
    """

    def __init__(
        self, addresses: Iterable[str] = (), *, secret: bytes, mtu: int = 1500, gso: bool = False,
        checksum_offload: bool = False, config: Config | None = None,
    ) -> None:  # fmt: skip
        if not 16 <= len(secret) <= 64:
            raise ValueError("the secret has 16 to 64 random bytes")
        self.config = config if config is not None else Config()
        self.shared = Shared(self.config, secret)
        self.counters: Counters = self.shared.counters
        self.addresses = Addresses()
        for text in addresses:
            self.addresses.add(text)
        self.mtu = mtu
        self.secret = secret
        self.isn: Callable[[bytes, int], int] = self._isn
        self.ports = Ports(self.config, secret)
        self.connections: dict[bytes, Tcb | HalfOpen | TimeWait] = {}
        self.listeners: dict[bytes, Listener] = {}  # address and port, 18 bytes
        self.time_waits = TimeWaits(self.config)
        self.wakeups = Wakeups()
        self.path_mtus = PathMtu(self.config, mtu)
        self.icmp = Icmp(
            self.config, self.addresses.local, self.counters.dropped, self.next_ident,
            self.addresses.broadcast,
        )  # fmt: skip
        self.reassembly = Reassembly(self.config, self.icmp, self.counters.dropped)
        self.tx = TxBatch(gso=gso, checksum_offload=checksum_offload)
        self.rx: RxBatch | None = None  # for `receive`, made when first used
        self.seg = Segment()
        self.dirty: list[Tcb] = []
        self.on_dirty: Callable[[], None] | None = None
        self.trace: Trace | None = None
        self.now_us = 1
        self.looping = False  # what is being received was sent by ourselves
        self._loops = False  # a connection to one of our own addresses was opened
        self._looped: list[Packet] = []
        self._opening: list[Tcb] = []
        self._handed_out = False
        self._ident = isn.keyed_hash(secret, b"", b"ip ident") & 0xFFFF
        self._watch = self._state_changed

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
                strangers.segment_arrives(self, connection, seg, now_us)
                continue
            if connection.pending & ACK_NOW:
                output_ack(connection, self.tx, now_us)
            if segment_arrives(connection, seg, now_us):
                self.send_reset(seg)
            if not connection.dirty:
                connection.dirty = True
                dirty.append(connection)
        self._tell_owners()

    def one_segment(self, seg: Segment, now_us: int) -> None:
        """A segment found otherwise than in a batch (put together from fragments)."""
        self.counters.in_segs += 1
        connection = self.connections.get(seg.key)
        if type(connection) is Tcb:
            self.segment_for(connection, seg, now_us)
        else:
            strangers.segment_arrives(self, connection, seg, now_us)

    def segment_for(self, tcb: Tcb, seg: Segment, now_us: int) -> None:
        """Give `seg` to a connection."""
        if tcb.pending & ACK_NOW:
            output_ack(tcb, self.tx, now_us)
        if segment_arrives(tcb, seg, now_us):
            self.send_reset(seg)
        self.touch(tcb)

    def send_reset(self, seg: Segment) -> None:
        """The RST that answers a segment nobody takes."""
        if emit.reset_for(self.tx, seg, self.config.ip_default_ttl):
            self.counters.out_rsts += 1

    # -- packets out ----------------------------------------------------------------------------
    def transmit(self, now_us: int) -> TxBatch:
        """What is to be sent now. Call until the batch is empty; it is valid until the next
        call of `receive` or `transmit`."""
        self._begin(now_us)
        tx = self.tx
        if self._opening:
            for tcb in self._opening:
                if tcb.state == SYN_SENT:
                    tcb.set_send_sequence(self.isn(tcb.key, now_us) & MASK)
            self._opening.clear()
        dirty = self.dirty
        done = 0
        while done < len(dirty):
            tcb = dirty[done]
            tcb.dirty = False
            if not output(tcb, tx, now_us):
                tcb.dirty = True
                break
            done += 1
            state = tcb.state
            if state in (CLOSED, TIME_WAIT):
                self._retire(tcb, now_us)
            else:
                at_us = timers.next_at(tcb)
                if at_us and (not tcb.wake_at_us or at_us < tcb.wake_at_us):
                    self.wakeups.at(tcb, at_us)
            if tcb.events:
                self._tell(tcb)
        del dirty[:done]
        if self.icmp.out:
            self._send_icmp()
        if self._loops:
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

    def _send_icmp(self) -> None:
        """Whole packets made by ICMP, cut into fragments where the MTU asks for it."""
        for packet in self.icmp.take_out():
            pieces = [packet]
            if len(packet) > self.mtu:
                pieces = fragment(packet, self.mtu, self.next_ident(b""))
            for piece in pieces:
                off = self.tx.reserve(len(piece))
                if off < 0:
                    self.counters.dropped[DROP_TX_FULL] += 1
                    continue
                self.tx.view[off : off + len(piece)] = piece
                self.tx.commit(off, len(piece), 0, CHECKSUM_COMPLETE)
                self.counters.icmp_out += 1

    # -- time -----------------------------------------------------------------------------------
    def next_deadline(self) -> int:
        """When `on_time` is to be called, in µs; 0 when nothing waits for time to pass."""
        if self._looped:
            return self.now_us
        least = self.wakeups.next_at()
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
            self.receive(packets, now_us)
            self.looping = False
        while (what := self.wakeups.take_due(now_us)) is not None:
            if type(what) is Tcb:
                at_us = timers.next_at(what)
                if at_us > now_us:
                    self.wakeups.at(what, at_us)
                elif at_us:
                    expiry.on_time(what, now_us)
                    self.touch(what)
            elif type(what) is HalfOpen:
                strangers.half_open_due(self, what, now_us)
        while (record := self.time_waits.take_due(now_us)) is not None:
            self.remove_time_wait(record)
        self.reassembly.on_time(now_us)
        for destination in self.path_mtus.on_time(now_us):
            self.path_mtu_changed(destination, False)
        self._tell_owners()

    # -- owners ---------------------------------------------------------------------------------
    def _tell_owners(self) -> None:
        dirty = self.dirty
        for index in range(len(dirty)):
            tcb = dirty[index]
            if tcb.events:
                self._tell(tcb)

    def _tell(self, tcb: Tcb) -> None:
        events = tcb.events
        owner = tcb.owner
        if owner is None:
            return  # not accepted yet: the events stay
        tcb.events = 0
        try:
            owner.on_events(events)
        except Exception:  # an owner must not raise; the others shall not suffer for it
            self.counters.owner_errors += 1
            calls.abort(tcb)
            self.touch(tcb)

    def tell_listener(self, listener: Listener) -> None:
        """Somebody may be accepted."""
        try:
            listener.owner.on_events(EVENT_ACCEPTABLE)
        except Exception:  # as in `_tell`; the connection waits in the queue
            self.counters.owner_errors += 1

    def touch(self, tcb: Tcb) -> None:
        """`tcb` is to be looked at by the next transmit."""
        if not tcb.dirty:
            tcb.dirty = True
            self.dirty.append(tcb)

    def mark(self, tcb: Tcb) -> None:
        """As `touch`, from a socket call: whoever drives the host is told."""
        if not tcb.dirty:
            tcb.dirty = True
            self.dirty.append(tcb)
            if len(self.dirty) == 1 and self.on_dirty is not None:
                self.on_dirty()

    def _state_changed(self, tcb: Tcb, old: int, new: int) -> None:
        if new == ESTABLISHED:
            self.counters.curr_estab += 1
        elif old in (ESTABLISHED, CLOSE_WAIT) and new != CLOSE_WAIT:
            self.counters.curr_estab -= 1
        if self.trace is not None:
            self.trace.state(tcb.key, old, new, self.now_us)

    # -- connections ----------------------------------------------------------------------------
    def new_tcb(self, key: bytes, settings: Callable[[Tcb], None] | None = None) -> Tcb:
        """A TCB in CLOSED, registered under `key`. Raises OSError EADDRINUSE if that is taken."""
        if key in self.connections:
            raise OSError(EADDRINUSE, "that connection exists")
        tcb = self._make_tcb(key)
        if settings is not None:
            settings(tcb)
        self.register(tcb)
        return tcb

    def _make_tcb(self, key: bytes) -> Tcb:
        config = self.config
        make = registry.factory(config.tcp_congestion_control)
        tcb = Tcb(key, self.shared, make(536, config.tcp_initial_cwnd * 536))
        tcb.watch = self._watch
        tcb.ident = isn.keyed_hash(self.secret, key, b"ip ident") & (0xFFFF if tcb.v4 else 0xFFFFF)
        return tcb

    def tcb_for(self, half_open: HalfOpen) -> Tcb:
        """The TCB that takes over from a half-open record, registered in its place."""
        tcb = self._make_tcb(half_open.key)
        tcb.watch = None  # the change to SYN_RECEIVED was that of the record
        half_open.make_tcb(tcb)
        tcb.watch = self._watch
        self.wakeups.forget(half_open)
        self.connections[tcb.key] = tcb
        return tcb

    def register(self, connection: Tcb | HalfOpen | TimeWait) -> None:
        """Enter a connection under its key."""
        key = connection.key
        self.connections[key] = connection
        self.ports.use(key[32] << 8 | key[33])

    def unregister(self, connection: Tcb | HalfOpen | TimeWait) -> None:
        """Take a connection out, if it is still the one under its key."""
        key = connection.key
        if self.connections.get(key) is connection:
            del self.connections[key]
            self.ports.drop(key[32] << 8 | key[33])

    def open(self, tcb: Tcb) -> None:
        """OPEN: from CLOSED to SYN_SENT; the SYN leaves with the next transmit."""
        remote = tcb.key[16:32]
        if remote in self.addresses.local:
            self._loops = True
        offset = isn.timestamp_offset(self.secret, tcb.key)
        options.prepare(tcb, self.mtu, self.path_mtus.mtu(remote), offset)
        calls.open_active(tcb)
        self._opening.append(tcb)
        self.mark(tcb)

    def _retire(self, tcb: Tcb, now_us: int) -> None:
        """A connection has ended: out of the tables, its memory freed (what it has received
        stays until its socket is closed); TIME_WAIT goes on as a compact record."""
        timers.stop_all(tcb)
        if tcb.state == TIME_WAIT:
            tcb.watch = None  # the record's end is the end of TIME_WAIT
            if self.connections.get(tcb.key) is tcb:
                self._add_time_wait(tcb, now_us)
            end(tcb, 0)
        else:
            self.unregister(tcb)
        self.wakeups.forget(tcb)
        tcb.sndbuf.clear()
        tcb.scoreboard.clear()
        tcb.recvbuf.clear_held()
        if tcb.orphan:
            tcb.recvbuf.clear()

    def _add_time_wait(self, tcb: Tcb, now_us: int) -> None:
        counters = self.counters
        if counters.tw_curr >= self.config.tcp_max_tw_buckets:
            oldest = self.time_waits.take_oldest()
            if oldest is not None:
                self.remove_time_wait(oldest)
        self.connections[tcb.key] = self.time_waits.add(tcb, now_us)
        counters.tw_curr += 1

    def remove_time_wait(self, record: TimeWait) -> None:
        """2 MSL are over, or a RST or a new SYN has ended them."""
        self.unregister(record)
        self.counters.tw_curr -= 1
        if self.trace is not None:
            self.trace.state(record.key, TIME_WAIT, CLOSED, self.now_us)

    def connection_key(
        self, remote: bytes, remote_port: int, local: bytes, local_port: int
    ) -> bytes:
        """The key of a connection to be opened; `local_port` 0 takes an ephemeral one.

        Raises OSError EADDRNOTAVAIL when every port to that peer is taken.
        """
        if not local_port:
            local_port = self.ports.ephemeral(
                local, remote, remote_port,
                lambda port: flow_key(local, remote, port, remote_port) in self.connections,
            )  # fmt: skip
        return flow_key(local, remote, local_port, remote_port)

    def source_for(self, remote: bytes) -> bytes:
        """The local address to reach `remote` from. Raises OSError ENETUNREACH."""
        return self.addresses.source_for(remote)

    # -- listeners ------------------------------------------------------------------------------
    def listen(self, local: bytes, port: int, backlog: int, owner: Owner) -> Listener:
        """A listener at 16-byte `local` (or a wildcard) and `port`. Its attributes may be set
        before the next packet. Raises OSError EADDRINUSE."""
        name = local + port.to_bytes(2, "big")
        if name in self.listeners:
            raise OSError(EADDRINUSE, f"port {port} is in use")
        listener = Listener(local, port, min(backlog, self.config.somaxconn), owner, self.config)
        self.listeners[name] = listener
        return listener

    def unlisten(self, listener: Listener) -> None:
        """Stop listening: half-open connections are forgotten, unaccepted ones reset."""
        self.listeners.pop(listener.local + listener.port.to_bytes(2, "big"), None)
        listener.closed = True
        if listener.half_open:
            for connection in list(self.connections.values()):
                if type(connection) is HalfOpen and connection.listener is listener:
                    strangers.forget(self, connection)
        while listener.queue:
            tcb = listener.queue.popleft()
            calls.abort(tcb)
            self.mark(tcb)

    # -- the device -----------------------------------------------------------------------------
    def set_mtu(self, mtu: int) -> None:
        """The device's MTU has changed; what is in flight is re-cut when it has fallen."""
        lowered = mtu < self.mtu
        self.mtu = mtu
        self.path_mtus.device_mtu = mtu
        for connection in list(self.connections.values()):
            if type(connection) is Tcb:
                self._set_path_mtu(connection, lowered)

    def path_mtu_changed(self, destination: bytes, lowered: bool) -> None:
        """Tell all connections to `destination` (RFC 8201 §5.2)."""
        for connection in list(self.connections.values()):
            if type(connection) is Tcb and connection.key[16:32] == destination:
                self._set_path_mtu(connection, lowered)

    def _set_path_mtu(self, tcb: Tcb, lowered: bool) -> None:
        remote = tcb.key[16:32]
        locked = self.path_mtus.is_locked(remote)
        if set_path_mtu(tcb, self.path_mtus.mtu(remote), locked, lowered):
            self.mark(tcb)

    def fail_all(self, error: int) -> None:
        """The device is gone: every connection ends with `error`, without a word to the peers."""
        for connection in list(self.connections.values()):
            if type(connection) is Tcb:
                connection.pending &= ~SEND_RST
                calls.abandon(connection, error)
                self.touch(connection)
        self._tell_owners()

    def next_ident(self, destination: bytes) -> int:
        """An IPv4 identification for a packet that may be fragmented (RFC 6864 §4.3)."""
        self._ident = self._ident + 1 & 0xFFFF
        return self._ident

    def _isn(self, key: bytes, now_us: int) -> int:
        return isn.initial_sequence(self.secret, key, now_us)
