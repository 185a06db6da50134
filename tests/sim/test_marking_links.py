"""Links that mark instead of dropping, and senders that count the marks (RFC 8257)."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.path.queues.codel import Codel, CodelLaw
from pystack.sim import Bulk, LinkSpec, Sink, World


@pytest.mark.parametrize(
    "receiver", [{}, {"tcp_congestion_control": "dctcp"}, {"tcp_ecn": 3}],
    ids=["classic echo", "exact echo", "accurate feedback"],
)  # fmt: skip
def test_dctcp_fills_a_link_that_marks_whatever_its_receiver_is(receiver: dict[str, Any]) -> None:
    world = World(1)
    a, b = world.host("a"), world.host("b", sysctl=receiver)
    law = CodelLaw(ecn=True, ce_threshold_us=1000)
    world.link(
        a, b, there=LinkSpec("50mbit", "5ms", Codel(1000, law)), back=LinkSpec("1gbit", "5ms")
    )
    sink = Sink(b, 1)
    Bulk(a, b, 1, cc="dctcp")
    world.run(for_s=1)
    before = sink.received
    world.run(for_s=2)
    assert (sink.received - before) * 8 / 2e6 > 46  # of 50 Mbit/s, headers of 4 % included
    assert law.marked > 100
