"""RFC 6298: the retransmission timeout. RTTs and timeouts to the microsecond.

No connection here has SACK or timestamps unless it says so: the timer alone repairs what is lost.
"""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")


def us(seconds: float) -> int:
    return round(seconds * 1_000_000)


# -- §2: computing it ------------------------------------------------------------------------


@pytest.mark.requirement(
    "RFC6298-S2-1", "RFC6298-S5-2", "RFC9293-MUST-22",
    "RFC9293-MUST-19", "RFC8961-S4-1",
)  # fmt: skip
@pytest.mark.host(tcp_syn_linear_timeouts=0)
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_an_unanswered_syn_is_repeated_after_1_2_4_seconds_until_r2(tcp: Tcp) -> None:
    sock = tcp.connect()
    syn = "> S 0:0(0) win 64240 <mss 1460,sackOK,TS val * ecr 0,nop,wscale 7>"
    tcp.play(
        f"""
        +0  {syn}
        +1  {syn}
        +2  {syn}
        +4  {syn}
        +8  {syn}
        +16 {syn}
        +32 {syn}
        +63.999999 quiet
        """
    )
    assert tcp.state() == "SYN_SENT"
    tcp.quiet(0.000001)
    assert tcp.state() == "CLOSED"
    with pytest.raises(TimeoutError):
        sock.send(b"x")
    tcp.quiet(600)


@pytest.mark.requirement("RFC6298-S2-1", "RFC9293-MUST-22")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_the_first_four_repeats_of_a_syn_are_one_second_apart_as_in_linux(tcp: Tcp) -> None:
    sock = tcp.connect()
    syn = "> S 0:0(0) win 64240 <mss 1460,sackOK,TS val * ecr 0,nop,wscale 7>"
    waits = [0, 1, 1, 1, 1, 1, 2, 4, 8, 16, 32]
    tcp.play("\n".join(f"+{wait} {syn}" for wait in waits))
    tcp.quiet(63.999999)
    assert tcp.state() == "SYN_SENT"
    tcp.quiet(0.000001)
    assert tcp.state() == "CLOSED"
    with pytest.raises(TimeoutError):
        sock.send(b"x")


@pytest.mark.requirement("RFC6298-S2-1", "RFC6298-S5-2")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_an_unanswered_syn_ack_is_repeated_after_1_2_4_seconds(tcp: Tcp) -> None:
    tcp.listen()
    tcp.play(
        """
        +0  < S  0:0(0) win 65535 <mss 1460>
        +0  > S. 0:0(0) ack 1 <mss 1460>
        +1  > S. 0:0(0) ack 1 <mss 1460>
        +2  > S. 0:0(0) ack 1 <mss 1460>
        +4  > S. 0:0(0) ack 1 <mss 1460>
        """
    )
    tcp.quiet(7.9)


