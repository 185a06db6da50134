"""The language of impairments: every word, what it comes to, and every mistake."""

from __future__ import annotations

import re
from random import Random

import pytest

from pystack.path.ack_thinning import AckThinning
from pystack.path.bursts import GilbertElliott
from pystack.path.faults import Corruption, Cut, Duplication, Loss, Reordering
from pystack.path.intervals import Interval
from pystack.path.language import build
from pystack.path.language.parse import parse
from pystack.path.language.spec import Amount, Effects, Occurrence, QueueSpec
from pystack.path.link import Delay, Link, Stage
from pystack.path.mtu import Mtu
from pystack.path.netem_delay import NetemDelay
from pystack.path.nth import Nth
from pystack.path.outage import Outage
from pystack.path.queues.ack_filter import AckFilter
from pystack.path.queues.bottleneck import Queue
from pystack.path.queues.codel import Codel
from pystack.path.queues.discipline import DropTail
from pystack.path.queues.fq_codel import FqCodel
from pystack.path.queues.red import Red
from pystack.path.queues.traced import TracedQueue
from pystack.path.scheduled import Scheduled
from pystack.path.spikes import Spikes
from tests.path.traffic import CE, ECT0, ack, departures, ecn_of, numbers, partial, sized

MS = 1000
START = 10_000_000


def said(text: str) -> Effects:
    """What is said about both directions, from the start on."""
    impairment = parse(text, {"t.txt": "1\n2\n"}.__getitem__)
    assert impairment.inbound == impairment.outbound
    ((at_us, words),) = impairment.outbound.timeline
    assert at_us == 0
    return words


def link(text: str, *, seed: int = 1) -> Link:
    """The way out."""
    impairment = parse(text, {"t.txt": "1\n2\n"}.__getitem__)
    return build.links(impairment, start_us=START, seed=seed, make_source=Random)[1]


def kinds(text: str) -> list[type[Stage]]:
    return [type(stage) for stage in link(text).stages]


def only(text: str) -> Stage:
    """The one stage that it comes to, besides the cutting of runs."""
    (stage,) = [stage for stage in link(text).stages if not isinstance(stage, Cut)]
    return stage


