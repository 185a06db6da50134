"""RFC 9293 §3.4: sequence numbers modulo 2**32, and which segments lie in the window."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

MSS = 1460


@pytest.mark.requirement("RFC9293-S3.4-1")
@pytest.mark.variants("ipv4-wrap", "ipv6-wrap-offload")
def test_numbers_wrap_in_the_middle_of_what_we_send(tcp: Tcp) -> None:
    # ISS is 2**32 - 700: the first segment begins before the wrap and ends behind it
    sock = tcp.established(rtt=0.01)
    sock.send(tcp.data(5 * MSS))
    for start in range(1, 4 * MSS, MSS):
        tcp.play(f"+0 > . {start}:{start + MSS}({MSS}) ack 1")
    tcp.play(
        f"""
        +0     > P. {4 * MSS + 1}:{5 * MSS + 1}({MSS}) ack 1
        +0.01  < .  1:1(0) ack 600
        +0     < .  1:1(0) ack {MSS + 1}
        +0     < .  1:1(0) ack {5 * MSS + 1}
        +5     quiet
        """
    )
    assert tcp.default.sent == tcp.data(5 * MSS)


@pytest.mark.requirement("RFC9293-S3.4-1")
@pytest.mark.variants("ipv4-wrap", "ipv6-wrap-offload")
def test_numbers_wrap_in_the_middle_of_what_we_receive(tcp: Tcp) -> None:
    # IRS is 2**32 - 2: the peer's first octet has number 2**32 - 1, its second has 0
    sock = tcp.established(sack=True)
    tcp.play(
        """
        +0  < .  2:11(9) ack 1
        +0  > .  1:1(0) ack 1 <nop,nop,sack 2:11>
        +0  < .  1:2(1) ack 1
        +0  > .  1:1(0) ack 11
        +0  < P. 5:21(16) ack 1
        +0  > .  1:1(0) ack 21 <nop,nop,sack 5:11>
        """
    )
    assert sock.recv(100) == tcp.data(20)


@pytest.mark.requirement("RFC9293-S3.4-1")
@pytest.mark.variants("ipv4-wrap", "ipv6-wrap-offload")
def test_a_lost_segment_across_the_wrap_is_sent_again(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0     > P. 1:1001(1000) ack 1
        +0.3   > P. 1:1001(1000) ack 1
        +0.6   > P. 1:1001(1000) ack 1
        +0.1   < .  1:1(0) ack 1001
        +5     quiet
        """
    )


# -- the four cases: length of the segment and window, each zero or not -------------------------
# The window is 65535 from sequence number 1 on: its last octet is 65535.

WINDOW = 64240


@pytest.mark.requirement("RFC9293-S3.4-2")
@pytest.mark.parametrize("seq", [1, 2, WINDOW])
def test_an_empty_segment_in_the_window_is_taken(tcp: Tcp, seq: int) -> None:
    sock = tcp.established()
    sock.send(b"x")
    tcp.play(
        f"""
        +0     > P. 1:2(1) ack 1 win {WINDOW}
        +0.01  < .  {seq}:{seq}(0) ack 2       # what it acknowledges counts
        +5     quiet
        """
    )


@pytest.mark.requirement("RFC9293-S3.4-2", "RFC9293-S3.5.2-2")
@pytest.mark.parametrize("seq", [0, -1000, WINDOW + 2, 0x4000_0000])
def test_an_empty_segment_outside_of_the_window_is_answered_and_dropped(tcp: Tcp, seq: int) -> None:
    sock = tcp.established(rtt=0.01)
    sock.send(b"x")
    tcp.play(
        f"""
        +0     > P. 1:2(1) ack 1 win {WINDOW}
        +0.01  < .  {seq}:{seq}(0) ack 2
        +0     > .  2:2(0) ack 1 win {WINDOW}
        +0.2   > P. 1:2(1) ack 1               # the ACK in it was not taken
        """
    )


@pytest.mark.requirement("RFC9293-S3.4-2")
@pytest.mark.parametrize(
    ("start", "end", "upto"),
    [
        (1, 11, 11),  # just the next octets
        (0, 11, 11),  # begins one octet early
        (-99, 2, 2),  # only its last octet is new
        (-99, 11, 11),
    ],
)
def test_a_segment_that_reaches_into_the_window_is_taken(
    tcp: Tcp, start: int, end: int, upto: int
) -> None:
    sock = tcp.established()
    octets = bytes(1 - start) + tcp.data(end - 1)
    packet = tcp.segment(f". {start}:{end}({end - start}) ack 1")
    tcp.inject(packet[: len(packet) - (end - start)] + octets if start == 1 else packet)
    tcp.play(f"+0 > . 1:1(0) ack {upto}")
    assert len(sock.recv(1000)) == upto - 1


@pytest.mark.requirement("RFC9293-S3.4-2")
def test_the_last_octet_of_the_window_is_taken(tcp: Tcp) -> None:
    tcp.established(sack=True)
    tcp.play(
        f"""
        +0  < P. {WINDOW}:{WINDOW + 1}(1) ack 1
        +0  > .  1:1(0) ack 1 <nop,nop,sack {WINDOW}:{WINDOW + 1}>
        """
    )


@pytest.mark.requirement("RFC9293-S3.4-2", "RFC9293-S3.5.2-2")
@pytest.mark.parametrize(
    ("start", "length"),
    [
        (WINDOW + 1, 1),  # one past the window
        (WINDOW + 1, 1000),
        (0, 1),  # just below it
        (-999, 1000),
        (0x4000_0000, 10),
        (-0x4000_0000, 10),
    ],
)
def test_a_segment_outside_of_the_window_is_answered_and_dropped(
    tcp: Tcp, start: int, length: int
) -> None:
    sock = tcp.established()
    tcp.play(
        f"""
        +0  < P. {start}:{start + length}({length}) ack 1
        +0  > .  1:1(0) ack 1 win {WINDOW}
        +5  quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    with pytest.raises(BlockingIOError):
        sock.recv(1)


def fill_window(tcp: Tcp) -> int:
    """The peer fills our window, which then is zero; the number of the next octet."""
    at, edge = 1, WINDOW + 1
    tcp.default.shrinkable = False
    while at < edge:
        upto = min(at + MSS, edge)
        tcp.inject(tcp.segment(f". {at}:{upto}({upto - at}) ack 1"))
        for packet in tcp.take():
            edge = tcp.default.their_number(packet.ack) + packet.window
        at = upto
    for packet in tcp.run(1):
        assert packet.window == 0
    return at


@pytest.mark.requirement("RFC9293-S3.4-2")
def test_with_a_zero_window_only_an_empty_segment_at_its_edge_is_taken(tcp: Tcp) -> None:
    sock = tcp.established()
    edge = fill_window(tcp)
    sock.send(b"x")
    tcp.play(
        f"""
        +0     > P. 1:2(1) ack {edge} win 0
        +0.01  < P. {edge}:{edge + 1}(1) ack 1      # a window probe: refused
        +0     > .  2:2(0) ack {edge} win 0
        +0.01  < .  {edge}:{edge}(0) ack 2          # taken
        +5     quiet
        """
    )
