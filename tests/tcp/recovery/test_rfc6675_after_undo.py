"""RFC 6675 with RFC 3522: what is judged once a recovery has turned out to be needless."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

pytestmark = [
    pytest.mark.host(tcp_congestion_control="reno", tcp_loss_recovery="rfc6675"),
    pytest.mark.variants("ipv4", "ipv6-wrap"),
]
MSS = 1448


def test_what_was_lost_beside_a_late_segment_is_not_left_to_the_timeout(tcp: Tcp) -> None:
    """The first of ten is late, the next two are lost; the first repeat was needless."""
    sock = tcp.established(sack=True, ts=700, rtt=0.1)
    sock.send(tcp.data(10 * MSS))
    for start in range(1, 10 * MSS, MSS):
        flags = "P." if start > 9 * MSS else "."
        tcp.play(f"+0 > {flags} {start}:{start + MSS}({MSS}) ack 1 <...>")
    for end in (5793, 7241, 8689):
        tcp.play(f"+0.01 < . 1:1(0) ack 1 <nop,nop,TS val 900 ecr 200,nop,nop,sack 4345:{end}>")
    tcp.play(
        """
        +0    > .  1:1449(1448) ack 1 <...>
        +0.01 < .  1:1(0) ack 1449 <nop,nop,TS val 900 ecr 200,nop,nop,sack 4345:8689>
        +0    > .  1449:2897(1448) ack 1 <...>
        """
    )
