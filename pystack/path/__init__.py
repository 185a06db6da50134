"""What lies between two stacks, or between a stack and its device: what happens to packets there.

A `Stage` takes packets and gives them back later, fewer or others; a `Link` is several of them. The
stages are one to a file: delays (`link`, `netem_delay`, `spikes`), faults (`faults`, `bursts`,
`nth`, `outage`, `mtu`, `ack_thinning`), and in `queues` what waits for a rate. `language` reads
impairments as text, `pcap` writes captures, `replaceable_stage` and `scheduled` change over time;
`intervals`, `chance`, `marking` and `header_fields` are what stages share.

Knows packets, but no TCP; makes no I/O and reads no clock: times, random sources and files are
arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pystack.lazy import names_of

if TYPE_CHECKING:
    from pystack.path.ack_thinning import AckThinning
    from pystack.path.bursts import GilbertElliott
    from pystack.path.faults import Corruption, Cut, Duplication, Loss, Reordering
    from pystack.path.intervals import Interval
    from pystack.path.link import Delay, Link, Stage
    from pystack.path.mtu import Mtu
    from pystack.path.netem_delay import NetemDelay
    from pystack.path.nth import Nth
    from pystack.path.outage import Outage
    from pystack.path.queues.ack_filter import AckFilter
    from pystack.path.queues.bottleneck import Pipe, Queue
    from pystack.path.queues.codel import Codel
    from pystack.path.queues.discipline import Discipline, DropTail
    from pystack.path.queues.fq_codel import FqCodel
    from pystack.path.queues.red import Red
    from pystack.path.queues.traced import TracedQueue
    from pystack.path.replaceable_stage import ReplaceableStage
    from pystack.path.spikes import Spikes

__all__ = [
    "AckFilter", "AckThinning", "Codel", "Corruption", "Cut", "Delay", "Discipline", "DropTail",
    "Duplication", "FqCodel", "GilbertElliott", "Interval", "Link", "Loss", "Mtu", "NetemDelay",
    "Nth", "Outage", "Pipe", "Queue", "Red", "Reordering", "ReplaceableStage", "Spikes", "Stage",
    "TracedQueue",
]  # fmt: skip

_HOMES: Final = {
    "AckFilter": "path.queues.ack_filter",
    "AckThinning": "path.ack_thinning",
    "Codel": "path.queues.codel",
    "Corruption": "path.faults",
    "Cut": "path.faults",
    "Delay": "path.link",
    "Discipline": "path.queues.discipline",
    "DropTail": "path.queues.discipline",
    "Duplication": "path.faults",
    "FqCodel": "path.queues.fq_codel",
    "GilbertElliott": "path.bursts",
    "Interval": "path.intervals",
    "Link": "path.link",
    "Loss": "path.faults",
    "Mtu": "path.mtu",
    "NetemDelay": "path.netem_delay",
    "Nth": "path.nth",
    "Outage": "path.outage",
    "Pipe": "path.queues.bottleneck",
    "Queue": "path.queues.bottleneck",
    "Red": "path.queues.red",
    "Reordering": "path.faults",
    "ReplaceableStage": "path.replaceable_stage",
    "Spikes": "path.spikes",
    "Stage": "path.link",
    "TracedQueue": "path.queues.traced",
}
__getattr__, __dir__ = names_of(__name__, _HOMES)
