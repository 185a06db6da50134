"""The parts of a connection that can be replaced, each by what its segments look like.

The defaults have their own files: delayed ACKs, Minshall's Nagle, Linux's RTO, ten segments.
"""

from __future__ import annotations

from typing import ClassVar

import pytest

from pystack.cc.base import AckSample, CongestionControl
from pystack.cc.reno import Reno
from pystack.config import Config
from pystack.parts.variants import register_variant
from pystack.tcp.policies.contracts import (
    AFTER_BATCH,
    NOW,
    AckPolicy,
    LossDetection,
    NaglePolicy,
    Pacing,
    RttEstimator,
)
from pystack.tcp.scoreboard.scoreboard import Scoreboard
from pystack.tcp.tcb import Tcb
from tests.kit.tcp import Tcp


def arriving(first: int, last: int, at: int = 1) -> str:
    """Lines: full segments `first` to `last` of the peer's stream, which begins at `at`, in one
    batch."""
    lines = [
        f"& < . {at + 1460 * n}:{at + 1460 * (n + 1)}(1460) ack 1" for n in range(first, last + 1)
    ]
    return "\n".join(lines).replace("&", "+0.001", 1)


def octets_sent(tcp: Tcp) -> int:
    """How much text leaves now."""
    return sum(len(packet.payload) for packet in tcp.run(0))


def settled(tcp: Tcp, **offer: object) -> int:
    """The number of the peer's next octet on a connection past its quick ACKs, all acknowledged."""
    sock = tcp.established(**offer)
    at = 1
    for _ in range(40):
        tcp.inject(tcp.segment(f". {at}:{at + 1460}(1460) ack 1"))
        at += 1460
        sock.recv(100_000)
        tcp.run(0.2)
    return at


# -- ACK policies -------------------------------------------------------------------------------
@pytest.mark.host(tcp_ack_policy="quick")
def test_quick_gives_each_segment_an_ack_of_its_own(tcp: Tcp) -> None:
    at = settled(tcp)
    tcp.play(
        f"""
        {arriving(0, 2, at)}
        +0 > . 1:1(0) ack {at + 1460}
        +0 > . 1:1(0) ack {at + 2920}
        +0 > . 1:1(0) ack {at + 4380}
        +1 < P. {at + 4380}:{at + 4381}(1) ack 1
        +0 > . 1:1(0) ack {at + 4381}
        """
    )


@pytest.mark.host(tcp_ack_policy="every-4")
def test_every_4_acknowledges_four_full_segments_at_once(tcp: Tcp) -> None:
    at = settled(tcp)
    tcp.play(
        f"""
        {arriving(0, 8, at)}
        +0    > . 1:1(0) ack {at + 4 * 1460}
        +0    > . 1:1(0) ack {at + 8 * 1460}
        +0.04 > . 1:1(0) ack {at + 9 * 1460}
        +10   quiet
        """
    )


@pytest.mark.host(tcp_ack_policy="every-4")
def test_every_4_counts_also_from_the_first_segment_on(tcp: Tcp) -> None:
    tcp.established()
    tcp.play(
        f"""
        {arriving(0, 2)}
        +0.04 > . 1:1(0) ack {1 + 3 * 1460}
        """
    )


