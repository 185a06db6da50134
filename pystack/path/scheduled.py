"""A stage that is replaced by others, each at its time."""

from __future__ import annotations

from collections.abc import Iterable

from pystack.path.link import Stage
from pystack.wire.batch import Packet


class Scheduled(Stage):
    """Packets go to the stage whose time has begun last: (from when in µs, stage), ascending.

    What an earlier stage has kept comes when that lets it go. Before the first, all pass.
    """

    def __init__(self, *stages: tuple[int, Stage]) -> None:
        if list(stages) != sorted(stages, key=lambda entry: entry[0]):
            raise ValueError("stages come in the order of their times")
        self.stages = stages
        self.answers = any(stage.answers for _, stage in stages)
        self._present: Stage = Stage()
        self._begun = 0  # how many have

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return self.feed_all((packet,), now_us)

    def feed_all(self, packets: Iterable[Packet], now_us: int) -> list[Packet]:
        while self._begun < len(self.stages) and self.stages[self._begun][0] <= now_us:
            self._present = self.stages[self._begun][1]
            self._begun += 1
        return self._present.feed_all(packets, now_us)

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        for _, stage in self.stages:
            due += stage.take(now_us)
        return due

    def next_deadline(self) -> int:
        deadlines = [stage.next_deadline() for _, stage in self.stages]
        return min((deadline for deadline in deadlines if deadline), default=0)

    def take_answers(self) -> list[Packet]:
        return [answer for _, stage in self.stages for answer in stage.take_answers()]

    def counts(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for _, stage in self.stages:
            for name, count in stage.counts().items():
                total[name] = total.get(name, 0) + count
        return total
