"""Path MTU discovery without ICMP: RFC 4821 and RFC 8899 as Linux has them (`tcp_mtu_probing`).

Sizes are payload: the search is between an MSS of 1024, with which it begins, and 1460. Two things
are on purpose not the kernel's, where a connection that was accepted begins with the full MSS, and
one that was opened begins with 1036 when the peer has no timestamps.
"""

from __future__ import annotations

import socket
from typing import Any, ClassVar

import pytest

import pystack
from pystack.cc.base import AckSample
from pystack.cc.reno import Reno
from tests.cc.built_in import names
from tests.kit.packets.decode import Packet
from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

BASE = 1024
STEP = 0.004  # s
FIRST, SECOND = 1242, 1351  # half-way up to 1460, and half-way from there
probing = pytest.mark.host(tcp_mtu_probing=2)
after_black_hole = pytest.mark.host(tcp_mtu_probing=1)
by_sack_or_not = pytest.mark.parametrize("sack", [True, False])


def connected(tcp: Tcp, octets: int = 60_000, *, passive: bool = False, **options: Any) -> Any:
    """A connection with so much to send; its first segments have left."""
    sock = tcp.established(passive, **{"wscale": 7, "rtt": 0.05, **options})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 800_000)
    sock.send(tcp.data(octets))
    return sock


def probe_out(tcp: Tcp, **options: Any) -> Any:
    """A connection whose first probe has left: octets 10241 to 11483."""
    sock = connected(tcp, **options)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    tcp.play(f"+0.05 < . 1:1(0) ack {BASE + 1}\n" + sent(10_241, 11_483, FIRST, push=False))
    return sock


def counts(tcp: Tcp) -> tuple[int, int]:
    """Probes that came through, and that were lost."""
    counters = tcp.host.counters
    return counters.mtu_probe_success, counters.mtu_probe_fail


def sizes(packets: list[Packet]) -> list[int]:
    return [len(packet.payload) for packet in packets]


class Receiver:
    """A peer behind a path that loses segments of more than `largest` octets in silence. It
    acknowledges each of the others, half a round trip later."""

    def __init__(self, tcp: Tcp, largest: int, *, sack: bool = False, rtt: float = 0.05) -> None:
        self.tcp = tcp
        self.largest = largest
        self.sack = sack
        self.rtt = rtt
        self.una = 1
        self.beyond: list[list[int]] = []  # what came beyond a hole, the newest first
        self.seen: list[int] = []  # sizes of all that came, and of what was lost
        self.coming: list[tuple[float, Packet]] = []

    def run(self, seconds: float) -> None:
        """All that happens in that time, in steps of some ms."""
        tcp = self.tcp
        until = tcp.now + seconds
        self._carry(tcp.take())
        while tcp.now < until:
            self._carry(tcp.run(STEP if self.coming else min(until - tcp.now, 1)))
            while self.coming and self.coming[0][0] <= tcp.now:
                ack = self._ack(self.coming.pop(0)[1])
                if ack:
                    tcp.play(f"+0 < . 1:1(0) {ack}")
                    self._carry(tcp.take())

    def _carry(self, packets: list[Packet]) -> None:
        self.coming += [(self.tcp.now + self.rtt, packet) for packet in packets]

    def _ack(self, packet: Packet) -> str:
        size = len(packet.payload)
        self.seen.append(size)
        if size > self.largest or not size:
            return ""
        start = self.tcp.flow("").our_number(packet.seq)
        low, high = start, start + size
        rest = []
        for block in self.beyond:
            if block[0] <= high and low <= block[1]:
                low, high = min(low, block[0]), max(high, block[1])
            else:
                rest.append(block)
        self.beyond = [[low, high], *rest]
        if low <= self.una:
            self.una = max(self.una, high)
            self.beyond = rest
        if not self.sack or not self.beyond:
            return f"ack {self.una}"
        blocks = " ".join(f"{left}:{right}" for left, right in self.beyond[:3])
        return f"ack {self.una} <nop,nop,sack {blocks}>"


