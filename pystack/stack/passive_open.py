"""PASSIVE OPEN: from a SYN to a listener to a connection that waits to be accepted.

RFC 9293 §3.10.7.2 (LISTEN), and SYN_RECEIVED as long as it is a record of `half_open`, which says
what to do with a segment; Linux's limits on queues. The listener itself never changes state.
"""

from __future__ import annotations

from errno import ECONNABORTED

from pystack.errors import PartError
from pystack.ip.keyed_hash import keyed_hash
from pystack.parts import variants
from pystack.stack import fast_accepts
from pystack.stack import half_open as handshaking
from pystack.stack.connections import ConnectionTable
from pystack.stack.half_open import HalfOpen
from pystack.stack.listener import Listener
from pystack.stack.no_connection import send_reset
from pystack.tcp.header import fastopen_option
from pystack.tcp.input import handshake, receive
from pystack.tcp.policies import isn
from pystack.tcp.policies.experimental_option import ExperimentalOption
from pystack.tcp.state.states import CLOSED
from pystack.tcp.tcb import Tcb
from pystack.tcp.user import user_calls
from pystack.wire.consts import (
    ACK,
    DROP_ACCEPT_QUEUE_FULL,
    DROP_NO_ACK,
    DROP_SYN_QUEUE_FULL,
    FIN,
    HAS_EXPERIMENT,
    RST,
    SYN,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK


# -- LISTEN ---------------------------------------------------------------------------------------
def in_listen(
    host: ConnectionTable, listener: Listener, seg: Segment, now_us: int, iss: int | None
) -> None:
    """A segment without a connection, to the port of a listener: a SYN begins one, with `iss` if
    that is given."""
    flags = seg.flags
    if flags & RST:
        return
    if flags & ACK:
        send_reset(host, seg)
    elif not flags & SYN or flags & FIN:
        host.counters.dropped[DROP_NO_ACK] += 1
    else:
        _on_syn(host, listener, seg, now_us, iss)


def _on_syn(
    host: ConnectionTable, listener: Listener, seg: Segment, now_us: int, iss: int | None
) -> None:
    """Keep a compact record and answer by a SYN,ACK. Data on the SYN is left for the peer to send
    again (RFC 4987 §3.6), but for TCP Fast Open's."""
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
            return  # `on_part_failed` was called; the peer may try again
    try:
        option = _option_for(host, listener, seg, now_us)
    except OSError as error:
        host.part_failed(str(error.strerror), error)
        send_reset(host, seg)
        return
    mtu = host.ip.path_mtus.device_mtu
    route = None
    if host.addresses.has_metrics:
        mtu = host.ip.path_mtus.first_hop_mtu(seg.remote)
        route = host.addresses.metrics_for(seg.remote)
    half_open = HalfOpen(
        listener, seg, config, iss & MASK, isn.timestamp_offset(host.secret, key), mtu, option,
        route,
    )  # fmt: skip
    if seg.version == 6:
        half_open.ident = keyed_hash(host.secret, key, b"ip ident") & 0xFFFFF
    elif not half_open.df:
        half_open.ident = host.ip.next_ident(seg.remote)
    host.add_half_open(half_open)
    half_open.first_sent_us = now_us
    if (seg.length or seg.options & fastopen_option.MAY_BE_THERE) and _begins_at_once(
        host, half_open, seg, now_us
    ):
        return
    half_open.next_repeat(config, now_us)
    host.wakeups.at(half_open, half_open.due_us)
    _send_syn_ack(host, half_open, now_us)


def _begins_at_once(
    host: ConnectionTable, half_open: HalfOpen, seg: Segment, now_us: int
) -> bool:
    """TCP Fast Open (RFC 7413 §4.2.2): whether the SYN makes a connection that waits to be accepted
    now. If not, the SYN,ACK may tell a cookie."""
    listener = half_open.listener
    found = fast_accepts.answer(
        listener.fast_accepts, seg, fastopen_option.read(seg), host.config, host.secret,
        host.counters, now_us,
    )  # fmt: skip
    cookie = b"" if found.option is None else found.option.octets()
    if not found.at_once:
        half_open.tell_cookie(cookie)
        return False
    half_open.open_at_once(seg, cookie)
    try:
        tcb = host.tcb_for(half_open)
    except OSError as error:
        host.part_failed(str(error.strerror), error)
        send_reset(host, seg)
        host.forget_half_open(half_open)
        return True
    listener.fast_accepts.begin()
    host.counters.fastopen_passive += 1
    try:
        handshake.begin_transfer(tcb, now_us)
    except Exception as error:
        if not host.contain_fault(tcb, error):
            raise
    receive.on_syn_payload(tcb, seg, now_us)
    host.touch(tcb)
    handshake_complete(host, listener, tcb)
    return True


def _option_for(
    host: ConnectionTable, listener: Listener, seg: Segment, now_us: int
) -> ExperimentalOption | None:
    """The experimental option of a connection that begins, which has seen the SYN. Raises OSError
    for one that can't be made or raises."""
    name = listener.option or host.config.tcp_experimental_option
    option: ExperimentalOption | None = variants.make(variants.OPTION, name)
    if option is not None and seg.options & HAS_EXPERIMENT:
        try:
            option.take(seg, now_us)
        except PartError as error:
            raise OSError(ECONNABORTED, str(error)) from error
    return option


def _send_syn_ack(host: ConnectionTable, half_open: HalfOpen, now_us: int) -> bool:
    """Whether it was sent. An experimental option that raises ends the attempt."""
    try:
        return half_open.send_syn_ack(host.tx, host.config, now_us)
    except PartError as error:
        host.part_failed(str(error), error)
    half_open.send_reset(host.tx)
    host.forget_half_open(half_open)
    return False


# -- SYN_RECEIVED ---------------------------------------------------------------------------------
def in_syn_received(
    host: ConnectionTable, half_open: HalfOpen, seg: Segment, now_us: int
) -> Tcb | None:
    """A segment of a half-open connection. When it completes the handshake, the TCB that has taken
    the record's place, which is to take the segment as its first."""
    answer = half_open.segment_arrives(seg, now_us)
    if answer == handshaking.COMPLETE:
        return _tcb_for(host, half_open, seg)
    if answer == handshaking.SYN_AGAIN:
        _send_syn_ack(host, half_open, now_us)
    elif answer == handshaking.ACKNOWLEDGE:
        if half_open.may_acknowledge(host.config, now_us) and host.shared.take_challenge(now_us):
            half_open.send_ack(host.tx, now_us)
    elif answer == handshaking.ANSWER_WITH_RST:
        send_reset(host, seg)
    elif answer == handshaking.FORGET:
        host.counters.attempt_fails += 1
        host.forget_half_open(half_open)
    return None


def _tcb_for(host: ConnectionTable, half_open: HalfOpen, seg: Segment) -> Tcb | None:
    """None when there is no room in the accept queue, or a part of it can't be made."""
    listener = half_open.listener
    if listener.accept_queue_full:
        host.counters.listen_overflows += 1
        if host.config.tcp_abort_on_overflow:
            send_reset(host, seg)
            host.forget_half_open(half_open)
        else:
            host.counters.dropped[DROP_ACCEPT_QUEUE_FULL] += 1
        return None
    try:
        return host.tcb_for(half_open)
    except OSError as error:
        host.part_failed(str(error.strerror), error)
        send_reset(host, seg)
        host.forget_half_open(half_open)
        return None


def handshake_complete(host: ConnectionTable, listener: Listener, tcb: Tcb) -> None:
    """The TCB has taken its first segment: it waits to be accepted, unless that has ended it."""
    if tcb.state == CLOSED:
        user_calls.close(tcb)  # what has come with that segment is never read
        return
    listener.queue.append(tcb)
    host.note_acceptable(listener)


def half_open_due(host: ConnectionTable, half_open: HalfOpen, now_us: int) -> None:
    """The SYN,ACK was not answered in time: once more, or give up."""
    if host.connections.get(half_open.key) is not half_open:
        return
    config = host.config
    if half_open.gives_up(config):
        host.counters.attempt_fails += 1
        host.forget_half_open(half_open)
        return
    is_repeated = half_open.retransmits()
    half_open.repeats += 1
    half_open.next_repeat(config, now_us)
    host.wakeups.at(half_open, half_open.due_us)
    if is_repeated and _send_syn_ack(host, half_open, now_us):
        host.counters.retrans_segs += 1
