"""RFC 3168 §6.1.2: how a sender answers marks, and algorithms that count them (RFC 8257)."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pystack.cc.reno import Reno
from tests.kit.builds import patches_the_core
from tests.kit.tcp import Tcp
from tests.tcp.ecn.classic_peer import MSS, OPT_ECN, OPT_ECN_SEEN, asked, marked

pytestmark = pytest.mark.host(tcp_ecn=1, tcp_congestion_control="reno")


# -- the sender ------------------------------------------------------------------------------------


def test_a_loss_that_duplicates_tell_of_after_a_mark_cuts_no_more_and_each_lets_one_out(
    tcp: Tcp,
) -> None:
    """Ten are out, the first is acknowledged with a mark, the second is lost: the window of five is
    not cut once more, and goes on to be used once what is out has come down to it."""
    sock = asked(tcp)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    sock.send(tcp.data(60 * MSS))
    tcp.play(marked(1, 10 * MSS + 1, push=False) + "+0.1 quiet")
    tcp.play(f"+0 < .E 1:1(0) ack {MSS + 1}")
    tcp.play(marked(10 * MSS + 1, 11 * MSS + 1, flags=".W", push=False) + "+0 quiet")
    duplicate = f"+0 < . 1:1(0) ack {MSS + 1}\n"
    tcp.play(duplicate + "+0 quiet\n" + duplicate + "+0 quiet")
    tcp.play(f"{duplicate} +0 > . {MSS + 1}:{2 * MSS + 1}({MSS}) ack 1")
    tcp.finish()
    counts = []
    for _ in range(5):
        tcp.inject(tcp.segment(f". 1:1(0) ack {MSS + 1}"))
        counts.append(len(tcp.take()))
    assert counts == [0, 0, 1, 1, 1]
    info = sock.tcp_info()
    assert (info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh) == (5, 5)


@pytest.mark.requirement("RFC3168-S6.1.2-1", "RFC3168-S6.1.2-2")
def test_an_echo_cuts_the_window_once_per_round_trip_and_repeats_nothing(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    sock.send(tcp.data(60 * MSS))
    tcp.play(marked(1, 10 * MSS + 1, push=False))
    tcp.quiet(0.1)
    upto, flags, cuts = 10 * MSS + 1, [], []
    for number in range(1, 11):
        tcp.inject(tcp.segment(f".E 1:1(0) ack {number * MSS + 1}"))
        for packet in tcp.take():
            assert tcp.default.our_number(packet.seq) == upto  # new, in its order
            upto += len(packet.payload)
            flags.append(packet.flags & 0x80)
            assert packet.tos == 2
        cuts.append(sock.tcp_info().tcpi_snd_ssthresh)
    assert len(set(cuts)) == 1  # one reduction for ten echoes
    assert 5 <= cuts[0] <= 8
    assert flags[0]
    assert not any(flags[1:])
    # what was sent after the cut is another round trip, which may be cut again
    tcp.quiet(0.1)
    tcp.inject(tcp.segment(f".E 1:1(0) ack {upto}"))
    assert [packet.flags & 0x80 for packet in tcp.take()][:2] == [0x80, 0]
    assert sock.tcp_info().tcpi_snd_ssthresh < cuts[0]


@pytest.mark.requirement("RFC3168-S6.1.2-1")
def test_the_window_does_not_grow_by_an_ack_with_ece(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(4 * MSS))
    tcp.play(marked(1, 4 * MSS + 1))
    tcp.play(f"+0.1 < .E 1:1(0) ack {4 * MSS + 1}")
    tcp.take()
    assert sock.tcp_info().tcpi_snd_cwnd < 10


@pytest.mark.requirement("RFC3168-S6.1.2-2")
def test_after_a_fast_retransmit_cwr_comes_with_new_data_and_not_with_the_repeat(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    sock.send(tcp.data(60 * MSS))
    tcp.play(marked(1, 10 * MSS + 1, push=False))
    tcp.quiet(0.1)
    flags: list[tuple[bool, int, int]] = []
    for _ in range(9):
        tcp.inject(tcp.segment(". 1:1(0) ack 1"))
        flags += [
            (tcp.default.our_number(packet.seq) == 1, packet.flags & 0x80, packet.tos)
            for packet in tcp.take()
        ]
    repeat = flags.index((True, 0, 0))
    new = flags[repeat + 1 :]
    assert new
    assert all(not cwr for _, cwr, _ in flags[:repeat])
    assert [cwr for _, cwr, _ in new] == [0x80, *[0] * (len(new) - 1)]
    assert {field for _, _, field in new} == {2}


def test_a_cut_that_is_taken_back_is_not_told(tcp: Tcp) -> None:
    """The timeout was spurious, as the echoed timestamp shows (RFC 3522): nothing was cut."""
    sock = tcp.established(ecn=True, ts=700, rtt=0.1)
    sock.send(tcp.data(100))
    tcp.play("+0 > [ect0] P. 1:101(100) ack 1 <nop,nop,TS val 200 ecr 800>")
    tcp.play(
        """
        +0.2..1 > P. 1:101(100) ack 1 <nop,nop,TS val * ecr 800>
        +0.1    < . 1:1(0) ack 101 <nop,nop,TS val 1200 ecr 200>
        """
    )
    sock.send(tcp.data(100, 100))
    tcp.play("+0 > [ect0] P. 101:201(100) ack 1 <nop,nop,TS val * ecr 1200>")


@pytest.mark.deviation("RFC3168-S6.1.2-3", "RFC9438-S4.6-2")
@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_marks_without_end_lead_to_two_segments_and_nothing_waits_for_the_timer(
    tcp: Tcp, algorithm: str
) -> None:
    """As Linux, whose windows are cut to two segments at the least."""
    tcp.host.sysctl("tcp_congestion_control", algorithm)
    sock = asked(tcp)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200 * MSS)
    sock.send(tcp.data(90 * MSS))
    una = 1
    nxt = una + sum(len(packet.payload) for packet in tcp.take())
    for _ in range(8):
        tcp.quiet(0.1)
        una = nxt
        tcp.inject(tcp.segment(f".E 1:1(0) ack {una}"))
        nxt += sum(len(packet.payload) for packet in tcp.take())
        assert nxt > una
    info = sock.tcp_info()
    assert (info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh) == (2, 2)


def test_a_mark_on_a_lone_segment_cuts_the_window_and_not_the_flight(tcp: Tcp) -> None:
    """As Linux: requests of one segment, one each round trip, of a window of ten; two marks leave 5
    and 2 segments of it."""
    sock = asked(tcp)
    start = 1
    for flags, left in ((".", 10), (".E", 0), (".", 5), (".", 5), (".E", 0), (".", 2)):
        sock.send(tcp.data(1000, start - 1))
        (packet,) = tcp.take()
        assert (packet.payload, packet.tos & 3) == (tcp.data(1000, start - 1), 2)
        start += 1000
        tcp.play(f"+0.1 < {flags} 1:1(0) ack {start}\n+0 quiet")
        if left:  # once the cut is over
            assert sock.tcp_info().tcpi_snd_cwnd == left


def test_echoes_that_go_on_after_a_timeout_do_not_stop_the_repeats(tcp: Tcp) -> None:
    """The window was cut for what was in flight then, to one segment."""
    sock = asked(tcp)
    sock.send(tcp.data(3 * MSS))
    tcp.play(
        marked(1, 3 * MSS + 1)
        + """
        +0.3 > .  1:1461(1460) ack 1
        +0.1 < .E 1:1(0) ack 1461
        +0   > .  1461:2921(1460) ack 1
        +0.1 < .E 1:1(0) ack 2921
        +0   > P. 2921:4381(1460) ack 1
        """
    )


def test_flags_of_ecn_mean_nothing_to_a_connection_without(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(10 * MSS))
    tcp.take()
    tcp.play(
        f"""
        +0.1 < .EW  1:1(0) ack {4 * MSS + 1}
        +0   < .EA  1:1(0) ack {10 * MSS + 1}
        """
    )
    assert sock.tcp_info().tcpi_snd_cwnd > 10
    assert not sock.tcp_info().tcpi_options & (OPT_ECN | OPT_ECN_SEEN)


def test_tcp_info_tells_of_ecn_as_linux_does(tcp: Tcp) -> None:
    sock = asked(tcp)
    assert sock.tcp_info().tcpi_options & (OPT_ECN | OPT_ECN_SEEN) == OPT_ECN
    tcp.play(
        """
        +0 < [ect0] P. 1:11(10) ack 1
        +0 > . 1:1(0) ack 11
        """
    )
    assert sock.tcp_info().tcpi_options & (OPT_ECN | OPT_ECN_SEEN) == OPT_ECN | OPT_ECN_SEEN
    sock.send(tcp.data(3 * MSS))
    tcp.take()
    tcp.play(f"+0.1 < .E 11:11(0) ack {2 * MSS + 1}")
    assert sock.tcp_info().tcpi_delivered_ce == 2


# -- algorithms that count marks (RFC 8257) -------------------------------------------------------


@pytest.fixture
def counting(tcp: Tcp, monkeypatch: pytest.MonkeyPatch) -> Tcp:
    """Reno says that it counts marks itself, and wants ECN."""
    if type(tcp) is not Tcp:
        pytest.skip("Linux has no such algorithm")
    for name, value in (("wants_ecn", True), ("scalable", True), ("ect", 2)):
        monkeypatch.setattr(Reno, name, value)
    tcp.host.sysctl("tcp_ecn", 0)
    return tcp


def counting_asked(tcp: Tcp) -> Any:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < [ect0] SEW 0:0(0) win 65535 <mss 1460>
        +0   > [ect0] S.E 0:0(0) ack 1 <mss 1460>
        +0.1 < [ect0] .   1:1(0) ack 1
        """
    )
    return listener.accept()[0]


