"""One segment or run into the transmit batch: the only caller of the builder for connections.

Fills what every segment has: acknowledgment, window, timestamps, SACK blocks; says so to
`window` and `delayed_ack`. Decides nothing about what is sent.
"""

from __future__ import annotations

from pystack.tcp.ecn import accecn, ecn
from pystack.tcp.fastopen import active
from pystack.tcp.header import options, sack_blocks, window
from pystack.tcp.policies.experimental_option import OPTIONS_MOST
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import delayed_ack
from pystack.wire import codec
from pystack.wire.address import is_v4
from pystack.wire.batch import TxBatch
from pystack.wire.consts import ACK, ECN_FIELD, RST, SYN, URG
from pystack.wire.seq import MASK

_DSCP_MASK = 0xFC
_LABEL = 0xFFFFF  # 20 bits, through all of which this step leads
_LABEL_STEP = 0x2E35D


def _option_octets(
    tcb: Tcb, sacks: bool, seq: int, length: int, flags: int, now_us: int
) -> bytes:
    """All options but timestamps: SACK blocks, as far as the experimental option leaves room, then
    AccECN (which stands before them, as in Linux)."""
    mine = b""
    taken = 0
    option = tcb.option
    if option is not None and not flags & RST:
        mine = option.segment_octets(seq - tcb.iss - 1, length, flags, tcb.ts_ok, now_us)
        taken = max(len(mine), option.data_space()) if length else len(mine)
    most = sack_blocks.that_fit(tcb.ts_ok, taken) if sacks else 0
    acc = tcb.accecn
    room = OPTIONS_MOST - (options.TIMESTAMPS_SPACE if tcb.ts_ok else 0) - taken
    if acc is not None and most > 2:
        blocks = min(most, sack_blocks.count(tcb))
        if blocks > 2 and accecn.fewer_blocks(acc, room - 4 - 8 * blocks):
            most = blocks - 1
    if most:
        mine = sack_blocks.take(tcb, most) + mine
    if acc is not None:
        mine = accecn.option(acc, tcb, room + taken - len(mine), now_us) + mine
    return mine


