"""Accurate ECN feedback (RFC 9768): counters of marks in the ACE field and in an option.

As receiver each side counts the packets that came marked CE (`rcv_cep`) and the payload of packets
of each codepoint, and reports these counts again and again: the low three bits of the first in the
flags AE, CWR and ECE of every segment, the others in the AccECN option when there is room. As
sender it works out by how much the peer's counters have moved. Writes `accecn`; `ecn` is the door.
"""

from __future__ import annotations

from typing import Final

from pystack.tcp.header import options
from pystack.tcp.state.records import FIRST_CEP, NO_REPORT, AccEcn
from pystack.tcp.tcb import ACK_NOW, Tcb
from pystack.wire.consts import (
    CE,
    ECN_FIELD,
    FIN,
    HAS_TIMESTAMPS,
    OPT_ACCECN0,
    OPT_ACCECN1,
    OPT_EOL,
    OPT_NOP,
    RST,
    TCP_HEADER,
)
from pystack.wire.segment import Segment
from pystack.wire.seq import HALF, MASK

ACE_SHIFT: Final = 6  # the three flags are neighbours: AE, CWR, ECE
ACE: Final = 7
CLASSIC_SETUP: Final = 0b011  # on a SYN: RFC 3168's request

# The ECN field that a SYN or a SYN,ACK arrived with, as its answer reports it (RFC 9768 §3.1.1)
_REPORTS: Final = (0b010, 0b011, 0b100, 0b110)
_REPORTED: Final = {ace: field for field, ace in enumerate(_REPORTS)}

_COUNT: Final = 0xFF_FFFF  # what a field of the option holds
_TOO_LATE: Final = 0x7F_FFFF
_FULL: Final = options.ACCECN_SPACE  # octets of an option of three fields and a NOP
_SHORT: Final = 8  # of one of two

# an ACK is due after this many marks, with and without new data (§3.2.2.5.1)
_MARKS_WITH_TEXT: Final = 2
_MARKS: Final = 3

_EWMA: Final = 6  # of packets per ACK: fraction bits, and its weight as a shift
_COMPRESSED: Final = 4  # more packets than this per ACK on average: ACKs are merged on the way

# tcp_ecn_option
_SPARE: Final = 1  # when it has news, and tcp_ecn_option_beacon times per round trip
_ALWAYS: Final = 3  # though segments that had it seem to have been lost
_OFTEN_ENOUGH: Final = 22  # bits: a counter that moved by so much is told at any rate (§3.2.3.3)


# -- the handshake ---------------------------------------------------------------------------------
def ace(flags: int) -> int:
    """The three flags of a segment as a number."""
    return flags >> ACE_SHIFT & ACE


def report_of(field: int) -> int:
    """The flags by which the answer to a SYN or SYN,ACK says which ECN field that came with."""
    return _REPORTS[field] << ACE_SHIFT


def first_flags() -> int:
    """The flags of a segment of ours before anything was marked."""
    return FIRST_CEP << ACE_SHIFT


def begin(tcb: Tcb, *, passive: bool, syn_field: int, their_syn: int = 0) -> AccEcn:
    """Both sides have agreed on it; for the arguments see the record."""
    acc = tcb.accecn = AccEcn(passive, syn_field)
    acc.their_syn = their_syn
    return acc


def on_syn_ack(acc: AccEcn, tcb: Tcb, seg: Segment) -> bool:
    """The SYN,ACK (or its copy, while nothing else was exchanged): its mark is told by the ACK
    that answers it. False: our SYN arrived with an ECN field that no honest path makes of ours."""
    field = seg.tos & ECN_FIELD
    acc.reflect = field
    if field == CE and acc.rcv_cep == FIRST_CEP:
        acc.rcv_cep += 1  # once, however many come (§3.2.2.2)
    _take_option(acc, tcb, seg)
    # the code that is still reserved tells that it arrived unchanged (§3.1.3)
    return _credible(tcb, acc.syn_field, _REPORTED.get(ace(seg.flags), acc.syn_field))


def _credible(tcb: Tcb, sent: int, arrived: int) -> bool:
    """Whether a path that follows the rules turns one ECN field into the other (§3.2.2.3); with
    `tcp_ecn_fallback` 0 that is not asked (Linux)."""
    if arrived == sent or not tcb.config.tcp_ecn_fallback:
        return True
    return arrived == CE and sent != 0


def syn_ack_option() -> bytes:
    """The option of a SYN,ACK: no payload was counted yet."""
    return _option(0, 1, 1)


# -- what leaves -----------------------------------------------------------------------------------
def leaving(acc: AccEcn, tcb: Tcb, length: int, flags: int) -> int:
    """The three flags of a segment that leaves now, with `length` octets of payload."""
    acc.unsent = 0
    field = acc.reflect
    if field >= 0:
        acc.reflect = NO_REPORT
        bare = not length and not flags & (FIN | RST) and not tcb.recvbuf.ooo_bytes
        if bare and tcb.rcv_nxt == tcb.irs + 1:
            return report_of(field)
    return (acc.rcv_cep & ACE) << ACE_SHIFT