# -- a probe ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC4821-S7.3-1")
@probing
@pytest.mark.parametrize("passive", [True, False])
def test_a_probe_that_is_acknowledged_sets_the_size_of_all_that_follows(
    tcp: Tcp, passive: bool
) -> None:
    sock = probe_out(tcp, passive=passive)
    assert sock.tcp_info().tcpi_snd_mss == BASE
    tcp.play("+0 < . 1:1(0) ack 10241")
    assert set(sizes(tcp.take())) == {BASE}
    tcp.play("+0.05 < . 1:1(0) ack 11483")
    assert counts(tcp) == (1, 0)
    info = sock.tcp_info()
    assert (info.tcpi_snd_mss, info.tcpi_pmtu) == (FIRST, tcp.variant.mtu)
    tcp.play(f"+0 < . 1:1(0) ack {11_483 + 10 * BASE}")
    assert sizes(tcp.take())[:2] == [SECOND, FIRST]  # the next probe, and what follows


@pytest.mark.requirement("RFC8899-S3-1")
@probing
@pytest.mark.variants("ipv4", "ipv4-wrap-offload")
def test_a_probe_may_not_be_fragmented(tcp: Tcp) -> None:
    connected(tcp)
    tcp.take()
    tcp.play(f"+0.05 < . 1:1(0) ack {BASE + 1}")
    (probe,) = tcp.take()
    assert (len(probe.payload), probe.df) == (FIRST, 1)


@pytest.mark.requirement("RFC4821-S7.6.2-1")
@probing
def test_a_probe_that_is_lost_alone_goes_again_in_the_old_size_and_cuts_no_window(
    tcp: Tcp,
) -> None:
    sock = probe_out(tcp, sack=True)
    tcp.play(
        f"+0.001 < . 1:1(0) ack {2 * BASE + 1}\n"
        + sent(11_483, 11_483 + 2 * BASE, BASE, push=False)
    )
    tcp.play("+0.04 < . 1:1(0) ack 10241")
    left = tcp.take()  # all that the window takes now
    assert set(sizes(left)) == {BASE}
    at = tcp.flow("").our_number(left[-1].seq) + BASE
    before = sock.tcp_info()
    tcp.play(
        f"""
        +0.01  < . 1:1(0) ack 10241 <nop,nop,sack 11483:{11_483 + BASE}>
        +0     > . {at}:{at + BASE}({BASE}) ack 1
        +0     < . 1:1(0) ack 10241 <nop,nop,sack 11483:{11_483 + 2 * BASE}>
        +0     > . {at + BASE}:{at + 2 * BASE}({BASE}) ack 1
        +0     < . 1:1(0) ack 10241 <nop,nop,sack 11483:{11_483 + 3 * BASE}>
        +0     > . 10241:11265({BASE}) ack 1
        +0     > . 11265:11483(218) ack 1
        """
    )
    tcp.take()
    assert counts(tcp) == (0, 1)
    info = sock.tcp_info()
    assert info.tcpi_snd_mss == BASE
    assert info.tcpi_snd_ssthresh == before.tcpi_snd_ssthresh
    assert info.tcpi_snd_cwnd == before.tcpi_snd_cwnd + 1  # the probe's second segment is back


