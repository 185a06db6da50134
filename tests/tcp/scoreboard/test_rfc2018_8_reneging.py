"""RFC 2018 §8: a receiver that lets go of what it had reported by SACK."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = [
    pytest.mark.host(tcp_congestion_control="reno"),
    pytest.mark.variants("ipv4", "ipv6-wrap"),
]
MSS = 1460


def test_all_that_is_out_is_sent_again_after_one_timeout(tcp: Tcp) -> None:
    """Also what left just before: when, says nothing."""
    sock = tcp.established(sack=True, rtt=0.1)
    sock.send(tcp.data(4 * MSS))
    tcp.play(sent(1, 4 * MSS + 1))
    tcp.play("+0.1 < . 1:1(0) ack 1 <nop,nop,sack 1461:2921>")
    sock.send(tcp.data(2 * MSS, 4 * MSS))
    tcp.play(sent(4 * MSS + 1, 6 * MSS + 1))
    tcp.play(
        """
        +0.001 < .  1:1(0) ack 1461
        +0.05..0.06 > .  1461:2921(1460) ack 1
        +0.02  < .  1:1(0) ack 2921
        +0     > .  2921:4381(1460) ack 1
        +0     > .  4381:5841(1460) ack 1
        +0.02  < .  1:1(0) ack 5841
        +0     > .  5841:7301(1460) ack 1
        +0     > P. 7301:8761(1460) ack 1
        """
    )
