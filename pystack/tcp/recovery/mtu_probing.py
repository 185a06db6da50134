"""The path's MTU found without ICMP: which size is tried next, and what a probe has shown.

Packetization layer path MTU discovery (RFC 4821, RFC 8899) as Linux has it: a probe is a segment of
data that is larger than the others. If it is acknowledged, all segments may be as large; if it
alone is lost, that was its size and no congestion. A black hole, where large packets vanish without
a word, is known by timeouts; segments then fall to `tcp_base_mss`, and smaller with each more.
`output.mtu_probe` sends the probes. Writes the record `mtu_search`.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import INFINITE_SSTHRESH
from pystack.tcp.header import options
from pystack.tcp.recovery import tlp, undo
from pystack.tcp.state.records import MtuSearch
from pystack.tcp.tcb import Tcb
from pystack.tcp.timing import timers

_LARGEST: Final = 0xFFFF
OFF, AFTER_BLACK_HOLE, ALWAYS = range(3)  # tcp_mtu_probing


def on_black_hole(tcb: Tcb, now_us: int) -> None:
    """Timeouts go on for longer than `tcp_retries1` allows, and no ICMP message says why: smaller
    segments (RFC 4821 §7.7)."""
    config = tcb.config
    if config.tcp_mtu_probing == OFF:
        return
    search = tcb.mtu_search
    if search is None:
        begin(tcb, now_us)
        return
    mss = min(config.tcp_base_mss, options.payload_within(tcb, search.low) >> 1)
    mss = max(mss, config.tcp_mtu_probe_floor, config.tcp_min_snd_mss)
    search.low = options.packet_size(tcb, mss)
    options.set_eff_mss(tcb)


def begin(tcb: Tcb, now_us: int) -> None:
    """A search begins: where `tcp_mtu_probing` is ALWAYS, when the handshake is complete."""
    low = options.packet_size(tcb, tcb.config.tcp_base_mss)
    tcb.mtu_search = MtuSearch(low, _highest(tcb), now_us)
    options.set_eff_mss(tcb)


def _highest(tcb: Tcb) -> int:
    """The largest packet that the peer, the user and the path as it is known allow."""
    return options.packet_size(tcb, options.payload_within(tcb, tcb.path_mtu or _LARGEST))


def note_path_mtu(tcb: Tcb, search: MtuSearch) -> None:
    """A router, or the device, has told an MTU."""
    search.high = min(search.high, tcb.path_mtu)


# -- the next probe --------------------------------------------------------------------------------
def next_payload(tcb: Tcb, search: MtuSearch, now_us: int) -> int:
    """The payload of the next probe, half-way between the bounds; 0 when they have met. Then a
    search begins anew once `tcp_probe_interval` is over."""
    config = tcb.config
    between = search.high - search.low
    payload = options.payload_within(tcb, search.high + search.low >> 1)
    most = options.payload_within(tcb, search.high)
    if between >= config.tcp_probe_threshold and tcb.eff_mss < payload <= most:
        return payload
    if now_us - search.since_us >= config.tcp_probe_interval * 1_000_000:
        search.high = _highest(tcb)
        search.low = options.packet_size(tcb, tcb.eff_mss)
        search.since_us = now_us
    return 0


def probe_sent(tcb: Tcb, search: MtuSearch, start: int, end: int) -> None:
    """Numbers [start, end) have left as a probe."""
    search.probe_size = options.packet_size(tcb, end - start)
    search.probe_start = start
    search.probe_end = end


# -- what has become of it -------------------------------------------------------------------------
def on_ack(tcb: Tcb, search: MtuSearch) -> None:
    """SND.UNA has moved. A probe that is acknowledged sets the size of all segments. The window
    stays what it was, in whole segments of the new size, less the one that the probe was more than
    its segment (Linux)."""
    if not search.probe_size or tcb.snd_una < search.probe_end:
        return
    cc = tcb.cc
    old_mss = tcb.eff_mss
    cwnd_segs = (cc.cwnd // old_mss - 1) * options.packet_size(tcb, old_mss) // search.probe_size
    cwnd_segs = max(cwnd_segs, 1)
    ssthresh_segs = cc.ssthresh // old_mss
    infinite = cc.ssthresh >= INFINITE_SSTHRESH
    search.low = search.probe_size
    search.probe_size = 0
    options.set_eff_mss(tcb)
    mss = tcb.eff_mss
    ssthresh_segs = max(ssthresh_segs, (cwnd_segs >> 1) + (cwnd_segs >> 2))
    cc.on_mtu_probed(cwnd_segs * mss, INFINITE_SSTHRESH if infinite else ssthresh_segs * mss)
    tcb.shared.counters.mtu_probe_success += 1


def is_lost(tcb: Tcb) -> bool:
    """Whether a loss that was just found is that of a probe, nothing before it being out."""
    search = tcb.mtu_search
    return search is not None and search.probe_size > 0 and tcb.snd_una == search.probe_start


def probe_failed(tcb: Tcb) -> None:
    """The probe was lost, and so was too large. That is no congestion (RFC 4821 §7.6.2): its octets
    go again in segments of the old size."""
    search = tcb.mtu_search
    if search is None:
        return
    tcb.scoreboard.mark_lost_below(search.probe_end, search.probe_start)
    tcb.scoreboard.forgive(search.probe_start, search.probe_end)
    search.high = search.probe_size - 1
    search.probe_size = 0
    search.repair_end = tcb.snd_nxt
    undo.forget(tcb)
    undo.frto_failed(tcb)
    tlp.forget(tcb)
    timers.arm_tlp(tcb, 0)
    tcb.shared.counters.mtu_probe_fail += 1


def probe_is_inconclusive(search: MtuSearch) -> None:
    """Something is sent again while a probe is out: what becomes of it tells nothing (§7.6.4)."""
    search.probe_size = 0
