"""RFC 9293 §3.8.6.3, RFC 5681 §4.2: when an ACK is sent, with Linux's timing."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.kit.tcp import Tcp


def settled(tcp: Tcp, **offer: object) -> tuple[socket.socket, int]:
    """A connection past the quick ACKs of its start: full segments, every one acknowledged so
    far; the number of the peer's next octet."""
    sock = tcp.established(**offer)
    at = 1
    for _ in range(40):
        tcp.inject(tcp.segment(f". {at}:{at + 1460}(1460) ack 1"))
        at += 1460
        sock.recv(100_000)
        tcp.take()
    tcp.inject(tcp.segment(f". {at}:{at + 1460}(1460) ack 1"))  # perhaps a second one
    sock.recv(100_000)
    tcp.run(0.1)
    return sock, at + 1460


def conversing(tcp: Tcp) -> tuple[socket.socket, int, int]:
    """A connection on which answers follow requests; the next numbers, ours and the peer's."""
    sock = tcp.established()
    tcp.play(
        """
        +0    < P. 1:101(100) ack 1
        +0    > .  1:1(0) ack 101
        """
    )
    sock.recv(1000)
    sock.send(tcp.data(10))
    tcp.play(
        """
        +0    > P. 1:11(10) ack 101
        +0.05 < .  101:101(0) ack 11
        """
    )
    return sock, 11, 101


