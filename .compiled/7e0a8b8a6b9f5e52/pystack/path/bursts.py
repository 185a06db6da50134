"""Losses in bursts: the model of Gilbert and Elliott, two states with a loss rate each."""

from __future__ import annotations

from pystack.path.chance import checked
from pystack.path.link import RandomSource, Stage
from pystack.path.marking import marked
from pystack.wire.batch import Packet


class GilbertElliott(Stage):
    """Loses `bad_loss` of the packets in the bad state and `good_loss` in the good one.

    After each packet the state changes: to bad with probability `to_bad`, back with `to_good`. In
    the long run to_bad / (to_bad + to_good) of the packets meet the bad state, 1 / to_good of them
    in a row. netem's `gemodel p r 1-h 1-k` is (p, r, bad_loss, good_loss). `ecn` as in `Loss`.
    """

    counted = ("lost", "marked")

    def __init__(
        self,
        to_bad: float,
        to_good: float,
        source: RandomSource,
        *,
        bad_loss: float = 1.0,
        good_loss: float = 0.0,
        ecn: bool = False,
    ) -> None:
        self.to_bad = checked(to_bad)
        self.to_good = checked(to_good)
        self.bad_loss = checked(bad_loss)
        self.good_loss = checked(good_loss)
        self.ecn = ecn
        self.lost = 0
        self.marked = 0
        self._bad = False
        self._source = source

    def feed(self, packet: Packet, now_us: int) -> list[Packet]:
        bad = self._bad
        strikes = self._source.random() < (self.bad_loss if bad else self.good_loss)
        if self._source.random() < (self.to_good if bad else self.to_bad):
            self._bad = not bad
        if not strikes:
            return [packet]
        mark = marked(packet) if self.ecn else None
        if mark is None:
            self.lost += 1
            return []
        self.marked += 1
        return [mark]
