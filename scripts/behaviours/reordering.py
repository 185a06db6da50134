"""What reordering alone costs: no packet is lost, some come late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pystack.path.faults import Reordering
from pystack.path.link import Link, Stage
from pystack.path.queues.bottleneck import Pipe
from pystack.sim import World
from scripts.behaviours.flow import Outcome, bdp_packets, measured
from scripts.behaviours.verdict import Law, Verdict

RATE_BPS: Final = 100_000_000
RTT_MS: Final = 20
LEAST: Final = 0.95  # of the goodput without reordering
NEVER: Final = 1 << 40  # behind this many packets: only time sets it free

# (how many others overtake, for how long at most in µs, whether the law speaks of it)
KINDS: Final = (
    (3, 5_000, True), (10, 5_000, True), (NEVER, 2_500, True), (NEVER, 5_000, True),
    (NEVER, 10_000, False), (NEVER, 20_000, False),
)  # fmt: skip
RATES: Final = (0.01, 0.05)
# The receiver's window holds the flow at about two BDP, and the queue never overflows
RECEIVER: Final = {"tcp_rmem": "4096 131072 1000000"}


@dataclass(frozen=True, slots=True)
class Reordered:
    """A flow of which `rate` of the packets are held back; `rate` 0 is what others compare to."""

    seed: int
    cc: str
    rate: float
    behind: int
    hold_us: int
    judged: bool

    def run(self) -> Outcome:
        """What it does."""
        return measured(
            f"{self.seed} {self.rate} {self.behind} {self.hold_us}", self.cc, 1000 * RTT_MS,
            self._there, begin_s=2, seconds=4, receiver=RECEIVER,
        )  # fmt: skip

    def _there(self, world: World) -> Stage:
        return Link(
            Pipe(RATE_BPS, bdp_packets(RATE_BPS, 1000 * RTT_MS, 8), 500 * RTT_MS),
            Reordering(
                self.rate, world.random("reordering"), behind=self.behind, hold_us=self.hold_us
            ),
        )


def experiments(seed: int, quick: bool) -> list[Reordered]:
    """For Reno and CUBIC one without reordering, and all kinds and rates."""
    kinds = KINDS[::3][:2] if quick else KINDS
    rates = RATES[1:] if quick else RATES
    made = []
    for cc in ("cubic",) if quick else ("reno", "cubic"):
        made.append(Reordered(seed, cc, 0.0, 1, 1, False))
        made += [Reordered(seed, cc, rate, *kind) for rate in rates for kind in kinds]
    return made


def laws(made: Sequence[Reordered], outcomes: Sequence[Outcome]) -> list[Law]:
    """The verdicts on what `experiments` were found to do."""
    verdicts: list[Verdict] = []
    whole = 0.0
    for one, outcome in zip(made, outcomes, strict=True):
        if not one.rate:
            whole = outcome.mbit
            continue
        ratio = outcome.mbit / whole
        verdicts.append(
            Verdict(
                where=f"{one.cc}, {100 * one.rate:g} % {_kind(one)}",
                figure=f"{ratio:.3f} ({outcome.mbit:.1f} of {whole:.1f} Mbit/s, "
                f"{outcome.undone} cuts undone)",
                bound=f"> {LEAST}" if one.judged else "",
                passed=ratio > LEAST if one.judged else None,
                spurious=outcome.spurious,
                repeated=outcome.repeated,
            )
        )
    return [Law("RACK: reordering without loss", _ABOUT, verdicts)]


def _kind(one: Reordered) -> str:
    if one.behind < NEVER:
        return f"behind {one.behind} others"
    share = one.hold_us / (1000 * RTT_MS)
    return f"held for {one.hold_us / 1000:g} ms, {share:g} min_rtt"


_ABOUT: Final = f"""\
Goodput in relation to that without reordering, {RATE_BPS // 10**6} Mbit/s, RTT {RTT_MS} ms. The
receiver's window holds the flow at about two BDP and the queue never overflows, so nothing is lost
at all. RACK's window for reordering begins at min_rtt/4 (RFC 8985 §6.2), so up to there the law
holds; what is held longer is repeated, and D-SACKs widen the window by another quarter for each
round trip in which they come, up to SRTT. Where a queue drops as well (the tables below), a repeat
that fills a hole moves the receiver's TS.Recent on, and originals that were held back behind it are
then refused (PAWS, RFC 7323 §5.3; Linux does the same): reordering becomes loss."""