# -- delaying ----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-SHLD-18", "RFC9293-MUST-40")
def test_a_lone_segment_is_acknowledged_after_40_ms(tcp: Tcp) -> None:
    _, ours, at = conversing(tcp)
    tcp.play(
        f"""
        +1    < P. {at}:{at + 100}(100) ack {ours}
        +0.04 > .  {ours}:{ours}(0) ack {at + 100}
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-18")
def test_an_answer_within_the_delay_carries_the_ack(tcp: Tcp) -> None:
    sock, ours, at = conversing(tcp)
    tcp.play(f"+1 < P. {at}:{at + 100}(100) ack {ours}")
    tcp.quiet(0.03)
    sock.recv(1000)
    sock.send(tcp.data(10, ours - 1))
    tcp.play(
        f"""
        +0    > P. {ours}:{ours + 10}(10) ack {at + 100}
        +0.05 < .  {at + 100}:{at + 100}(0) ack {ours + 10}
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC9293-MUST-40")
@pytest.mark.parametrize("gap", [0.001, 0.01, 0.03, 0.05, 0.1, 0.19, 0.3, 0.45])
def test_whatever_the_rhythm_no_ack_is_later_than_half_a_second(tcp: Tcp, gap: float) -> None:
    sock, at = settled(tcp)
    due = None
    for _ in range(60):
        tcp.inject(tcp.segment(f"P. {at}:{at + 50}(50) ack 1"))
        at += 50
        came = tcp.now
        due = came + 0.5 if due is None else due
        for packet in tcp.run(gap):
            assert tcp.flow("").their_number(packet.ack) <= at
            due = None
        assert due is None or tcp.now <= due + gap
        sock.recv(1000)
    tcp.run(0.5)


@pytest.mark.requirement("RFC9293-SHLD-18", "RFC9293-MUST-40")
def test_the_delay_grows_with_the_rhythm_up_to_200_ms_as_in_linux(tcp: Tcp) -> None:
    sock, at = settled(tcp, rtt=0.3)
    for delay in (0.08, 0.16, 0.2, 0.2):
        tcp.play(
            f"""
            +0    < P. {at}:{at + 50}(50) ack 1
            +{delay} > . 1:1(0) ack {at + 50}
            +{0.25 - delay:.2f} quiet
            """
        )
        at += 50
        sock.recv(100)


@pytest.mark.requirement("RFC9293-SHLD-18", "RFC9293-MUST-40")
def test_the_delay_does_not_grow_beyond_the_round_trip_time(tcp: Tcp) -> None:
    sock, at = settled(tcp, rtt=0.15)
    for delay in (0.08, 0.15, 0.15):
        tcp.play(
            f"""
            +0    < P. {at}:{at + 50}(50) ack 1
            +{delay} > . 1:1(0) ack {at + 50}
            +{0.25 - delay:.2f} quiet
            """
        )
        at += 50
        sock.recv(100)


def test_an_ack_that_is_about_to_be_due_goes_with_the_next_segment(tcp: Tcp) -> None:
    """As in Linux: within a quarter of the delay."""
    _, at = settled(tcp, rtt=0.3)
    tcp.play(
        f"""
        +0    < P. {at}:{at + 50}(50) ack 1        # due in 80 ms
        +0.07 < P. {at + 50}:{at + 100}(50) ack 1
        +0    > .  1:1(0) ack {at + 100}
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC9293-SHLD-19")
def test_in_a_stream_every_second_full_segment_is_acknowledged_at_once(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    for _ in range(10):
        tcp.play(
            f"""
            +0.001 < . {at}:{at + 1460}(1460) ack 1
            +0.001 < . {at + 1460}:{at + 2920}(1460) ack 1
            +0     > . 1:1(0) ack {at + 2920}
            """
        )
        at += 2920
        sock.recv(100_000)


@pytest.mark.requirement("RFC9293-SHLD-19")
def test_small_segments_are_counted_by_their_octets(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.001 < . {at}:{at + 700}(700) ack 1
        +0.001 < . {at + 700}:{at + 1400}(700) ack 1
        +0.001 < . {at + 1400}:{at + 2100}(700) ack 1
        +0     > . 1:1(0) ack {at + 2100}
        """
    )
    sock.recv(100_000)


@pytest.mark.deviation("RFC9293-MUST-58", "RFC9293-MUST-59")
@pytest.mark.requirement("RFC9293-SHLD-19", "RFC5681-S4.2-1")
def test_a_batch_of_full_segments_draws_one_ack_for_every_two(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    lines = [f"& < . {at + n * 1460}:{at + n * 1460 + 1460}(1460) ack 1" for n in range(6)]
    lines[0] = lines[0].replace("&", "+0.01")
    tcp.play(
        "\n".join(lines)
        + f"""
        +0 > . 1:1(0) ack {at + 2 * 1460}
        +0 > . 1:1(0) ack {at + 4 * 1460}
        +0 > . 1:1(0) ack {at + 6 * 1460}
        """
    )
    sock.recv(100_000)
    tcp.run(0)


@pytest.mark.requirement("RFC9293-MUST-58", "RFC5681-S4.2-1")
def test_small_segments_of_one_batch_are_acknowledged_together(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.1 < P. {at}:{at + 10}(10) ack 1
        &    < P. {at + 10}:{at + 20}(10) ack 1
        &    < P. {at + 20}:{at + 30}(10) ack 1
        &    < P. {at + 30}:{at + 40}(10) ack 1
        +0.04..0.2 > . 1:1(0) ack {at + 40}
        +10  quiet
        """
    )
    assert len(sock.recv(100)) == 40


@pytest.mark.requirement("RFC9293-MUST-58")
def test_quick_acks_of_one_batch_are_one_ack(tcp: Tcp) -> None:
    tcp.established()
    tcp.play(
        """
        +0   < P. 1:11(10) ack 1
        &    < P. 11:21(10) ack 1
        &    < P. 21:31(10) ack 1
        +0   > .  1:1(0) ack 31
        +10  quiet
        """
    )


@pytest.mark.requirement("RFC9293-MUST-58")
def test_text_and_fin_of_one_batch_are_one_ack(tcp: Tcp) -> None:
    _, at = settled(tcp)
    tcp.play(
        f"""
        +0.1 < P. {at}:{at + 10}(10) ack 1
        &    < F. {at + 10}:{at + 10}(0) ack 1
        +0   > .  1:1(0) ack {at + 11}
        +10  quiet
        """
    )


@pytest.mark.requirement("RFC9293-MUST-58")
@pytest.mark.variants("ipv4-offload", "ipv6-wrap-offload")
def test_a_super_segment_draws_one_ack(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.1 < [gso 1460] . {at}:{at + 29200}(29200) ack 1
        +0   > . 1:1(0) ack {at + 29200}
        +10  quiet
        """
    )
    assert len(sock.recv(100_000)) == 29200
    tcp.run(0)


@pytest.mark.requirement("RFC9293-MUST-58")
@pytest.mark.variants("ipv4-offload", "ipv6-wrap-offload")
def test_super_segments_of_one_batch_draw_one_ack(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.1 < [gso 1460] . {at}:{at + 14600}(14600) ack 1
        &    < [gso 1460] . {at + 14600}:{at + 29200}(14600) ack 1
        &    < . {at + 29200}:{at + 30660}(1460) ack 1
        +0   > . 1:1(0) ack {at + 30660}
        +10  quiet
        """
    )
    assert len(sock.recv(100_000)) == 30660
    tcp.run(0)


@pytest.mark.requirement("RFC9293-MAY-13", "RFC5681-S3.2-1")
@pytest.mark.variants("ipv4-offload", "ipv6-wrap-offload")
def test_each_segment_above_a_hole_behind_a_super_segment_has_its_own_ack(tcp: Tcp) -> None:
    _, at = settled(tcp)
    tcp.play(
        f"""
        +0.1 < [gso 1460] . {at}:{at + 14600}(14600) ack 1
        &    < . {at + 16060}:{at + 17520}(1460) ack 1
        &    < . {at + 17520}:{at + 18980}(1460) ack 1
        +0   > . 1:1(0) ack {at + 14600}
        +0   > . 1:1(0) ack {at + 14600}
        +10  quiet
        """
    )


# -- at once ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5681-S4.2-1", "RFC9293-MUST-40")
def test_the_first_segments_of_a_connection_are_each_acknowledged_at_once(tcp: Tcp) -> None:
    sock = tcp.established()
    for at in range(1, 1 + 16 * 1460, 1460):
        tcp.play(
            f"""
            +0.001 < . {at}:{at + 1460}(1460) ack 1
            +0     > . 1:1(0) ack {at + 1460}
            """
        )
        sock.recv(10_000)


def test_after_an_idle_time_longer_than_the_rto_acks_are_quick_again(tcp: Tcp) -> None:
    """As in Linux: the peer starts from a small window then."""
    sock, at = settled(tcp)
    tcp.quiet(0.3)
    for _ in range(8):
        tcp.play(
            f"""
            +0.01 < . {at}:{at + 1460}(1460) ack 1
            +0    > . 1:1(0) ack {at + 1460}
            """
        )
        at += 1460
        sock.recv(10_000)


@pytest.mark.requirement("RFC9293-SHLD-18")
def test_after_a_hole_acks_are_delayed_again(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at + 1460}:{at + 2920}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        +0.01 < . {at}:{at + 1460}(1460) ack 1
        +0    > . 1:1(0) ack {at + 2920}
        """
    )
    sock.recv(10_000)
    tcp.play(
        f"""
        +0.01 < P. {at + 2920}:{at + 2930}(10) ack 1
        +0.04..0.1 > . 1:1(0) ack {at + 2930}
        """
    )


def test_after_a_duplicate_acks_are_quick_again(tcp: Tcp) -> None:
    """As in Linux: our ACK may have been lost."""
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at - 1460}:{at}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        """
    )
    for _ in range(8):
        tcp.play(
            f"""
            +0.01 < . {at}:{at + 1460}(1460) ack 1
            +0    > . 1:1(0) ack {at + 1460}
            """
        )
        at += 1460
        sock.recv(10_000)


@pytest.mark.requirement("RFC9293-MAY-13", "RFC5681-S3.2-1")
def test_every_segment_above_a_hole_is_acknowledged_at_once(tcp: Tcp) -> None:
    _, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at + 1460}:{at + 2920}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        +0.01 < . {at + 2920}:{at + 4380}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        +0.01 < . {at + 10000}:{at + 10010}(10) ack 1
        +0    > . 1:1(0) ack {at}
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC5681-S3.2-1", "RFC9293-MAY-13")
def test_in_one_batch_too_each_segment_above_a_hole_has_its_own_ack(tcp: Tcp) -> None:
    _, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at + 1460}:{at + 2920}(1460) ack 1
        &     < . {at + 2920}:{at + 4380}(1460) ack 1
        &     < . {at + 4380}:{at + 5840}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        +0    > . 1:1(0) ack {at}
        +0    > . 1:1(0) ack {at}
        """
    )


