"""RFC 7323 §3 to §5 and §7.1: the timestamps option, round trips measured by it, and PAWS.

The peer's clock is at 800, ours at 200, when `established(ts=700)` is through.
"""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

# -- §3.2: agreeing and using -------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S3.2-1", "RFC7323-S3.2-5")
def test_our_syn_offers_timestamps_and_echoes_nothing(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>")


@pytest.mark.requirement("RFC7323-S3.2-1")
@pytest.mark.host(tcp_timestamps=0)
def test_switched_off_they_are_neither_offered_nor_answered(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 7>")
    tcp.listen()
    tcp.flow("b", remote_port=40_001, local_port=80)
    tcp.play(
        """
        +0 b< S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0,nop,wscale 7>
        +0 b> S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
        """
    )


@pytest.mark.requirement("RFC7323-S3.2-4")
@pytest.mark.host(tcp_timestamps=0)
def test_a_syn_ack_that_has_them_unasked_agrees_on_nothing(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale 7>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,TS val 700 ecr 0>
        +0   > .  1:1(0) ack 1
        +0   < P. 1:11(10) ack 1
        +0   > .  1:1(0) ack 11
        +0   < P. 11:21(10) ack 1 <nop,nop,TS val 699 ecr 0>
        +0   > .  1:1(0) ack 21
        """
    )
    assert sock.recv(100) == tcp.data(20)


@pytest.mark.requirement("RFC7323-S3.2-1", "RFC7323-S3.2-5")
def test_a_syn_ack_has_them_only_if_the_syn_had(tcp: Tcp) -> None:
    tcp.listen()
    tcp.flow("b", remote_port=40_001, local_port=80)
    tcp.play(
        """
        +0  < S  0:0(0) win 65535 <mss 1460,sackOK,nop,wscale 7>
        +0  > S. 0:0(0) ack 1 <mss 1460,nop,nop,sackOK,nop,wscale 7>
        +0 b< S  0:0(0) win 65535 <mss 1460,TS val 700 ecr 0>
        +0 b> S. 0:0(0) ack 1 <mss 1460,nop,nop,TS val 100 ecr 700>
        """
    )


@pytest.mark.requirement("RFC7323-S3.2-2", "RFC7323-S3.2-5")
def test_once_agreed_every_segment_has_them(tcp: Tcp) -> None:
    sock = tcp.established(ts=700, rtt=0.1, win=4000)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.3  > P. 1:1001(1000) ack 1 <nop,nop,TS val 500 ecr 800>
        +0.01 < P. 1:101(100) ack 1001 win 0 <nop,nop,TS val 1110 ecr 500>
        +0    > .  1001:1001(0) ack 101 <nop,nop,TS val 510 ecr 1110>
        """
    )
    sock.recv(1000)
    sock.send(tcp.data(10, 1000))
    wait = sock.tcp_info().tcpi_rto
    rto = wait // 1000
    tcp.play(
        f"""
        +{wait}us > . 1000:1000(0) ack 101 <nop,nop,TS val {510 + rto} ecr 1110>
        +0 < .  101:101(0) ack 1001 win 4000 <nop,nop,TS val 2000 ecr 510>
        +0 > P. 1001:1011(10) ack 101 <nop,nop,TS val {510 + rto} ecr 2000>
        +0 < .  101:101(0) ack 1011 win 4000 <nop,nop,TS val 2001 ecr {510 + rto}>
        """
    )
    sock.close()
    tcp.play(
        f"""
        +0   > F. 1011:1011(0) ack 101 <nop,nop,TS val {510 + rto} ecr 2001>
        +0.1 < F. 101:101(0) ack 1012 <nop,nop,TS val 2101 ecr {510 + rto}>
        +0   > .  1012:1012(0) ack 102 <nop,nop,TS val {610 + rto} ecr 2101>
        """
    )


@pytest.mark.deviation("RFC7323-S3.2-3")
def test_once_agreed_a_segment_without_them_is_taken_and_gives_no_time(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    sock.send(b"x")
    tcp.play(
        """
        +0    > P. 1:2(1) ack 1 <nop,nop,TS val 200 ecr 800>
        +0    < P. 1:11(10) ack 2
        +0    > .  2:2(0) ack 11 <nop,nop,TS val 200 ecr 800>
        +0.1  < P. 11:21(10) ack 2 <nop,nop,TS val 1000 ecr 200>
        +0    > .  2:2(0) ack 21 <nop,nop,TS val 300 ecr 1000>
        +0    < F. 21:21(0) ack 2
        +0    > .  2:2(0) ack 22 <nop,nop,TS val 300 ecr 1000>
        """
    )
    assert tcp.state() == "CLOSE_WAIT"
    assert sock.recv(99) == tcp.data(20)


@pytest.mark.deviation("RFC7323-S3.2-3")
def test_a_reset_needs_none(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    tcp.play("+0 < R 1:1(0)\n+0 quiet")
    assert tcp.state() == "CLOSED"
    with pytest.raises(ConnectionResetError):
        sock.recv(10)


@pytest.mark.requirement("RFC7323-S3.2-4")
@pytest.mark.parametrize("passive", [True, False])
def test_not_agreed_they_are_ignored(tcp: Tcp, passive: bool) -> None:
    sock = tcp.established(passive)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val 5000 ecr 77>
        +0 > .  1:1(0) ack 11
        +0 < P. 11:21(10) ack 1 <nop,nop,TS val 4000 ecr 77>  # "older": nothing to us
        +0 > .  1:1(0) ack 21
        +0 < P. 21:31(10) ack 1 <nop,nop,TS val 2147483658 ecr 77>  # more than half round from 0
        +0 > .  1:1(0) ack 31
        """
    )
    assert sock.recv(100) == tcp.data(30)


# -- §4: round trips ------------------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S4.1-1")
def test_duplicate_acks_and_window_updates_measure_nothing(tcp: Tcp) -> None:
    sock = tcp.established(ts=700, rtt=0.1)
    sock.send(tcp.data(10))
    tcp.play(
        """
        +0    > P. 1:11(10) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.2  < .  1:1(0) ack 1 <nop,nop,TS val 1000 ecr 100>
        +0    < .  1:1(0) ack 1 win 1000 <nop,nop,TS val 1000 ecr 100>
        +0    < P. 1:2(1) ack 1 <nop,nop,TS val 1000 ecr 100>
        +0    > .  11:11(0) ack 2 <nop,nop,TS val 400 ecr 1000>
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar) == (100_000, 50_000)


@pytest.mark.requirement("RFC7323-S4.1-1")
def test_the_echo_of_an_ack_that_brings_a_sack_block_alone_measures_nothing(tcp: Tcp) -> None:
    """SND.UNA has not moved. When what arrived was sent, is known (Linux): 110 ms ago, not 210."""
    sock = tcp.established(ts=700, sack=True, rtt=0.1)
    sock.send(tcp.data(2896))
    tcp.take()
    block = "nop,nop,sack 1449:2897"
    tcp.play(f"+0.11 < . 1:1(0) ack 1 <nop,nop,TS val 1000 ecr 100,{block}>")
    assert sock.tcp_info().tcpi_rtt == 100_000 + 10_000 // 8
    tcp.run(1)


@pytest.mark.requirement("RFC7323-S4.3-1", "RFC7323-S3.2-5")
def test_a_delayed_ack_echoes_the_earliest_segment_it_covers(tcp: Tcp) -> None:
    """§4.3 (A)."""
    sock = tcp.established(ts=700)
    tcp.play(
        """
        +0    < P. 1:11(10) ack 1 <nop,nop,TS val 800 ecr 200>
        +0    > .  1:1(0) ack 11 <nop,nop,TS val 200 ecr 800>
        """
    )
    sock.recv(100)
    sock.send(b"x")  # an answer: ACKs wait for answers from now on
    tcp.play(
        """
        +0    > P. 1:2(1) ack 11 <nop,nop,TS val 200 ecr 800>
        +0.02 < P. 11:21(10) ack 2 <nop,nop,TS val 820 ecr 200>
        +0.01 < P. 21:31(10) ack 2 <nop,nop,TS val 830 ecr 200>
        +0.01 < P. 31:41(10) ack 2 <nop,nop,TS val 840 ecr 200>
        +0..0.04 > . 2:2(0) ack 41 <nop,nop,TS val 240..280 ecr 820>
        +0.02 < P. 41:51(10) ack 2 <nop,nop,TS val 900 ecr 240>
        +0..0.2 > . 2:2(0) ack 51 <nop,nop,TS val * ecr 900>
        """
    )


@pytest.mark.requirement("RFC7323-S4.3-1")
def test_above_a_hole_the_last_segment_in_order_is_echoed_and_the_filler_its_own(
    tcp: Tcp,
) -> None:
    """§4.3 (B) and (C), as its example: A B (hole) E F, then C, then D."""
    tcp.established(ts=700)
    tcp.play(
        """
        +0    < . 1:101(100) ack 1 <nop,nop,TS val 801 ecr 200>      # A
        +0    > . 1:1(0) ack 101 <nop,nop,TS val 200 ecr 801>
        +0.01 < . 201:301(100) ack 1 <nop,nop,TS val 803 ecr 200>    # C
        +0    > . 1:1(0) ack 101 <nop,nop,TS val 210 ecr 801>
        +0.01 < . 101:201(100) ack 1 <nop,nop,TS val 802 ecr 200>    # B, late
        +0    > . 1:1(0) ack 301 <nop,nop,TS val 220 ecr 802>
        +0.01 < . 401:501(100) ack 1 <nop,nop,TS val 805 ecr 200>    # E
        +0    > . 1:1(0) ack 301 <nop,nop,TS val 230 ecr 802>
        +0.01 < . 301:401(100) ack 1 <nop,nop,TS val 804 ecr 200>    # D
        +0    > . 1:1(0) ack 501 <nop,nop,TS val 240 ecr 804>
        """
    )


@pytest.mark.requirement("RFC7323-S4.3-1")
def test_an_old_duplicate_within_the_last_ack_does_not_set_the_echo_back(tcp: Tcp) -> None:
    tcp.established(ts=700)
    tcp.play(
        """
        +0    < . 1:101(100) ack 1 <nop,nop,TS val 900 ecr 200>
        +0    > . 1:1(0) ack 101 <nop,nop,TS val 200 ecr 900>
        +0    < . 1:101(100) ack 1 <nop,nop,TS val 850 ecr 200>   # refused by PAWS as well
        +0    > . 1:1(0) ack 101 <nop,nop,TS val 200 ecr 900>
        +0    < . 101:201(100) ack 1 <nop,nop,TS val 900 ecr 200> # equal is not older
        +0    > . 1:1(0) ack 201 <nop,nop,TS val 200 ecr 900>
        """
    )


@pytest.mark.requirement("RFC7323-S4.3-1")
def test_a_pure_ack_that_was_overtaken_does_not_set_the_echo_back(tcp: Tcp) -> None:
    """Linux lets it pass PAWS, as acknowledgments may overtake each other."""
    sock = tcp.established(ts=700)
    tcp.play(
        """
        +0 < . 1:1(0) ack 1 <nop,nop,TS val 820 ecr 200>
        +0 < . 1:1(0) ack 1 <nop,nop,TS val 810 ecr 200>
        +0.1 quiet
        """
    )
    sock.send(b"x")
    tcp.play("+0 > P. 1:2(1) ack 1 <nop,nop,TS val 300 ecr 820>")


@pytest.mark.requirement("RFC7323-S5.3-1")
@pytest.mark.parametrize(("older", "taken"), [(0, True), (360, True), (361, False)])
def test_duplicate_acks_count_though_they_are_an_rto_older(
    tcp: Tcp, older: int, taken: bool
) -> None:
    """Linux: by the fastest clock that peers have, of 1200 Hz. The RTO is 300 ms."""
    sock = tcp.established(ts=700)
    sock.send(tcp.data(4 * 1448))
    stamps = "nop,nop,TS val {} ecr {}"
    for left in range(1, 4 * 1448, 1448):
        flags = "P." if left > 3 * 1448 else ". "
        tcp.play(f"+0 > {flags} {left}:{left + 1448}(1448) ack 1 <{stamps.format(200, 800)}>")
    tcp.play(f"+0.1 < . 1:1(0) ack 1449 <{stamps.format(2000, 200)}>")
    duplicate = f"+0 < . 1:1(0) ack 1449 <{stamps.format(2000 - older, 200)}>\n"
    repeated = f"+0 > . 1449:2897(1448) ack 1 <{stamps.format(300, 2000)}>\n"
    refused = f"+0 > . 5793:5793(0) ack 1 <{stamps.format(300, 2000)}>\n"
    tcp.play(duplicate + ("" if taken else refused) + "+0 quiet")
    tcp.play(duplicate + "+0 quiet")
    tcp.play(duplicate + (repeated if taken else "") + "+0 quiet")


# -- §5: PAWS ---------------------------------------------------------------------------------


@pytest.mark.deviation("RFC7323-S5.2-1")
def test_a_reset_in_answer_to_timestamps_has_none(tcp: Tcp) -> None:
    tcp.flow("", remote_port=40_000, local_port=81)
    tcp.play(
        """
        +0 < S  0:0(0) win 65535 <mss 1460,sackOK,TS val 700 ecr 0>
        +0 > R. =0:=0(0) ack 1 win 0
        """
    )


@pytest.mark.requirement("RFC7323-S5.2-2")
def test_a_reset_with_an_old_timestamp_still_resets(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    tcp.play("+0 < R 1:1(0) <nop,nop,TS val 100 ecr 0>\n+0 quiet")
    assert tcp.state() == "CLOSED"
    with pytest.raises(ConnectionResetError):
        sock.recv(10)


@pytest.mark.requirement("RFC7323-S5.3-1")
@pytest.mark.parametrize("tsval", [799, 1, 0x80000321, 0xFFFFFFFF])
def test_an_old_timestamp_is_acknowledged_and_its_segment_dropped(tcp: Tcp, tsval: int) -> None:
    sock = tcp.established(ts=700)
    tcp.play(
        f"""
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val {tsval} ecr 200> "old news.."
        +0 > .  1:1(0) ack 1 <nop,nop,TS val 200 ecr 800>
        """
    )
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val 801 ecr 200>
        +0 > .  1:1(0) ack 11 <nop,nop,TS val 200 ecr 801>
        """
    )
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC7323-S5.3-1")
def test_the_ack_and_the_fin_of_an_old_segment_are_not_taken_either(tcp: Tcp) -> None:
    sock = tcp.established(ts=700, rtt=0.1)
    sock.send(b"x")
    tcp.play(
        """
        +0    > P. 1:2(1) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.01 < F. 1:1(0) ack 2 <nop,nop,TS val 700 ecr 200>
        +0    > .  2:2(0) ack 1 <nop,nop,TS val 210 ecr 800>
        +0.29 > P. 1:2(1) ack 1 <nop,nop,TS val 500 ecr 800>
        """
    )
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC7323-S5.3-1")
@pytest.mark.parametrize("first", [0x7FFFFFF0, 0xFFFFFFF0])
def test_newer_is_meant_modulo_two_to_the_32nd(tcp: Tcp, first: int) -> None:
    sock = tcp.established(ts=first, rtt=0.001)
    tsval = first + 1
    at = 1
    for step in (1, 1000, 0x7FFFFFFF, 0x7FFFFFFE):
        tsval = (tsval + step) & 0xFFFFFFFF
        tcp.play(
            f"""
            +0 < P. {at}:{at + 1}(1) ack 1 <nop,nop,TS val {tsval} ecr 101>
            +0 > .  1:1(0) ack {at + 1} <nop,nop,TS val 101 ecr {tsval}>
            """
        )
        at += 1
    assert len(sock.recv(100)) == 4


@pytest.mark.requirement("RFC7323-S5.3-1")
def test_the_timestamp_is_looked_at_before_the_window(tcp: Tcp) -> None:
    """Both tests would have it acknowledged; only after PAWS would the echo stay."""
    tcp.established(ts=700)
    tcp.play(
        """
        +0 < P. 200001:200011(10) ack 1 <nop,nop,TS val 700 ecr 200>
        +0 > .  1:1(0) ack 1 <nop,nop,TS val 200 ecr 800>
        """
    )


@pytest.mark.requirement("RFC7323-S5.5-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_after_more_than_24_days_an_older_timestamp_is_taken(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    tcp.quiet(25 * 86_400)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val 1 ecr 200>
        +0 > .  1:1(0) ack 11 <nop,nop,TS val * ecr 1>
        """
    )
    assert sock.recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC7323-S5.5-1", "RFC7323-S5.3-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_after_23_days_it_is_not(tcp: Tcp) -> None:
    tcp.established(ts=700)
    tcp.quiet(23 * 86_400)
    tcp.play(
        """
        +0 < P. 1:11(10) ack 1 <nop,nop,TS val 1 ecr 200>
        +0 > .  1:1(0) ack 1 <nop,nop,TS val * ecr 800>
        """
    )


# -- §5.4, §7.1: our clock --------------------------------------------------------------------


@pytest.mark.requirement("RFC7323-S5.4-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_our_clock_ticks_once_per_millisecond(tcp: Tcp) -> None:
    sock = tcp.established(ts=700)
    at, tsval = 1, 200
    for seconds in (0.0, 0.0009, 0.0001, 0.001, 0.0125, 1, 60, 3600, 86_400 * 10):
        tcp.quiet(seconds)
        tsval += round(seconds * 10_000)
        sock.send(b"x")
        shown = 200 + (tsval - 200) // 10
        tcp.play(
            f"""
            +0 > P. {at}:{at + 1}(1) ack 1 <nop,nop,TS val {shown} ecr 800>
            +0 < .  1:1(0) ack {at + 1} <nop,nop,TS val 800 ecr {shown}>
            +0 quiet
            """
        )
        at += 1


@pytest.mark.requirement("RFC7323-S5.4-1", "RFC7323-S4.1-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_our_clock_may_wrap_between_a_segment_and_its_ack(tcp: Tcp) -> None:
    sock = tcp.established(ts=700, rtt=0.1)
    sock.send(b"x")
    (first,) = tcp.take()
    now = first.option("TS")[0]  # type: ignore[index]
    tcp.play("+0.1 < . 1:1(0) ack 2 <nop,nop,TS val 800 ecr 200>")
    tcp.quiet((2**32 - now - 100 - 50) / 1000)  # 50 ms before the wrap
    sock.send(b"y")
    (before,) = tcp.take()
    tcp.quiet(0.25)
    (after,) = tcp.run(0.05)  # the repeat
    assert before.option("TS")[0] == 2**32 - 50  # type: ignore[index]
    assert after.option("TS")[0] == 250  # type: ignore[index]
    tcp.play("+0.1 < . 1:1(0) ack 3 <nop,nop,TS val 800 ecr =250>")
    tcp.quiet(0)
    assert sock.tcp_info().tcpi_rtt == 100_000


@pytest.mark.requirement("RFC7323-S7.1-1")
def test_two_connections_have_unrelated_clocks(tcp: Tcp) -> None:
    assert apart(tcp) > 1000


@pytest.mark.host(tcp_timestamps=2)
def test_the_offsets_can_be_switched_off(tcp: Tcp) -> None:
    assert apart(tcp) == 0


def apart(tcp: Tcp) -> int:
    """How far the timestamps of two SYNs are apart that leave together."""
    tcp.connect(80)
    tcp.connect(81)
    first, second = [
        packet.option("TS")[0]
        for packet in tcp.take()  # type: ignore[index]
    ]
    return min((first - second) % 2**32, (second - first) % 2**32)
