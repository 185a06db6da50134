"""RFC 8985 §7: tail loss probes.

The connections have SACK, no timestamps, and Reno. The handshake's RTT is 100 ms, so the RTO is
300 ms; a probe of several segments is due after 202 ms (2 SRTT, and 2 ms as Linux adds them).
"""

from __future__ import annotations

import socket
from typing import Any, ClassVar

import pytest

from pystack.cc import registry
from pystack.cc.base import CongestionControl
from tests.kit.packets.decode import CHECKSUM_COMPLETE
from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

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


def windows(sock: Any) -> tuple[int, int]:
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def out(tcp: Tcp, segments: int, more: int = 0, **options: Any) -> Any:
    """A connection with so many segments in flight, and more that wait."""
    sock = tcp.established(sack=True, wscale=7, **{"win": 65535, **options})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * MSS)
    sock.send(tcp.data((segments + more) * MSS))
    tcp.play(sent(1, at(segments + 1), push=not more))
    return sock


def test_a_reset_takes_the_probe_back(tcp: Tcp) -> None:
    """Nothing is left to be woken for, also when the user goes on with the socket."""
    sock = out(tcp, 5)
    tcp.play("+0.1 < R. 1:1(0) ack 1")
    tcp.quiet(0)
    assert (tcp.state(), tcp.host.next_deadline()) == ("CLOSED", 0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.close()
    tcp.quiet(0)
    assert tcp.host.next_deadline() == 0
    tcp.quiet(10)


def test_an_abort_takes_the_probe_back(tcp: Tcp) -> None:
    sock = out(tcp, 5)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes((1, 0, 0, 0, 0, 0, 0, 0)))
    sock.close()
    tcp.play(f"+0 > R. {at(6)}:{at(6)}(0) ack 1")
    tcp.quiet(0)
    assert tcp.host.next_deadline() == 0
    tcp.quiet(10)


# -- §7.2: when ---------------------------------------------------------------------------------


@pytest.mark.requirement("RFC8985-S7.2-1", "RFC8985-S7.3-1", "RFC8985-S7.3-2")
def test_a_lost_flight_is_probed_once_after_two_round_trips_then_the_rto_follows(
    tcp: Tcp,
) -> None:
    out(tcp, 4)
    tcp.play(segment(4, "0.202", "P."))
    tcp.play(segment(1, "0.3"))
    tcp.play(segment(1, "0.6"))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_each_ack_puts_the_probe_off(tcp: Tcp) -> None:
    out(tcp, 4)
    tcp.play(acked(1, "0.1"))
    tcp.play(acked(2, "0.05"))
    # R' are 100 ms and 150 ms: SRTT 106.25
    tcp.play(segment(4, "0.2145", "P."))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_new_data_puts_the_probe_off(tcp: Tcp) -> None:
    sock = out(tcp, 4)
    tcp.quiet(0.09)
    sock.send(tcp.data(MSS, 4 * MSS))
    tcp.play(segment(5, "0", "P."))
    tcp.play(segment(5, "0.202", "P."))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_new_data_does_not_put_the_probe_off_beyond_the_rto(tcp: Tcp) -> None:
    sock = out(tcp, 4)
    tcp.quiet(0.15)
    sock.send(tcp.data(MSS, 4 * MSS))
    tcp.play(segment(5, "0", "P."))
    tcp.play(segment(5, "0.15", "P."))
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_a_single_segment_is_given_time_for_a_delayed_ack(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0   > P. 1:1001(1000) ack 1
        +0.29 < .  1:1(0) ack 1001 win 65535
        +0    quiet
        """
    )
    # R' = 290 ms after 100 ms: SRTT 123.75 ms, RTTVAR 85 ms, RTO 463.75 ms
    sock.send(tcp.data(1000, 1000))
    tcp.play(
        """
        +0     > P. 1001:2001(1000) ack 1
        +0.4475  > P. 1001:2001(1000) ack 1
        +0.46375 > P. 1001:2001(1000) ack 1
        +0.9275  > P. 1001:2001(1000) ack 1
        """
    )


@pytest.mark.requirement("RFC8985-S7.2-1", "RFC8985-S7.3-1")
def test_a_probe_due_after_the_rto_takes_its_place(tcp: Tcp) -> None:
    """One segment would be probed after 2 SRTT + 200 ms = 400 ms, the RTO is 300 ms."""
    sock = tcp.established(sack=True)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0   > P. 1:1001(1000) ack 1
        +0.3 > P. 1:1001(1000) ack 1
        +0.3 > P. 1:1001(1000) ack 1
        +0.6 > P. 1:1001(1000) ack 1
        """
    )
    assert windows(sock)[0] == 1