# -- words ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delay 20ms", Effects(delay_us=20 * MS)),
        ("delay 20ms 2ms", Effects(delay_us=20 * MS, jitter_us=2 * MS)),
        (
            "delay 20ms 2ms 25%",
            Effects(delay_us=20 * MS, jitter_us=2 * MS, delay_correlation=0.25),
        ),
        (
            "delay 20ms 2ms distribution normal",
            Effects(delay_us=20 * MS, jitter_us=2 * MS, distribution="normal"),
        ),
        ("delay 1ms reorder 5%", Effects(delay_us=MS, reorder=Occurrence(0.05))),
        ("delay 1ms reorder 5% 50%", Effects(delay_us=MS, reorder=Occurrence(0.05, 0.5))),
        ("delay 1ms gap 5", Effects(delay_us=MS, gap=5)),
        ("loss 1%", Effects(loss=Occurrence(0.01))),
        ("loss 0.3% 25%", Effects(loss=Occurrence(0.003, 0.25))),
        ("loss random 1%", Effects(loss=Occurrence(0.01))),
        ("loss gemodel 1%", Effects(bursts=(0.01, 0.99, 1.0, 0.0))),
        ("loss gemodel 1% 10% 70% 0.1%", Effects(bursts=(0.01, 0.1, 0.7, 0.001))),
        ("duplicate 1% 5%", Effects(duplicate=Occurrence(0.01, 0.05))),
        ("corrupt 0.1%", Effects(corrupt=Occurrence(0.001))),
        ("rate 20mbit", Effects(rate_bps=20_000_000)),
        ("rate 1mbit limit 100", Effects(rate_bps=1_000_000, limit=Amount(100))),
        ("rate 1mbit limit 30kb", Effects(rate_bps=1_000_000, limit=Amount(30_720, True))),
        ("trace t.txt", Effects(trace=(1, 2))),
        ("loss 1% ecn", Effects(loss=Occurrence(0.01), ecn=True)),
        (
            "rate 1mbit queue fq_codel noecn",
            Effects(rate_bps=1_000_000, queue=QueueSpec("fq_codel"), ecn=False),
        ),
        (
            "rate 1mbit queue red min 5 max 15 probability 10% gentle",
            Effects(
                rate_bps=1_000_000,
                queue=QueueSpec(
                    "red", least=Amount(5), most=Amount(15), probability=0.1, gentle=True
                ),
            ),
        ),
        (
            "rate 1mbit queue codel target 10ms interval 200ms ce_threshold 1ms",
            Effects(
                rate_bps=1_000_000,
                queue=QueueSpec(
                    "codel", target_us=10 * MS, interval_us=200 * MS, ce_threshold_us=MS
                ),
            ),
        ),
        (
            "rate 1mbit queue fq_codel quantum 300 flows 16 limit 50",
            Effects(
                rate_bps=1_000_000,
                queue=QueueSpec("fq_codel", quantum=300, flows=16),
                limit=Amount(50),
            ),
        ),
        ("rate 1mbit ack-filter", Effects(rate_bps=1_000_000, ack_filter=True)),
        ("ack-thin 4", Effects(ack_thin=4, ack_hold_us=5 * MS)),
        ("ack-thin 4 2ms", Effects(ack_thin=4, ack_hold_us=2 * MS)),
        ("nth 17", Effects(nth=(17,))),
        ("nth 1,3 nth 9", Effects(nth=(1, 3, 9))),
        (
            "outage 2s 500ms outage 9s 1s every 10s",
            Effects(
                outages=(
                    Interval(2_000 * MS, 500 * MS), Interval(9_000 * MS, 1_000 * MS, 10_000 * MS),
                )
            ),
        ),
        ("spike 0 300ms every 5s", Effects(spikes=(Interval(0, 300 * MS, 5_000 * MS),))),
        ("mtu 1280", Effects(mtu=1280)),
        ("mtu 1280 silent", Effects(mtu=1280, mtu_silent=True)),
    ],
)  # fmt: skip
def test_a_word_and_what_it_comes_to(text: str, words: Effects) -> None:
    assert said(text) == words


def test_the_seed_belongs_to_no_direction() -> None:
    assert parse("loss 1% seed 7").seed == 7
    assert parse("in: loss 1% out: seed 0").seed == 0
    assert parse("loss 1%").seed is None


def test_what_was_said_is_kept_as_it_was() -> None:
    assert parse(" delay  20ms ").text == " delay  20ms "


# -- directions and times -------------------------------------------------------------------------
def test_words_without_a_direction_are_for_both() -> None:
    impairment = parse("delay 20ms in: loss 1% out: rate 1mbit delay 5ms")
    assert impairment.inbound.timeline == ((0, Effects(delay_us=20 * MS, loss=Occurrence(0.01))),)
    assert impairment.outbound.timeline == ((0, Effects(delay_us=5 * MS, rate_bps=1_000_000)),)


def test_a_direction_may_stand_close_to_its_word_and_end_with_both() -> None:
    impairment = parse("in:delay 1ms both: loss 1%")
    assert impairment.inbound.timeline == ((0, Effects(delay_us=MS, loss=Occurrence(0.01))),)
    assert impairment.outbound.timeline == ((0, Effects(loss=Occurrence(0.01))),)


def test_what_is_said_for_one_direction_goes_before_what_was_said_for_both() -> None:
    impairment = parse("loss 1% out: loss gemodel 1% 10%")
    assert impairment.inbound.timeline[0][1] == Effects(loss=Occurrence(0.01))
    assert impairment.outbound.timeline[0][1] == Effects(bursts=(0.01, 0.1, 1.0, 0.0))