@pytest.mark.requirement("RFC6298-S2-2", "RFC9293-MUST-18")
@pytest.mark.parametrize("passive", [True, False])
@pytest.mark.parametrize(
    ("rtt", "rto"),
    [
        (0.9, 2.7),  # SRTT + 4 * RTT/2
        (0.2, 0.6),
        (0.1, 0.3),
        (0.04, 0.24),  # below it the variance term is 200 ms, not 4 * RTT/2
        (0.001, 0.201),
    ],
)
def test_the_first_sample_gives_srtt_half_of_it_as_variance_and_three_times_it_as_rto(
    tcp: Tcp, passive: bool, rtt: float, rto: float
) -> None:
    sock = tcp.established(passive, rtt=rtt)
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_rto) == (us(rtt), us(rtt / 2), us(rto))
    sock.send(tcp.data(1000))
    tcp.play(
        f"""
        +0     > P. 1:1001(1000) ack 1
        +{rto} > P. 1:1001(1000) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S2-3", "RFC9293-MUST-18")
def test_later_samples_move_variance_by_a_quarter_then_srtt_by_an_eighth(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    # R, then by hand: RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R|, SRTT = 7/8 SRTT + 1/8 R, both in µs
    samples = [
        (0.18, 110_000, 57_500, 340_000),
        (0.06, 103_750, 55_625, 326_250),
        (0.30375, 128_750, 91_718, 495_622),
        (0.12875, 128_750, 68_789, 403_906),
        (0.12875, 128_750, 51_592, 335_118),
        (0.12875, 128_750, 38_694, 328_750),  # 4 * RTTVAR is under 200 ms now
    ]
    at = 1
    for sample, srtt, rttvar, rto in samples:
        sock.send(tcp.data(100, at - 1))
        tcp.play(
            f"""
            +0 > P. {at}:{at + 100}(100) ack 1
            +{sample} < . 1:1(0) ack {at + 100}
            +0 quiet
            """
        )
        at += 100
        info = sock.tcp_info()
        assert info.tcpi_rtt == pytest.approx(srtt, abs=1)
        assert info.tcpi_rttvar == pytest.approx(rttvar, abs=2)
        assert info.tcpi_rto == pytest.approx(rto, abs=8)
    sock.send(tcp.data(100, at - 1))
    tcp.play(
        f"""
        +0 > P. {at}:{at + 100}(100) ack 1
        +0.32875~0.00001 > P. {at}:{at + 100}(100) ack 1
        """
    )


@pytest.mark.deviation("RFC6298-S2-4")
def test_on_a_short_path_the_first_repeat_comes_after_200_ms(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.001)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0     > P. 1:1001(1000) ack 1
        +0.201 > P. 1:1001(1000) ack 1
        """
    )


@pytest.mark.host(tcp_rto_min_us=1_000_000)
def test_the_floor_of_rfc_6298_can_be_set(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.001)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0     > P. 1:1001(1000) ack 1
        +1.001 > P. 1:1001(1000) ack 1
        +2.002 > P. 1:1001(1000) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S2-5", "RFC6298-S5-2", "RFC9293-MUST-19")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_the_backed_off_timeout_stops_growing_at_two_minutes(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    waits = [0, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 76.8, 120, 120, 120]
    tcp.play("\n".join(f"+{wait} > P. 1:1001(1000) ack 1" for wait in waits))