def test_an_algorithm_that_wants_ecn_asks_whatever_tcp_ecn_says(counting: Tcp) -> None:
    tcp = counting
    sock = tcp.connect()
    tcp.play(
        """
        +0   > [ect0] SEW 0:0(0) <...>
        +0.1 < [ect0] S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > [ect0] .   1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0   > [ect0] P. 1:6(5) ack 1
        +0..1 > [ect0] P. 1:6(5) ack 1
        +0   < . 1:1(0) ack 6
        """
    )
    sock.shutdown(socket.SHUT_WR)
    tcp.play("+0 > [ect0] F. 6:6(0) ack 1")


def test_a_listener_whose_algorithm_wants_ecn_answers_whatever_tcp_ecn_says(counting: Tcp) -> None:
    sock = counting_asked(counting)
    sock.send(counting.data(5))
    counting.play("+0 > [ect0] P. 1:6(5) ack 1")


def test_each_change_of_the_mark_is_acknowledged_at_once(counting: Tcp) -> None:
    """RFC 8257 §3.2: what came before the change is acknowledged with the old mark first."""
    tcp = counting
    counting_asked(tcp).setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    tcp.play(
        """
        +0    < [ect0] P.  1:11(10) ack 1
        +0.01 < [ce]   P.  11:21(10) ack 1
        +0    > [ect0] .   1:1(0) ack 11
        +0    > [ect0] .E  1:1(0) ack 21
        +0.01 < [ce]   P.  21:31(10) ack 1
        +0    > [ect0] .E  1:1(0) ack 31
        +0.01 < [ce]   P.W 31:41(10) ack 1
        +0..0.2 > [ect0] .E 1:1(0) ack 41
        """
    )
    tcp.quiet(0.01)