def segment(
    tcb: Tcb, tx: TxBatch, seq: int, length: int, flags: int, mss: int, now_us: int
) -> bool:
    """Put octets [seq, seq + length) with `flags` (ACK is added) into the batch.

    More than `mss` octets leave as one run to be cut by `mss`. False if the batch is full;
    then nothing has changed.
    """
    ts_ok = tcb.ts_ok
    opts = b""
    header = tcb_headers(tcb)
    sacks = tcb.sack_ok and (tcb.dsack is not None or tcb.recvbuf.ooo_bytes > 0)
    if sacks or tcb.option is not None or tcb.accecn is not None:
        off = tx.reserve(header + OPTIONS_MOST + length, mss if length > mss else 0)
        if off < 0:
            return False
        opts = _option_octets(tcb, sacks, seq, length, flags, now_us)
        header += len(opts)
    else:
        off = tx.reserve(header + length, mss if length > mss else 0)
        if off < 0:
            return False
    if length:
        tcb.sndbuf.copy_into(tx.view, off + header, seq, length)
    urgent = 0
    if tcb.snd_up > tcb.snd_una and tcb.snd_up > seq:
        urgent = tcb.snd_up - seq
        if urgent <= 0xFFFF:
            flags |= URG
        else:
            urgent = 0
    tos = tcb.tos & _DSCP_MASK
    if tcb.ecn is not None:
        bits = ecn.leaving(tcb, tcb.ecn, seq, length, flags)
        tos |= bits & ECN_FIELD
        flags |= bits >> 2
    gso_size = mss if length > mss else 0
    tsval = (now_us // 1000 + tcb.ts_offset) & MASK if ts_ok else 0
    ident = tcb.ident
    codec.build_tcp(
        tx.pinned, off, tcb.key, seq & MASK, tcb.rcv_nxt & MASK, flags | ACK,
        window.select(tcb), urgent, tos, tcb.ttl, ident,
        tcb.df and not tcb.mtu_locked,
        ts_ok, tsval, tcb.ts_recent, opts, length, tx.checksum_state,
    )  # fmt: skip
    tx.commit(off, header + length, gso_size, tx.checksum_state)
    if tcb.v4:
        tcb.ident = ident + (-(-length // mss) if gso_size else 1) & 0xFFFF
    if tcb.ack_scheduled or tcb.delack_at_us:
        delayed_ack.on_ack_sent(tcb)
    return True


def renew_flow_label(tcb: Tcb) -> None:
    """A retransmission timer has expired: where routers choose among several paths by the IPv6 flow
    label, what follows takes another one (RFC 6438; Linux: sk_rethink_txhash)."""
    tcb.ident = (tcb.ident * _LABEL_STEP + 1) & _LABEL or 1
    tcb.shared.counters.timeout_rehash += 1
    tcb.stats.rehashes += 1


def must_not_coalesce(tcb: Tcb) -> bool:
    """Whether each segment has something of its own, so that segments leave one by one: an urgent
    pointer, an experimental option, a digit of accurate ECN in CWR."""
    if tcb.snd_up > tcb.snd_una or (tcb.option is not None and tcb.option.must_not_coalesce()):
        return True
    return tcb.accecn is not None and accecn.must_not_coalesce(tcb.accecn)


def tcb_headers(tcb: Tcb) -> int:
    """IP, TCP and timestamp octets of every segment after the handshake."""
    return (52 if tcb.ts_ok else 40) if tcb.v4 else (72 if tcb.ts_ok else 60)


def syn(tcb: Tcb, tx: TxBatch, with_ack: bool, now_us: int) -> bool:
    """The SYN, or the SYN,ACK of a simultaneous open or of TCP Fast Open. False if the batch is
    full."""
    accept = tcb.fast_accept
    wscale = tcb.rcv_wscale if tcb.config.tcp_window_scaling else -1
    if accept is not None:
        wscale = accept.wscale
    elif with_ack and not tcb.snd_wscale and not tcb.rcv_wscale:
        wscale = -1
    tsval = options.now_ts(tcb, now_us)
    opts = options.syn_options(
        tcb.adv_mss, tcb.sack_ok, tcb.ts_ok, tsval, tcb.ts_recent if with_ack else 0, wscale,
        ecn.syn_ack_option(ecn.mode_of(tcb), tcb.config) if with_ack else b"",
    )  # fmt: skip
    data = b""
    if not tcb.opened_us and (accept is not None or tcb.fast_open is not None):
        cookie, data = _on_first_syn(tcb, with_ack, OPTIONS_MOST - len(opts), now_us)
        opts += cookie
    if tcb.option is not None:
        opts = tcb.option.syn_options(with_ack, opts, now_us)
    if accept is not None or tcb.opened_us:  # sent again, it offers the same (Linux)
        wnd = min(tcb.rcv_wnd, window.MAX_UNSCALED)
    else:
        wnd = window.initial_window(
            tcb.recvbuf.limit, tcb.window_clamp, tcb.adv_mss, tcb.rcv_wscale, tcb.user.route
        )
    flags = (SYN | ACK if with_ack else SYN) | ecn.syn_flags(tcb, with_ack)
    ack = tcb.rcv_nxt & MASK if with_ack else 0
    df = int(tcb.df and not tcb.mtu_locked)
    sent = bare(
        tx, tcb.key, tcb.iss & MASK, ack, flags, wnd, opts, tcb.tos, tcb.ttl, tcb.ident, df,
        ecn.control_ect(tcb), data,
    )  # fmt: skip
    if sent:
        tcb.ident = tcb.ident + 1 & 0xFFFF if tcb.v4 else tcb.ident
        if accept is None or not tcb.opened_us:
            window.offer_on_syn(tcb, wnd)
    return sent


def _on_first_syn(
    tcb: Tcb, with_ack: bool, room: int, now_us: int
) -> tuple[bytes, bytes]:
    """What TCP Fast Open puts on the first SYN or SYN,ACK alone: its option, if that has room, and
    data."""
    if tcb.fast_accept is not None:
        option = tcb.fast_accept.cookie
        return (option if len(option) <= room else b""), b""
    fast_open = tcb.fast_open
    if fast_open is None or with_ack or not active.may_leave(tcb, fast_open, room, now_us):
        return b"", b""
    return fast_open.option, tcb.sndbuf.copy(tcb.iss + 1, fast_open.length)


def bare(
    tx: TxBatch, key: bytes, seq: int, ack: int, flags: int, wnd: int, opts: bytes,
    tos: int, ttl: int, ident: int, df: int = 1, ect: int = 0, data: bytes = b"",
) -> bool:  # fmt: skip
    """A segment without a TCB's help: SYN, SYN,ACK, RST, TIME_WAIT's ACK.

    `seq` and `ack` are 32-bit, `wnd` is the header's field, `opts` all options, `ect` IP's ECN
    field; `data` is a SYN's.
    """
    header = (40 if is_v4(key) else 60) + len(opts)
    length = header + len(data)
    off = tx.reserve(length)
    if off < 0:
        return False
    if data:
        tx.view[off + header : off + length] = data
    codec.build_tcp(
        tx.pinned, off, key, seq, ack, flags, wnd, 0, tos & _DSCP_MASK | ect, ttl, ident, df,
        0, 0, 0, opts, len(data), tx.checksum_state,
    )  # fmt: skip
    tx.commit(off, length, 0, tx.checksum_state)
    return True