def fewer_blocks(acc: AccEcn, room: int) -> bool:
    """Whether one of several SACK blocks gives way to the option: it has news, and would not fit
    into the `room` that they leave (Linux)."""
    return acc.sends and acc.news and room < _SHORT


def option(acc: AccEcn, tcb: Tcb, room: int, now_us: int) -> bytes:
    """The AccECN option, padded, for a segment that leaves with `room` octets for it; perhaps
    none."""
    acc.said = _is_due(acc, tcb, room, now_us)
    if not acc.said:
        return b""
    acc.said_us = now_us
    acc.news = False
    if acc.demand:
        acc.demand -= 1
    if room >= _FULL:
        if not acc.full:
            acc.full = _option(acc.rcv_ceb, acc.rcv_e0b, acc.rcv_e1b)
        return acc.full
    ceb = (acc.rcv_ceb & _COUNT).to_bytes(3, "big")
    if acc.rcv_e1b > 1:
        return bytes((OPT_ACCECN1, _SHORT)) + (acc.rcv_e1b & _COUNT).to_bytes(3, "big") + ceb
    return bytes((OPT_ACCECN0, _SHORT)) + (acc.rcv_e0b & _COUNT).to_bytes(3, "big") + ceb


def _is_due(acc: AccEcn, tcb: Tcb, room: int, now_us: int) -> bool:
    """Whether a segment that leaves now has the option."""
    if not acc.sends or room < _SHORT:
        return False
    config = tcb.config
    if tcb.retransmits and not tcb.bytes_acked and config.tcp_ecn_option != _ALWAYS:
        acc.sends = False  # our first data is lost: the option may be the reason (§3.2.3.2.2)
        return False
    if config.tcp_ecn_option != _SPARE or acc.demand:
        return True
    beacon = config.tcp_ecn_option_beacon
    return beacon > 0 and (now_us - acc.said_us) * beacon >= tcb.srtt_us


def _option(ceb: int, e0b: int, e1b: int) -> bytes:
    """All three counters, in Linux's order."""
    fields = (e1b & _COUNT) << 48 | (ceb & _COUNT) << 24 | e0b & _COUNT
    return bytes((OPT_ACCECN1, _FULL - 1)) + fields.to_bytes(9, "big") + bytes((OPT_NOP,))


def must_not_coalesce(acc: AccEcn) -> bool:
    """Whether segments must leave one by one: where a run is cut, CWR is cleared on all but the
    first, and here that flag is a digit."""
    return acc.rcv_cep & 0b010 != 0


# -- what comes in, as receiver ------------------------------------------------------------------
def arrives(acc: AccEcn, tcb: Tcb, seg: Segment) -> bool:
    """A segment that is acceptable: count its mark. False: the way eats or forges what we need to
    know, so that our packets must not be ECT (§3.2.2.1, §3.2.2.4)."""
    acc.decoded = False
    acc.marked = 0
    acc.ce_bytes = 0
    field = seg.tos & ECN_FIELD
    length = seg.length
    if field:
        if length:
            acc.full = b""
            acc.news = True
            if field == CE:
                now = acc.rcv_ceb = acc.rcv_ceb + length
            elif field == 2:
                now = acc.rcv_e0b = acc.rcv_e0b + length
            else:
                now = acc.rcv_e1b = acc.rcv_e1b + length
            if now >> _OFTEN_ENOUGH != now - length >> _OFTEN_ENOUGH and not acc.demand:
                acc.demand = 1
        if field == CE:
            acc.rcv_cep += seg.segs
            acc.unsent += seg.segs
            acc.demand = 2
            if acc.unsent >= (_MARKS_WITH_TEXT if length else _MARKS):
                tcb.pending |= ACK_NOW
    if not acc.first:
        return True
    acc.first = False
    _take_option(acc, tcb, seg)
    code = ace(seg.flags)
    if not code:
        return False
    if not acc.passive or length or seg.n_sack or seg.flags & FIN:
        return True
    # how our SYN,ACK came; codes that mean nothing yet are no reason for distrust
    acc.decoded = True
    arrived = _REPORTED.get(code, acc.syn_field)
    if not _credible(tcb, acc.syn_field, arrived):
        return False
    if arrived == CE:
        acc.snd_cep += 1
    return True


def on_payload(acc: AccEcn, tcb: Tcb, seg: Segment) -> None:
    """Payload in the window: a change of its mark is told at once (§3.2.2.5.1, §3.2.3.3)."""
    field = seg.tos & ECN_FIELD
    if field and field != acc.rcv_field:
        if acc.rcv_field or field == CE:
            tcb.pending |= ACK_NOW
            acc.demand = 2  # a second time, should the first be lost (Linux)
        acc.rcv_field = field


