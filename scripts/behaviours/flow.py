"""One flow on one path for a while: what it brought across, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pystack.path.link import Stage
from pystack.sim import LinkSpec, World
from pystack.sim.traffic import Bulk, Sink

MSS: Final = 1448  # octets of text in a packet of 1500, with timestamps
PACKET: Final = 1500
_ACKS: Final = "10gbit"  # the way back: ACKs never queue


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a flow did in the `seconds` that were measured: octets that arrived in order, segments
    with text that were sent, and packets that were lost to chance.

    Since its beginning: segments that were repeated, `spurious` ones of them by the D-SACKs that
    came, reductions of the window that were taken back (`undone`), and timeouts.
    """

    seconds: float
    octets: int
    segments: int
    lost: int
    repeated: int
    spurious: int
    undone: int
    timeouts: int

    @property
    def mbit(self) -> float:
        """Goodput in Mbit/s."""
        return self.octets * 8 / self.seconds / 1e6

    @property
    def loss(self) -> float:
        """Lost in relation to sent."""
        return self.lost / self.segments

    def window(self, rtt_us: int) -> float:
        """Segments that arrived in a round trip, on average."""
        return self.octets / MSS / self.seconds * rtt_us / 1e6


def together(outcomes: list[Outcome]) -> Outcome:
    """Several as if they had been one, longer."""
    return Outcome(
        *(sum(getattr(one, name) for one in outcomes) for name in Outcome.__dataclass_fields__)
    )


def measured(
    seed: str,
    cc: str,
    rtt_us: int,
    there: Callable[[World], LinkSpec | Stage],
    *,
    begin_s: float,
    seconds: float,
    receiver: Mapping[str, str | int] | None = None,
) -> Outcome:
    """Let a flow that always has data go for `begin_s`, and then measure it for `seconds`.

    `there` makes the way of its segments in the world, half of `rtt_us` included; `receiver` has
    settings of that host.
    """
    world = World(seed)
    one, other = world.host("one"), world.host("other", sysctl=receiver)
    line, _ = world.link(one, other, there=there(world), back=LinkSpec(_ACKS, rtt_us - rtt_us // 2))
    sink = Sink(other, 1)
    flow = Bulk(one, other, 1, cc=cc)
    world.run(for_s=begin_s)
    octets, segments = sink.received, flow.socket.tcp_info().tcpi_data_segs_out
    lost = line.counts().get("lost", 0)
    world.run(for_s=seconds)
    if flow.over:
        raise RuntimeError(f"the flow of {cc} ended with errno {flow.error}")
    info = flow.socket.tcp_info()
    return Outcome(
        seconds=seconds,
        octets=sink.received - octets,
        segments=info.tcpi_data_segs_out - segments,
        lost=line.counts().get("lost", 0) - lost,
        repeated=info.tcpi_total_retrans,
        spurious=info.tcpi_dsack_dups,
        undone=one.host.counters.spurious_recoveries,
        timeouts=one.host.counters.timeouts,
    )


def bdp_packets(rate_bps: int, rtt_us: int, share: float = 1.0) -> int:
    """That many times the bandwidth-delay product in packets, one at least."""
    return max(1, round(share * rate_bps * rtt_us / 8e6 / PACKET))
