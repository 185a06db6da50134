"""Segments that no TCB takes: for a half-open connection, TIME_WAIT, a listener, or nobody.

RFC 9293 §3.10.7.1 (CLOSED) and §3.10.7.2 (LISTEN), the tables that lead to the records of
`half_open` and `time_wait`, and Linux's limits on queues.
"""

from __future__ import annotations

from errno import ECONNABORTED
from typing import TYPE_CHECKING

from pystack.parts import faults, variants
from pystack.stack import half_open as handshaking
from pystack.stack import time_wait as waiting
from pystack.stack.half_open import HalfOpen
from pystack.stack.listener import Listener
from pystack.stack.time_wait import TimeWait
from pystack.tcp.policies import isn
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.state.states import CLOSED, LISTEN, SYN_RECEIVED
from pystack.tcp.tcb import Tcb
from pystack.wire.address import ANY_V4, ANY_V6, is_unicast_source, is_v4
from pystack.wire.consts import (
    ACK,
    DROP_ACCEPT_QUEUE_FULL,
    DROP_BAD_SOURCE,
    DROP_NO_ACK,
    DROP_NOT_FOR_US,
    DROP_SYN_QUEUE_FULL,
    FIN,
    HAS_EXPERIMENT,
    RST,
    SYN,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK

if TYPE_CHECKING:
    from pystack.stack.host import HostCore

_ISN_STEP = 65535 + 2  # a new connection out of TIME_WAIT begins so far above the old one


def segment_arrives(
    host: HostCore, connection: Tcb | HalfOpen | TimeWait | None, seg: Segment, now_us: int
) -> None:
    """Handle a segment whose key leads to `connection`, which is no TCB."""
    if type(connection) is HalfOpen:
        _for_half_open(host, connection, seg, now_us)
    elif type(connection) is TimeWait:
        _for_time_wait(host, connection, seg, now_us)
    elif is_addressed_well(host, seg):
        _for_nobody(host, seg, now_us, None)


def is_addressed_well(host: HostCore, seg: Segment) -> bool:
    """Whether a packet is for this host and from a possible source (RFC 1122 §3.2.1.3, RFC 9293
    MUST-57, MUST-63). If not it is dropped in silence."""
    if seg.key[:16] not in host.addresses.local:
        host.counters.dropped[DROP_NOT_FOR_US] += 1
        return False
    return is_from_somebody(host, seg)


def is_from_somebody(host: HostCore, seg: Segment) -> bool:
    """Whether a packet comes from a possible source. If not it is dropped in silence."""
    addresses = host.addresses
    source = seg.key[16:32]
    if (
        not is_unicast_source(source)
        or source in addresses.broadcast
        or (source in addresses.local and not host.looping)
    ):
        host.counters.dropped[DROP_BAD_SOURCE] += 1
        return False
    return True


def find_listener(host: HostCore, key: bytes) -> Listener | None:
    """The listener for a flow: of the very address, else of a wildcard."""
    listeners = host.listeners
    port = key[32:34]
    found = listeners.get(key[:16] + port)
    if found is not None:
        return found
    v4 = is_v4(key)
    if v4:
        found = listeners.get(ANY_V4 + port)
        if found is not None:
            return found
    found = listeners.get(ANY_V6 + port)
    return None if found is None or (v4 and found.v6only) else found


def _for_nobody(host: HostCore, seg: Segment, now_us: int, iss: int | None) -> None:
    """CLOSED and LISTEN: SYN to a listener, a RST for the rest. `iss` comes from TIME_WAIT."""
    flags = seg.flags
    if flags & RST:
        return
    listener = find_listener(host, seg.key)
    if listener is None or flags & ACK:
        host.send_reset(seg)
        return
    if not flags & SYN or flags & FIN:
        host.counters.dropped[DROP_NO_ACK] += 1
        return
    _on_syn(host, listener, seg, now_us, iss)


def _on_syn(
    host: HostCore, listener: Listener, seg: Segment, now_us: int, iss: int | None
) -> None:
    """LISTEN: keep a compact record and answer SYN,ACK. Text on the SYN is left for the peer to
    send again (RFC 4987 §3.6)."""
    counters = host.counters
    config = host.config
    if listener.accept_queue_full:
        counters.listen_overflows += 1
        counters.dropped[DROP_ACCEPT_QUEUE_FULL] += 1
        return
    if listener.half_open >= min(max(listener.backlog, 8), config.tcp_max_syn_backlog):
        counters.listen_drops += 1
        counters.dropped[DROP_SYN_QUEUE_FULL] += 1
        return
    key = seg.key
    if iss is None:
        try:
            iss = host.next_isn(key, now_us)
        except OSError:
            return  # told already; the peer may try again
    try:
        option = _option_for(host, listener, seg, now_us)
    except OSError as error:
        host.part_failed(str(error.strerror), error)
        host.send_reset(seg)
        return
    half_open = HalfOpen(
        listener, seg, config, iss & MASK,
        isn.timestamp_offset(host.secret, key), host.mtu, option,
    )  # fmt: skip
    if not is_v4(key):
        half_open.ident = isn.keyed_hash(host.secret, key, b"ip ident") & 0xFFFFF
    elif not half_open.df:
        half_open.ident = host.next_ident(key[16:32])
    host.register(half_open)
    listener.half_open += 1
    half_open.first_sent_us = now_us
    half_open.next_repeat(config, now_us)
    host.wakeups.at(half_open, half_open.due_us)
    if host.trace is not None:
        host.trace.state(key, LISTEN, SYN_RECEIVED, now_us)
    _send_syn_ack(host, half_open, now_us)


def _option_for(
    host: HostCore, listener: Listener, seg: Segment, now_us: int
) -> ExperimentalOption | None:
    """The experimental option of a connection that begins, which has seen the SYN. Raises OSError
    for one that can't be made or raises."""
    name = listener.option or host.config.tcp_experimental_option
    option: ExperimentalOption | None = variants.make(variants.OPTION, name)
    if option is not None and seg.options & HAS_EXPERIMENT:
        try:
            option.take(seg, now_us)
        except Exception as error:
            reason = faults.reason_of_option(option, error)
            if not reason:
                raise
            raise OSError(ECONNABORTED, reason) from error
    return option


def _send_syn_ack(host: HostCore, half_open: HalfOpen, now_us: int) -> bool:
    """Whether it was sent. An experimental option that raises ends the attempt."""
    try:
        return half_open.send_syn_ack(host.tx, host.config, now_us)
    except Exception as error:
        reason = faults.reason_of_option(half_open.option, error)
        if not reason:
            raise
        host.part_failed(reason, error)
    half_open.send_reset(host.tx)
    host.forget_half_open(half_open)
    return False


def _for_half_open(host: HostCore, half_open: HalfOpen, seg: Segment, now_us: int) -> None:
    answer = half_open.segment_arrives(seg, now_us)
    if answer == handshaking.COMPLETE:
        _complete(host, half_open, seg, now_us)
    elif answer == handshaking.SYN_AGAIN:
        _send_syn_ack(host, half_open, now_us)
    elif answer == handshaking.ACKNOWLEDGE:
        if half_open.may_acknowledge(host.config, now_us) and host.shared.take_challenge(now_us):
            half_open.send_ack(host.tx, now_us)
    elif answer == handshaking.ANSWER_WITH_RST:
        host.send_reset(seg)
    elif answer == handshaking.FORGET:
        host.counters.attempt_fails += 1
        host.forget_half_open(half_open)


def _complete(host: HostCore, half_open: HalfOpen, seg: Segment, now_us: int) -> None:
    """The handshake's last ACK: a TCB takes over and takes this segment as its first."""
    listener = half_open.listener
    if listener.accept_queue_full:
        host.counters.listen_overflows += 1
        if host.config.tcp_abort_on_overflow:
            host.send_reset(seg)
            host.forget_half_open(half_open)
        else:
            host.counters.dropped[DROP_ACCEPT_QUEUE_FULL] += 1
        return
    try:
        tcb = host.tcb_for(half_open)
    except OSError as error:
        host.part_failed(str(error.strerror), error)
        host.send_reset(seg)
        host.forget_half_open(half_open)
        return
    listener.half_open -= 1
    host.segment_for(tcb, seg, now_us)
    if tcb.state == CLOSED:
        return
    listener.queue.append(tcb)
    host.note_acceptable(listener)


def half_open_due(host: HostCore, half_open: HalfOpen, now_us: int) -> None:
    """The SYN,ACK was not answered: once more, or give up."""
    if host.connections.get(half_open.key) is not half_open:
        return
    config = host.config
    if half_open.gives_up(config):
        host.counters.attempt_fails += 1
        host.forget_half_open(half_open)
        return
    half_open.repeats += 1
    half_open.next_repeat(config, now_us)
    host.wakeups.at(half_open, half_open.due_us)
    if half_open.repeats_aloud() and _send_syn_ack(host, half_open, now_us):
        host.counters.retrans_segs += 1


def _for_time_wait(host: HostCore, record: TimeWait, seg: Segment, now_us: int) -> None:
    answer = host.time_waits.segment_arrives(record, seg, now_us)
    if answer == waiting.OPEN_ANEW and find_listener(host, seg.key) is None:
        answer = waiting.ANSWER
    if answer == waiting.ANSWER:
        host.time_waits.acknowledge(record, host.tx, now_us)
    elif answer == waiting.GONE:
        host.remove_time_wait(record)
    elif answer == waiting.OPEN_ANEW:
        host.counters.tw_recycled += 1
        host.remove_time_wait(record)
        _for_nobody(host, seg, now_us, record.snd_nxt + _ISN_STEP)