def on_duplicate(acc: AccEcn, tcb: Tcb, seq: int) -> None:
    """Payload from `seq` on has come once more. Twice the same, though our last ACK had the
    option: the ACKs that have it may be what gets lost (§3.2.3.2.2, Linux)."""
    if seq == acc.duplicate_seq and acc.said and tcb.config.tcp_ecn_option != _ALWAYS:
        acc.sends = False
        options.set_eff_mss(tcb)
    acc.duplicate_seq = seq


# -- what comes in, as sender --------------------------------------------------------------------
def is_newer(tcb: Tcb, seg: Segment) -> bool:
    """Whether a segment that acknowledges nothing new is known to be the peer's newest."""
    if not tcb.ts_ok or not seg.options & HAS_TIMESTAMPS:
        return False
    return 0 < (seg.tsval - tcb.ts_recent) & MASK < HALF


def decode(acc: AccEcn, tcb: Tcb, seg: Segment, delivered: int) -> int:
    """How many packets of ours an ACK tells to have been marked, beyond what is known; it has
    shown the arrival of `delivered` octets. `ce_bytes` is set as well.

    Three bits leave open how often they have gone round: the most that is possible is assumed
    unless the option tells otherwise, or ACKs for many packets are usual here (§3.2.2.5.2, A.2.1).
    """
    acc.decoded = True
    mss = tcb.eff_mss
    packets = -(-delivered // mss)
    ceb = _take_option(acc, tcb, seg)
    if packets:
        ewma = acc.ewma
        sample = packets << _EWMA
        acc.ewma = ewma + ((sample - ewma) >> _EWMA) if ewma else sample
    marked = ace(seg.flags) - acc.snd_cep & ACE
    if packets > ACE:
        most = packets - (packets - marked & ACE)
        if ceb >= 0:
            rounds = (-(-ceb // mss) - marked + 4) >> 3
            marked = min(most, marked + 8 * max(rounds, 0))
        elif acc.ewma <= _COMPRESSED << _EWMA:
            marked = most
    acc.snd_cep += marked
    acc.marked = marked
    if ceb < 0:
        acc.ce_bytes = min(marked * mss, delivered)
        acc.guessed += acc.ce_bytes
    else:  # what was guessed before is in it
        acc.ce_bytes = max(ceb - acc.guessed, 0)
        acc.guessed = max(acc.guessed - ceb, 0)
    return marked


def _take_option(acc: AccEcn, tcb: Tcb, seg: Segment) -> int:
    """Read the option, if the segment has one: octets newly told to be marked, -1 unknown."""
    at = _find_option(seg)
    if at < 0 or acc.distrust:
        return -1
    arena = seg.arena
    fields = (arena[at + 1] - 2) // 3
    if not fields:
        return -1
    values = [int.from_bytes(arena[at + 2 + 3 * i : at + 5 + 3 * i]) for i in range(min(fields, 3))]
    order1 = arena[at] == OPT_ACCECN1
    if not acc.seen and not _starts(acc, tcb, values):
        return -1
    ect = values[0]
    if order1:
        acc.snd_e1b += _moved(acc.snd_e1b, ect)
    else:
        acc.snd_e0b += _moved(acc.snd_e0b, ect)
    if fields > 2:
        if order1:
            acc.snd_e0b += _moved(acc.snd_e0b, values[2])
        else:
            acc.snd_e1b += _moved(acc.snd_e1b, values[2])
    if fields < 2:
        return -1
    ceb = _moved(acc.snd_ceb, values[1])
    acc.snd_ceb += ceb
    return ceb


def _starts(acc: AccEcn, tcb: Tcb, values: list[int]) -> bool:
    """The first option that comes: counters of ECT start at 1, so that a way that writes zeros is
    found out (§3.2.3.2.4), and they must not have gone half round. Then ours goes too (Linux)."""
    acc.seen = True
    if not values[0] or (len(values) > 2 and not values[2]) or tcb.bytes_sent >= _TOO_LATE:
        acc.distrust = True
        return False
    if tcb.config.tcp_ecn_option:
        acc.sends = True
        options.set_eff_mss(tcb)
    return True


def _moved(known: int, value: int) -> int:
    """By how much a counter of 24 bits has moved; 0 if it is an older one."""
    moved = value - known & _COUNT
    return moved if moved <= _TOO_LATE else 0


def _find_option(seg: Segment) -> int:
    """Where in the arena the segment's AccECN option begins, -1 if it has none. The parser has
    seen that all lengths are sound."""
    arena = seg.arena
    at = seg.upper + TCP_HEADER
    end = seg.options_end
    while at < end:
        kind = arena[at]
        if kind == OPT_NOP:
            at += 1
        elif kind in (OPT_ACCECN0, OPT_ACCECN1):
            return at
        elif kind == OPT_EOL:
            break
        else:
            at += arena[at + 1]
    return -1