@pytest.mark.requirement("RFC4821-S7.6.2-1", "RFC8899-S3-2")
@probing
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
@by_sack_or_not
@pytest.mark.parametrize("algorithm", names())
def test_no_congestion_control_takes_a_lost_probe_for_congestion(
    tcp: Tcp, algorithm: str, sack: bool
) -> None:
    tcp.host.config.set("tcp_congestion_control", algorithm)
    sock = connected(tcp, 400_000, passive=True, sack=sack)
    receiver = Receiver(tcp, BASE, sack=sack)
    cut = []
    while (lost := counts(tcp)[1]) < 3 and tcp.now < 20:
        before = sock.tcp_info()
        receiver.run(STEP)
        if counts(tcp)[1] > lost:
            after = sock.tcp_info()
            cut.append((before.tcpi_snd_cwnd - after.tcpi_snd_cwnd, after.tcpi_snd_ssthresh))
    assert counts(tcp) == (0, 3)
    assert all(less <= 0 and ssthresh == 0x7FFF_FFFF for less, ssthresh in cut), cut
    assert tcp.host.counters.fast_retrans == tcp.host.counters.timeouts == 0


@pytest.mark.requirement("RFC4821-S7.6.2-1")
@probing
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
def test_more_duplicate_acks_than_segments_behind_a_lost_probe_count_for_no_more(tcp: Tcp) -> None:
    sock = probe_out(tcp)
    again = "< . 1:1(0) ack 10241 win 0"
    tcp.play(f"+0.04 {again}" + f"\n+0 {again}" * 3)
    assert counts(tcp) == (0, 1)
    assert sock.tcb.pipe == 0


class Noting(Reno):
    """Notes what it is told of losses."""

    name = "noting"
    wants_losses = True
    told: ClassVar[list[int]] = []  # octets

    def on_lost(self, length: int, sample: AckSample) -> None:
        self.told.append(length)

    def on_sample(self, sample: AckSample) -> None:
        if sample.newly_lost:
            self.told.append(sample.newly_lost)


@pytest.mark.requirement("RFC4821-S7.6.2-1")
@probing
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
@pytest.mark.parametrize(
    "acks",
    [
        # the timer of RACK finds it lost
        f"< . 1:1(0) ack 10241 <nop,nop,sack 11483:{11_483 + 2 * BASE}>",
        # a peer that has a part of it finds room for no more
        f"< . 1:1(0) ack 10241 <nop,nop,sack 10341:10441 11483:{11_483 + 3 * BASE}>",
    ],
)
def test_no_congestion_control_is_told_of_a_lost_probe(tcp: Tcp, acks: str) -> None:
    pystack.register_variant("congestion_control", "noting", Noting)
    tcp.host.sysctl("tcp_congestion_control", "noting")
    Noting.told.clear()
    probe_out(tcp, sack=True)
    tcp.play("+0.001 < . 1:1(0) ack 10241")
    tcp.take()  # all that the window takes now
    tcp.play(f"+0.05 {acks}")
    tcp.run(0.03)
    assert counts(tcp) == (0, 1)
    assert not Noting.told


@pytest.mark.requirement("RFC4821-S7.3-1")
@probing
@pytest.mark.variants("ipv4", "ipv6-wrap-offload")
@by_sack_or_not
@pytest.mark.parametrize("largest", [1024, 1241, 1242, 1460])
def test_the_search_ends_close_below_what_passes_and_rests_for_ten_minutes(
    tcp: Tcp, largest: int, sack: bool
) -> None:
    sock = connected(tcp, 600_000, sack=sack, wscale=None, win=20_000)
    receiver = Receiver(tcp, largest, sack=sack)
    receiver.run(3)
    mss = sock.tcp_info().tcpi_snd_mss
    assert largest - 8 <= mss <= largest
    assert len({size for size in receiver.seen if size > largest}) <= 7  # each half as far away
    sock.send(tcp.data(100_000, 600_000))
    receiver.seen.clear()
    receiver.run(2)
    assert max(receiver.seen) == mss  # no more probes
    receiver.run(600)
    sock.send(tcp.data(100_000, 700_000))
    receiver.seen.clear()
    receiver.run(2)
    assert (max(receiver.seen) > mss) == (mss < 1460 - 8)


