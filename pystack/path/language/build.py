"""Step 4: the stages of an impairment (`spec`), as a link for each direction.

The stages stand in the order in which a packet would meet them: what happens before the bottleneck,
the bottleneck, and what happens after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pystack.path.ack_thinning import AckThinning
from pystack.path.bursts import GilbertElliott
from pystack.path.chance import Chance
from pystack.path.faults import Corruption, Cut, Duplication, Loss, Reordering
from pystack.path.language.spec import (
    BFIFO,
    CODEL,
    FQ_CODEL,
    RED,
    Amount,
    Effects,
    Impairment,
    ImpairmentSpec,
    QueueSpec,
)
from pystack.path.link import Delay, Link, RandomSource, Stage
from pystack.path.mtu import Mtu
from pystack.path.netem_delay import NetemDelay
from pystack.path.nth import Nth
from pystack.path.outage import Outage
from pystack.path.queues.ack_filter import AckFilter
from pystack.path.queues.bottleneck import OCTET, Queue
from pystack.path.queues.codel import Codel, CodelLaw
from pystack.path.queues.discipline import Discipline, DropTail
from pystack.path.queues.fq_codel import FqCodel
from pystack.path.queues.red import Red
from pystack.path.queues.traced import OPPORTUNITY, TracedQueue
from pystack.path.scheduled import Scheduled
from pystack.path.spikes import Spikes

DEFAULT_LIMIT: Final = 1000  # packets, of netem, pfifo and codel
FQ_CODEL_LIMIT: Final = 10_240
_SLOWEST: Final = 16  # weight of RED's average
_ENDLESS: Final = 100_000  # packets; a burst as long as this fills any average
_TYPICAL: Final = 1000  # octets of a packet, tc's avpkt for RED

_DRAWERS: Final = ("loss", "duplicate", "corrupt", "queue", "delay", "reorder")

MakeSource = Callable[[int], RandomSource]


def links(
    impairment: Impairment, *, start_us: int, seed: int, make_source: MakeSource
) -> tuple[Link, Link]:
    """The links of both directions, in and out. `seed` counts where the impairment names none; the
    other arguments are those of `link`."""
    if impairment.seed is not None:
        seed = impairment.seed
    specs = (impairment.inbound, impairment.outbound)
    inbound, outbound = (
        link(spec, start_us=start_us, seed=2 * seed + index, make_source=make_source)
        for index, spec in enumerate(specs)
    )
    return inbound, outbound


def link(spec: ImpairmentSpec, *, start_us: int, seed: int, make_source: MakeSource) -> Link:
    """The stages of one direction, whose times count from `start_us`.

    `make_source`, such as `random.Random`, is called with a number for each stage that draws, so
    that what a stage draws does not depend on the others. Two directions take two seeds.
    """
    return Link(*_Assembly(spec, start_us, seed, make_source).stages())


@dataclass
class _Assembly:
    spec: ImpairmentSpec
    start_us: int
    seed: int
    make_source: MakeSource

    def __post_init__(self) -> None:
        self._first = self.spec.timeline[0][1]
        self._entry = 0  # of the timeline, for which a stage is being made

    def stages(self) -> list[Stage]:
        """All of them, in order; those that do nothing are left out."""
        first = self._first
        found: list[Stage] = [Cut()] if self.spec.needs_packets() else []
        if first.nth:
            found.append(Nth(*first.nth))
        found += self._over_time(self._mtu, "mtu", "mtu_silent")
        if first.outages:
            found.append(Outage(*(interval.later(self.start_us) for interval in first.outages)))
        found += self._over_time(self._loss, "loss", "bursts")
        found += self._over_time(self._duplication, "duplicate")
        found += self._over_time(self._corruption, "corrupt")
        if first.ack_thin:
            found.append(AckThinning(first.ack_thin, first.ack_hold_us))
        if first.has_line():
            found.append(self._bottleneck())
        if first.spikes:
            found.append(Spikes(*(interval.later(self.start_us) for interval in first.spikes)))
        found += self._over_time(
            self._delay, "delay_us", "jitter_us", "delay_correlation", "distribution", "reorder",
            "gap",
        )  # fmt: skip
        return found

    def _over_time(self, make: Callable[[Effects], Stage | None], *names: str) -> list[Stage]:
        """The stage that `make` makes of these effects; where they change, one after the other."""
        entries: list[tuple[int, Stage]] = []
        before: list[object] = []
        for entry, (at_us, effects) in enumerate(self.spec.timeline):
            self._entry = entry
            said = [getattr(effects, name) for name in names]
            if said != before:
                entries.append((self.start_us + at_us, make(effects) or Stage()))
            before = said
        self._entry = 0
        if len(entries) > 1:
            return [Scheduled(*entries)]
        return [stage for _, stage in entries if type(stage) is not Stage]

    def _source(self, drawer: str) -> RandomSource:
        number = self.seed * len(_DRAWERS) + _DRAWERS.index(drawer)
        return self.make_source(number << 16 | self._entry)

    # -- before the bottleneck ------------------------------------------------------------------
    def _mtu(self, effects: Effects) -> Stage | None:
        return Mtu(effects.mtu, silent=effects.mtu_silent) if effects.mtu else None

    def _loss(self, effects: Effects) -> Stage | None:
        ecn = bool(effects.ecn)
        if effects.bursts is not None:
            to_bad, to_good, bad_loss, good_loss = effects.bursts
            return GilbertElliott(
                to_bad,
                to_good,
                self._source("loss"),
                bad_loss=bad_loss,
                good_loss=good_loss,
                ecn=ecn,
            )
        if effects.loss is None:
            return None
        return Loss(effects.loss.rate, self._source("loss"), effects.loss.correlation, ecn=ecn)

    def _duplication(self, effects: Effects) -> Stage | None:
        often = effects.duplicate
        return (
            Duplication(often.rate, self._source("duplicate"), often.correlation) if often else None
        )

    def _corruption(self, effects: Effects) -> Stage | None:
        often = effects.corrupt
        return Corruption(often.rate, self._source("corrupt"), often.correlation) if often else None

    # -- the bottleneck -------------------------------------------------------------------------
    def _bottleneck(self) -> Stage:
        first = self._first
        if first.trace:
            bits = 8 * OPPORTUNITY * len(first.trace) * 1000
            discipline = self._discipline(max(bits // first.trace[-1], 1))
            return TracedQueue(first.trace, discipline, start_us=self.start_us)
        changes: list[tuple[int, int]] = []
        rate_bps = first.rate_bps
        for at_us, effects in self.spec.timeline[1:]:
            if effects.rate_bps != rate_bps:
                changes.append((self.start_us + at_us, effects.rate_bps))
                rate_bps = effects.rate_bps
        return Queue(first.rate_bps, self._discipline(first.rate_bps), changes=changes)

    def _discipline(self, rate_bps: int) -> Discipline:
        effects = self._first
        queue = effects.queue or QueueSpec()
        limit = effects.limit or _usual_limit(queue)
        room, in_bytes = limit.number, limit.in_bytes or queue.kind == BFIFO
        if queue.kind == RED:
            return self._red(queue, limit, rate_bps)
        if effects.ack_filter:
            return AckFilter(room, in_bytes=in_bytes)
        if queue.kind not in (CODEL, FQ_CODEL):
            return DropTail(room, in_bytes=in_bytes)
        by_default = queue.kind == FQ_CODEL  # as with tc
        law = CodelLaw(
            queue.target_us, queue.interval_us, by_default if effects.ecn is None else effects.ecn,
            queue.ce_threshold_us,
        )  # fmt: skip
        if queue.kind == CODEL:
            return Codel(room, law, in_bytes=in_bytes)
        return FqCodel(
            room, law, flows=queue.flows, quantum=queue.quantum, in_bytes=in_bytes,
            perturbation=self._source("queue").randrange(1 << 32),
        )  # fmt: skip

    def _red(self, queue: QueueSpec, limit: Amount, rate_bps: int) -> Discipline:
        least = queue.least.number if queue.least else 0
        most = queue.most.number if queue.most else max(limit.number // 4, 2 * least, 2)
        least = least or most // 3
        packet = _TYPICAL if limit.in_bytes else 1
        burst = queue.burst or (2 * least + most) // (3 * packet)
        return Red(
            limit.number, least, most, self._source("queue"), probability=queue.probability,
            weight=_red_weight(burst, least / packet), gentle=queue.gentle,
            ecn=bool(self._first.ecn), in_bytes=limit.in_bytes,
            slot_us=max(OCTET * _TYPICAL // rate_bps, 1),
        )  # fmt: skip

    # -- behind it ------------------------------------------------------------------------------
    def _delay(self, effects: Effects) -> Stage | None:
        limit = effects.limit.number if effects.limit and not effects.has_line() else 0
        if not effects.delay_us and not effects.jitter_us:
            if effects.reorder:
                return Reordering(effects.reorder.rate, self._source("reorder"))
            return None
        if not (effects.jitter_us or effects.reorder or effects.gap or limit):
            return Delay(effects.delay_us)
        overtakes = None
        if effects.reorder:
            often = effects.reorder
            overtakes = Chance(often.rate, self._source("reorder"), often.correlation)
        return NetemDelay(
            effects.delay_us, effects.jitter_us, self._source("delay"),
            correlation=effects.delay_correlation, distribution=effects.distribution,
            overtakes=overtakes, gap=effects.gap, limit=limit, in_order=effects.has_line(),
        )  # fmt: skip


def _red_weight(burst: int, least: float) -> int:
    """tc's choice (`tc_red_eval_ewma`): a burst of so many packets begins to be dropped at its end.

    The first weight w = 1/2**n by which their average stays below `least` packets.
    """
    room = burst + 1 - least
    for number in range(1, 16):
        keep, left = 1 - 1 / (1 << number), 1.0
        for _ in range(min(burst, _ENDLESS)):
            left *= keep
        if room <= (1 - left) * (1 << number):
            return number
    return _SLOWEST


def _usual_limit(queue: QueueSpec) -> Amount:
    if queue.kind == BFIFO:
        return Amount(DEFAULT_LIMIT * OPPORTUNITY, in_bytes=True)
    return Amount(FQ_CODEL_LIMIT if queue.kind == FQ_CODEL else DEFAULT_LIMIT)
