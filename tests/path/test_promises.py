"""What every stage promises, whatever comes and however it is driven (hypothesis).

No packet out of nothing, none before its time, each accounted for, the deadline kept; and the same
seed gives the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystack.path.ack_thinning import AckThinning
from pystack.path.bursts import GilbertElliott
from pystack.path.chance import Chance
from pystack.path.faults import Corruption, Duplication, Loss, Reordering
from pystack.path.intervals import Interval
from pystack.path.link import Delay, Link, Stage
from pystack.path.mtu import Mtu
from pystack.path.netem_delay import NetemDelay
from pystack.path.nth import Nth
from pystack.path.outage import Outage
from pystack.path.queues.ack_filter import AckFilter
from pystack.path.queues.bottleneck import Pipe, Queue
from pystack.path.queues.codel import Codel, CodelLaw
from pystack.path.queues.discipline import DropTail
from pystack.path.queues.fq_codel import FqCodel
from pystack.path.queues.red import Red
from pystack.path.queues.traced import TracedQueue
from pystack.path.scheduled import Scheduled
from pystack.path.spikes import Spikes
from pystack.wire.batch import Packet
from tests.path.traffic import ECT0, NOT_ECT, ack, sized

RATE = 4_000_000


@dataclass
class Kind:
    """A stage and its promises."""

    make: Callable[[int], Stage]
    least_us: int = 0  # no packet is earlier than this after it came
    most_us: int = 0  # nor later, unless 0
    keeps_order: bool = False
    gone: tuple[str, ...] = ()  # counters of packets that do not come out
    more: tuple[str, ...] = field(default=())  # and of such that come out besides


def law() -> CodelLaw:
    return CodelLaw(target_us=500, interval_us=5_000, ecn=True)


KINDS = {
    "loss": Kind(lambda s: Loss(0.3, Random(s), 0.25, ecn=True), 0, 1, True, ("lost",)),
    "bursts": Kind(lambda s: GilbertElliott(0.2, 0.4, Random(s)), 0, 1, True, ("lost",)),
    "duplication": Kind(lambda s: Duplication(0.4, Random(s)), 0, 1, True, (), ("duplicated",)),
    "reordering": Kind(lambda s: Reordering(0.3, Random(s), hold_us=900), 0, 900),
    "nth": Kind(lambda s: Nth(2, 5), 0, 1, True, ("lost",)),
    "outage": Kind(lambda s: Outage(Interval(500, 300, 1000)), 0, 1, True, ("cut_off",)),
    "spikes": Kind(lambda s: Spikes(Interval(500, 300, 1000)), 0, 300, True),
    "mtu": Kind(lambda s: Mtu(700), 0, 1, True, ("too_big",)),
    "ack thinning": Kind(lambda s: AckThinning(3, 800), 0, 800, False, ("thinned",)),
    "delay": Kind(lambda s: Delay(400), 400, 400, True),
    "jitter in order": Kind(lambda s: Delay(400, 100, Random(s)), 400, 500, True),
    "jitter": Kind(lambda s: Delay(400, 100, Random(s), reorder=True), 400, 500),
    "netem": Kind(
        lambda s: NetemDelay(
            400, 100, Random(s), correlation=0.5, overtakes=Chance(0.2, Random(s + 1)), limit=5
        ), 0, 500, False, ("dropped",),
    ),
    "pipe": Kind(lambda s: Pipe(RATE, 5, 100), 180, 0, True, ("dropped",)),
    "drop-tail": Kind(lambda s: Queue(RATE, DropTail(5)), 80, 0, True, ("dropped",)),
    "in bytes": Kind(
        lambda s: Queue(RATE, DropTail(5_000, in_bytes=True), changes=[(5_000, 0), (9_000, RATE)]),
        80, 0, True, ("dropped",),
    ),
    "ack filter": Kind(
        lambda s: Queue(RATE, AckFilter(5)), 80, 0, True, ("dropped", "thinned")
    ),
    "red": Kind(
        lambda s: Queue(RATE, Red(9, 1, 5, Random(s), weight=1, gentle=True, ecn=True)),
        80, 0, True, ("dropped", "early_dropped"),
    ),
    "codel": Kind(
        lambda s: Queue(RATE, Codel(9, law())), 80, 0, True, ("dropped", "early_dropped")
    ),
    "fq_codel": Kind(
        lambda s: Queue(RATE, FqCodel(9, law(), flows=4, perturbation=s)),
        80, 0, False, ("dropped", "early_dropped"),
    ),
    "trace": Kind(lambda s: TracedQueue((1, 1, 3), DropTail(5)), 1, 0, True, ("dropped",)),
    "scheduled": Kind(
        lambda s: Scheduled((300, Delay(400)), (5_000, Loss(0.5, Random(s)))),
        0, 400, False, ("lost",),
    ),
    "all together": Kind(
        lambda s: Link(
            Mtu(1400), Loss(0.1, Random(s)), Duplication(0.2, Random(s + 1)),
            Queue(RATE, FqCodel(9, law())), NetemDelay(400, 100, Random(s + 2)),
        ), 380, 0, False, ("too_big", "lost", "dropped", "early_dropped"), ("duplicated",),
    ),
}  # fmt: skip

TRAFFIC = st.lists(
    st.tuples(st.integers(0, 900), st.integers(0, 3), st.integers(41, 1500), st.booleans()),
    min_size=1,
    max_size=50,
)


def traffic(drawn: list[tuple[int, int, int, bool]]) -> list[tuple[int, Packet]]:
    """(when, packet): text or an ACK, on one of three flows; no two packets are alike."""
    at_us = 1
    packets = []
    for number, (gap_us, port, length, capable) in enumerate(drawn):
        at_us += gap_us
        if port == 3:
            packets.append((at_us, ack(1000 * number, port=1)))
        else:
            ecn = ECT0 if capable else NOT_ECT
            packets.append((at_us, sized(length, number=number, port=port, ecn=ecn)))
    return packets


def name_of(packet: Packet) -> bytes:
    """The packet without what marking changes."""
    octets = bytes(packet[0])
    return octets[:1] + octets[2:10] + octets[12:]


def played(
    stage: Stage, packets: list[tuple[int, Packet]], every_us: int
) -> list[tuple[int, Packet]]:
    """What comes out and when; asked at the deadlines, or every so many µs only."""
    out: list[tuple[int, Packet]] = []
    asked_us = 1

    def let_pass(until_us: int) -> None:
        nonlocal asked_us
        while 0 < (deadline := stage.next_deadline()) <= until_us:
            now_us = deadline
            if every_us:
                now_us = -(-deadline // every_us) * every_us
                if now_us > until_us:
                    break  # whatever is fed next comes before that
            asked_us = max(asked_us, now_us)
            out.extend((asked_us, packet) for packet in stage.take(asked_us))
            assert not 0 < stage.next_deadline() <= asked_us

    for at_us, packet in packets:
        let_pass(at_us)
        out.extend((at_us, one) for one in stage.feed(packet, at_us))
    let_pass(1 << 40)
    assert stage.next_deadline() == 0
    return out


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(drawn=TRAFFIC, seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_packets_come_out_as_promised(
    kind: Kind, drawn: list[tuple[int, int, int, bool]], seed: int
) -> None:
    packets = traffic(drawn)
    stage = kind.make(seed)
    out = played(stage, packets, 0)

    came = {name_of(packet): at_us for at_us, packet in packets}
    names = Counter(name_of(packet) for _, packet in out)
    copies = sum(stage.counts().get(name, 0) for name in kind.more)
    assert set(names) <= set(came)  # nothing that had not come in
    assert sum(count - 1 for count in names.values()) <= copies

    gone = sum(stage.counts()[name] for name in kind.gone)
    assert len(out) + gone == len(packets) + copies  # each is accounted for

    for at_us, packet in out:
        late_us = at_us - came[name_of(packet)]
        assert late_us >= kind.least_us
        assert not kind.most_us or late_us <= kind.most_us
    if kind.keeps_order:
        order = [came[name_of(packet)] for _, packet in out]
        assert order == sorted(order)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(drawn=TRAFFIC, seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_same_seed_gives_the_same(
    kind: Kind, drawn: list[tuple[int, int, int, bool]], seed: int
) -> None:
    packets = traffic(drawn)
    first, second = kind.make(seed), kind.make(seed)
    assert played(first, packets, 0) == played(second, packets, 0)
    assert first.counts() == second.counts()


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@given(drawn=TRAFFIC, seed=st.integers(0, 1000), every_us=st.integers(1, 3_000))
@settings(max_examples=40, deadline=None)
def test_asking_late_changes_when_packets_come_and_nothing_else(
    kind: Kind, drawn: list[tuple[int, int, int, bool]], seed: int, every_us: int
) -> None:
    packets = traffic(drawn)
    exact, late = Link(kind.make(seed)), Link(kind.make(seed))
    in_time = played(exact, packets, 0)
    afterwards = played(late, packets, every_us)
    assert [packet for _, packet in afterwards] == [packet for _, packet in in_time]
    assert late.counts() == exact.counts()
    for (at_us, _), (late_us, _) in zip(in_time, afterwards, strict=True):
        assert at_us <= late_us <= at_us + every_us


def test_corruption_changes_one_bit_and_loses_nothing() -> None:
    stage = Corruption(0.5, Random(1))
    packets = traffic([(10, 0, 500, False)] * 200)
    out = played(stage, packets, 0)
    differences = [
        int.from_bytes(a[0], "big") ^ int.from_bytes(b[0], "big")
        for (_, a), (_, b) in zip(packets, out, strict=True)
    ]
    assert sum(one.bit_count() for one in differences) == stage.corrupted
    assert max(one.bit_count() for one in differences) == 1
