"""What one direction of a link is like, and the stages of `pystack.path` that make it so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from pystack import arguments
from pystack.path.faults import Loss
from pystack.path.language.units import rate_bps, size, time_us
from pystack.path.link import Delay, Link, Stage
from pystack.path.queues.bottleneck import Pipe, Queue
from pystack.path.queues.discipline import Discipline
from pystack.sim.network.events import Events
from pystack.sim.network.gso_link_direction import GsoLinkDirection
from pystack.sim.network.link_direction import LinkDirection, LinkEnd, StageLinkDirection

QUEUE = 1000  # packets, where nothing is said: what Linux gives an interface
_QUEUES: Final = "packets, a size such as '64kb' or a discipline of pystack.path was expected"


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One direction of a link.

    `rate` ("100mbit", or bit/s; None: no limit) counts the bytes of IP packets; `delay` ("20ms",
    or µs) is what every packet takes besides. `queue` is how much may wait, beside the packet that
    is being sent: packets, bytes ("64kb"), or a discipline of `pystack.path`. `loss` is the
    probability that a packet gets lost behind all that.
    """

    rate: str | int | None = None
    delay: str | int = 0
    queue: int | str | Discipline = QUEUE
    loss: float = 0.0

    def __post_init__(self) -> None:
        """Raises TypeError for what is of another type, ValueError for what makes no link."""
        rate, delay, queue = self.rate, self.delay, self.queue
        if isinstance(rate, str):
            _read("rate", rate, rate_bps)
        elif rate is not None:
            arguments.whole("rate", rate, "bit/s, or a text such as '20mbit', was expected", 1)
        if isinstance(delay, str):
            _read("delay", delay, time_us)
        else:
            arguments.whole("delay", delay, "µs, or a text such as '20ms', were expected", 0)
        if isinstance(queue, str):
            _read("queue", queue, size)
        elif not isinstance(queue, Discipline):
            arguments.whole("queue", queue, _QUEUES, 0)
        arguments.number("loss", self.loss, "a part of 1, such as 0.01, was expected", 0, 1)

    def direction(
        self, events: Events, name: str, near: LinkEnd, far: LinkEnd, mtu: int, source: Random,
        runs: bool,
    ) -> LinkDirection:  # fmt: skip
        """A direction like this. `source` decides what is lost; `runs`: runs may stay whole."""
        queue = self.queue
        if self.rate is None or isinstance(queue, Discipline) or not runs:
            return StageLinkDirection(events, name, near, far, mtu, self.stage(source))
        limit, in_bytes = (queue, False) if isinstance(queue, int) else size(queue)
        return GsoLinkDirection(
            events, name, near, far, mtu, rate_bps=self._rate_bps(self.rate), limit=limit,
            in_bytes=in_bytes, delay_us=self._delay_us(), loss=self.loss, source=source,
        )  # fmt: skip

    def stage(self, source: Random) -> Stage:
        """A new stage of `pystack.path` that does all that. `source` decides what is lost."""
        delay_us = self._delay_us()
        stages: list[Stage] = []
        if self.rate is None:
            stages.append(Delay(delay_us))
        else:
            rate = self._rate_bps(self.rate)
            queue = self.queue
            if isinstance(queue, Discipline):
                stages += [Queue(rate, queue), Delay(delay_us)]
            else:
                limit, in_bytes = (queue, False) if isinstance(queue, int) else size(queue)
                stages.append(Pipe(rate, limit, delay_us, in_bytes=in_bytes))
        if self.loss:
            stages.append(Loss(self.loss, source))
        return stages[0] if len(stages) == 1 else Link(*stages)

    def _delay_us(self) -> int:
        return self.delay if isinstance(self.delay, int) else time_us(self.delay)

    @staticmethod
    def _rate_bps(rate: str | int) -> int:
        return rate if isinstance(rate, int) else rate_bps(rate)


def _read(what: str, given: str, read: Callable[[str], object]) -> None:
    try:
        read(given)
    except ValueError as error:
        raise ValueError(arguments.unfit(what, given, str(error))) from None