@pytest.mark.requirement("RFC5681-S3.2-2", "RFC9293-MUST-59")
def test_filling_a_hole_is_acknowledged_at_once_and_once_up_to_the_end(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at + 100}:{at + 200}(100) ack 1
        +0    > . 1:1(0) ack {at}
        +0    < . {at + 200}:{at + 300}(100) ack 1
        +0    > . 1:1(0) ack {at}
        +0    < . {at + 300}:{at + 400}(100) ack 1
        +0    > . 1:1(0) ack {at}
        +0.01 < . {at}:{at + 100}(100) ack 1
        +0    > . 1:1(0) ack {at + 400}
        +10   quiet
        """
    )
    assert sock.recv(1000) == tcp.data(400, at - 1)


@pytest.mark.requirement("RFC5681-S3.2-2")
def test_filling_a_part_of_a_hole_is_acknowledged_at_once(tcp: Tcp) -> None:
    sock, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at + 300}:{at + 400}(100) ack 1
        +0    > . 1:1(0) ack {at}
        +0.01 < . {at}:{at + 100}(100) ack 1        # from below
        +0    > . 1:1(0) ack {at + 100}
        +0.01 < . {at + 200}:{at + 300}(100) ack 1  # from above
        +0    > . 1:1(0) ack {at + 100}
        +0.01 < . {at + 100}:{at + 200}(100) ack 1  # the last of it
        +0    > . 1:1(0) ack {at + 400}
        """
    )
    assert sock.recv(1000) == tcp.data(400, at - 1)


