"""A stage that can be replaced at any moment, and switched off and on again."""

from __future__ import annotations

from collections.abc import Iterable

from pystack.path.link import Stage
from pystack.wire.batch import Packet


class ReplaceableStage(Stage):
    """Packets go to the stage that was given last; while it is `down`, none does.

    Packets that an earlier stage still keeps come when that stage lets them go. `cut_off` counts
    the packets that came while it was down; they are dropped in silence.
    """

    answers = True  # a later stage may answer

    def __init__(self, stage: Stage) -> None:
        self.down = False
        self.cut_off = 0
        self._stages = [stage]  # the present one is the last, earlier ones still keep packets
        self._before: dict[str, int] = {}  # counts of stages that were forgotten

    def change(self, stage: Stage) -> None:
        """From now on packets go to another stage."""
        self._forget_idle(self._stages)
        self._stages.append(stage)

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        return self.feed_all((packet,), now_us)

    def feed_all(self, packets: Iterable[Packet], now_us: int) -> list[Packet]:
        if self.down:
            self.cut_off += len(list(packets))
            return []
        return self._stages[-1].feed_all(packets, now_us)

    def take(self, now_us: int) -> list[Packet]:
        due: list[Packet] = []
        for stage in self._stages:
            due += stage.take(now_us)
        if len(self._stages) > 1:
            self._forget_idle(self._stages[:-1])
        return due

    def next_deadline(self) -> int:
        deadlines = [stage.next_deadline() for stage in self._stages]
        return min((at_us for at_us in deadlines if at_us), default=0)

    def take_answers(self) -> list[Packet]:
        return [answer for stage in self._stages for answer in stage.take_answers()]

    def counts(self) -> dict[str, int]:
        """Those of all its stages until now, and `cut_off`."""
        total = dict(self._before)
        for stage in self._stages:
            _add(total, stage)
        total["cut_off"] = total.get("cut_off", 0) + self.cut_off
        return total

    def _forget_idle(self, stages: list[Stage]) -> None:
        """Forget stages that keep no packets any more; their counts stay."""
        for stage in list(stages):
            if not stage.next_deadline():
                _add(self._before, stage)
                self._stages.remove(stage)


def _add(total: dict[str, int], stage: Stage) -> None:
    for name, count in stage.counts().items():
        total[name] = total.get(name, 0) + count
