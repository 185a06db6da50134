"""RFC 5682 §2.1: where F-RTO can not find out, a timeout is repaired the conventional way."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = [
    pytest.mark.host(tcp_congestion_control="reno"),
    pytest.mark.variants("ipv4", "ipv6-wrap"),
]
MSS = 1460


def test_new_text_that_the_window_holds_back_does_not_hold_back_the_repeats(tcp: Tcp) -> None:
    """What is left of the window takes less than a segment."""
    sock = tcp.established(rtt=0.1, win=3 * MSS + 100)
    sock.send(tcp.data(5 * MSS))
    tcp.play(sent(1, 3 * MSS + 1, push=False))
    tcp.play(
        f"""
        +0.3 > .  1:1461(1460) ack 1
        +0.1 < .  1:1(0) ack 1461 win {2 * MSS + 100}
        +0   > .  1461:2921(1460) ack 1
        +0   > .  2921:4381(1460) ack 1
        """
    )


def test_when_all_that_was_out_had_been_repeated_before_later_losses_are_repaired(tcp: Tcp) -> None:
    """The third timeout is tried for being spurious, and nothing that comes back tells."""
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(3 * MSS))
    tcp.play(sent(1, 3 * MSS + 1, push=True))
    tcp.play(
        """
        +0.3 > .  1:1461(1460) ack 1
        +0.1 < .  1:1(0) ack 1461
        +0   > .  1461:2921(1460) ack 1
        +0   > P. 2921:4381(1460) ack 1
        +0.6 > .  1461:2921(1460) ack 1
        +1.2 > .  1461:2921(1460) ack 1
        """
    )
    sock.send(tcp.data(20 * MSS, 3 * MSS))
    tcp.play(
        """
        +0.1 < .  1:1(0) ack 2921
        +0   > .  4381:5841(1460) ack 1
        +0   > .  5841:7301(1460) ack 1
        +0.1 < .  1:1(0) ack 4381
        +0   < .  1:1(0) ack 5841
        +0   > .  7301:8761(1460) ack 1
        +0   > .  8761:10221(1460) ack 1
        +0.1 < .  1:1(0) ack 5841
        +0   > .  10221:11681(1460) ack 1
        +0   < .  1:1(0) ack 5841
        +0   > .  11681:13141(1460) ack 1
        +0   < .  1:1(0) ack 5841
        +0   > .  5841:7301(1460) ack 1
        """
    )
