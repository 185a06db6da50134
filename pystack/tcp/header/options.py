"""What two SYNs agree on: MSS, window scale, timestamps, SACK (RFC 9293 §3.2, 7323, 2018).

Writes `snd_mss`, `adv_mss`, `eff_mss`, `path_mtu`, `mtu_locked`, `snd_wscale`, `rcv_wscale`,
`ts_ok`, `sack_ok`, `ts_offset`. Options are laid out as Linux lays them out.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from pystack.config import Config
from pystack.ip.route_metrics import RouteMetrics
from pystack.tcp.header import window
from pystack.tcp.tcb import Tcb
from pystack.wire.consts import (
    DEFAULT_MSS_IPV4,
    DEFAULT_MSS_IPV6,
    HAS_SACK_PERMITTED,
    HAS_TIMESTAMPS,
    IPV4_HEADER,
    IPV6_HEADER,
    MAX_WSCALE,
    TCP_HEADER,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK

TIMESTAMPS_SPACE: Final = 12
ACCECN_SPACE: Final = 12
MAX_RUN: Final = 65535 - 120  # octets of payload: the largest IP packet less the largest headers
_MSS: Final = Struct("!BBH")
_TIMESTAMPS: Final = Struct("!BBBBII")  # after two octets: sackOK, or nop,nop
_SACK_PERMITTED: Final = b"\x01\x01\x04\x02"


def timestamp(offset: int, now_us: int) -> int:
    """Our timestamp clock: 1 ms per tick plus a connection's offset."""
    return (now_us // 1000 + offset) & MASK


def now_ts(tcb: Tcb, now_us: int) -> int:
    """The timestamp clock of a connection."""
    return timestamp(tcb.ts_offset, now_us)


def echoed_us(tcb: Tcb, seg: Segment, now_us: int) -> int:
    """When SEG.TSecr was no longer our clock's value: what it answers was sent before that. Now,
    if there is none."""
    if not seg.options & HAS_TIMESTAMPS or not seg.tsecr:
        return now_us
    ago = (now_ts(tcb, now_us) - seg.tsecr) & MASK
    return (now_us // 1000 - ago + 1) * 1000 if ago < HALF else now_us


def timestamps_option(tsval: int, tsecr: int) -> bytes:
    """`nop,nop,TS` as every segment after the SYN has it."""
    return _TIMESTAMPS.pack(1, 1, 8, 10, tsval, tsecr)


def headers(v4: bool) -> int:
    """Fixed IP and TCP header bytes."""
    return (IPV4_HEADER if v4 else IPV6_HEADER) + TCP_HEADER


def receive_wscale(config: Config, clamp: int) -> int:
    """Rcv.Wind.Shift by the largest receive buffer allowed (Linux: tcp_select_initial_window).

    `clamp` is the largest window that there can be: TCP_WINDOW_CLAMP, or half of a receive
    buffer that was set and so will not grow; 0 for none.
    """
    if not config.tcp_window_scaling:
        return 0
    space = max(config.tcp_rmem[2], config.rmem_max)
    if clamp:
        space = min(space, clamp)
    shift = space.bit_length() - 16
    return min(max(shift, 0), MAX_WSCALE)


def announced_mss(
    mtu: int, v4: bool, max_seg: int, minimum: int, route: RouteMetrics | None = None
) -> int:
    """The MSS option's value: MTU less fixed headers (RFC 6691), or what the route has, capped by
    TCP_MAXSEG."""
    mss = route.advmss if route is not None and route.advmss else mtu - headers(v4)
    if max_seg:
        mss = min(mss, max_seg)
    return max(mss, minimum)


def prepare(tcb: Tcb, mtu: int, ts_offset: int) -> None:
    """Before our SYN: what we offer. `mtu` is the device's, or the route's if that is smaller."""
    config = tcb.config
    v4 = tcb.v4
    tcb.adv_mss = announced_mss(
        mtu, v4, tcb.user.max_seg, config.tcp_min_snd_mss, tcb.user.route
    )
    clamp = window.full_space(tcb) if tcb.user.rcvbuf_locked else tcb.window_clamp
    tcb.rcv_wscale = receive_wscale(config, clamp)
    tcb.ts_ok = config.tcp_timestamps != 0
    tcb.sack_ok = config.tcp_sack != 0
    tcb.ts_offset = 0 if config.tcp_timestamps == 2 else ts_offset
    set_eff_mss(tcb)


def agree(tcb: Tcb, seg: Segment) -> None:
    """The peer's SYN or SYN,ACK: keep what both sides offer."""
    v4 = tcb.v4
    default = DEFAULT_MSS_IPV4 if v4 else DEFAULT_MSS_IPV6  # RFC 9293 MUST-15
    peer_mss = seg.mss or default
    tcb.snd_mss = max(peer_mss, tcb.config.tcp_min_snd_mss)
    if seg.wscale >= 0 and tcb.config.tcp_window_scaling:
        tcb.snd_wscale = min(seg.wscale, MAX_WSCALE)
    else:
        tcb.snd_wscale = 0
        tcb.rcv_wscale = 0
    tcb.ts_ok = tcb.ts_ok and bool(seg.options & HAS_TIMESTAMPS)
    tcb.sack_ok = tcb.sack_ok and bool(seg.options & HAS_SACK_PERMITTED)
    set_eff_mss(tcb)


def take_agreed(
    tcb: Tcb, *, snd_mss: int, adv_mss: int, snd_wscale: int, rcv_wscale: int, ts_ok: bool,
    sack_ok: bool, ts_offset: int,
) -> None:  # fmt: skip
    """What a half-open connection's record has agreed on, when it becomes a TCB."""
    tcb.snd_mss = snd_mss
    tcb.adv_mss = adv_mss
    tcb.snd_wscale = snd_wscale
    tcb.rcv_wscale = rcv_wscale
    tcb.ts_ok = ts_ok
    tcb.sack_ok = sack_ok
    tcb.ts_offset = ts_offset
    set_eff_mss(tcb)


def set_path_mtu(tcb: Tcb, path_mtu: int, locked: bool) -> None:
    """The path's (or the device's) MTU as known now; `locked`: it is narrower than that and
    routers are left to fragment (Linux, below min_pmtu)."""
    tcb.path_mtu = path_mtu
    tcb.mtu_locked = locked
    set_eff_mss(tcb)


def set_eff_mss(tcb: Tcb) -> None:
    """Eff.snd.MSS of RFC 9293 §3.7.1, less the options that every data segment carries."""
    mss = tcb.snd_mss
    if tcb.user.max_seg:
        mss = min(mss, tcb.user.max_seg)
    if tcb.path_mtu:
        mss = min(mss, tcb.path_mtu - headers(tcb.v4))
    if tcb.mtu_search is not None:
        mss = min(mss, tcb.mtu_search.low - headers(tcb.v4))
    mss = min(max(mss, tcb.config.tcp_min_snd_mss), MAX_RUN)
    if tcb.ts_ok:
        mss -= TIMESTAMPS_SPACE
    if tcb.option is not None:
        mss -= tcb.option.data_space()
    if tcb.accecn is not None and tcb.accecn.sends:
        mss -= ACCECN_SPACE
    if mss != tcb.eff_mss:
        tcb.eff_mss = mss
        tcb.cc.on_mss(mss)


def payload_within(tcb: Tcb, mtu: int) -> int:
    """The payload of a full segment whose packet has at most `mtu` octets, if the peer and the user
    take as much."""
    most = min(tcb.snd_mss, tcb.user.max_seg) if tcb.user.max_seg else tcb.snd_mss
    mss = min(max(min(most, mtu - headers(tcb.v4)), tcb.config.tcp_min_snd_mss), MAX_RUN)
    return mss + headers(tcb.v4) - packet_size(tcb, 0)


def packet_size(tcb: Tcb, payload: int) -> int:
    """How large the packet of a data segment is, with the options that each of them carries."""
    size = payload + headers(tcb.v4)
    if tcb.ts_ok:
        size += TIMESTAMPS_SPACE
    if tcb.option is not None:
        size += tcb.option.data_space()
    if tcb.accecn is not None and tcb.accecn.sends:
        size += ACCECN_SPACE
    return size


def syn_options(
    mss: int, sack: bool, timestamps: bool, tsval: int, tsecr: int, wscale: int,
    accecn: bytes = b"",
) -> bytes:  # fmt: skip
    """The options of a SYN or SYN,ACK, in Linux's order. `wscale` -1 leaves it out; `accecn` is
    the whole option."""
    parts = [_MSS.pack(2, 4, mss)]
    if timestamps:
        first, second = (4, 2) if sack else (1, 1)
        parts.append(_TIMESTAMPS.pack(first, second, 8, 10, tsval, tsecr))
    parts.append(accecn)
    if sack and not timestamps:
        parts.append(_SACK_PERMITTED)
    if wscale >= 0:
        parts.append(bytes((1, 3, 3, wscale)))
    return b"".join(parts)
