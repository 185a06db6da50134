"""The client's side of TCP Fast Open (RFC 7413 §4.1.3, §4.2.1): which option and which data the
first SYN has, what its answer tells, and what silence does.

Writes the record `fast_open`. SYNs that are sent again have neither option nor data (§4.2.1).
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.header import options
from pystack.tcp.header.fastopen_option import FastOpenOption, read
from pystack.tcp.policies.experimental_option import OPTIONS_MOST
from pystack.tcp.recovery import recovery
from pystack.tcp.state.records import FastOpen
from pystack.tcp.state.states import ESTABLISHED, SYN_SENT
from pystack.tcp.tcb import SEND_SYN, Tcb
from pystack.wire.segment import Segment

# bits of tcp_fastopen
CLIENT: Final = 1
NO_COOKIE_NEEDED: Final = 4

# tcpi_fastopen_client_fail
COOKIE_UNAVAILABLE: Final = 1
DATA_NOT_ACKED: Final = 2
SYN_RETRANSMITTED: Final = 3

NO_DATA: Final = -1


# -- the first SYN ---------------------------------------------------------------------------------
def plan(tcb: Tcb, no_cookie: bool) -> int:
    """The SYN of `tcb`, which waits to be sent, is one of TCP Fast Open: how many octets of data it
    may have, NO_DATA without a cookie, where it asks for one."""
    fast_open = tcb.fast_open = FastOpen()
    server = tcb.shared.fast_opens.find(tcb.key)
    if not no_cookie and not tcb.config.tcp_fastopen & NO_COOKIE_NEEDED:
        cookie = b"" if server is None else server.cookie
        if cookie and server is not None:
            fast_open.experimental = server.experimental
        elif server is not None:
            fast_open.experimental = server.asks_experimental == 1
        fast_open.option = FastOpenOption(cookie, fast_open.experimental).octets()
        if not cookie:
            fast_open.failed = COOKIE_UNAVAILABLE
            return NO_DATA
    mss = server.mss if server is not None and server.mss else tcb.adv_mss
    mss = min(mss, tcb.path_mtu - options.headers(tcb.v4))
    if tcb.user.max_seg:
        mss = min(mss, tcb.user.max_seg)
    return max(mss - OPTIONS_MOST, 0)  # room for the options of middleboxes too (Linux)


def may_leave(tcb: Tcb, fast_open: FastOpen, room: int, now_us: int) -> bool:
    """The first SYN leaves now, with `room` octets for the option. False: it goes plain, for that
    or in a pause after failures; its data follows the handshake."""
    cache = tcb.shared.fast_opens
    if cache.is_paused(tcb.key, now_us) or len(fast_open.option) > room:
        fast_open.option = b""
        fast_open.length = 0
        return False
    fast_open.after_pause = cache.was_paused
    return True


def defer(tcb: Tcb) -> None:
    """TCP_FASTOPEN_CONNECT: the SYN waits for the first data."""
    if tcb.fast_open is not None:
        tcb.fast_open.deferred = True
        tcb.pending &= ~SEND_SYN


def waits_for_data(tcb: Tcb) -> bool:
    """Whether the SYN waits for the first data."""
    return tcb.fast_open is not None and tcb.fast_open.deferred and tcb.state == SYN_SENT


def put_on_syn(tcb: Tcb, length: int) -> None:
    """The first `length` octets of what was written go with the SYN, which leaves with the next
    transmit."""
    if tcb.fast_open is not None:
        tcb.fast_open.length = length
        tcb.fast_open.deferred = False
        tcb.pending |= SEND_SYN


# -- what comes back -------------------------------------------------------------------------------
def on_syn_ack(tcb: Tcb, fast_open: FastOpen, seg: Segment, now_us: int) -> bool:
    """The SYN,ACK that has established the connection (Linux: tcp_rcv_fastopen_synack). Data of the
    SYN that it leaves out is sent again at once (RFC 7413 §4.2.2). Whether nothing is left out, so
    that data of the SYN,ACK may be taken."""
    if not (fast_open.option or fast_open.length):
        return False
    counters = tcb.shared.counters
    left_out = fast_open.length > 0 and tcb.snd_una < tcb.iss + 1 + fast_open.length
    told = _learn(tcb, fast_open, seg)
    repeated = tcb.stats.total_retrans > 0
    if not left_out:
        tcb.shared.fast_opens.worked(tcb.key)
        if fast_open.length:
            fast_open.data_acked = True
            counters.fastopen_active += 1
        return True
    if not told:
        tcb.shared.fast_opens.failed(tcb.key, now_us)
    fast_open.failed = SYN_RETRANSMITTED if repeated else DATA_NOT_ACKED
    counters.fastopen_active_fail += 1
    recovery.send_again(tcb)
    return False


def _learn(tcb: Tcb, fast_open: FastOpen, seg: Segment) -> bool:
    """Keep what the SYN,ACK tells; whether it has a cookie. An unsolicited one is ignored."""
    found = read(seg) if fast_open.option else None
    cache = tcb.shared.fast_opens
    if found is None or not found.cookie:
        cache.learn(tcb.key, tcb.snd_mss, b"", False)
        if fast_open.option and not fast_open.length and not tcb.stats.total_retrans:
            cache.gave_none(tcb.key, fast_open.experimental)
        return False
    cache.learn(tcb.key, tcb.snd_mss, found.cookie, found.experimental)
    return True


# -- silence ---------------------------------------------------------------------------------------
def on_timeout(tcb: Tcb, fast_open: FastOpen, ended: bool, now_us: int) -> None:
    """The retransmission timer expired, `ended`: for the last time. At the third time in a row, or
    an earlier end, a middlebox may be at fault (Linux)."""
    if not (fast_open.option or fast_open.length):
        return
    if ended and tcb.state == SYN_SENT:
        tcb.shared.fast_opens.failed(tcb.key, now_us)
    if tcb.retransmits == 2 or (tcb.retransmits < 2 and ended):
        tcb.shared.counters.fastopen_active_fail += 1
        _pause_all(tcb, now_us)


def on_refused(tcb: Tcb, now_us: int) -> None:
    """An ICMP error has ended the attempt (RFC 7413 §4.1.3.1)."""
    fast_open = tcb.fast_open
    if fast_open is not None and (fast_open.option or fast_open.length) and tcb.opened_us:
        tcb.shared.fast_opens.failed(tcb.key, now_us)


def on_strange_rst(tcb: Tcb, fast_open: FastOpen) -> None:
    """A RST that is not the next number, before any data has come (Linux)."""
    if fast_open.option and not tcb.data_segs_in and tcb.state == ESTABLISHED:
        _pause_all(tcb, tcb.last_seg_us)


def on_end(tcb: Tcb, fast_open: FastOpen, now_us: int) -> None:
    """The connection has ended. When nothing came but a FIN out of order, something swallows data;
    when data came, the pause is over (Linux: tcp_fastopen_active_disable_ofo_check)."""
    if not fast_open.option:
        return
    if not tcb.data_segs_in:
        if tcb.fin_at_seq and not tcb.fin_received:
            _pause_all(tcb, now_us)
    elif fast_open.after_pause:
        tcb.shared.fast_opens.resume_all()


def _pause_all(tcb: Tcb, now_us: int) -> None:
    if tcb.shared.fast_opens.pause_all(now_us):
        tcb.shared.counters.fastopen_blackhole += 1


def on_path_mtu(tcb: Tcb, fast_open: FastOpen, now_us: int) -> None:
    """A SYN whose data is too large for the path goes again at once, without (Linux)."""
    size = options.headers(tcb.v4) + OPTIONS_MOST + fast_open.length
    if tcb.state == SYN_SENT and fast_open.length and size > tcb.path_mtu and not tcb.retransmits:
        recovery.note_retransmit(tcb, now_us)
        tcb.pending |= SEND_SYN