@pytest.mark.requirement("RFC4821-S7.3-1")
@pytest.mark.host(tcp_mtu_probing=2, tcp_probe_interval=5, tcp_probe_threshold=100)
def test_how_long_it_rests_and_how_close_it_comes_are_settings(tcp: Tcp) -> None:
    sock = connected(tcp, 300_000)
    receiver = Receiver(tcp, 1200)
    receiver.run(2)
    assert {size for size in receiver.seen if size > BASE} == {FIRST, 1132, 1186}
    assert sock.tcp_info().tcpi_snd_mss == 1186  # 1241 is not 100 away
    receiver.largest = 1460  # the path is another one now
    receiver.run(5)
    sock.send(tcp.data(300_000, 300_000))
    receiver.run(2)
    assert sock.tcp_info().tcpi_snd_mss == 1391


# -- when a probe leaves ------------------------------------------------------------------------


@pytest.mark.requirement("RFC4821-S7.3-1")
@pytest.mark.parametrize("threshold", [0, 1])
@pytest.mark.variants("ipv4")
def test_however_close_the_search_may_come_it_ends(tcp: Tcp, threshold: int) -> None:
    tcp.host.sysctl("tcp_mtu_probing", 2)
    tcp.host.sysctl("tcp_probe_threshold", threshold)
    sock = connected(tcp, 100_000)
    receiver = Receiver(tcp, 1460)
    for start in range(100_000, 900_000, 100_000):
        sock.send(tcp.data(100_000, start))
        receiver.run(1)
    assert 5 <= counts(tcp)[0] <= 9  # 436 octets, halved each time


def goes_on_without(tcp: Tcp, acks: str = f"+0.05 < . 1:1(0) ack {BASE + 1}") -> None:
    """Data leaves after such an ACK, and no probe."""
    tcp.play(acks)
    left = sizes(tcp.take())
    assert left
    assert max(left) <= BASE


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_no_probe_leaves_with_too_little_behind_it_to_tell_of_its_loss(tcp: Tcp) -> None:
    needed = FIRST + 4 * BASE
    sock = connected(tcp, 10 * BASE + needed - 1)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    goes_on_without(tcp)
    sock.send(tcp.data(1, 10 * BASE + needed - 1))  # two segments less are unsent than before
    goes_on_without(tcp, f"+0 < . 1:1(0) ack {2 * BASE + 1}")


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_with_just_enough_behind_it_a_probe_leaves(tcp: Tcp) -> None:
    connected(tcp, 10 * BASE + FIRST + 4 * BASE)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    tcp.play(f"+0.05 < . 1:1(0) ack {BASE + 1}\n" + sent(10_241, 11_483, FIRST, push=False))


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_no_probe_leaves_in_a_window_of_ten_segments(tcp: Tcp) -> None:
    connected(tcp, 60_000)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    goes_on_without(tcp, f"+0.05 < . 1:1(0) ack {BASE}")  # one octet short of a whole segment


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_no_probe_leaves_when_the_peer_takes_too_little(tcp: Tcp) -> None:
    connected(tcp, 60_000, wscale=None, win=FIRST + 4 * BASE - 1)
    tcp.take()
    goes_on_without(tcp, f"+0.05 < . 1:1(0) ack {4 * BASE + 1}")


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
@by_sack_or_not
def test_no_probe_leaves_while_something_is_missing(tcp: Tcp, sack: bool) -> None:
    connected(tcp, sack=sack)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    blocks = f" <nop,nop,sack {BASE + 1}:{2 * BASE + 1}>" if sack else ""
    tcp.play("+0 < . 1:1(0) ack 1")  # a window, scaled
    goes_on_without(tcp, f"+0.05 < . 1:1(0) ack 1{blocks}")
    tcp.play(f"+0 < . 1:1(0) ack {2 * BASE + 1}")
    assert sizes(tcp.take())[0] == FIRST  # it was late


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_no_probe_leaves_during_recovery(tcp: Tcp) -> None:
    connected(tcp, 60_000, sack=True)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    tcp.play(f"+0.05 < . 1:1(0) ack 1 <nop,nop,sack {BASE + 1}:{5 * BASE + 1}>")
    assert max(sizes(tcp.take())) == BASE
    tcp.play(f"+0.05 < . 1:1(0) ack {5 * BASE + 1}")
    assert max(sizes(tcp.take())) == BASE
    assert counts(tcp) == (0, 0)


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_no_probe_leaves_while_segments_carry_sack_blocks_themselves(tcp: Tcp) -> None:
    connected(tcp, sack=True)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    tcp.play("+0 < . 2:3(1) ack 1\n+0 > . 10241:10241(0) ack 1 <nop,nop,sack 2:3>")
    goes_on_without(tcp)
    tcp.play(f"+0 < . 1:2(1) ack {2 * BASE + 1}")
    assert sizes(tcp.take())[0] == FIRST


