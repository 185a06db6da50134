"""What the words of an impairment come to: plain data, made by `impair`, used by `assembly`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pystack.path.intervals import Window
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
    """How often something happens, and how much that depends on the packet before."""

    rate: float
    correlation: float = 0.0


@dataclass(frozen=True, slots=True)
class Amount:
    """So many packets, or octets."""

    number: int
    in_bytes: bool = False


@dataclass(frozen=True, slots=True)
class QueueWords:
    """What waits for a rate, and how; None and 0 stand for what follows from the rest."""

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
class Words:
    """All that is said about one direction from some time on."""

    nth: tuple[int, ...] = ()
    mtu: int = 0
    mtu_silent: bool = False
    outages: tuple[Window, ...] = ()
    loss: Occurrence | None = None
    bursts: tuple[float, float, float, float] | None = None  # netem's p, r, 1-h, 1-k
    duplicate: Occurrence | None = None
    corrupt: Occurrence | None = None
    ack_thin: int = 0
    ack_hold_us: int = 0
    rate_bps: int = 0
    trace: tuple[int, ...] = ()
    queue: QueueWords | None = None
    limit: Amount | None = None
    ack_filter: bool = False
    ecn: bool | None = None
    spikes: tuple[Window, ...] = ()
    delay_us: int = 0
    jitter_us: int = 0
    delay_correlation: float = 0.0
    distribution: str = UNIFORM
    reorder: Occurrence | None = None
    gap: int = 0

    def has_line(self) -> bool:
        """Whether packets wait for a line to be free."""
        return self.rate_bps > 0 or bool(self.trace)

    def needs_packets(self) -> bool:
        """Whether a run of segments in one piece would fare otherwise than one by one."""
        only_times = Words(outages=self.outages, spikes=self.spikes, delay_us=self.delay_us)
        return self != only_times


@dataclass(frozen=True, slots=True)
class Way:
    """One direction: what holds from the start (at 0), and from later times on, in µs."""

    timeline: tuple[tuple[int, Words], ...] = ((0, Words()),)

    def needs_packets(self) -> bool:
        """Whether `Cut` belongs before it."""
        return any(words.needs_packets() for _, words in self.timeline)


@dataclass(frozen=True, slots=True)
class Impairment:
    """Both directions, seen from the stack: what comes in and what goes out.

    `text` is what was parsed; `seed` is None where nothing was said.
    """

    text: str
    inbound: Way
    outbound: Way
    seed: int | None = None

    def needs_packets(self) -> bool:
        """Whether offload has to be given up for it."""
        return self.inbound.needs_packets() or self.outbound.needs_packets()
