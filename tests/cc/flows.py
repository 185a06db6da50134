"""Flows on the path that most curves are drawn on: 20 Mbit/s, 40 ms, a queue of one BDP."""

from __future__ import annotations

from typing import Any

from pystack.cc.registry import factory
from tests.cc.bottleneck import Flow, Path

MSS = 1448
RATE = 2_500_000  # bytes/s
RTT_US = 40_000
BDP = RATE * RTT_US // 1_000_000


def flow(
    name: str, *, queue: int = 100, bursts: list[tuple[int, int]] | None = None, seed: int = 1,
    **path: Any,
) -> Flow:  # fmt: skip
    """A flow of algorithm `name`; `queue` in hundredths of the BDP; the rest is the Path's."""
    cc = factory(name)(MSS, 10 * MSS)
    cc.seed = seed
    facts = {"rate": RATE, "rtt_us": RTT_US, "queue": BDP * queue // 100, **path}
    return Flow(cc, Path(**facts), bursts)