@pytest.mark.requirement("RFC8985-S7.2-1")
@pytest.mark.variants("ipv4", "ipv6-wrap")
def test_without_a_round_trip_time_the_probe_comes_after_a_second(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) <...>
        +1   > S  0:0(0) <...>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(2 * MSS))
    tcp.play(segment(1) + segment(2, flags="P."))
    tcp.play(segment(2, "1", "P."))
    tcp.play(segment(1, "3"))


@pytest.mark.requirement("RFC8985-S7.2-1", "RFC8985-S4-1")
def test_without_sack_nothing_is_probed(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(4 * MSS))
    tcp.play(sent(1, at(5)))
    tcp.play(segment(1, "0.3"))


@pytest.mark.host(tcp_early_retrans=0)
def test_probes_can_be_switched_off(tcp: Tcp) -> None:
    out(tcp, 4)
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_after_a_timeout_nothing_is_probed(tcp: Tcp) -> None:
    out(tcp, 4)
    tcp.play(segment(4, "0.202", "P."))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(1, "0.1") + segment(2) + segment(3))
    tcp.play(segment(2, "0.6"))


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_during_recovery_nothing_is_probed(tcp: Tcp) -> None:
    out(tcp, 6)
    tcp.play(acked(0, "0.1", "2-4") + segment(1))
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.2-1", "RFC9293-MUST-36")
def test_a_closed_window_is_probed_as_ever(tcp: Tcp) -> None:
    """Nothing is in flight, so no tail can be lost."""
    sock = tcp.established(sack=True)
    sock.send(tcp.data(2 * MSS))
    tcp.play(segment(1) + segment(2, flags="P."))
    tcp.play(acked(2, "0.1", rest="win 0") + "+0 quiet")
    sock.send(tcp.data(2 * MSS, 2 * MSS))
    tcp.play(f"+0.3 > . {at(3) - 1}:{at(3) - 1}(0) ack 1\n" + acked(2, "0", rest="win 0"))
    tcp.play(f"+0.6 > . {at(3) - 1}:{at(3) - 1}(0) ack 1")