@pytest.mark.requirement("RFC6298-S2-5")
@pytest.mark.host(tcp_rto_max_ms=60_000)
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_the_cap_can_be_set(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    waits = [0, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 60, 60, 60]
    tcp.play("\n".join(f"+{wait} > P. 1:1001(1000) ack 1" for wait in waits))


# -- §3: taking samples ------------------------------------------------------------------------


@pytest.mark.requirement("RFC6298-S3-1", "RFC6298-S5-2", "RFC9293-MUST-18")
def test_the_ack_of_a_repeat_is_no_sample_and_the_backed_off_timeout_stays(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1
        +0.3  > P. 1:1001(1000) ack 1
        +0.05 < .  1:1(0) ack 1001
        +0    quiet
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_rto) == (100_000, 50_000, 600_000)
    sock.send(tcp.data(1000, 1000))
    tcp.play(
        """
        +0    > P. 1001:2001(1000) ack 1
        +0.6  > P. 1001:2001(1000) ack 1
        +1.2  > P. 1001:2001(1000) ack 1
        +0.05 < .  1:1(0) ack 2001
        """
    )
    sock.send(tcp.data(1000, 2000))
    tcp.play(
        """
        +0    > P. 2001:3001(1000) ack 1
        +0.1  < .  1:1(0) ack 3001  # a sample at last: 100 ms
        +0    quiet
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_rto) == (100_000, 37_500, 300_000)


@pytest.mark.requirement("RFC6298-S3-1")
def test_an_ack_that_also_covers_a_repeat_is_no_sample_under_sack_either(tcp: Tcp) -> None:
    """But for what was SACKed before, which was measured then."""
    sock = tcp.established(rtt=0.1, sack=True)
    sock.send(tcp.data(4 * 1460))
    tcp.play(sent(1, 5841))
    tcp.play(
        """
        +0.1  < .  1:1(0) ack 1 <nop,nop,sack 1461:5841>
        +0    > .  1:1461(1460) ack 1
        """
    )
    before = sock.tcp_info()
    tcp.play("+0.15 < . 1:1(0) ack 5841\n+0 quiet")
    after = sock.tcp_info()
    assert (after.tcpi_rtt, after.tcpi_rttvar) == (before.tcpi_rtt, before.tcpi_rttvar)
    assert after.tcpi_rtt == 100_000


@pytest.mark.requirement("RFC6298-S3-1")
def test_an_ack_that_also_covers_a_repeat_is_no_sample(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(4 * 1460))
    tcp.play(sent(1, 5841))
    tcp.play(
        """
        +0.1  < .  1:1(0) ack 1
        +0    < .  1:1(0) ack 1
        +0    < .  1:1(0) ack 1
        +0    > .  1:1461(1460) ack 1
        +0.15 < .  1:1(0) ack 5841  # held up by the hole, 250 ms after 1461:5841 left
        +0    quiet
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar) == (100_000, 50_000)


@pytest.mark.requirement("RFC6298-S3-1")
def test_with_timestamps_the_echo_tells_which_copy_was_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1, ts=700)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.3  > P. 1:1001(1000) ack 1 <nop,nop,TS val 500 ecr 800>
        +0.18 < .  1:1(0) ack 1001 <nop,nop,TS val 1280 ecr 500>
        +0    quiet
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_rto) == (110_000, 57_500, 340_000)


