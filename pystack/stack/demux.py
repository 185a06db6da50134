"""Which connection a segment is for: what its flow key leads to takes it.

- a TCB: SEGMENT ARRIVES of `tcp` (RFC 9293 §3.10.7.3 and .4);
- a half-open record, SYN_RECEIVED of a passive open: `passive_open.in_syn_received`;
- a TIME_WAIT record: `time_wait`;
- nothing, but a listener has the port: `passive_open.in_listen` (§3.10.7.2);
- nothing, and no listener: `no_connection` answers by a RST (CLOSED, §3.10.7.1).
"""

from __future__ import annotations

from typing import Final

from pystack.ip.address_checks import is_for_host
from pystack.ip.keyed_hash import keyed_hash
from pystack.stack import passive_open
from pystack.stack import time_wait as waiting
from pystack.stack.connections import ConnectionTable
from pystack.stack.half_open import HalfOpen
from pystack.stack.listener import Listener
from pystack.stack.no_connection import send_reset
from pystack.stack.time_wait import TimeWait
from pystack.tcp.ecn import ecn
from pystack.tcp.input.segment_arrives import segment_arrives
from pystack.tcp.output.acks_and_probes import output_ack
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.wire.address import ANY_V4, ANY_V6, is_v4
from pystack.wire.segment import Segment

_ISN_STEP: Final = 65535 + 2  # a new connection out of TIME_WAIT begins so far above the old one


def deliver(host: ConnectionTable, seg: Segment, now_us: int) -> None:
    """Give a segment to what its key leads to. Dropped in silence unless it is for the host and
    has a valid source."""
    tcb = host.connections.get(seg.key)
    if (tcb is None or host.has_local_connections) and not is_for_host(host.ip, seg):
        return  # of a connection: from one of our own addresses, but from outside
    if type(tcb) is not Tcb:
        _without_tcb(host, tcb, seg, now_us)
        return
    try:
        if tcb.pending & ACK_NOW or (tcb.ecn is not None and ecn.ack_goes_first(tcb, tcb.ecn, seg)):
            output_ack(tcb, host.tx, now_us)
        if segment_arrives(tcb, seg, now_us):
            send_reset(host, seg)
    except Exception as error:
        if not host.contain_fault(tcb, error):
            raise
    if not tcb.dirty:
        tcb.dirty = True
        host.dirty.append(tcb)


def _without_tcb(
    host: ConnectionTable, connection: Tcb | HalfOpen | TimeWait | None, seg: Segment, now_us: int
) -> None:
    if type(connection) is HalfOpen:
        tcb = passive_open.in_syn_received(host, connection, seg, now_us)
        if tcb is not None:
            deliver(host, seg, now_us)  # the first segment that the TCB takes
            passive_open.handshake_complete(host, connection.listener, tcb)
    elif type(connection) is TimeWait:
        _in_time_wait(host, connection, seg, now_us)
    else:
        _in_listen_or_closed(host, seg, now_us, None)


def _in_time_wait(host: ConnectionTable, record: TimeWait, seg: Segment, now_us: int) -> None:
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
        _in_listen_or_closed(host, seg, now_us, record.snd_nxt + _ISN_STEP)


def _in_listen_or_closed(
    host: ConnectionTable, seg: Segment, now_us: int, iss: int | None
) -> None:
    """`iss` is that of a connection that follows one in TIME_WAIT, else None."""
    listener = find_listener(host, seg.key)
    if listener is None:
        send_reset(host, seg)
    else:
        passive_open.in_listen(host, listener, seg, now_us, iss)


def find_listener(host: ConnectionTable, key: bytes) -> Listener | None:
    """The listener for a flow: of the very address, else of a wildcard; of several with
    SO_REUSEPORT the one that its addresses and ports decide."""
    found = _first_listener(host.listeners, key)
    if found is None:
        return None
    group = found.group
    if found.local == ANY_V6 and is_v4(key):
        group = [one for one in group or (found,) if not one.v6only]
        if not group:
            return None
    if len(group) < 2:
        return group[0] if group else found
    return group[keyed_hash(host.secret, key, b"tcp reuse port") % len(group)]


def _first_listener(listeners: dict[bytes, Listener], key: bytes) -> Listener | None:
    port = key[32:34]
    found = listeners.get(key[:16] + port)
    if found is not None:
        return found
    if is_v4(key):
        found = listeners.get(ANY_V4 + port)
        if found is not None:
            return found
    return listeners.get(ANY_V6 + port)
