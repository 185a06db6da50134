"""RFC 5682: F-RTO, was a retransmission timeout spurious?

No timestamps, Reno, no tail loss probes; the handshake's RTT is 100 ms, so the RTO is 300 ms. Ten
segments are out when the timer expires, and ten more wait.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno", tcp_early_retrans=0)

MSS = 1460


def at(segment: int) -> int:
    """The number of the first octet of a segment."""
    return MSS * (segment - 1) + 1


def segment(number: int, wait: str = "0", flags: str = ". ") -> str:
    """One full segment leaves."""
    return f"+{wait} > {flags} {at(number)}:{at(number + 1)}({MSS}) ack 1\n"


def acked(last: int, wait: str = "0", sack: str = "", rest: str = "") -> str:
    """An ACK of all segments up to that one; `sack` has segments, as "3-4 6-6"."""
    blocks = [block.split("-") for block in sack.split()]
    edges = " ".join(f"{at(int(left))}:{at(int(right) + 1)}" for left, right in blocks)
    options = f" <nop,nop,sack {edges}>" if sack else ""
    return f"+{wait} < . 1:1(0) ack {at(last + 1)} {rest}{options}\n"


def ssthresh(sock: Any) -> int:
    threshold: int = sock.tcp_info().tcpi_snd_ssthresh
    return threshold


def ten_out(tcp: Tcp, sack: bool, more: int = 10) -> Any:
    sock = tcp.established(sack=sack, wscale=7, win=65535)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * MSS)
    sock.send(tcp.data((10 + more) * MSS))
    tcp.play(sent(1, at(11), push=not more))
    return sock


both = pytest.mark.parametrize("sack", [False, True], ids=["basic", "sack"])


# -- spurious --------------------------------------------------------------------------------------


@both
@pytest.mark.requirement("RFC5682-S2.1-1", "RFC5682-S2.1-2")
def test_after_a_delay_one_segment_is_repeated_and_new_data_follows(tcp: Tcp, sack: bool) -> None:
    """All ten are late by 250 ms. Window and ssthresh are as before, nothing else is repeated."""
    sock = ten_out(tcp, sack)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.05") + segment(11) + segment(12))
    tcp.play(acked(2, "0.001") + segment(13))  # ten are out, and slow start goes on
    assert ssthresh(sock) == INFINITE_SSTHRESH
    for number in range(3, 6):
        tcp.play(acked(number, "0.001") + segment(2 * number + 8) + segment(2 * number + 9))
    tcp.play(acked(10, "0.001") + segment(20, flags="P."))
    tcp.quiet(0.01)
    assert sock.tcp_info().tcpi_total_retrans == 1


@pytest.mark.requirement("RFC5682-S2.1-2")
def test_sack_of_what_was_never_repeated_tells_at_once(tcp: Tcp) -> None:
    """The first is lost, the others are late: no timeout was needed (Linux; §3.1 would wait for an
    ACK that moves)."""
    sock = ten_out(tcp, sack=True)
    tcp.play(segment(1, "0.3"))
    # the first is on its way twice now, so ten are out
    tcp.play(acked(0, "0.05", "2-2") + "+0 quiet")
    assert ssthresh(sock) == INFINITE_SSTHRESH
    tcp.play(acked(0, "0", "2-3") + segment(11))
    tcp.play(acked(10, "0.05"))
    tcp.run(0)
    assert sock.tcp_info().tcpi_total_retrans == 1


@both
@pytest.mark.requirement("RFC5682-S2.1-1", "RFC5682-S2.1-2")
def test_after_several_timeouts_of_one_segment_as_well(tcp: Tcp, sack: bool) -> None:
    sock = ten_out(tcp, sack)
    tcp.play(segment(1, "0.3"))
    tcp.play(segment(1, "0.6"))
    tcp.play(acked(1, "0.05") + segment(11) + segment(12))
    tcp.play(acked(2, "0.001") + segment(13))
    assert ssthresh(sock) == INFINITE_SSTHRESH


@both
@pytest.mark.requirement("RFC5682-S2.1-1")
def test_new_data_that_nagle_holds_back_goes_too(tcp: Tcp, sack: bool) -> None:
    sock = tcp.established(sack=sack)
    sock.send(tcp.data(MSS + 500))
    tcp.play(segment(1) + "+0 > P. 1461:1961(500) ack 1")
    sock.send(tcp.data(300, MSS + 500))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.05") + "+0 > P. 1961:2261(300) ack 1")
    tcp.play("+0.001 < . 1:1(0) ack 1961\n+0 quiet")
    assert ssthresh(sock) == INFINITE_SSTHRESH


# -- real ----------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5682-S2.1-3")
def test_a_duplicate_first_leads_to_slow_start(tcp: Tcp) -> None:
    """(Linux tries new data all the same.)"""
    ten_out(tcp, sack=False)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(0, "0.05"))
    tcp.play(acked(1, "0.05") + segment(2) + segment(3))
    tcp.play(acked(3, "0.1") + segment(4) + segment(5) + segment(6) + segment(7))


@pytest.mark.requirement("RFC5682-S2.1-3")
def test_a_duplicate_after_new_data_leads_to_slow_start(tcp: Tcp) -> None:
    """All ten are lost. The window is three segments at the most: two new ones, one repeat. (Linux
    sends the fourth only after the next ACK.)"""
    sock = ten_out(tcp, sack=False)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1") + segment(11) + segment(12))
    tcp.play(acked(1, "0.1") + segment(2))
    tcp.play(acked(1, "0.001") + segment(3))
    assert sock.tcp_info().tcpi_snd_cwnd <= 3
    tcp.play(acked(2, "0.1") + segment(4) + segment(5))
    assert ssthresh(sock) == 5
    tcp.play(acked(5, "0.1") + segment(6) + segment(7) + segment(8))
    tcp.quiet(0.05)


@pytest.mark.requirement("RFC5682-S2.1-3")
def test_sack_of_new_data_leads_to_slow_start(tcp: Tcp) -> None:
    sock = ten_out(tcp, sack=True)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1") + segment(11) + segment(12))
    tcp.play(acked(1, "0.1", "11-11") + segment(2))
    tcp.play(acked(1, "0.001", "11-12") + segment(3))
    assert sock.tcp_info().tcpi_snd_cwnd <= 3
    tcp.play(acked(2, "0.1", "11-12") + segment(4) + segment(5))
    tcp.play(acked(2, "0.01", "11-12 9-9"))  # whatever comes late then
    tcp.run(0)
    assert ssthresh(sock) == 5


@both
@pytest.mark.requirement("RFC5682-S2.1-1")
def test_without_new_data_there_is_nothing_to_tell_by(tcp: Tcp, sack: bool) -> None:
    ten_out(tcp, sack, more=0)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1") + segment(2) + segment(3))


@both
@pytest.mark.requirement("RFC5682-S2.1-1")
def test_without_room_in_the_peers_window_there_is_nothing_to_tell_by(
    tcp: Tcp, sack: bool
) -> None:
    sock = tcp.established(sack=sack, win=4 * MSS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20 * MSS)
    sock.send(tcp.data(8 * MSS))
    tcp.play(sent(1, at(5), push=False))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1", rest=f"win {3 * MSS}") + segment(2) + segment(3))


@pytest.mark.requirement("RFC5682-S2.1-3")
def test_an_ack_of_all_that_was_out_ends_it(tcp: Tcp) -> None:
    """The repeat has filled the only hole, or all were late. (Linux is in its state of loss until
    the next ACK, as nothing else is.)"""
    sock = ten_out(tcp, sack=False)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(10, "0.1") + sent(at(11), at(17), push=False))
    assert ssthresh(sock) == 5
    assert sock.tcp_info().tcpi_ca_state == 0


@pytest.mark.requirement("RFC5682-S2.1-2")
def test_with_sack_an_ack_of_all_shows_that_all_were_late(tcp: Tcp) -> None:
    """Else there would have been SACKs before it (Linux; §3.1 lets it be)."""
    sock = ten_out(tcp, sack=True)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(10, "0.1") + sent(at(11), at(21)))
    assert ssthresh(sock) == INFINITE_SSTHRESH


@pytest.mark.requirement("RFC5682-S3.1-1")
def test_a_timeout_within_recovery_goes_the_conventional_way(tcp: Tcp) -> None:
    """The first ACK that moves leads to repeats, and what was never repeated proves nothing."""
    sock = ten_out(tcp, sack=True)
    tcp.play(acked(0, "0.1", "3-5") + segment(1))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1", "3-5") + segment(2) + segment(6))
    tcp.play(acked(1, "0.001", "3-5 7-7"))
    tcp.run(0)
    assert ssthresh(sock) <= 5


@both
@pytest.mark.host(tcp_frto=0)
def test_it_can_be_switched_off(tcp: Tcp, sack: bool) -> None:
    ten_out(tcp, sack)
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1") + segment(2) + segment(3))


@pytest.mark.host(tcp_early_retrans=3)
@pytest.mark.requirement("RFC5682-S2.1-3")
def test_when_it_ends_without_a_verdict_nothing_holds_repeats_back(tcp: Tcp) -> None:
    """The second of two segments was repeated by a tail loss probe, so its ACK proves nothing."""
    sock = tcp.established(sack=True, win=2 * MSS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 40 * MSS)
    sock.send(tcp.data(10 * MSS))
    tcp.play(segment(1) + segment(2))
    tcp.play(segment(2, "0.202"))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1", rest=f"win {3 * MSS}") + segment(3) + segment(4))
    tcp.play(acked(4, "0.1", rest=f"win {6 * MSS}"))
    tcp.play(sent(at(5), at(10), push=False))
    tcp.play(acked(4, "0.1", "6-7"))
    tcp.run(0.02)
    tcp.play(segment(5, "0.005"))