@pytest.mark.requirement("RFC5681-S3.2-2")
def test_filling_a_hole_is_acknowledged_at_once_even_if_acks_wait_for_answers(tcp: Tcp) -> None:
    sock, ours, at = conversing(tcp)
    tcp.play(
        f"""
        +0.1  < P. {at + 50}:{at + 100}(50) ack {ours}
        +0    > .  {ours}:{ours}(0) ack {at}
        +0.01 < P. {at}:{at + 50}(50) ack {ours}
        +0    > .  {ours}:{ours}(0) ack {at + 100}
        +10   quiet
        """
    )
    assert sock.recv(1000) == tcp.data(100, at - 1)


@pytest.mark.requirement("RFC5681-S4.2-1")
def test_a_duplicate_is_acknowledged_at_once_and_once(tcp: Tcp) -> None:
    _, at = settled(tcp)
    tcp.play(
        f"""
        +0.01 < . {at - 1460}:{at}(1460) ack 1
        +0    > . 1:1(0) ack {at}
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC5681-S4.2-1")
def test_a_pure_ack_is_not_acknowledged(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"x")
    tcp.play(
        """
        +0    > P. 1:2(1) ack 1
        +0.05 < .  1:1(0) ack 2
        +0.05 < .  1:1(0) ack 2
        +0.05 < .  1:1(0) ack 2 win 1000
        +10   quiet
        """
    )


@pytest.mark.requirement("RFC5681-S4.2-1")
def test_no_more_acks_than_segments_come_in_whatever_their_order(tcp: Tcp) -> None:
    sock = tcp.established()
    pieces = [(at, at + 100) for at in range(1, 4001, 100)]
    order = [(7 * index) % len(pieces) for index in range(len(pieces))]  # 7 and 40: each once
    acks = 0
    for came, index in enumerate(order, 1):
        left, right = pieces[index]
        tcp.inject(tcp.segment(f". {left}:{right}(100) ack 1"))
        acks += len(tcp.take())
        assert acks <= came
    assert sock.recv(10_000) == tcp.data(4000)
    tcp.run(0.5)
    acks += len(tcp.take())
    assert acks <= len(pieces)


# -- the ACK of a FIN (§3.10.7.4) ------------------------------------------------------------------


def after_questions_and_answers(tcp: Tcp) -> Any:
    sock = tcp.established(passive=True)
    for start in (1, 11, 21):
        tcp.inject(tcp.segment(f"P. {start}:{start + 10}(10) ack {start}"))
        tcp.run(0.005)
        sock.recv(100)
        sock.send(tcp.data(10, start - 1))
        tcp.run(0.02)
        tcp.inject(tcp.segment(f". {start + 10}:{start + 10}(0) ack {start + 10}"))
        tcp.run(0.06)
    return sock


def test_where_answers_follow_at_once_a_fin_is_acknowledged_by_our_own(tcp: Tcp) -> None:
    """As in Linux."""
    sock = after_questions_and_answers(tcp)
    tcp.play("+0 < F. 31:31(0) ack 31\n+0.01 quiet")
    sock.close()
    tcp.play("+0 > F. 31:31(0) ack 32\n+0.01 < . 32:32(0) ack 32\n+10 quiet")
    assert tcp.state() == "CLOSED"


def test_but_no_later_than_after_40_ms(tcp: Tcp) -> None:
    sock = after_questions_and_answers(tcp)
    tcp.play("+0 < F. 31:31(0) ack 31\n+0.04~0.001 > . 31:31(0) ack 32\n+1 quiet")
    assert sock.recv(10) == b""