@pytest.mark.requirement("RFC6298-S3-1")
def test_an_echo_in_the_same_tick_is_a_millisecond_and_not_nothing(tcp: Tcp) -> None:
    """As in Linux; the shortest round trip would be wrong for minutes."""
    sock = tcp.established(rtt=0.0004, ts=700)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0      > P. 1:1001(1000) ack 1 <nop,nop,TS val 100 ecr *>
        +0.2..1 > P. 1:1001(1000) ack 1 <nop,nop,TS val 300 ecr *>
        +0.0001 < .  1:1(0) ack 1001 <nop,nop,TS val 1280 ecr 300>
        +0      quiet
        """
    )
    assert sock.tcp_info().tcpi_min_rtt == 400


@pytest.mark.requirement("RFC6298-S3-1")
def test_with_timestamps_a_late_ack_of_the_first_copy_is_measured_from_the_first(
    tcp: Tcp,
) -> None:
    sock = tcp.established(rtt=0.1, ts=700)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.3  > P. 1:1001(1000) ack 1 <nop,nop,TS val 500 ecr 800>
        +0.04 < .  1:1(0) ack 1001 <nop,nop,TS val 1140 ecr 200>
        +0    quiet
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rttvar) == (130_000, 97_500)  # R' = 340 ms


@pytest.mark.requirement("RFC6298-S3-2")
def test_srtt_follows_a_path_that_gets_longer(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    at = 1
    expected = 100_000.0
    for millisecond in range(100, 300, 10):
        sock.send(tcp.data(1460, at - 1))
        tcp.play(
            f"""
            +0 > P. {at}:{at + 1460}(1460) ack 1
            +{millisecond / 1000} < . 1:1(0) ack {at + 1460}
            +0 quiet
            """
        )
        at += 1460
        expected += (millisecond * 1000 - expected) / 8
        assert sock.tcp_info().tcpi_rtt == pytest.approx(expected, abs=20)


# -- §5: running the timer ------------------------------------------------------------------------


@pytest.mark.requirement("RFC6298-S5-1")
def test_an_ack_of_new_data_restarts_the_timer(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(3 * 1460))
    tcp.play(sent(1, 4381))
    tcp.play(
        """
        +0.1   < . 1:1(0) ack 1461  # R' = 100 ms: RTO stays at 300 ms
        +0.1   < . 1:1(0) ack 2921  # R' = 200 ms: SRTT 112.5, RTTVAR 53.125
        +0.325 > P. 2921:4381(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-1")
def test_sending_more_does_not_restart_a_timer_that_runs(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1, win=2920)
    sock.send(tcp.data(4380))
    tcp.play(
        """
        +0    > .  1:1461(1460) ack 1
        +0    > .  1461:2921(1460) ack 1
        +0.25 < .  1:1(0) ack 1 win 4380
        +0    > P. 2921:4381(1460) ack 1
        +0.05 > .  1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-1")
def test_a_duplicate_ack_does_not_restart_the_timer(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(2 * 1460))
    tcp.play(sent(1, 2921))
    tcp.play(
        """
        +0.2 < . 1:1(0) ack 1
        +0.1 > . 1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-1")
def test_the_timer_stops_when_everything_is_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(3 * 1460))
    tcp.play(sent(1, 4381))
    tcp.play(
        """
        +0.1 < . 1:1(0) ack 4381
        +1000 quiet
        """
    )


@pytest.mark.requirement("RFC6298-S5-2", "RFC9293-S3.10.8-2", "RFC9293-MUST-19")
def test_on_expiry_the_earliest_segment_alone_is_repeated_and_the_timeout_doubles(
    tcp: Tcp,
) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(4 * 1460))
    tcp.play(sent(1, 5841))
    tcp.play(
        """
        +0.3 > . 1:1461(1460) ack 1
        +0.6 > . 1:1461(1460) ack 1
        +1.2 > . 1:1461(1460) ack 1
        +2.4 > . 1:1461(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-2", "RFC9293-S3.10.8-2")
def test_what_follows_a_timeout_is_repeated_under_the_backed_off_timeout(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(4 * 1460))
    tcp.play(sent(1, 5841))
    tcp.play(
        """
        +0.3 > .  1:1461(1460) ack 1
        +0.1 < .  1:1(0) ack 1461
        +0   > .  1461:2921(1460) ack 1
        +0   > .  2921:4381(1460) ack 1
        +0.6 > .  1461:2921(1460) ack 1
        +1.2 > .  1461:2921(1460) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-3")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_data_after_a_repeated_syn_waits_three_seconds(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) <...>
        +1   > S  0:0(0) <...>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0   > P. 1:1001(1000) ack 1
        +3   > P. 1:1001(1000) ack 1
        +6   > P. 1:1001(1000) ack 1
        """
    )


@pytest.mark.requirement("RFC6298-S5-3")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_data_after_a_repeated_syn_ack_waits_three_seconds(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < S  0:0(0) win 65535 <mss 1460>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +1   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < .  1:1(0) ack 1
        +0   quiet
        """
    )
    sock, _ = listener.accept()
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0   > P. 1:1001(1000) ack 1
        +3   > P. 1:1001(1000) ack 1
        """
    )


@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_with_timestamps_the_repeated_syn_gives_a_sample_all_the_same(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
        +1   > S  0:0(0) <mss 1460,sackOK,TS val 1100 ecr 0,nop,wscale 7>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,TS val 700 ecr 1100>
        +0   > .  1:1(0) ack 1 <nop,nop,TS val 1200 ecr 700>
        """
    )
    info = sock.tcp_info()
    assert (info.tcpi_rtt, info.tcpi_rto) == (100_000, 300_000)