def test_a_change_of_the_mark_is_told_after_what_was_delayed(counting: Tcp) -> None:
    tcp = counting
    counting_asked(tcp).setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
    tcp.play(
        """
        +0    < [ce]   P.  1:11(10) ack 1
        +0    > [ect0] .E  1:1(0) ack 11
        +0.01 < [ce]   P.  11:21(10) ack 1
        +0    > [ect0] .E  1:1(0) ack 21
        +0.01 < [ce]   P.  21:31(10) ack 1
        &     < [ect0] P.  31:41(10) ack 1
        +0    > [ect0] .E  1:1(0) ack 31
        +0    > [ect0] .   1:1(0) ack 41
        """
    )


@patches_the_core
def test_it_is_told_how_many_octets_were_marked(
    counting: Tcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    tcp = counting
    told: list[int] = []
    monkeypatch.setattr(Reno, "on_ack", lambda cc, sample: told.append(sample.ce_bytes))
    sock = counting_asked(tcp)
    sock.send(tcp.data(6 * MSS))
    tcp.take()
    tcp.play(
        f"""
        +0.1 < .   1:1(0) ack {2 * MSS + 1}
        +0   < .E  1:1(0) ack {4 * MSS + 1}
        +0   < .E  1:1(0) ack {5 * MSS + 1}
        +0   < .   1:1(0) ack {6 * MSS + 1}
        """
    )
    assert told == [0, 2 * MSS, MSS, 0]
    assert sock.tcp_info().tcpi_snd_cwnd == 10  # which it has not cut, and nobody else


def test_it_answers_a_classic_echo_once_for_each_window(counting: Tcp) -> None:
    """RFC 8257 §3.3: CWR, or a receiver as in RFC 3168 would echo one mark for ever."""
    tcp = counting
    sock = counting_asked(tcp)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.send(tcp.data(200))
    tcp.play("+0 > [ect0] P. 1:201(200) ack 1")
    at = 201
    for ack, answer in ((101, "PW"), (101, "P"), (201, "P"), (301, "PW"), (401, "P")):
        tcp.play(f"+0 < .E 1:1(0) ack {ack}")
        sock.send(tcp.data(100, at - 1))
        tcp.play(f"+0 > [ect0] {answer}. {at}:{at + 100}(100) ack 1")
        at += 100
