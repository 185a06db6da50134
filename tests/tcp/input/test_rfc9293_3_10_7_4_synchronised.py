"""RFC 9293 §3.10.7.4: SEGMENT ARRIVES in the synchronised states, step by step."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp


@pytest.mark.requirement("RFC9293-SHLD-31")
def test_segments_ahead_of_a_hole_are_kept_and_counted_once_it_is_filled(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play(
        """
        +0     < .  1461:2921(1460) ack 1
        +0     > .  1:1(0) ack 1
        +0     < .  2921:4381(1460) ack 1
        +0     > .  1:1(0) ack 1
        +0     < P. 5841:7301(1460) ack 1
        +0     > .  1:1(0) ack 1
        +0.01  < .  1:1461(1460) ack 1
        +0     > .  1:1(0) ack 4381
        +0.01  < .  4381:5841(1460) ack 1
        +0     > .  1:1(0) ack 7301
        """
    )
    assert sock.recv(10_000) == tcp.data(7300)


@pytest.mark.requirement("RFC9293-S3.10.7.4-1")
@pytest.mark.parametrize(
    "segments",
    [
        ["1:11", "1:21"],  # the same start, longer
        ["1:11", "6:21"],  # begins within what is known
        ["11:21", "1:21"],  # covers what waits
        ["11:21", "1:16"],  # reaches into what waits
        ["6:11", "16:21", "1:21"],
        ["6:16", "11:21", "1:8"],
        ["1:21", "1:21", "5:9"],
        ["11:16", "6:21", "1:6"],
    ],
)
def test_each_octet_is_delivered_once_however_segments_overlap(
    tcp: Tcp, segments: list[str]
) -> None:
    sock = tcp.established(rtt=0.01)
    for segment in segments:
        start, end = map(int, segment.split(":"))
        tcp.inject(tcp.segment(f". {start}:{end}({end - start}) ack 1"))
        tcp.take()
    assert sock.recv(100) == tcp.data(20)
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    tcp.inject(tcp.segment("P. 21:31(10) ack 1"))
    assert tcp.default.their_number(tcp.run(0.05)[-1].ack) == 31


@pytest.mark.requirement("RFC9293-S3.10.7.4-1")
def test_what_reaches_beyond_the_window_is_cut_off_or_refused_whole(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    edge = 64241
    tcp.play(f"+0 < . {edge - 10}:{edge + 10}(20) ack 1\n+0 > . 1:1(0) ack 1")
    taken = 0
    for start in range(1, edge - 10, 1460):
        end = min(start + 1460, edge - 10)
        tcp.inject(tcp.segment(f". {start}:{end}({end - start}) ack 1"))
        for packet in tcp.take():
            taken = tcp.default.their_number(packet.ack)
    taken = max([taken, *(tcp.default.their_number(packet.ack) for packet in tcp.run(1))])
    assert taken in (edge - 10, edge, edge + 10)
    got = b""
    while len(got) < taken - 1:
        got += sock.recv(5000)
    assert got == tcp.data(taken - 1)
    tcp.take()  # window updates


@pytest.mark.requirement("RFC9293-S3.10.7.4-2")
@pytest.mark.parametrize("segment", ["P 1:11(10)", "- 1:11(10)", "F 1:1(0)", "FP 1:11(10)"])
def test_a_segment_without_ack_has_no_effect(tcp: Tcp, segment: str) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play(f"+0 < {segment} win 65535\n+1 quiet")
    assert tcp.state() == "ESTABLISHED"
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    tcp.play("+0 < P. 1:11(10) ack 1\n+0..0.05 > . 1:1(0) ack 11")


@pytest.mark.requirement("RFC9293-S3.10.7.4-3")
@pytest.mark.parametrize("ahead", [1, 1000, 0x3FFF_FFFF])
def test_an_ack_of_data_never_sent_is_answered_and_its_data_dropped(tcp: Tcp, ahead: int) -> None:
    sock = tcp.established(rtt=0.01)
    sock.send(tcp.data(100))
    tcp.play(
        f"""
        +0     > P. 1:101(100) ack 1
        +0.01  < P. 1:11(10) ack {101 + ahead}
        +0     > .  101:101(0) ack 1
        +0.01  < .  1:1(0) ack 101
        +1     quiet
        """
    )
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.requirement("RFC9293-S3.10.7.4-3")
def test_acks_of_data_never_sent_do_not_make_an_ack_storm(tcp: Tcp) -> None:
    tcp.established(rtt=0.01)
    answers = 0
    for _ in range(100):
        tcp.inject(tcp.segment(". 1:1(0) ack 5000"))
        answers += len(tcp.run(0.001))
    assert answers == 1


@pytest.mark.requirement("RFC9293-S3.4-2")
def test_an_old_ack_changes_nothing(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(100))
    tcp.play(
        """
        +0     > P. 1:101(100) ack 1
        +0.05  < .  1:1(0) ack 101
        +0.01  < .  1:1(0) ack 51
        +0.01  < .  1:1(0) ack 1
        +10    quiet
        """
    )


def test_in_fin_wait_1_the_ack_of_data_alone_is_not_the_ack_of_the_fin(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(100))
    tcp.play("+0 > P. 1:101(100) ack 1")
    sock.close()
    tcp.play("+0 > F. 101:101(0) ack 1\n+0.1 < . 1:1(0) ack 101\n+0 quiet")
    assert tcp.state() == "FIN_WAIT_1"
    tcp.play("+0.01 < . 1:1(0) ack 102\n+0 quiet")
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC9293-S3.10.7.4-1")
def test_a_fin_on_a_segment_whose_octets_are_known_counts(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.01)
    tcp.play(
        """
        +0        < P. 1:11(10) ack 1
        +0        > .  1:1(0) ack 11
        +0        < F. 1:11(10) ack 1
        +0..0.05  > .  1:1(0) ack 12
        """
    )
    assert tcp.state() == "CLOSE_WAIT"
    assert sock.recv(100) == tcp.data(10)


def test_an_empty_segment_from_before_a_delayed_ack_still_counts(tcp: Tcp) -> None:
    # sent by the peer before it sent the text that we have taken but not yet acknowledged
    sock = tcp.established(rtt=0.1)
    for start in range(1, 400, 10):
        tcp.inject(tcp.segment(f"P. {start}:{start + 10}(10) ack 1"))
        tcp.take()
    sock.send(tcp.data(100))
    tcp.play("+0 > P. 1:101(100) ack 401")
    tcp.inject(tcp.segment("P. 401:411(10) ack 1"))
    assert tcp.take() == []  # delayed
    tcp.inject(tcp.segment(". 401:401(0) ack 101"))
    assert tcp.take() == []
    sent = tcp.run(5)
    assert [packet.payload for packet in sent] == [b""]  # the delayed ACK, and no repeat


@pytest.mark.requirement("RFC5961-S7-1", "RFC5961-S4.2-1")
@pytest.mark.parametrize("seq", [0, 5000, 70_000])
def test_a_flood_of_syns_draws_few_acks(tcp: Tcp, seq: int) -> None:
    tcp.established(rtt=0.01)
    answers = 0
    for _ in range(90):
        tcp.inject(tcp.segment(f"S {seq}:{seq}(0) win 65535"))
        answers += len(tcp.run(0.01))
    assert answers == 2  # one per 500 ms