@pytest.mark.requirement("RFC4821-S7.4-1")
@probing
def test_one_probe_is_out_at_a_time(tcp: Tcp) -> None:
    probe_out(tcp)
    tcp.play(f"+0 < . 1:1(0) ack {9 * BASE + 1}")
    left = sizes(tcp.take())
    assert len(left) > 10
    assert set(left) == {BASE}


@probing
def test_a_probe_crosses_no_end_of_a_record(tcp: Tcp) -> None:
    sock = connected(tcp, 10 * BASE)
    msg_eor = 0x80
    sock.send(tcp.data(FIRST - 1, 10 * BASE), msg_eor)
    sock.send(tcp.data(20_000, 10 * BASE + FIRST - 1))
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    goes_on_without(tcp)


# -- a probe that tells nothing -----------------------------------------------------------------


@pytest.mark.requirement("RFC4821-S7.6.2-1")
@probing
def test_when_more_than_the_probe_is_lost_nothing_is_learnt_and_the_same_size_is_tried_again(
    tcp: Tcp,
) -> None:
    sock = probe_out(tcp, sack=True)
    tcp.play("+0.04 < . 1:1(0) ack 9217")  # the segment before the probe is missing as well
    tcp.take()
    tcp.play(
        f"""
        +0.01 < . 1:1(0) ack 9217 <nop,nop,sack 11483:{11_483 + 4 * BASE}>
        +0    > . 9217:10241({BASE}) ack 1
        """
    )
    tcp.take()
    assert counts(tcp) == (0, 0)
    assert sock.tcp_info().tcpi_snd_ssthresh < 100  # that is congestion
    receiver = Receiver(tcp, 1460, sack=True)
    receiver.una = 11_483 + 4 * BASE
    tcp.play(f"+0.05 < . 1:1(0) ack {receiver.una}")
    receiver.run(0.3)
    assert next(size for size in receiver.seen if size > BASE) == FIRST


@probing
def test_a_timeout_tells_nothing_of_the_probe(tcp: Tcp) -> None:
    probe_out(tcp)
    tcp.play("+0.05 < . 1:1(0) ack 10241")
    tcp.take()
    assert max(sizes(tcp.run(1))) <= BASE  # it goes again in two
    tcp.play("+0.05 < . 1:1(0) ack 11483")
    tcp.take()
    assert counts(tcp) == (0, 0)


# -- what routers tell --------------------------------------------------------------------------


@pytest.mark.requirement("RFC4821-S7.3-1")
@probing
def test_a_message_of_a_router_ends_the_search_from_above(tcp: Tcp) -> None:
    header = 40 if tcp.version == 4 else 60
    sock = connected(tcp, 400_000)
    tcp.play(sent(1, 10 * BASE + 1, BASE, push=False))
    tcp.play(f"+0.01 < icmp frag_needed mtu {1260 + header} [1:{BASE + 1}({BASE})]")
    tcp.play(f"+0.05 < . 1:1(0) ack {BASE + 1}")
    tcp.play(sent(10_241, 11_383, 1142, push=False))  # half-way up to 1260
    tcp.play(f"+0 < . 1:1(0) ack {10_241 + 1142}")
    receiver = Receiver(tcp, 1260)
    receiver.una = 10_241 + 1142
    receiver.run(2)
    info = sock.tcp_info()
    assert info.tcpi_pmtu == 1260 + header
    assert 1260 - 8 < info.tcpi_snd_mss <= 1260
    assert max(receiver.seen) <= 1260


