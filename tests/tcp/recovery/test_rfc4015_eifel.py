"""RFC 3522, 4015: Eifel; and undo by D-SACK (RFC 2883 §4, 3708). Was it a loss at all?

Reno, no tail loss probes; the handshake's RTT is 100 ms, so the RTO is 300 ms. With timestamps ours
is 200 when the first data leaves 100 ms after the SYN,ACK, and a segment has 1448 octets.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from tests.kit.tcp import Tcp

pytestmark = pytest.mark.host(tcp_congestion_control="reno", tcp_early_retrans=0)


class Sender:
    """A connection with so many segments in flight, all of one write."""

    def __init__(self, tcp: Tcp, count: int, ts: bool, sack: bool = True) -> None:
        self.tcp = tcp
        self.mss = 1448 if ts else 1460
        self.ts = ts
        self.sock = tcp.established(sack=sack, wscale=7, ts=700 if ts else None)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100 * self.mss)
        self.last = 0
        self.send(count)

    def at(self, number: int) -> int:
        """The number of the first octet of a segment."""
        return self.mss * (number - 1) + 1

    def send(self, count: int) -> None:
        first = self.last + 1
        self.last += count
        self.sock.send(self.tcp.data(count * self.mss, (first - 1) * self.mss))
        script = "".join(self.segment(number) for number in range(first, self.last))
        self.play(script + self.segment(self.last, flags="P."))

    def play(self, script: str) -> None:
        self.tcp.play(script)

    def segment(self, number: int, wait: str = "0", flags: str = ". ") -> str:
        """One segment leaves."""
        left, right = self.at(number), self.at(number + 1)
        stamp = " <nop,nop,TS val * ecr *>" if self.ts else ""
        return f"+{wait} > {flags} {left}:{right}({self.mss}) ack 1{stamp}\n"

    def acked(self, last: int, wait: str = "0", sack: str = "", echo: int = 0) -> str:
        """An ACK of all segments up to that one; `sack` has segments, as "3-4 6-6"; `echo` is our
        timestamp that it echoes."""
        blocks = [block.split("-") for block in sack.split()]
        edges = " ".join(f"{self.at(int(left))}:{self.at(int(end) + 1)}" for left, end in blocks)
        options = [f"nop,nop,TS val {700 + echo} ecr {echo}"] if self.ts else []
        options += [f"nop,nop,sack {edges}"] if edges else []
        return f"+{wait} < . 1:1(0) ack {self.at(last + 1)} <{','.join(options)}>\n"

    @property
    def ssthresh(self) -> int:
        return int(self.sock.tcp_info().tcpi_snd_ssthresh)

    @property
    def cwnd(self) -> int:
        return int(self.sock.tcp_info().tcpi_snd_cwnd)


# -- by timestamps --------------------------------


@pytest.mark.requirement("RFC3522-S3.2-1", "RFC4015-S3.2-2")
@pytest.mark.host(tcp_frto=0)
@pytest.mark.parametrize("sack", [True, False])
def test_an_ack_of_the_first_copy_after_a_timeout_takes_it_all_back(tcp: Tcp, sack: bool) -> None:
    """cwnd, ssthresh and the backed-off timer; what follows is not repeated."""
    s = Sender(tcp, 10, ts=True, sack=sack)
    s.play(s.segment(1, "0.3"))
    assert s.ssthresh == 5
    s.play(s.acked(1, "0.05", echo=200) + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    assert s.cwnd >= 10
    assert s.sock.tcp_info().tcpi_backoff == 0
    s.play(s.acked(10, "0.01", echo=200) + "+1 quiet")


@pytest.mark.requirement("RFC3522-S3.2-1")
@pytest.mark.host(tcp_frto=0)
@pytest.mark.parametrize("sack", [True, False])
def test_an_ack_of_the_repeat_takes_nothing_back(tcp: Tcp, sack: bool) -> None:
    s = Sender(tcp, 10, ts=True, sack=sack)
    s.play(s.segment(1, "0.3"))
    s.play(s.acked(1, "0.1", echo=590) + s.segment(2) + s.segment(3))
    assert s.ssthresh == 5


@pytest.mark.requirement("RFC3522-S3.2-2")
@pytest.mark.host(tcp_frto=0)
def test_after_two_timeouts_the_first_copy_tells_as_well(tcp: Tcp) -> None:
    s = Sender(tcp, 10, ts=True)
    s.play(s.segment(1, "0.3"))
    s.play(s.segment(1, "0.6"))
    s.play(s.acked(1, "0.05", echo=200) + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    assert s.cwnd >= 10


@pytest.mark.requirement("RFC3522-S3.2-2")
@pytest.mark.host(tcp_frto=0)
def test_after_two_timeouts_the_second_copy_does_not(tcp: Tcp) -> None:
    s = Sender(tcp, 10, ts=True)
    s.play(s.segment(1, "0.3"))
    s.play(s.segment(1, "0.6"))
    s.play(s.acked(1, "0.05", echo=590) + s.segment(2) + s.segment(3))
    assert s.ssthresh == 5


@pytest.mark.requirement("RFC3522-S3.2-1")
@pytest.mark.parametrize("sack", [True, False])
def test_an_ack_of_the_first_copy_after_a_fast_retransmit_takes_it_back(
    tcp: Tcp, sack: bool
) -> None:
    """Segment 1 was only overtaken."""
    s = Sender(tcp, 10, ts=True, sack=sack)
    s.play(s.acked(0, "0.1", "2-2" * sack, echo=100))
    s.play(s.acked(0, "0", "2-3" * sack, echo=100))
    s.play(s.acked(0, "0", "2-4" * sack, echo=100) + s.segment(1))
    assert s.ssthresh == 5
    s.play(s.acked(4, "0.01", echo=200) + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    assert s.cwnd >= 10
    s.play(s.acked(10, "0.01", echo=200) + "+1 quiet")


def test_after_that_three_sacked_segments_are_not_enough(tcp: Tcp) -> None:
    """The order was changed for once, so RACK gives the next one a quarter of the RTT (Linux)."""
    s = Sender(tcp, 10, ts=True)
    s.play(s.acked(0, "0.1", "2-4", echo=100) + s.segment(1))
    s.play(s.acked(10, "0.01", echo=200) + "+0.1 quiet")
    s.send(5)
    s.play(s.acked(10, "0.1", "12-15", echo=200))
    s.play(s.segment(11, "0.025"))


def test_while_other_repeats_are_out_nothing_is_taken_back(tcp: Tcp) -> None:
    """1 was only late, 6 was lost."""
    s = Sender(tcp, 10, ts=True)
    s.play(s.acked(0, "0.1", "2-4", echo=100) + s.segment(1))
    s.play(s.acked(0, "0.01", "2-5 7-10", echo=100) + s.segment(6))
    s.play(s.acked(5, "0.01", "7-10", echo=200) + "+0 quiet")
    assert s.ssthresh == 5
    s.play(s.acked(10, "0.09", echo=400) + "+0 quiet")
    assert s.ssthresh == 5
    assert s.sock.tcp_info().tcpi_ca_state == 0


def test_each_recovery_is_judged_by_its_own_first_repeat(tcp: Tcp) -> None:
    """In the first 1 was lost, in the second 11 is only late."""
    s = Sender(tcp, 10, ts=True)
    s.play(s.acked(0, "0.1", "2-4", echo=100) + s.segment(1))
    s.play(s.acked(10, "0.1", echo=390) + "+0 quiet")
    assert s.ssthresh == 5
    s.send(5)
    s.play(s.acked(10, "0.1", "12-14", echo=390) + s.segment(11))
    assert s.ssthresh < 5
    s.play(s.acked(15, "0.01", echo=450) + "+0 quiet")
    assert s.ssthresh == 5


@pytest.mark.host(tcp_frto=0)
def test_an_ack_that_moves_nothing_echoes_what_it_echoed_before(tcp: Tcp) -> None:
    """SND.UNA stays, so the timestamp is an old one whatever has come."""
    s = Sender(tcp, 10, ts=True)
    s.play(s.segment(1, "0.3"))
    s.play(s.segment(1, "0.6"))
    s.play(s.acked(0, "0.05", "2-2 2-2", echo=100))
    tcp.run(0)
    assert s.ssthresh == 5


@pytest.mark.requirement("RFC4015-S3.2-1")
def test_after_the_loss_of_a_repeat_timestamps_prove_nothing(tcp: Tcp) -> None:
    """1 was late, but its repeat was lost, and that is congestion as well."""
    s = Sender(tcp, 10, ts=True)
    s.sock.send(tcp.data(10 * s.mss, 10 * s.mss))
    s.play(s.acked(0, "0.1", "2-4", echo=100) + s.segment(1))
    tcp.run(0)
    s.play(s.acked(0, "0.001", "2-10", echo=100))
    assert tcp.run(0.01)
    s.play(s.acked(0, "0.1", "2-12", echo=100) + s.segment(1))
    cut = s.ssthresh
    tcp.run(0)
    s.play(s.acked(12, "0.01", echo=200))
    tcp.run(0)
    assert s.ssthresh == cut


# -- by D-SACK --------------------------------


def test_a_dsack_of_the_only_repeat_takes_the_cut_back(tcp: Tcp) -> None:
    """In the middle of recovery."""
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(4, "0.01") + "+0 quiet")
    assert s.ssthresh == 5
    s.play(s.acked(4, "0.01", "1-1") + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    assert s.cwnd >= 10
    s.play(s.acked(10, "0.01") + "+1 quiet")


def test_a_dsack_when_all_is_acknowledged_takes_the_cut_back(tcp: Tcp) -> None:
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(10, "0.01") + "+0 quiet")
    assert s.ssthresh == 5
    assert s.cwnd < 10
    s.play(s.acked(10, "0.09", "1-1") + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    assert s.cwnd >= 10


def test_all_repeats_have_to_be_reported(tcp: Tcp) -> None:
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(0, "0", "2-4 6-10") + s.segment(5))
    s.play(s.acked(10, "0.01") + "+0 quiet")
    s.play(s.acked(10, "0.09", "1-1") + "+0 quiet")
    assert s.ssthresh == 5
    s.play(s.acked(10, "0", "5-5") + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH


def test_a_dsack_of_half_a_repeat_takes_nothing_back(tcp: Tcp) -> None:
    """(Linux counts segments.)"""
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(10, "0.01") + "+0 quiet")
    s.play(f"+0.09 < . 1:1(0) ack {s.at(11)} <nop,nop,sack 1:731>\n+0 quiet")
    assert s.ssthresh == 5


def test_a_dsack_from_before_the_recovery_takes_nothing_back(tcp: Tcp) -> None:
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(10, "0.1") + "+0 quiet")  # 1 was lost
    s.send(5)
    s.play(s.acked(10, "0.1", "12-14") + s.segment(11))
    before = s.ssthresh
    s.play(s.acked(10, "0.01", "1-1 12-14") + "+0 quiet")
    s.play(s.acked(15, "0.09") + "+0 quiet")
    assert s.ssthresh == before


@pytest.mark.host(tcp_early_retrans=3)
def test_a_probe_has_to_be_reported_as_well(tcp: Tcp) -> None:
    """Its D-SACK says nothing of the repeat that followed."""
    s = Sender(tcp, 5, ts=False)
    s.play(s.segment(5, "0.202", "P."))
    s.play(s.acked(0, "0.01", "2-4") + s.segment(1))
    s.play(s.acked(0, "0.01", "5-5 2-5"))
    tcp.run(0)
    s.play(s.acked(5, "0.1") + "+0 quiet")
    assert s.ssthresh != INFINITE_SSTHRESH


@pytest.mark.requirement("RFC4015-S3.2-2")
def test_it_is_taken_back_once(tcp: Tcp) -> None:
    """1 was lost, 11 was only late, and that is told twice."""
    s = Sender(tcp, 10, ts=False)
    s.play(s.acked(0, "0.1", "2-4") + s.segment(1))
    s.play(s.acked(10, "0.1") + "+0 quiet")
    s.send(5)
    s.play(s.acked(10, "0.1", "12-14") + s.segment(11))
    s.play(s.acked(15, "0.01"))
    s.play(s.acked(15, "0.09", "11-11") + s.acked(15, "0", "11-11") + "+0 quiet")
    assert tcp.host.counters.spurious_recoveries == 1


@pytest.mark.host(tcp_frto=0)
def test_a_repeated_fin_may_be_reported_too(tcp: Tcp) -> None:
    s = Sender(tcp, 1, ts=False)
    s.play(s.acked(1, "0.1") + "+0 quiet")
    s.sock.shutdown(socket.SHUT_WR)
    fin = f"> F. {s.at(2)}:{s.at(2)}(0) ack 1"
    s.play(f"+0 {fin}\n+0.3 {fin}\n")
    s.play(f"+0.01 < . 1:1(0) ack {s.at(2) + 1}\n+0 quiet")
    assert s.ssthresh != INFINITE_SSTHRESH
    s.play(f"+0.01 < . 1:1(0) ack {s.at(2) + 1} <nop,nop,sack {s.at(2)}:{s.at(2) + 1}>\n+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH


@pytest.mark.host(tcp_frto=0)
def test_a_dsack_sets_a_timer_that_runs_back_as_well(tcp: Tcp) -> None:
    """After two timeouts, both repeats are reported when new data is out."""
    s = Sender(tcp, 1, ts=False)
    s.play(s.segment(1, "0.3", "P.") + s.segment(1, "0.6", "P."))
    s.play(s.acked(1, "0.01") + "+0 quiet")
    s.send(1)
    s.play(s.acked(1, "0.05", "1-1") + s.acked(1, "0.05", "1-1"))
    s.play(s.segment(2, "0.3", "P."))


@pytest.mark.host(tcp_frto=0)
def test_a_dsack_after_a_timeout_takes_its_backing_off_back(tcp: Tcp) -> None:
    """Only the ACK was late. There was no sample since, so the RTO is the one from before. (Linux
    waits for a sample.)"""
    s = Sender(tcp, 1, ts=False)
    s.play(s.segment(1, "0.3", "P."))
    s.play(s.acked(1, "0.01") + "+0 quiet")
    assert s.sock.tcp_info().tcpi_rto >= 600_000
    s.play(s.acked(1, "0.01", "1-1") + "+0 quiet")
    assert s.ssthresh == INFINITE_SSTHRESH
    s.send(1)
    s.play(s.segment(2, "0.3", "P."))


@pytest.mark.requirement("RFC4015-S3.2-1")
def test_when_a_repeat_was_lost_nothing_is_taken_back(tcp: Tcp) -> None:
    """The loss of a repeat is congestion, whatever becomes of the others. (Linux: once.)"""
    s = Sender(tcp, 10, ts=False)
    s.sock.send(tcp.data(10 * s.mss, 10 * s.mss))
    tcp.quiet(0.05)
    s.play(s.acked(0, "0.05", "2-4") + s.segment(1))
    tcp.run(0)
    s.play(s.acked(0, "0", "2-10"))
    assert tcp.run(0.01)
    s.play(s.acked(0, "0.1", "2-12") + s.segment(1))
    cut: Any = s.ssthresh
    assert cut < 5
    tcp.run(0)
    s.play(s.acked(12, "0.01"))
    tcp.run(0)
    s.play(s.acked(12, "0.01", "1-1"))
    tcp.run(0)
    assert s.ssthresh == cut