@pytest.mark.host(tcp_ack_policy="every-4")
def test_reading_what_has_come_draws_no_ack_before_its_turn(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(arriving(0, 2))
    assert len(sock.recv(100_000)) == 3 * 1460
    tcp.play(f"+0.04 > . 1:1(0) ack {1 + 3 * 1460}")


@pytest.mark.host(tcp_ack_policy="every-4")
def test_what_is_out_of_order_is_acknowledged_at_once_whatever_the_policy(tcp: Tcp) -> None:
    tcp.established(sack=True)
    tcp.play(
        """
        +0 < . 1461:2921(1460) ack 1
        +0 > . 1:1(0) ack 1 <nop,nop,sack 1461:2921>
        +0 < . 1:1461(1460) ack 1
        +0 > . 1:1(0) ack 2921
        """
    )


@pytest.mark.host(tcp_ack_policy="ack-rate")
def test_ack_rate_sends_four_acks_per_round_trip(tcp: Tcp) -> None:
    at = settled(tcp, rtt=0.1)
    for _ in range(4):  # a segment every 6 ms: each ACK is due 25 ms behind the first it covers
        lines = [f"+0.006 < . {at + 1460 * n}:{at + 1460 * (n + 1)}(1460) ack 1" for n in range(5)]
        at += 5 * 1460
        tcp.play("\n".join(lines).replace("6", "5", 1) + f"\n+0.001 > . 1:1(0) ack {at}")


@pytest.mark.host(tcp_ack_policy="ack-rate-2", tcp_rmem="4096 40000 40000")
def test_ack_rate_does_not_let_the_window_run_out(tcp: Tcp) -> None:
    at = settled(tcp, rtt=0.1)
    tcp.play(
        f"""
        {arriving(0, 6, at)}
        +0 > . 1:1(0) ack {at + 7 * 1460}
        +0 quiet
        """
    )


class Doubting(AckPolicy):
    """After the batch if an odd number of octets came, else after a time beyond all bounds."""

    def wait_us(self, tcb: Tcb, now_us: int) -> int:
        if tcb.rcv_nxt - tcb.last_ack_sent == 1000:
            return NOW
        return AFTER_BATCH if tcb.rcv_nxt - tcb.last_ack_sent & 1 else 10_000_000


def test_a_users_ack_policy_decides_but_no_ack_waits_half_a_second(tcp: Tcp) -> None:
    register_variant("ack_policy", "doubting", Doubting)
    tcp.host.sysctl("tcp_ack_policy", "doubting")
    tcp.established()
    tcp.play(
        """
        +0     < P. 1:3(2) ack 1
        +0.499 > .  1:1(0) ack 3
        +0     < P. 3:1003(1000) ack 1
        &      < P. 1003:1006(3) ack 1
        +0     > .  1:1(0) ack 1003
        +0     > .  1:1(0) ack 1006
        """
    )


# -- Nagle policies -----------------------------------------------------------------------------
@pytest.mark.host(tcp_nagle_policy="nagle")
def test_nagle_holds_the_tail_of_a_write_behind_its_full_segments(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1560))
    tcp.play(
        """
        +0    > .  1:1461(1460) ack 1
        +0.05 < .  1:1(0) ack 1461
        +0    > P. 1461:1561(100) ack 1
        """
    )


def test_minshall_lets_the_tail_of_a_write_follow_its_full_segments(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(1560))
    tcp.play(
        """
        +0 > . 1:1461(1460) ack 1
        +0 > P. 1461:1561(100) ack 1
        """
    )


@pytest.mark.host(tcp_nagle_policy="off")
def test_off_sends_each_small_write_at_once(tcp: Tcp) -> None:
    sock = tcp.established()
    for at in range(3):
        sock.send(tcp.data(10, 10 * at))
        tcp.play(f"+0 > P. {10 * at + 1}:{10 * at + 11}(10) ack 1")


class Greedy(NaglePolicy):
    """Waits until a thousand octets are there."""

    def holds(self, tcb: Tcb, ahead: int) -> bool:
        return tcb.sndbuf.end_seq - tcb.snd_nxt - ahead < 1000


def test_a_users_nagle_policy_decides_but_nothing_waits_for_ever(tcp: Tcp) -> None:
    register_variant("nagle_policy", "greedy", Greedy)
    tcp.host.sysctl("tcp_nagle_policy", "greedy")
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(600))
    tcp.quiet(0.1)
    sock.send(tcp.data(400, 600))
    tcp.play(
        """
        +0    > P. 1:1001(1000) ack 1
        +0.05 < .  1:1(0) ack 1001
        """
    )
    sock.send(tcp.data(1, 1000))
    tcp.play("+0.2..0.5 > P. 1001:1002(1) ack 1")


# -- RTT estimators -------------------------------------------------------------------------------
@pytest.mark.requirement("RFC6298-S2-1")
@pytest.mark.host(tcp_rtt_estimator="rfc6298")
def test_by_rfc_6298_to_the_letter_no_timeout_is_below_a_second(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.1)  # SRTT 100 ms, RTTVAR 50 ms
    sock.send(tcp.data(100))
    tcp.play(
        """
        +0 > P. 1:101(100) ack 1
        +1 > P. 1:101(100) ack 1
        +2 > P. 1:101(100) ack 1
        """
    )


@pytest.mark.host(tcp_rtt_estimator="rfc6298")
def test_by_rfc_6298_a_long_round_trip_has_its_variance_on_top(tcp: Tcp) -> None:
    sock = tcp.established(rtt=0.8)  # SRTT 800 ms, RTTVAR 400 ms
    sock.send(tcp.data(100))
    tcp.play(
        """
        +0   > P. 1:101(100) ack 1
        +2.4 > P. 1:101(100) ack 1
        """
    )


class Thrice(RttEstimator):
    """Three times the last sample, and no longer after a timeout."""

    def on_sample(self, tcb: Tcb, rtt_us: int) -> None:
        tcb.srtt_us = rtt_us
        tcb.rttvar_us = 0
        tcb.rto_us = 3 * rtt_us

    def backed_off_us(self, tcb: Tcb) -> int:
        return tcb.rto_us