def test_behind_at_is_what_changes_then() -> None:
    impairment = parse("rate 9mbit delay 9ms at 10s rate 3mbit at 5s delay 1ms out: mtu 1400")
    base = Effects(rate_bps=9_000_000, delay_us=9 * MS)
    later = Effects(rate_bps=9_000_000, delay_us=MS)
    last = Effects(rate_bps=3_000_000, delay_us=MS)
    assert impairment.inbound.timeline == ((0, base), (5_000 * MS, later), (10_000 * MS, last))
    assert [words.mtu for _, words in impairment.outbound.timeline] == [1400] * 3


# -- the stages that follow -----------------------------------------------------------------------
def test_netems_example_becomes_stages_in_the_order_of_a_way() -> None:
    text = "delay 20ms 2ms loss 1% reorder 5% rate 20mbit limit 100"
    assert kinds(text) == [Cut, Loss, Queue, NetemDelay]


def test_all_words_together_stand_in_the_order_of_a_way() -> None:
    text = (
        "spike 1s 1ms delay 1ms corrupt 1% duplicate 1% loss 1% mtu 1280 outage 1s 1ms nth 3 "
        "ack-thin 4 rate 1mbit"
    )
    assert kinds(text) == [
        Cut, Nth, Mtu, Outage, Loss, Duplication, Corruption, AckThinning, Queue, Spikes, Delay,
    ]  # fmt: skip


def test_a_plain_delay_leaves_runs_in_one_piece() -> None:
    for text in ("delay 20ms", "outage 1s 1ms", "spike 1s 1ms", "delay 1ms at 5s delay 2ms"):
        assert not parse(text).needs_packets()
        assert Cut not in kinds(text)
    for text in ("delay 20ms 1ms", "loss 1%", "rate 1mbit", "delay 1ms limit 5", "in: mtu 1280"):
        assert parse(text).needs_packets()
    run = partial(bytes(5_000), gso_size=1000)
    assert len(link("rate 1gbit").feed_all([run], START)) == 0
    assert len(link("delay 1ms").take(START)) == 0
    whole, cut = link("delay 1ms"), link("delay 1ms duplicate 0%")
    for one in (whole, cut):
        one.feed(run, START)
    assert len(whole.take(START + MS)) == 1
    assert len(cut.take(START + MS)) == 5


def test_where_nothing_is_said_of_a_direction_nothing_is_done() -> None:
    assert kinds("in: delay 5ms") == []


