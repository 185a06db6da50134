"""What a connection tells its observer, by the numbers that recordings on disk are read with."""

from __future__ import annotations

import pytest

from pystack import Recorder
from tests.kit.tcp import Tcp

SENT, RETRANSMITTED, ACKED, RTO = 1, 2, 4, 8
LOST, RECOVERY_ENTERED, RECOVERY_LEFT = 32, 128, 256


@pytest.mark.host(tcp_congestion_control="reno", tcp_early_retrans=0)
def test_each_event_has_a_bit_of_its_own(tcp: Tcp) -> None:
    """One segment is lost; then one of three is, which is found 25 ms after the others came."""
    sock = tcp.established(sack=True, wscale=7)
    with Recorder().attach(sock) as recorder:
        sock.send(tcp.data(1460))
        tcp.play(
            """
            +0   > P. 1:1461(1460) ack 1
            +0.3 > P. 1:1461(1460) ack 1
            +0.1 < .  1:1(0) ack 1461
            +0   quiet
            """
        )
        sock.send(tcp.data(2 * 1460, 1460))
        tcp.play(
            """
            +0     > .  1461:2921(1460) ack 1
            +0     > P. 2921:4381(1460) ack 1
            +0.1   < .  1:1(0) ack 1461 <nop,nop,sack 2921:4381>
            +0.025 > .  1461:2921(1460) ack 1
            +0.1   < .  1:1(0) ack 4381
            +1     quiet
            """
        )
    assert list(recorder["event"]) == [
        SENT, RTO | LOST | RECOVERY_ENTERED, RETRANSMITTED, ACKED | RECOVERY_LEFT,
        SENT, ACKED, LOST | RECOVERY_ENTERED, RETRANSMITTED, ACKED | RECOVERY_LEFT,
    ]  # fmt: skip