# -- a black hole -------------------------------------------------------------------------------


def timeouts(tcp: Tcp, seconds: float) -> list[tuple[float, int]]:
    """When a segment leaves in silence, and its size."""
    begun = tcp.now
    found = []
    until = tcp.now + seconds
    while tcp.now < until:
        found += [(round(tcp.now - begun, 1), size) for size in sizes(tcp.run(0.01))]
    return found


@pytest.mark.requirement("RFC4821-S7.7-1")
@after_black_hole
@by_sack_or_not
def test_after_timeouts_that_last_three_seconds_segments_are_smaller(tcp: Tcp, sack: bool) -> None:
    sock = connected(tcp, 14_600, sack=sack, rtt=0.1)
    tcp.take()
    first = [(0.2, 1460), (0.5, 1460)] if sack else [(0.3, 1460)]  # a tail loss probe
    later = [(0.9, 1460), (2.1, 1460), (4.5, BASE), (9.3, 512), (18.9, 256)]
    assert timeouts(tcp, 24) == first + [(round(at + 0.2 * sack, 1), size) for at, size in later]
    assert sock.tcp_info().tcpi_snd_mss == 256
    tcp.play("+1 < . 1:1(0) ack 257")
    assert sizes(tcp.take()) == [256, 256]


@pytest.mark.requirement("RFC4821-S7.7-1")
@pytest.mark.host(tcp_mtu_probing=1, tcp_base_mss=600, tcp_mtu_probe_floor=500)
def test_what_they_fall_to_at_first_and_at_last_are_settings(tcp: Tcp) -> None:
    connected(tcp, 14_600, rtt=0.1)
    tcp.take()
    assert timeouts(tcp, 24)[-4:] == [(2.1, 1460), (4.5, 600), (9.3, 500), (18.9, 500)]


@pytest.mark.requirement("RFC4821-S7.7-1")
@after_black_hole
@by_sack_or_not
@pytest.mark.parametrize("passive", [True, False])
def test_a_transfer_into_a_black_hole_goes_on_and_finds_the_size_that_passes(
    tcp: Tcp, passive: bool, sack: bool
) -> None:
    sock = connected(tcp, 600_000, passive=passive, sack=sack)
    receiver = Receiver(tcp, 1300, sack=sack)
    receiver.run(15)
    assert receiver.una == 600_001
    assert 1292 <= sock.tcp_info().tcpi_snd_mss <= 1300


@pytest.mark.requirement("RFC4821-S7.7-1")
@pytest.mark.host(tcp_mtu_probing=0)
def test_without_the_setting_segments_stay_as_large_as_they_are(tcp: Tcp) -> None:
    connected(tcp, 14_600, rtt=0.1)
    tcp.take()
    assert {size for _, size in timeouts(tcp, 60)} == {1460}


@pytest.mark.requirement("RFC4821-S7.7-1")
@after_black_hole
def test_losses_that_are_soon_repaired_are_no_black_hole(tcp: Tcp) -> None:
    sock = connected(tcp, 14_600, rtt=0.1)
    tcp.take()
    assert timeouts(tcp, 2.5) == [(0.3, 1460), (0.9, 1460), (2.1, 1460)]
    tcp.play("+0 < . 1:1(0) ack 1461")
    tcp.take()
    assert timeouts(tcp, 4)[-1][1] == 1460
    assert sock.tcp_info().tcpi_snd_mss == 1460