@pytest.mark.requirement("RFC9293-MUST-20", "RFC9293-SHLD-11", "RFC9293-S3.10.8-2", "RFC8961-S4-2")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_a_silent_peer_is_given_up_after_fifteen_minutes(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1000))
    waits = [0, 0.3, 0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 76.8, *[120] * 6]
    tcp.play("\n".join(f"+{wait} > P. 1:1001(1000) ack 1" for wait in waits))
    # the time of 15 doublings from 200 ms on is 924.6 s, looked at when the timer expires
    tcp.quiet(119.999999)
    assert tcp.state() == "ESTABLISHED"
    tcp.quiet(0.000001)
    assert tcp.state() == "CLOSED"
    with pytest.raises(TimeoutError):
        sock.send(b"x")
    tcp.quiet(1000)


# -- §3 and RFC 7323 §4.1: what the acknowledgement of a repeat tells of the round trip ---------


@pytest.mark.parametrize("reported", [False, True], ids=["once", "twice"])
@pytest.mark.host(tcp_early_retrans=0)
def test_an_echo_of_the_first_copy_is_no_round_trip_when_another_copy_has_come_too(
    tcp: Tcp, reported: bool
) -> None:
    """With D-SACK the ACK of the first copy was lost, and a repeat drew this: the time since the
    first copy is that of the losses. Where ACKs are lost such samples would make an RTT of 100 ms
    one of minutes (Linux takes them)."""
    sock = tcp.established(ts=700, sack=True, rtt=0.1)
    before = sock.tcp_info().tcpi_rtt
    sock.send(tcp.data(100))
    stamps = "<nop,nop,TS val 900 ecr 200>"
    if reported:
        stamps = "<nop,nop,TS val 900 ecr 200,nop,nop,sack 1:101>"
    tcp.play(
        f"""
        +0   > P. 1:101(100) ack 1 <nop,nop,TS val 200 ecr 800>
        +0.3 > P. 1:101(100) ack 1 <nop,nop,TS val 500 ecr 800>
        +0.6 > P. 1:101(100) ack 1 <nop,nop,TS val 1100 ecr 800>
        +0.1 <  . 1:1(0) ack 101 {stamps}
        +0   quiet
        """
    )
    info = sock.tcp_info()
    if reported:
        assert info.tcpi_rtt == before
        assert info.tcpi_rto == 300_000  # the timeouts were for nothing
    else:
        assert info.tcpi_rtt == before + (1_000_000 - before) // 8


# -- another path (IPv6) ---------------------------------------------------------------------------


@pytest.mark.variants("ipv6-wrap")
def test_each_timeout_takes_another_flow_label_and_other_repeats_do_not(tcp: Tcp) -> None:
    """As Linux: a path that was chosen by the label and is dead is left."""
    sock = tcp.established(sack=True, rtt=0.1)
    labels = []
    sock.send(tcp.data(5 * 1460))
    (first, *_) = tcp.take()
    tcp.play("+0.1 < . 1:1(0) ack 1 <nop,nop,sack 1461:5841>")
    (repeat,) = tcp.take()
    assert repeat.label == first.label != 0
    for _ in range(6):
        for packet in tcp.run(20):
            labels.append(packet.label)
    assert len(set(labels)) == len(labels) >= 4
    assert first.label not in labels
    assert tcp.host.counters.timeout_rehash == len(labels)
    ack = tcp.segment(". 1:1(0) ack 7301")
    tcp.inject(ack)
    sock.send(tcp.data(10, 5 * 1460))
    assert [packet.label for packet in tcp.take()] == labels[-1:]


@pytest.mark.variants("ipv6-wrap")
def test_each_repeat_of_a_syn_has_another_flow_label(tcp: Tcp) -> None:
    tcp.connect()
    labels = [packet.label for packet in [*tcp.take(), *tcp.run(5)]]
    assert len(set(labels)) == len(labels) == 6
    assert tcp.host.counters.timeout_rehash == 5


@pytest.mark.variants("ipv4")
def test_there_is_nothing_to_renew_in_ipv4(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(10))
    assert len({packet.ident for packet in [*tcp.take(), *tcp.run(3)]}) == 4
    assert tcp.host.counters.timeout_rehash == 0
