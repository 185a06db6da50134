"""The connections and listeners of a host: how they come, change hands and go."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from errno import EADDRINUSE, EADDRNOTAVAIL, ECONNABORTED, ECONNRESET

from pystack.compiling import mypyc_attr
from pystack.config import Config
from pystack.errors import PartError
from pystack.events import Owner
from pystack.ip.keyed_hash import keyed_hash
from pystack.parts import faults, variants
from pystack.stack.half_open import HalfOpen
from pystack.stack.host_state import HostState
from pystack.stack.listener import Listener
from pystack.stack.time_wait import TimeWait
from pystack.tcp.fastopen import active
from pystack.tcp.header import options
from pystack.tcp.policies import fastopen_cookies, isn
from pystack.tcp.recovery import mtu_probing, recovery
from pystack.tcp.state.records import FastAccept
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    LISTEN,
    SYN_RECEIVED,
    TIME_WAIT,
)
from pystack.tcp.tcb import SEND_RST, Tcb
from pystack.tcp.timing import timers
from pystack.tcp.transitions import end
from pystack.tcp.user import user_calls, user_settings
from pystack.wire.address import is_v4
from pystack.wire.consts import DEFAULT_MSS_IPV4, DEFAULT_MSS_IPV6
from pystack.wire.flow_key import flow_key, local_port, remote_address
from pystack.wire.seq import MASK


@mypyc_attr(allow_interpreted_subclasses=True)
class ConnectionTable(HostState):
    """What happens to the connections of a host as a whole; see `HostCore` for the arguments."""

    def __init__(
        self, addresses: Iterable[str], secret: bytes, mtu: int, gso: bool, checksum_offload: bool,
        config: Config | None,
    ) -> None:  # fmt: skip
        super().__init__(addresses, secret, mtu, gso, checksum_offload, config)
        variants.check_settings(self.config)
        fastopen_cookies.keys_of(self.config, secret)  # a ValueError is raised here or never
        self.isn: Callable[[bytes, int], int]
        self.take_isn_generator()
        self._watch = self._state_changed

    # -- faults of parts ------------------------------------------------------------------------
    def contain_fault(self, tcb: Tcb, error: Exception) -> bool:
        """End `tcb`, and tell why, if a replaceable part of it is at fault for `error`; False if
        the core is."""
        reason = faults.reason_of(tcb, error)
        if not reason:
            return False
        user_calls.fail(tcb, ECONNABORTED, reason)
        self.part_failed(reason, error)
        self.mark(tcb)
        return True

    def part_failed(self, reason: str, error: Exception) -> None:
        """Count that a part has raised `error`, and call `on_part_failed`."""
        self.counters.part_errors += 1
        if self.on_part_failed is not None:
            self.on_part_failed(reason, faults.cause_of(error))

    def _state_changed(self, tcb: Tcb, old: int, new: int) -> None:
        if new == ESTABLISHED:
            self.counters.curr_estab += 1
        elif old in (ESTABLISHED, CLOSE_WAIT) and new != CLOSE_WAIT:
            self.counters.curr_estab -= 1
        if old == SYN_RECEIVED and tcb.fast_accept is not None:
            self._fast_accept_ended(tcb, tcb.fast_accept)
        if self.trace is not None:
            self.trace.state(tcb.key, old, new, self.now_us)

    def _fast_accept_ended(self, tcb: Tcb, accept: FastAccept) -> None:
        """The handshake of a connection that its SYN began is over. One that the peer resets after
        it was accepted counts on, while there is a listener (Linux)."""
        listener: Listener = accept.listener
        was_reset = tcb.error == ECONNRESET and tcb.owner is not None
        listens = self.is_listening(listener)
        listener.fast_accepts.end(was_reset and listens, self.now_us)

    # -- connections ----------------------------------------------------------------------------
    def new_tcb(self, key: bytes, settings: Callable[[Tcb], None] | None = None) -> Tcb:
        """A TCB in CLOSED, registered under `key`. Raises OSError EADDRINUSE if that is taken."""
        if key in self.connections:
            raise OSError(EADDRINUSE, "that connection exists")
        tcb = self._make_tcb(key)
        option = variants.make(variants.OPTION, self.config.tcp_experimental_option)
        if option is not None:
            user_settings.set_experimental_option(tcb, option)
        if settings is not None:
            settings(tcb)
        self.register(tcb)
        return tcb

    def _make_tcb(self, key: bytes) -> Tcb:
        config = self.config
        v4 = is_v4(key)
        mss = DEFAULT_MSS_IPV4 if v4 else DEFAULT_MSS_IPV6
        name = config.tcp_congestion_control
        cc = variants.make_congestion_control(name, mss, config.tcp_initial_cwnd * mss, config)
        try:
            cc.set_seed(keyed_hash(self.secret, key, b"cc"))
        except PartError as error:
            raise OSError(ECONNABORTED, str(error)) from error
        ident = keyed_hash(self.secret, key, b"ip ident") & (0xFFFF if v4 else 0xFFFFF)
        tcb = Tcb(key, self.shared, cc, ident)
        variants.equip(tcb)
        tcb.watch = self._watch
        return tcb

    def tcb_for(self, half_open: HalfOpen) -> Tcb:
        """The TCB that takes over from a half-open record, registered in its place. Raises OSError
        for a part that can't be made or raises."""
        tcb = self._make_tcb(half_open.key)
        if half_open.option is not None:
            user_settings.set_experimental_option(tcb, half_open.option)
        tcb.watch = None  # the change to SYN_RECEIVED was that of the record
        try:
            half_open.make_tcb(tcb)
            if self.addresses.has_metrics:
                self._follow_route(tcb, remote_address(tcb.key))
        except Exception as error:
            reason = faults.reason_of(tcb, error)
            if not reason:
                raise
            raise OSError(ECONNABORTED, reason) from error
        tcb.watch = self._watch
        self.take_path_mtu(tcb, False)
        self.wakeups.forget(half_open)
        self.connections[tcb.key] = tcb
        half_open.listener.half_open -= 1
        return tcb

    def _follow_route(self, tcb: Tcb, remote: bytes) -> None:
        metrics = self.addresses.metrics_for(remote)
        if metrics is not None:
            variants.follow_route(tcb, metrics)

    def register(self, connection: Tcb | HalfOpen | TimeWait) -> None:
        """Enter a connection under its key."""
        key = connection.key
        self.connections[key] = connection
        self.ports.use(local_port(key))

    def unregister(self, connection: Tcb | HalfOpen | TimeWait) -> None:
        """Take a connection out, if it is still the one under its key."""
        key = connection.key
        if self.connections.get(key) is connection:
            del self.connections[key]
            self.ports.drop(local_port(key))

    def open(self, tcb: Tcb) -> None:
        """OPEN: from CLOSED to SYN_SENT; the SYN leaves with the next transmit."""
        remote = remote_address(tcb.key)
        if remote in self.ip.addresses.local:
            self.has_local_connections = True
        offset = isn.timestamp_offset(self.secret, tcb.key)
        user_calls.open_active(tcb)
        try:
            mtu = self.ip.path_mtus.device_mtu
            if self.addresses.has_metrics:
                self._follow_route(tcb, remote)
                mtu = self.ip.path_mtus.first_hop_mtu(remote)
            options.prepare(tcb, mtu, offset)
        except Exception as error:
            if not self.contain_fault(tcb, error):
                raise
        self.take_path_mtu(tcb, False)
        self.opening.append(tcb)
        self.mark(tcb)

    def retire(self, tcb: Tcb, now_us: int) -> None:
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
        if tcb.fast_open is not None:
            active.on_end(tcb, tcb.fast_open, now_us)
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
        self.time_waits.forget(record)
        self.unregister(record)
        self.counters.tw_curr -= 1
        if self.trace is not None:
            self.trace.state(record.key, TIME_WAIT, CLOSED, self.now_us)

    def connection_key(
        self, remote: bytes, remote_port: int, local: bytes, local_port: int,
        within: tuple[int, int] | None = None,
    ) -> bytes:  # fmt: skip
        """The key of a connection to be opened; `local_port` 0 takes an ephemeral one, `within`
        bounds other than the host's.

        Raises OSError EADDRNOTAVAIL when every port to that peer is taken.
        """
        if local_port:
            return flow_key(local, remote, local_port, remote_port)
        for port in self.ports.ephemeral(local, remote, remote_port, within):
            key = flow_key(local, remote, port, remote_port)
            if key not in self.connections:
                return key
        raise OSError(EADDRNOTAVAIL, "all ports of ip_local_port_range are in use to that peer")

    # -- listeners ------------------------------------------------------------------------------
    def listen(
        self, local: bytes, port: int, backlog: int, owner: Owner, reuse_port: bool = False
    ) -> Listener:
        """A listener at 16-byte `local` (or a wildcard) and `port`. Its attributes may be set
        before the next packet. With `reuse_port` several have the same, each the SYNs of some
        flows. Raises OSError EADDRINUSE."""
        name = local + port.to_bytes(2, "big")
        first = self.listeners.get(name)
        if first is not None and not (reuse_port and first.group):
            raise OSError(EADDRINUSE, f"port {port} is in use")
        listener = Listener(local, port, min(backlog, self.config.somaxconn), owner, self.config)
        if reuse_port:
            listener.share_with(first.group if first is not None else [])
        if first is None:
            self.listeners[name] = listener
        return listener

    def is_listening(self, listener: Listener) -> bool:
        """Whether it has not stopped."""
        first = self.listeners.get(listener.name)
        return first is listener or (first is not None and listener in first.group)

    def all_listeners(self) -> list[Listener]:
        """Those that share a port, too: `listeners` has the first of them."""
        return [one for first in self.listeners.values() for one in first.group or (first,)]

    def add_half_open(self, half_open: HalfOpen) -> None:
        """A SYN has begun a half-open connection."""
        self.register(half_open)
        half_open.listener.half_open += 1
        if self.trace is not None:
            self.trace.state(half_open.key, LISTEN, SYN_RECEIVED, self.now_us)

    def forget_half_open(self, half_open: HalfOpen) -> None:
        """A half-open connection is gone: back to LISTEN, in silence."""
        half_open.listener.half_open -= 1
        self.unregister(half_open)
        self.wakeups.forget(half_open)
        if self.trace is not None:
            self.trace.state(half_open.key, SYN_RECEIVED, LISTEN, self.now_us)

    def unlisten(self, listener: Listener) -> None:
        """Stop listening: half-open connections are forgotten, unaccepted ones reset."""
        left = listener.leave_group()
        if left is not None:
            self.listeners[listener.name] = left
        elif self.listeners.get(listener.name) is listener:
            del self.listeners[listener.name]
        if listener.half_open:
            for connection in list(self.connections.values()):
                if type(connection) is HalfOpen and connection.listener is listener:
                    self.forget_half_open(connection)
        while listener.queue:
            tcb = listener.queue.popleft()
            user_calls.abort(tcb)
            self.mark(tcb)

    # -- the device -----------------------------------------------------------------------------
    def set_mtu(self, mtu: int) -> None:
        """The device's MTU has changed; what is in flight is re-cut when it has fallen."""
        lowered = mtu < self.ip.mtu
        self.ip.path_mtus.device_mtu = mtu
        for connection in list(self.connections.values()):
            if type(connection) is Tcb:
                self.take_path_mtu(connection, lowered)

    def path_mtu_changed(self, destination: bytes, lowered: bool) -> None:
        """Tell all connections to `destination` (RFC 8201 §5.2)."""
        for connection in list(self.connections.values()):
            if type(connection) is Tcb and remote_address(connection.key) == destination:
                self.take_path_mtu(connection, lowered)

    def take_path_mtu(self, tcb: Tcb, lowered: bool) -> None:
        """Let `tcb` know what is known of its path; `lowered`: that has just fallen."""
        remote = remote_address(tcb.key)
        locked = self.ip.path_mtus.is_locked(remote)  # routers fragment below it
        try:
            before = tcb.eff_mss
            options.set_path_mtu(tcb, self.ip.path_mtus.mtu(remote), locked)
            if tcb.mtu_search is not None:
                mtu_probing.note_path_mtu(tcb, tcb.mtu_search)
            if lowered and tcb.fast_open is not None:
                active.on_path_mtu(tcb, tcb.fast_open, self.now_us)
                self.mark(tcb)
            if lowered and tcb.eff_mss < before and tcb.snd_nxt > tcb.snd_una:
                recovery.send_again(tcb)
                self.mark(tcb)
        except Exception as error:
            if not self.contain_fault(tcb, error):
                raise

    def abandon_all(self, error: int) -> None:
        """Every connection ends with `error`, without a word to the peers."""
        for connection in list(self.connections.values()):
            if type(connection) is Tcb:
                connection.pending &= ~SEND_RST
                user_calls.abandon(connection, error)
                self.touch(connection)

    def next_isn(self, key: bytes, now_us: int) -> int:
        """The ISS of a new connection. Raises OSError ECONNABORTED for a generator that raises."""
        try:
            return self.isn(key, now_us) & MASK
        except Exception as error:
            kind = variants.KINDS[variants.ISN]
            reason = faults.raised(kind, self.config.tcp_isn, error)
            self.part_failed(reason, error)
            raise OSError(ECONNABORTED, reason) from error

    def take_isn_generator(self) -> None:
        """Choose initial sequence numbers as `tcp_isn` says from now on."""
        generator = variants.make(variants.ISN, self.config.tcp_isn, self.secret)
        self.isn = generator.initial_sequence
