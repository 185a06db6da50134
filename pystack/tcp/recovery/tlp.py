"""Tail loss probes (RFC 8985 §7): when nothing comes back for two round trips, send one segment,
so that a loss at the end is found by SACK and not by the retransmission timer.

Writes `tail_probe`, its record and `tlp_rtt_samples`. `output` sends what is marked by PROBE_TAIL.
"""

from __future__ import annotations

from typing import Final

from pystack.cc.base import CWR, OPEN
from pystack.tcp.state.records import TailProbe
from pystack.tcp.tcb import PROBE_TAIL, Tcb
from pystack.tcp.timing import timers
from pystack.wire.segment import Segment
from pystack.wire.seq import MASK

_NO_SRTT_US: Final = 1_000_000
_SLACK_US: Final = 2_000  # Linux: TCP_TIMEOUT_MIN
_PROBING: Final = (3, 4)  # values of tcp_early_retrans


def schedule(tcb: Tcb, now_us: int) -> None:
    """Data left or SND.UNA moved: (re)start the clock, where probes have a place (§7.2)."""
    recovery = tcb.recovery
    if (
        not tcb.by_sack
        or not tcb.loss.uses_tlp
        or tcb.tail_probe is not None
        or (recovery != OPEN and recovery != CWR)
        or tcb.snd_una >= tcb.snd_nxt
        or tcb.scoreboard.sacked_bytes
        or not tcb.rto_at_us
        or tcb.tlp_rtt_samples == tcb.rtt_samples
        or tcb.config.tcp_early_retrans not in _PROBING
    ):
        if tcb.tlp_at_us:
            timers.arm_tlp(tcb, 0)
        return
    srtt_us = tcb.srtt_us
    if srtt_us:
        wait_us = 2 * srtt_us
        one = tcb.snd_nxt - tcb.snd_una <= tcb.eff_mss
        wait_us += tcb.rto_min_us if one else _SLACK_US  # the worst delayed ACK
    else:
        wait_us = _NO_SRTT_US
    at_us = now_us + wait_us
    timers.arm_tlp(tcb, min(at_us, tcb.rto_at_us))


def on_timer(tcb: Tcb) -> bool:
    """Silence: whether `output` is to probe."""
    timers.arm_tlp(tcb, 0)
    if not is_wanted(tcb):
        return False
    tcb.pending |= PROBE_TAIL
    return True


def is_wanted(tcb: Tcb) -> bool:
    """Whether a probe would still tell anything: an ACK may have come since it was due."""
    recovery = tcb.recovery
    return (
        tcb.snd_una < tcb.snd_nxt
        and tcb.tail_probe is None
        and recovery in (OPEN, CWR)
        and not tcb.scoreboard.sacked_bytes
    )


def sent(tcb: Tcb, is_retransmission: bool) -> None:
    """The probe has left: new data, or the last segment again."""
    tcb.tail_probe = TailProbe(tcb.snd_nxt, is_retransmission)
    tcb.tlp_rtt_samples = tcb.rtt_samples  # the next one wants a new measurement (§7.3)


def lost_one(tcb: Tcb, probe: TailProbe) -> bool:
    """An ACK has come, with no D-SACK for the probe: whether the probe has repaired a loss, which
    counts as any loss (§7.4.2)."""
    una = tcb.snd_una
    end = probe.end_seq
    if una < end:
        return False
    if not probe.is_retransmission:
        tcb.tail_probe = None
        return False
    if una > end:
        tcb.tail_probe = None
        return True
    return False


def came_twice(tcb: Tcb, probe: TailProbe, seg: Segment) -> bool:
    """Whether the D-SACK that `seg` begins with is for the probe: nothing was lost then."""
    if not probe.is_retransmission or (seg.sack_blocks()[0][1] - probe.end_seq) & MASK:
        return False
    if tcb.snd_una >= probe.end_seq:
        tcb.tail_probe = None
    return True


def on_dup_ack(tcb: Tcb) -> None:
    """An ACK that tells nothing else, from a peer that knows no D-SACK: for the second copy."""
    probe = tcb.tail_probe
    if probe is not None and probe.is_retransmission and tcb.snd_una >= probe.end_seq:
        tcb.tail_probe = None


def forget(tcb: Tcb) -> None:
    """The retransmission timer took over, or recovery did."""
    tcb.tail_probe = None
