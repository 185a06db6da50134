"""Windows of Reno and CUBIC as a function of loss, beside what theory says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from pystack.path.faults import Loss
from pystack.path.link import Link, Stage
from pystack.path.queues.bottleneck import Pipe
from pystack.sim import World
from pystack.wire.batch import Packet
from scripts.behaviours.flow import Outcome, measured, together
from scripts.behaviours.verdict import Law, Verdict

RATE_BPS: Final = 1_000_000_000  # far above what the flows reach
QUEUE: Final = 100_000
TOLERANCE: Final = 0.15
RENO_RTT_MS: Final = 20
CUBIC_RTT_MS: Final = 100

# 1/p: packets per loss
RENO_RANDOM: Final = (100, 300, 1000, 3000, 10_000)
RENO_PERIODIC: Final = (100, 300, 1000, 3000)
CUBIC_PERIODIC: Final = (1000, 2000, 5000, 10_000)
CUBIC_RANDOM: Final = (1000, 10_000)


class EveryNth(Stage):
    """Of `n` packets the last is lost: the loss that the response functions are derived for."""

    counted = ("lost",)

    def __init__(self, n: int) -> None:
        self.n = n
        self.lost = 0
        self._came = 0

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        """See `Stage.feed`."""
        self._came += 1
        if self._came % self.n:
            return [packet]
        self.lost += 1
        return []


@dataclass(frozen=True, slots=True)
class Response:
    """A flow that loses one packet of `n`, periodically or by chance, until it lost `losses`."""

    seed: int
    cc: str
    rtt_ms: int
    n: int
    periodic: bool
    losses: int

    def run(self) -> Outcome:
        """What it does."""
        per_s = 1.25 * sqrt(self.n) / self.rtt_ms * 1000  # segments, roughly
        return measured(
            f"{self.seed} {self.n} {self.periodic}", self.cc, 1000 * self.rtt_ms, self._there,
            begin_s=8 * self.n / per_s + 2, seconds=round(self.losses * self.n / per_s, 3),
        )  # fmt: skip

    def _there(self, world: World) -> Stage:
        lossy = EveryNth(self.n) if self.periodic else Loss(1 / self.n, world.random("loss"))
        return Link(Pipe(RATE_BPS, QUEUE, 500 * self.rtt_ms), lossy)


def experiments(seed: int, quick: bool) -> list[Response]:
    """All points; those of chance with several seeds, as theirs are noisy."""

    def reno(n: int, periodic: bool, one: int) -> Response:
        by_chance = 300 if n < 1000 else 100 if n < 10_000 else 60
        return Response(one, "reno", RENO_RTT_MS, n, periodic, 30 if periodic else by_chance)

    def cubic(n: int, periodic: bool, one: int) -> Response:
        return Response(one, "cubic", CUBIC_RTT_MS, n, periodic, 30 if periodic else 40)

    if quick:
        return [reno(300, False, seed), reno(1000, True, seed), cubic(1000, True, seed)]
    seeds = range(seed, seed + 3)
    return [
        *(reno(n, False, one) for n in RENO_RANDOM for one in seeds),
        *(reno(n, True, seed) for n in RENO_PERIODIC),
        *(cubic(n, True, seed) for n in CUBIC_PERIODIC),
        *(cubic(n, False, one) for n in CUBIC_RANDOM for one in seeds),
    ]


def mathis(p: float) -> float:
    """Segments in flight by Mathis, Semke, Mahdavi and Ott (1997), one ACK per segment."""
    return sqrt(1.5 / p)


def mathis_with_recovery(p: float) -> float:
    """The same sawtooth with what the derivation leaves out: in each cycle, which brings 1/p
    segments across, one round trip of fast recovery at half of the window, without growth."""
    top = (sqrt(0.25 + 1.5 / p) - 0.5) / 0.75  # of 3/8 W² + W/2 = 1/p
    return 1 / p / (top / 2 + 1)


def cubic_response(p: float, rtt_s: float) -> float:
    """RFC 9438 §5.1 (figure 6), or Reno's where CUBIC is Reno-friendly (§4.3)."""
    return max(1.054 * float((rtt_s / p) ** 0.75), mathis(p))


def laws(made: Sequence[Response], outcomes: Sequence[Outcome]) -> list[Law]:
    """The verdicts on what `experiments` were found to do."""
    by_point: dict[tuple[str, bool, int], list[Outcome]] = {}
    for one, outcome in zip(made, outcomes, strict=True):
        by_point.setdefault((one.cc, one.periodic, one.n), []).append(outcome)
    verdicts: dict[str, list[Verdict]] = {"reno": [], "cubic": []}
    for (cc, periodic, _), several in by_point.items():
        verdicts[cc].append(_verdict(cc, periodic, together(several)))
    return [
        Law("Reno: the Mathis law", _RENO, verdicts["reno"]),
        Law("CUBIC: the response function of RFC 9438", _CUBIC, verdicts["cubic"]),
    ]


def _verdict(cc: str, periodic: bool, found: Outcome) -> Verdict:
    p = found.loss
    if cc == "reno":
        rtt_ms = RENO_RTT_MS
        law = mathis_with_recovery(p) if periodic else mathis(p)
    else:
        rtt_ms = CUBIC_RTT_MS
        law = cubic_response(p, rtt_ms / 1000)
    window = found.window(1000 * rtt_ms)
    ratio = window / law
    judged = cc == "reno" or periodic
    besides = f"; of plain Mathis {window / mathis(p):.2f}" if cc == "reno" and periodic else ""
    return Verdict(
        where=f"{'every n-th' if periodic else 'random'}, p = {p:.2e} ({found.lost} lost)",
        figure=f"{ratio:.3f} ({window:.1f} of {law:.1f} segments{besides})",
        bound=f"1 ± {TOLERANCE}" if judged else "",
        passed=abs(ratio - 1) <= TOLERANCE if judged else None,
        spurious=found.spurious,
        repeated=found.repeated,
    )


_RENO: Final = f"""\
The mean window in segments (goodput · RTT / MSS) over MSS/RTT · √(3/2) / √p, p being lost/sent as
measured; RTT {RENO_RTT_MS} ms, {RATE_BPS // 10**6} Mbit/s, which is far above. Random losses are
held against the law itself, over three seeds. A loss of every n-th packet is what it is derived
for, but it leaves out that Reno stands still for the round trip of each fast recovery (RFC 5681
§3.2), which counts when the window is small: W then follows from 3/8 W² + W/2 = 1/p, and 1/p
segments take W/2 + 1 round trips. Periodic losses are held against that, and what the plain law
would give is beside it.

An ideal Reno with an ACK for each segment, reckoned packet by packet outside of any stack, has 0.93
of the law at random losses of 1 %, 0.98 at 0.33 % and 1.01 at 0.1 %. A receiver that delays ACKs,
as here, takes another 5 % of a window of ten segments: an odd one waits for the next to come."""

_CUBIC: Final = f"""\
The same over the larger of RFC 9438 §5.1, 1.054 · (RTT/p)^(3/4), and Reno's window, in the region
where CUBIC is Reno-friendly (§4.3); RTT {CUBIC_RTT_MS} ms. The function is derived for periodic
losses, so those are judged; with random ones the mean window is larger, by what lies between the
mean of a power and the power of a mean."""
