"""Whether something happens to a packet: a probability, perhaps correlated as netem has it."""

from __future__ import annotations

from typing import Final

from pystack.path.link import RandomSource

_WHOLE: Final = 1 << 32


def checked(rate: float, what: str = "a rate") -> float:
    """`rate`, if it is a probability; else raises ValueError."""
    if not 0 <= rate <= 1:
        raise ValueError(f"{what} lies between 0 and 1: {rate}")
    return rate


class Correlated:
    """Numbers of 32 bits, each like the one before by the share `correlation`.

    As in netem (`get_crandom`): a mean of a new random number and the last result. Numbers near
    the ends become rare, so events of small probability are rarer than they should be.
    """

    def __init__(self, source: RandomSource, correlation: float) -> None:
        self.correlation = checked(correlation, "a correlation")
        self._source = source
        self._share = int(correlation * (_WHOLE - 1))
        self._last = 0

    def draw(self, terms: int = 1) -> int:
        """The next number, from 0 to 2**32 - 1; or a sum of `terms`, as correlated as one."""
        value = self._source.randrange(_WHOLE)
        for _ in range(terms - 1):
            value += self._source.randrange(_WHOLE)
        if self._share:
            share = self._share + 1
            value = value * (_WHOLE - share) + self._last * share >> 32
            self._last = value
        return value


class Chance:
    """Something that happens with probability `rate`; independent each time, unless there is a
    `correlation`."""

    def __init__(self, rate: float, source: RandomSource, correlation: float = 0.0) -> None:
        self.rate = checked(rate)
        self._source = source
        self._correlated = Correlated(source, correlation) if correlation else None
        self._below = rate * _WHOLE

    def strikes(self) -> bool:
        """Whether it happens this time."""
        if self._correlated is None:
            return self._source.random() < self.rate
        return self._correlated.draw() < self._below