def test_the_rate_is_that_of_a_queue_of_packets() -> None:
    queue = only("rate 8mbit limit 2")
    assert isinstance(queue, Queue)
    assert type(queue.discipline) is DropTail
    packets = [(START, sized(1000, number=n)) for n in range(5)]
    assert departures(queue, packets) == [
        (START + 1_000, 0), (START + 2_000, 1), (START + 3_000, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind", "limit", "in_bytes"),
    [
        ("rate 1mbit", DropTail, 1000, False),
        ("rate 1mbit queue pfifo limit 7", DropTail, 7, False),
        ("rate 1mbit limit 7kb", DropTail, 7168, True),
        ("rate 1mbit queue bfifo", DropTail, 1_500_000, True),
        ("rate 1mbit queue bfifo limit 30000", DropTail, 30_000, True),
        ("rate 1mbit queue red", Red, 1000, False),
        ("rate 1mbit queue codel", Codel, 1000, False),
        ("rate 1mbit queue fq_codel", FqCodel, 10_240, False),
        ("rate 1mbit ack-filter limit 9", AckFilter, 9, False),
        ("trace t.txt limit 9", DropTail, 9, False),
    ],
)
def test_limits(text: str, kind: type, limit: int, in_bytes: bool) -> None:
    queue = only(text)
    assert isinstance(queue, Queue | TracedQueue)
    assert type(queue.discipline) is kind
    assert (queue.discipline.limit, queue.discipline.in_bytes) == (limit, in_bytes)


def test_reds_thresholds_follow_from_the_limit_as_with_tc() -> None:
    def thresholds(text: str) -> tuple[int, int, int]:
        queue = only(text)
        assert isinstance(queue, Queue)
        assert isinstance(queue.discipline, Red)
        return queue.discipline.least, queue.discipline.most, queue.discipline.slot_us

    assert thresholds("rate 8mbit queue red limit 120") == (10, 30, 1000)
    assert thresholds("rate 8mbit queue red min 40 limit 120") == (40, 80, 1000)
    assert thresholds("rate 8mbit queue red max 60 limit 120") == (20, 60, 1000)
    assert thresholds("rate 80mbit queue red min 30kb max 60kb limit 90kb")[:2] == (30_720, 61_440)
    assert thresholds("rate 8mbit queue red limit 1") == (0, 2, 1000)


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        # the smallest n with burst + 1 - min <= (1 - (1 - 1/2**n)**burst) * 2**n
        ("min 25 max 75 limit 300", 5),  # burst 41: 17 <= 23.3, but 14.9 with n = 4
        ("min 25kb max 75kb limit 300kb", 5),
        ("min 30 max 90 burst 60 limit 400", 6),  # 31 <= 39.1, but 27.2 with n = 5
        ("min 5 max 15 burst 4 limit 100", 1),
        ("min 1 max 3 burst 2 limit 100", 16),
    ],
)
def test_reds_average_follows_as_fast_as_tcs(text: str, weight: int) -> None:
    queue = only(f"rate 8mbit queue red {text}")
    assert isinstance(queue, Queue)
    assert isinstance(queue.discipline, Red)
    assert queue.discipline.weight == weight


def test_a_trace_begins_when_the_impairment_does() -> None:
    queue = only("trace t.txt")
    packets = [(START + 500, sized(1500, number=n)) for n in range(3)]
    assert [at_us - START for at_us, _ in departures(queue, packets)] == [1_000, 2_000, 3_000]


def test_windows_begin_with_the_impairment() -> None:
    outage = only("outage 2s 500ms")
    times = [START + 1_999 * MS, START + 2_000 * MS, START + 2_500 * MS]
    packets = [(at_us, sized(100, number=n)) for n, at_us in enumerate(times)]
    assert [number for _, number in departures(outage, packets)] == [0, 2]


def test_a_rate_changes_at_its_times() -> None:
    queue = only("rate 8mbit at 1s rate 4mbit at 2s rate 16mbit")
    packets = [(START + s * 1_000_000, sized(1000, number=s)) for s in (0, 1, 2)]
    waits = [at - START - n * 1_000_000 for at, n in departures(queue, packets)]
    assert waits == [1_000, 2_000, 500]


def test_other_words_change_at_their_times_too() -> None:
    stage = only("at 1s mtu 700 at 3s mtu 5000")
    assert isinstance(stage, Scheduled)
    assert stage.answers
    packets = [(START + s * 1_000_000, sized(1000, number=s)) for s in range(5)]
    assert [number for _, number in departures(stage, packets)] == [0, 3, 4]
    delayed = departures(link("delay 5ms at 2s delay 1ms"), packets)
    assert [at - START - n * 1_000_000 for at, n in delayed] == [5000, 5000, 1000, 1000, 1000]


def test_what_does_not_change_goes_on_as_one_stage() -> None:
    assert kinds("loss 1% delay 1ms at 5s delay 2ms") == [Cut, Loss, Scheduled]


def test_a_delay_with_jitter_is_netems() -> None:
    stage = only("delay 20ms 2ms 25% distribution normal reorder 10% gap 3")
    assert isinstance(stage, NetemDelay)
    assert (stage.delay_us, stage.jitter_us, stage.distribution) == (20 * MS, 2 * MS, "normal")
    assert stage.gap == 3
    assert not stage.in_order


