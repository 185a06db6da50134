"""RFC 8985 §7.2 and §7.3: the tail loss probe and the retransmission timer beside it."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = [
    pytest.mark.host(tcp_congestion_control="reno"),
    pytest.mark.variants("ipv4", "ipv6-wrap"),
]
MSS = 1460


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_where_the_timeout_is_sooner_the_probe_leaves_in_its_place(tcp: Tcp) -> None:
    """On a long, steady path 2 SRTT are more than the timeout; the probe then puts that off."""
    sock = tcp.established(sack=True, rtt=0.4)
    for number in range(12):
        sock.send(tcp.data(100, 100 * number))
        start = 1 + 100 * number
        tcp.play(
            f"""
            +0   > P. {start}:{start + 100}(100) ack 1
            +0.4 < .  1:1(0) ack {start + 100}
            """
        )
    rto = sock.tcp_info().tcpi_rto / 1e6
    assert rto < 0.8
    sock.send(tcp.data(2 * MSS, 1200))
    tcp.play(
        sent(1201, 1201 + 2 * MSS)
        + f"""
        +{rto} > P. 2661:4121(1460) ack 1
        +{rto} > .  1201:2661(1460) ack 1
        """
    )


def test_a_tail_beyond_a_window_that_has_shrunk_is_not_probed(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, rtt=0.1)
    sock.send(tcp.data(3 * MSS))
    tcp.play(sent(1, 3 * MSS + 1))
    tcp.play(
        f"""
        +0.1 < .  1:1(0) ack 1461 win {MSS}
        +0.3 > .  1461:2921(1460) ack 1
        """
    )