def test_a_users_rtt_estimator_sets_the_timeout(tcp: Tcp) -> None:
    register_variant("rtt_estimator", "thrice", Thrice)
    tcp.host.sysctl("tcp_rtt_estimator", "thrice")
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(100))
    tcp.play(
        """
        +0   > P. 1:101(100) ack 1
        +0.3 > P. 1:101(100) ack 1
        +0.3 > P. 1:101(100) ack 1
        """
    )


# -- initial windows -----------------------------------------------------------------------------
@pytest.mark.requirement("RFC5681-S3.1-1")
@pytest.mark.parametrize(
    ("name", "mss", "segs"),
    [
        ("linux", 1460, 10), ("linux", 536, 10),
        ("rfc6928", 1460, 10), ("rfc6928", 536, 10),
        ("rfc3390", 1460, 3), ("rfc3390", 536, 4), ("rfc3390", 1200, 3),
        ("rfc5681", 1460, 3), ("rfc5681", 1000, 4), ("rfc5681", 1095, 4), ("rfc5681", 1096, 3),
    ],
)  # fmt: skip
def test_the_initial_window_is_that_of_its_rfc(tcp: Tcp, name: str, mss: int, segs: int) -> None:
    tcp.host.sysctl("tcp_initial_window", name)
    sock = tcp.established(mss=mss)
    sock.send(tcp.data(20 * mss))
    assert octets_sent(tcp) == segs * mss


@pytest.mark.variants("ipv4")
@pytest.mark.host(mtu=9000)
@pytest.mark.parametrize(("name", "octets"), [("linux", 89600), ("rfc6928", 17920),
                                              ("rfc3390", 17920), ("rfc5681", 17920)])  # fmt: skip
def test_of_jumbo_segments_only_linux_sends_ten(tcp: Tcp, name: str, octets: int) -> None:
    tcp.host.sysctl("tcp_initial_window", name)
    sock = tcp.established(mss=8960, wscale=7)
    sock.setsockopt(1, 7, 400_000)
    sock.send(tcp.data(200_000))
    assert octets_sent(tcp) == octets


# -- pacing --------------------------------------------------------------------------------------
class Crumbs(Pacing):
    """Runs of one octet."""

    def rate(self, cc: CongestionControl, srtt_us: int, config: Config) -> int:
        return 1_000_000

    def run_bytes(self, rate: int, mss: int, min_rtt_us: int, config: Config) -> int:
        return 1


@pytest.mark.host(tcp_pacing=1)
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_a_run_is_one_segment_at_the_least(tcp: Tcp) -> None:
    register_variant("pacing", "crumbs", Crumbs)
    tcp.host.sysctl("tcp_pacing_policy", "crumbs")
    sock = tcp.established(rtt=0.1)
    sock.send(tcp.data(1460))
    tcp.play(
        """
        +0   > P. 1:1461(1460) ack 1
        +0.1 < .  1:1(0) ack 1461
        """
    )
    sock.send(tcp.data(2920, 1460))
    tcp.play(
        """
        +0       > .  1461:2921(1460) ack 1
        +0       > P. 2921:4381(1460) ack 1
        """
    )


# -- congestion control --------------------------------------------------------------------------
class Noting(Reno):
    """Notes what was in flight when the newest data of each ACK had left."""

    seen: ClassVar[list[int]] = []

    def on_sample(self, sample: AckSample) -> None:
        self.seen.append(sample.tx_in_flight)


@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_what_an_ack_tells_of_was_in_flight_itself_when_it_had_left(tcp: Tcp) -> None:
    register_variant("congestion_control", "noting", Noting)
    tcp.host.sysctl("tcp_congestion_control", "noting")
    sock = tcp.established(rtt=0.1)
    Noting.seen.clear()
    sock.send(tcp.data(1460))
    tcp.take()
    tcp.run(0.01)
    sock.send(tcp.data(500, 1460))
    tcp.take()
    tcp.play("+0.1 < . 1:1(0) ack 1961")
    assert Noting.seen == [1960]


# -- loss recovery -------------------------------------------------------------------------------
class Impatient(LossDetection):
    """Wants to look again at a time that has passed."""

    looks: ClassVar[list[int]] = []

    def detect(self, board: Scoreboard, now_us: int) -> None:
        self.looks.append(now_us)
        self.look_at_us = 1


@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_a_detector_that_is_late_looks_each_millisecond(tcp: Tcp) -> None:
    register_variant("loss_recovery", "impatient", Impatient)
    tcp.host.sysctl("tcp_loss_recovery", "impatient")
    sock = tcp.established(rtt=0.1, sack=True)
    sock.send(tcp.data(2920))
    tcp.take()
    Impatient.looks.clear()
    tcp.play("+0.1 < . 1:1(0) ack 1461")
    tcp.quiet(0.0205)
    assert len(Impatient.looks) == 21