def test_behind_a_rate_jitter_keeps_the_order_as_netems_does() -> None:
    in_order = link("delay 5ms 2ms rate 100mbit")
    packets = [(START + 100 * n, sized(100, number=n)) for n in range(200)]
    order = [number for _, number in departures(in_order, packets)]
    assert order == sorted(order)
    mixed = [number for _, number in departures(link("delay 5ms 2ms"), packets)]
    assert mixed != sorted(mixed)


def test_a_limit_without_a_rate_bounds_what_is_on_the_way() -> None:
    stage = only("delay 20ms limit 3")
    packets = [(START, sized(100, number=n)) for n in range(5)]
    assert len(departures(stage, packets)) == 3
    assert stage.counts()["dropped"] == 2


def test_reordering_without_a_delay_holds_packets_back() -> None:
    assert isinstance(only("reorder 10%"), Reordering)


def test_gemodel_is_gilbert_elliott() -> None:
    stage = only("loss gemodel 1% 10% 70% 0.1%")
    assert isinstance(stage, GilbertElliott)
    assert (stage.to_bad, stage.to_good, stage.bad_loss, stage.good_loss) == (
        0.01, 0.1, 0.7, 0.001,
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["loss 100% ecn", "loss gemodel 100% 0% 100% 100% ecn", "rate 1mbit loss 100% ecn"]
)
def test_ecn_marks_what_would_be_lost(text: str) -> None:
    stages = link(text)
    out = stages.feed(sized(100, ecn=ECT0), START)
    while deadline := stages.next_deadline():
        out += stages.take(deadline)
    assert [ecn_of(packet) for packet in out] == [CE]


def test_ecn_makes_queues_mark() -> None:
    for text, marks in (
        ("rate 1mbit queue red ecn", True), ("rate 1mbit queue red", False),
    ):  # fmt: skip
        queue = only(text)
        assert isinstance(queue, Queue)
        assert isinstance(queue.discipline, Red)
        assert queue.discipline.ecn is marks
    # as with tc, fq_codel marks unless told otherwise
    for text, marks in (("fq_codel", True), ("fq_codel noecn", False), ("codel", False),
                        ("codel ecn", True)):  # fmt: skip
        queue = only(f"rate 8mbit queue {text}")
        for n in range(300):
            queue.feed(sized(1000, number=n, ecn=ECT0), START)
        while deadline := queue.next_deadline():
            queue.take(deadline)
        assert (queue.counts()["marked"] > 0) is marks
        assert (queue.counts()["early_dropped"] > 0) is not marks


def test_ack_thin_thins() -> None:
    stages = link("ack-thin 2 1ms")
    out = [packet for n in range(4) for packet in stages.feed(ack(1000 * (n + 1)), START)]
    assert len(out) == 2


def test_directions_and_seeds_draw_differently_and_a_seed_always_the_same() -> None:
    packets = [sized(100, number=n) for n in range(300)]

    def left(text: str, seed: int) -> list[list[int]]:
        ways = build.links(parse(text), start_us=1, seed=seed, make_source=Random)
        return [numbers(way.feed_all(packets, 1)) for way in ways]

    one = left("loss 30%", 1)
    assert one[0] != one[1]
    assert one == left("loss 30%", 1)
    assert one != left("loss 30%", 2)
    assert left("loss 30% seed 5", 1) == left("loss 30% seed 5", 2)


def test_what_follows_later_does_not_repeat_the_draws_of_what_was_before() -> None:
    plain = link("loss 30% at 1s loss 30.000001%")
    packets = [sized(100, number=n) for n in range(300)]
    first = numbers(plain.feed_all(packets, START))
    assert first != numbers(plain.feed_all(packets, START + 1_000_000))