@pytest.mark.requirement("RFC8985-S7.2-1")
def test_a_keepalive_probe_is_no_tail(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    tcp.play("+1 > . 0:0(0) ack 1")
    tcp.play("+1 > . 0:0(0) ack 1")
    tcp.play("+0.1 < . 1:1(0) ack 1\n+0.9 quiet")


# -- §7.3: what ---------------------------------------------------------------------------------


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_the_probe_is_new_data_if_there_is_some_whatever_the_congestion_window(
    tcp: Tcp,
) -> None:
    out(tcp, 10, more=10)
    tcp.play(segment(11, "0.202"))
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_the_probe_repeats_the_last_segment_if_the_peers_window_is_full(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, win=4 * MSS)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20 * MSS)
    sock.send(tcp.data(8 * MSS))
    tcp.play(sent(1, at(5), push=False))
    tcp.play(segment(4, "0.202"))
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_what_nagle_holds_back_is_a_probe(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.send(tcp.data(MSS + 500))
    tcp.play(segment(1) + "+0 > P. 1461:1961(500) ack 1")
    sock.send(tcp.data(300, MSS + 500))
    tcp.play("+0.202 > P. 1961:2261(300) ack 1")
    tcp.play(segment(1, "0.3"))


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_the_probe_repeats_a_last_segment_that_is_short(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.send(tcp.data(2 * MSS + 500))
    tcp.play(segment(1) + segment(2) + "+0 > P. 2921:3421(500) ack 1")
    tcp.play("+0.202 > P. 2921:3421(500) ack 1")


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_the_probe_of_a_closed_side_has_the_fin(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.send(tcp.data(2 * MSS))
    sock.close()
    tcp.play(segment(1) + segment(2, flags="FP."))
    tcp.play(segment(2, "0.202", "FP."))
    tcp.play(f"+0.1 < . 1:1(0) ack {at(3) + 1} win 65535\n+0.2 quiet")
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC8985-S7.3-2")
def test_a_lone_fin_is_probed(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    sock.send(tcp.data(1000))
    tcp.play(
        """
        +0   > P. 1:1001(1000) ack 1
        +0.29 < .  1:1(0) ack 1001 win 65535
        +0    quiet
        """
    )
    sock.close()
    # PTO 447.5 ms, RTO 463.75 ms as above
    tcp.play(
        """
        +0     > F. 1001:1001(0) ack 1
        +0.4475  > F. 1001:1001(0) ack 1
        +0.46375 > F. 1001:1001(0) ack 1
        +0.1   < .  1:1(0) ack 1002 win 65535
        +0.2   quiet
        """
    )
    assert tcp.state() == "FIN_WAIT_2"


@pytest.mark.requirement("RFC8985-S7.3-1")
def test_while_a_probe_is_out_no_other_is_sent(tcp: Tcp) -> None:
    """And the RTO is counted from the probe. (Linux, when new data is sent, looks again from when
    the first segment was sent, and repeats that too early.)"""
    sock = out(tcp, 4)
    tcp.play(segment(4, "0.202", "P."))
    tcp.quiet(0.05)
    sock.send(tcp.data(MSS, 4 * MSS))
    tcp.play(segment(5, "0", "P."))
    tcp.play(segment(1, "0.25"))


@pytest.mark.requirement("RFC8985-S7.3-1")
def test_while_a_probe_with_new_data_is_out_no_other_is_sent(tcp: Tcp) -> None:
    """Whatever is acknowledged before it. (Linux looks again after 2 SRTT, as above.)"""
    out(tcp, 10, more=2)
    tcp.play(segment(11, "0.202"))
    tcp.play(acked(5, "0.1") + segment(12, flags="P."))
    # R' = 302 ms: SRTT 125.25 ms, RTTVAR 88 ms
    tcp.play(segment(6, "0.47725"))


@pytest.mark.requirement("RFC8985-S7.3-1", "RFC8985-S7.4.1-1")
@pytest.mark.parametrize("sampled", [True, False])
def test_a_second_probe_wants_a_new_round_trip_time(tcp: Tcp, sampled: bool) -> None:
    """The ACK of a repeat gives none (Karn). (Linux does not ask for one.)"""
    sock = out(tcp, 2)
    tcp.play(segment(2, "0.202", "P."))
    tcp.play(acked(2, "0.02"))
    tcp.play(acked(2, "0.01", "2-2") + "+0 quiet")  # the probe is settled
    at_segment = 3
    if sampled:
        sock.send(tcp.data(MSS, 2 * MSS))
        tcp.play(segment(3, flags="P.") + acked(3, "0.1") + "+0 quiet")
        at_segment = 4
    sock.send(tcp.data(2 * MSS, (at_segment - 1) * MSS))
    tcp.play(segment(at_segment) + segment(at_segment + 1, flags="P."))
    if sampled:
        tcp.play(segment(at_segment + 1, "0.202", "P."))
    else:
        tcp.play(segment(at_segment, "0.3"))


@pytest.mark.requirement("RFC8985-S7.3-1")
@pytest.mark.parametrize("sack", ["", "2-4", "2-2"])
def test_an_ack_that_comes_as_the_probe_is_due_makes_it_needless(tcp: Tcp, sack: str) -> None:
    """The timer has been seen to, but the probe has not left: all is acknowledged, or the first is
    lost, or may still come."""
    out(tcp, 4)
    tcp.quiet(0.2019)
    tcp.now_us += 100
    tcp.host.on_time(tcp.now_us)
    line = acked(0 if sack else 4, sack=sack).partition("<")[2]
    tcp.host.receive([(tcp.segment(line), 0, CHECKSUM_COMPLETE)], tcp.now_us)
    if sack:
        tcp.play(segment(1, "0.025" if sack == "2-2" else "0"))
        tcp.quiet(0.3)
    else:
        tcp.quiet(1000)


# -- §7.4: what the ACK of a probe tells --------------------------------------------------------


@pytest.mark.requirement("RFC8985-S7.4.2-1", "RFC8985-S6.2-1")
def test_the_sack_of_a_probe_shows_what_is_lost_before_it(tcp: Tcp) -> None:
    """Segments 2 to 4 are lost: without a probe the timeout would have to find them."""
    sock = out(tcp, 4)
    tcp.play(acked(1, "0.1"))
    tcp.play(segment(4, "0.202", "P."))
    tcp.play(acked(1, "0.11", "4-4") + segment(2))
    tcp.play(acked(2, "0.1", "4-4") + segment(3))
    tcp.play(acked(4, "0.1") + "+0 quiet")
    assert sock.tcp_info().tcpi_ca_state == 0
    tcp.quiet(1)


@pytest.mark.requirement("RFC8985-S7.4.2-1")
def test_that_is_one_loss_and_not_two(tcp: Tcp) -> None:
    """All but the probe are lost. The ACK of what follows does not count as the probe's."""
    sock = out(tcp, 10)
    tcp.play(segment(10, "0.202", "P."))
    tcp.play(acked(0, "0.11", "10-10") + segment(1))
    assert windows(sock)[1] == 5
    tcp.play(acked(10, "0.1") + "+0 quiet")
    sock.send(tcp.data(4 * MSS, 10 * MSS))
    tcp.play(sent(at(11), at(15)))
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert windows(sock)[1] == 5


@pytest.mark.requirement("RFC8985-S7.4.2-1")
def test_a_loss_that_the_probe_has_repaired_cuts_the_window(tcp: Tcp) -> None:
    sock = out(tcp, 10)
    tcp.play(acked(8, "0.1"))
    tcp.play(segment(10, "0.202", "P."))
    tcp.play(acked(10, "0.1") + "+0 quiet")
    before = windows(sock)[0]
    assert before >= 10
    sock.send(tcp.data(10 * MSS, 10 * MSS))
    tcp.play(sent(at(11), at(21)))
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert windows(sock) == (before // 2, before // 2)


class Told(CongestionControl):
    """Twenty segments, and what it is told of losses, with the size of the flight."""

    name = "told"
    losses: ClassVar[list[tuple[str, int]]] = []

    def __init__(self, mss: int, initial_cwnd: int) -> None:
        super().__init__(mss, initial_cwnd)
        self.cwnd = 20 * mss

    def on_enter_recovery(self, flight: int, now_us: int) -> None:
        self.losses.append(("enter", flight // self.mss))
        self.ssthresh = 7 * self.mss

    def on_exit_recovery(self, most: int, now_us: int) -> None:
        self.losses.append(("exit", most // self.mss))


@pytest.mark.requirement("RFC8985-S7.4.2-1")
def test_to_the_congestion_control_that_is_a_recovery_which_is_over_at_once(tcp: Tcp) -> None:
    registry.register("told", Told)
    tcp.host.sysctl("tcp_congestion_control", "told")
    sock = out(tcp, 4)
    tcp.play(acked(2, "0.1"))
    tcp.play(segment(4, "0.202", "P."))
    Told.losses.clear()
    tcp.play(acked(4, "0.1") + "+0 quiet")
    sock.send(tcp.data(10 * MSS, 4 * MSS))
    tcp.play(sent(at(5), at(15)))
    tcp.play(acked(5, "0.1") + "+0 quiet")
    assert Told.losses == [("enter", 10), ("exit", 7)]


@pytest.mark.requirement("RFC8985-S7.4.2-1")
@pytest.mark.parametrize("told_by", ["dsack", "duplicate"])
def test_a_probe_that_was_needless_costs_nothing(tcp: Tcp, told_by: str) -> None:
    """Only the ACK was lost, or late: the second copy is reported."""
    sock = out(tcp, 10)
    tcp.play(acked(8, "0.1"))
    tcp.play(segment(10, "0.202", "P."))
    tcp.play(acked(10, "0.05") + "+0 quiet")
    tcp.play(acked(10, "0.05", "10-10" if told_by == "dsack" else "") + "+0 quiet")
    before = windows(sock)
    sock.send(tcp.data(10 * MSS, 10 * MSS))
    tcp.play(sent(at(11), at(21)))
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert windows(sock)[0] >= before[0]
    assert windows(sock)[1] == before[1]


@pytest.mark.requirement("RFC8985-S7.4.2-1")
def test_a_probe_with_new_data_costs_nothing(tcp: Tcp) -> None:
    sock = out(tcp, 10, more=10)
    before = windows(sock)
    tcp.play(segment(11, "0.202"))
    tcp.play(acked(11, "0.1"))
    tcp.play(sent(at(12), at(21)))
    tcp.play(acked(12, "0.1") + "+0 quiet")
    assert windows(sock)[1] == before[1]


@pytest.mark.requirement("RFC8985-S7.4.2-1", "RFC8985-S7.4.1-1")
def test_a_probe_that_a_timeout_has_followed_is_forgotten(tcp: Tcp) -> None:
    sock = out(tcp, 10)
    tcp.play(segment(10, "0.202", "P."))
    tcp.play(segment(1, "0.3"))
    tcp.play(acked(10, "0.1") + "+0 quiet")
    before = windows(sock)
    sock.send(tcp.data(2 * MSS, 10 * MSS))
    tcp.play(segment(11) + segment(12, flags="P."))
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert windows(sock)[1] == before[1]


@pytest.mark.requirement("RFC8985-S7.4.2-1")
def test_the_dsack_of_something_else_does_not_excuse_a_loss(tcp: Tcp) -> None:
    """Nor is the recovery before undone by it, while the probe may be reported too (Linux does not
    count it)."""
    sock = out(tcp, 10)
    tcp.play(acked(0, "0.1", "2-2") + segment(1, "0.025"))
    tcp.play(acked(10, "0.01") + "+0 quiet")
    sock.send(tcp.data(2 * MSS, 10 * MSS))
    tcp.play(segment(11) + segment(12, flags="P."))
    tcp.play(segment(12, "0.202", "P."))
    tcp.play(acked(12, "0.1", "1-1") + "+0 quiet")  # of the repeat of 1
    assert windows(sock)[1] == 5
    sock.send(tcp.data(MSS, 12 * MSS))
    tcp.play(segment(13, flags="P."))
    tcp.play(acked(13, "0.1") + "+0 quiet")
    assert windows(sock)[1] == 2


@pytest.mark.requirement("RFC8985-S7.4.2-1")
@pytest.mark.host(tcp_ecn=1)
def test_while_the_window_is_cut_for_a_mark_it_is_not_cut_for_a_probe(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, ecn=True, wscale=7)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * MSS)
    sock.send(tcp.data(10 * MSS))
    for number in range(1, 11):
        tcp.play(segment(number, flags="[ect0] " + ("P." if number == 10 else ". ")))
    tcp.play(segment(10, "0.202", "P."))
    tcp.play(f"+0.1 < E. 1:1(0) ack {at(11)}\n+0 quiet")
    before = windows(sock)[1]
    sock.send(tcp.data(2 * MSS, 10 * MSS))
    tcp.play(segment(11, flags="[ect0] W. ") + segment(12, flags="[ect0] P."))
    tcp.play(acked(11, "0.1") + "+0 quiet")
    assert windows(sock)[1] == before
