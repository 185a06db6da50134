"""Step 3: an impairment as plain data, made by `parse` and turned into stages by `build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pystack.path.intervals import Interval
from pystack.path.netem_delay import UNIFORM
from pystack.path.queues.codel import INTERVAL_US, TARGET_US
from pystack.path.queues.fq_codel import FLOWS, QUANTUM

PFIFO: Final = "pfifo"
BFIFO: Final = "bfifo"
RED: Final = "red"
CODEL: Final = "codel"
FQ_CODEL: Final = "fq_codel"
DISCIPLINES: Final = (PFIFO, BFIFO, RED, CODEL, FQ_CODEL)
EARLY: Final = (RED, CODEL, FQ_CODEL)  # drop before they are full, and so may mark


@dataclass(frozen=True, slots=True)
class Occurrence:
    """How often something happens (1 is always), and the correlation with the packet before."""

    rate: float
    correlation: float = 0.0


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of packets, or of bytes."""

    number: int
    in_bytes: bool = False


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """The queue before a rate. None and 0: what follows from the other effects."""

    kind: str = PFIFO
    least: Amount | None = None  # RED's thresholds
    most: Amount | None = None
    burst: int = 0  # packets, of RED
    probability: float = 0.02  # tc's
    gentle: bool = False
    target_us: int = TARGET_US
    interval_us: int = INTERVAL_US
    ce_threshold_us: int = 0
    quantum: int = QUANTUM
    flows: int = FLOWS


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that happens to packets of one direction, from some time on."""

    nth: tuple[int, ...] = ()
    mtu: int = 0
    mtu_silent: bool = False
    outages: tuple[Interval, ...] = ()
    loss: Occurrence | None = None
    bursts: tuple[float, float, float, float] | None = None  # netem's p, r, 1-h, 1-k
    duplicate: Occurrence | None = None
    corrupt: Occurrence | None = None
    ack_thin: int = 0
    ack_hold_us: int = 0
    rate_bps: int = 0
    trace: tuple[int, ...] = ()
    queue: QueueSpec | None = None
    limit: Amount | None = None
    ack_filter: bool = False
    ecn: bool | None = None
    spikes: tuple[Interval, ...] = ()
    delay_us: int = 0
    jitter_us: int = 0
    delay_correlation: float = 0.0
    distribution: str = UNIFORM
    reorder: Occurrence | None = None
    gap: int = 0

    def has_line(self) -> bool:
        """Whether there is a bottleneck, which packets wait for."""
        return self.rate_bps > 0 or bool(self.trace)

    def needs_packets(self) -> bool:
        """Whether it makes a difference that segments arrive as one run, not one by one."""
        only_times = Effects(outages=self.outages, spikes=self.spikes, delay_us=self.delay_us)
        return self != only_times


@dataclass(frozen=True, slots=True)
class ImpairmentSpec:
    """One direction: what holds from the start (at 0), and from later times on, in µs."""

    timeline: tuple[tuple[int, Effects], ...] = ((0, Effects()),)

    def needs_packets(self) -> bool:
        """Whether `Cut` belongs before it."""
        return any(effects.needs_packets() for _, effects in self.timeline)


@dataclass(frozen=True, slots=True)
class Impairment:
    """Both directions, seen from the stack: what comes in and what goes out.

    `text` is what was parsed; `seed` is None where the text has none.
    """

    text: str
    inbound: ImpairmentSpec
    outbound: ImpairmentSpec
    seed: int | None = None

    def needs_packets(self) -> bool:
        """Whether it does not go with offload, where runs stay in one piece."""
        return self.inbound.needs_packets() or self.outbound.needs_packets()
