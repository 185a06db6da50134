"""The deadlines of a connection: the earliest counts, and none outlives it."""

from __future__ import annotations

from typing import Any

import pytest

from pystack.tcp.timing import timers
from tests.kit.tcp import Tcp

ARMING = [
    timers.arm_rto, timers.arm_persist, timers.arm_delack, timers.arm_keepalive,
    timers.arm_fin_wait_2, timers.arm_rack, timers.arm_tlp, timers.arm_pace,
]  # fmt: skip


@pytest.fixture
def tcb(tcp: Tcp) -> Any:
    """That of a connection without deadlines."""
    tcp.established()
    tcp.quiet(1)
    (tcb,) = tcp.host.connections.values()
    assert timers.next_at(tcb) == 0
    return tcb


@pytest.mark.variants("ipv4")
def test_the_earliest_of_all_is_the_next(tcb: Any) -> None:
    for number, arm in enumerate(ARMING):
        arm(tcb, 1000 - number)
        assert timers.next_at(tcb) == 1000 - number
    for number, arm in reversed(list(enumerate(ARMING))):
        assert timers.next_at(tcb) == 1000 - number
        arm(tcb, 0)
    assert timers.next_at(tcb) == 0


@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("arm", ARMING)
def test_none_is_left_of_a_connection_that_is_gone(tcb: Any, arm: Any) -> None:
    arm(tcb, 1000)
    timers.stop_all(tcb)
    assert timers.next_at(tcb) == 0
