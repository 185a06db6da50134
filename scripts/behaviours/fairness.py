"""How equal flows share a bottleneck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from pystack.sim import SimHost, World
from pystack.sim.topology import dumbbell
from pystack.sim.traffic import Bulk, Sink
from scripts.behaviours.flow import bdp_packets
from scripts.behaviours.verdict import Law, Verdict

RATE_BPS: Final = 20_000_000
RTT_MS: Final = 20
LEAST: Final = 0.9
START_S: Final = 2  # within which the flows begin
SECONDS: Final = 20, 40  # before, and measured


@dataclass(frozen=True, slots=True)
class Shares:
    """Mbit/s of each flow, and over all of them what was repeated."""

    mbit: tuple[float, ...]
    spurious: int
    repeated: int

    @property
    def jain(self) -> float:
        """(Σx)² / (n·Σx²): 1 when all have the same, 1/n when one has all."""
        return sum(self.mbit) ** 2 / len(self.mbit) / sum(x * x for x in self.mbit)


@dataclass(frozen=True, slots=True)
class Sharing:
    """`flows` of one algorithm, of equal RTTs, that begin at random."""

    seed: int
    cc: str
    flows: int
    begin_s: float
    seconds: float

    def run(self) -> Shares:
        """What each gets."""
        world = World(f"{self.seed} {self.flows}")
        queue = bdp_packets(RATE_BPS, 1000 * RTT_MS)
        net = dumbbell(world, self.flows, rtts=1000 * RTT_MS, rate=RATE_BPS, queue=queue)
        sinks = [Sink(receiver, 1) for receiver in net.receivers]
        flows: list[Bulk] = []

        def begin(sender: SimHost, receiver: SimHost) -> None:
            flows.append(Bulk(sender, receiver, 1, cc=self.cc))

        starts = world.random("starts")
        for pair in zip(net.senders, net.receivers, strict=True):
            world.at(START_S * starts.random(), partial(begin, *pair))
        world.run(for_s=self.begin_s)
        before = [sink.received for sink in sinks]
        world.run(for_s=self.seconds)
        infos = [flow.socket.tcp_info() for flow in flows]
        return Shares(
            tuple(
                (sink.received - had) * 8 / self.seconds / 1e6
                for sink, had in zip(sinks, before, strict=True)
            ),
            sum(info.tcpi_dsack_dups for info in infos),
            sum(info.tcpi_total_retrans for info in infos),
        )


def experiments(seed: int, quick: bool) -> list[Sharing]:
    """2, 4 and 8 flows of Reno and of CUBIC."""
    if quick:
        return [Sharing(seed, "cubic", 2, 10, 10)]
    return [
        Sharing(one, cc, flows, *SECONDS)
        for cc in ("reno", "cubic")
        for flows in (2, 4, 8)
        for one in (seed, seed + 1)
    ]


def laws(made: Sequence[Sharing], outcomes: Sequence[Shares]) -> list[Law]:
    """The verdicts on what `experiments` were found to do."""
    verdicts = [
        Verdict(
            where=f"{one.cc}, {one.flows} flows, seed {one.seed}",
            figure=f"{shares.jain:.3f} ({', '.join(f'{x:.2f}' for x in shares.mbit)} Mbit/s)",
            bound=f"≥ {LEAST}",
            passed=shares.jain >= LEAST,
            spurious=shares.spurious,
            repeated=shares.repeated,
        )
        for one, shares in zip(made, outcomes, strict=True)
    ]
    return [Law("Fairness of equal flows", _ABOUT, verdicts)]


_ABOUT: Final = f"""\
Jain's index of goodputs through a bottleneck of {RATE_BPS // 10**6} Mbit/s with a drop-tail queue
of one BDP, RTT {RTT_MS} ms. The flows begin at random within {START_S} s, and are measured for
{SECONDS[1]} s after {SECONDS[0]} s."""