def test_what_one_fault_draws_does_not_depend_on_the_others() -> None:
    packets = [sized(100, number=n) for n in range(300)]
    alone, beside = link("loss 30%"), link("loss 30% duplicate 10% corrupt 0% nth 400")
    assert sorted(set(numbers(beside.feed_all(packets, 1)))) == numbers(alone.feed_all(packets, 1))


# -- mistakes -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "an impairment has one word at least, such as delay 20ms"),
        ("  ", "an impairment has one word at least, such as delay 20ms"),
        ("delay 20ms 'x", "no closing quotation"),
        ("lose 1%", "'lose' is no word of an impairment: is it loss?"),
        ("slot 1ms", "'slot' is no word of an impairment: there are delay, reorder, gap, loss, "
         "duplicate, corrupt, rate, trace, limit, queue, ecn, noecn, ack-filter, ack-thin, nth, "
         "outage, spike, mtu, seed, at, in:, out: and both:"),
        ("rate 1mbit 20", "'20' is no word of an impairment: there are delay, reorder, gap, loss, "
         "duplicate, corrupt, rate, trace, limit, queue, ecn, noecn, ack-filter, ack-thin, nth, "
         "outage, spike, mtu, seed, at, in:, out: and both:"),
        ("loss 1% loss 2%", "loss is said twice"),
        ("delay", "delay needs a time, such as 20ms"),
        ("delay loss 1%", "delay needs a time, such as 20ms"),
        ("delay 20", "delay '20': a time is a number with us, ms or s, such as 20ms"),
        ("delay -5ms", "delay '-5ms': a time is a number with us, ms or s, such as 20ms"),
        ("delay 20ms 2", "delay '2': a time is a number with us, ms or s, such as 20ms"),
        ("delay 20ms 2ms 200%", "delay '200%': a percentage lies between 0% and 100%, such as 1%"),
        ("delay 1ms 1ms distribution pareto",
         "delay 'pareto': there are uniform and normal"),
        ("delay 1ms 1ms distribution", "delay needs a name: uniform or normal"),
        ("delay 1ms distribution normal",
         "distribution needs a jitter, as in delay 20ms 2ms"),
        ("reorder", "reorder needs a percentage, such as 1%"),
        ("reorder 5% 50%", "reorder with a correlation needs a delay"),
        ("gap 5", "gap needs a delay, which some packets then do not get"),
        ("delay 1ms gap 0", "gap '0': a whole number from 1 on was expected"),
        ("loss", "loss needs a percentage, such as 1%"),
        ("loss 1ms", "loss '1ms': a percentage lies between 0% and 100%, such as 1%"),
        ("loss 101%", "loss '101%': a percentage lies between 0% and 100%, such as 1%"),
        ("loss gemodel", "loss needs the percentage p at least, such as 1%"),
        ("loss state 1%", "loss state is not known here: loss gemodel has bursts too"),
        ("duplicate x", "duplicate 'x': a percentage lies between 0% and 100%, such as 1%"),
        ("corrupt -1%", "corrupt '-1%': a percentage lies between 0% and 100%, such as 1%"),
        ("rate", "rate needs a rate, such as 20mbit"),
        ("rate fast", "rate 'fast': a rate is a number with kbit, mbit or gbit, such as 20mbit"),
        ("rate 0", "rate '0': a rate is 1bit at least"),
        ("rate 1mbit trace t.txt", "a line has a rate or a trace, not both"),
        ("trace", "trace needs a file of Mahimahi's format"),
        ("trace b.txt", "trace 'b.txt': line 2: 'x' is no time in ms"),
        ("limit 5", "limit needs a rate, a trace or a delay: without one nothing waits"),
        ("delay 1ms limit 5kb", "limit counts packets where there is no rate"),
        ("rate 1mbit limit 0", "limit '0': it must be above 0"),
        ("rate 1mbit limit", "limit needs a number of packets, or a size such as 150kb"),
        ("rate 1mbit limit many",
         "limit 'many': a size is a number of bytes, or one with b, kb or mb, such as 64kb"),
        ("rate 1mbit queue", "queue needs a discipline: pfifo, bfifo, red, codel and fq_codel"),
        ("rate 1mbit queue cake",
         "queue 'cake': there are pfifo, bfifo, red, codel and fq_codel"),
        ("queue codel", "queue needs a rate or a trace: without one nothing waits"),
        ("ack-filter", "ack-filter needs a rate or a trace: without one nothing waits"),
        ("rate 1mbit queue codel ack-filter",
         "ack-filter needs a queue of pfifo or bfifo, not of codel"),
        ("rate 1mbit queue red min 5 max 5", "queue red: min is smaller than max"),
        ("rate 1mbit queue red min 5kb",
         "queue red: limit, min and max are all packets or all sizes with b, kb"),
        ("rate 1mbit queue red min", "queue needs a length behind min, such as 30 or 45kb"),
        ("rate 1mbit queue red burst", "queue needs a number of packets behind burst"),
        ("rate 1mbit queue red probability 0", "queue '0': it must be above 0"),
        ("rate 1mbit queue codel target 0", "queue '0': it must be above 0"),
        ("rate 1mbit queue codel interval", "queue needs a time behind interval, such as 5ms"),
        ("rate 1mbit queue fq_codel quantum 0", "queue '0': it must be above 0"),
        ("rate 1mbit queue fq_codel flows 1.5",
         "queue '1.5': a whole number from 1 on was expected"),
        ("ecn", "ecn needs something that it marks instead of losing it: loss, or a queue of red, "
         "codel and fq_codel"),
        ("rate 1mbit ecn", "ecn needs something that it marks instead of losing it: loss, or a "
         "queue of red, codel and fq_codel"),
        ("ack-thin", "ack-thin needs a number, such as 4"),
        ("ack-thin 1", "ack-thin '1': a whole number from 2 on was expected"),
        ("ack-thin 4 0", "ack-thin '0': it must be above 0"),
        ("nth", "nth needs the number of a packet, such as 17 or 17,30"),
        ("nth 0", "nth '0': a whole number from 1 on was expected"),
        ("nth 1,,2", "nth '1,,2': a whole number from 1 on was expected"),
        ("outage", "outage needs when it begins, such as 2s"),
        ("outage 2s", "outage needs how long it lasts, such as 500ms"),
        ("outage 2s 0", "outage '0': it must be above 0"),
        ("outage 2s 1s every 1s", "outage: a span of time ends before it begins again"),
        ("outage 2s 1s every", "outage needs a time behind every, such as 10s"),
        ("spike 2s", "spike needs how long it lasts, such as 500ms"),
        ("mtu", "mtu needs bytes, such as 1280"),
        ("mtu 67", "mtu '67': a whole number from 68 on was expected"),
        ("mtu 70000", "mtu 70000: no packet is larger than 65535"),
        ("seed x", "seed 'x': a whole number from 0 on was expected"),
        ("at", "at needs a time, such as 5s"),
        ("loss 1% at 0 loss 2%", "at 0: what holds from the start is said before any `at`"),
        ("at 5s nth 4", "nth cannot change on the way: behind `at` there may be delay, reorder, "
         "gap, loss, duplicate, corrupt, rate and mtu"),
        ("at 5s rate 1mbit", "a rate that changes on the way begins with one from the start"),
        ("trace t.txt at 5s rate 1mbit", "a line has a rate or a trace, not both"),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_sentence(text: str, sentence: str) -> None:
    files = {"t.txt": "1\n2\n", "b.txt": "1\nx\n"}
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        parse(text, files.__getitem__)


def test_without_a_reader_no_file_is_read() -> None:
    with pytest.raises(ValueError, match="trace: no files are read here"):
        parse("trace t.txt")


def test_what_reading_a_file_raises_is_passed_on() -> None:
    with pytest.raises(KeyError, match="no such file"):
        parse("trace 'no such file'", {}.__getitem__)
