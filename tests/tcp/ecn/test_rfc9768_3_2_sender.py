"""RFC 9768 §3.2: marks are heard, and answered by each congestion control in its way."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import pytest

from pystack.cc.reno import Reno
from pystack.path.faults import Cut, Loss
from pystack.path.link import Delay, Link
from pystack.sockets import Host
from tests.kit.builds import patches_the_core
from tests.kit.pair import Pair
from tests.kit.tcp import SECRET, Tcp
from tests.tcp.ecn.accecn_peer import MSS, ace, asked, asking, counters, ssthresh

pytestmark = pytest.mark.host(tcp_ecn=3, tcp_congestion_control="reno")


# -- as sender -------------------------------------------------------------------------------------


def test_a_mark_that_is_told_cuts_the_window_and_no_cwr_is_sent(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(10 * MSS))
    tcp.take()
    tcp.play("+0.1 < .EA 1:1(0) ack 2921")
    assert ssthresh(sock) > 10_000
    tcp.play("+0   < .WA 1:1(0) ack 5841")
    cut = ssthresh(sock)
    assert 4 <= cut <= 8
    assert sock.tcp_info().tcpi_delivered_ce == 1
    tcp.play("+0   < .EWA 1:1(0) ack 14601")
    assert ssthresh(sock) == cut  # once per round trip
    assert sock.tcp_info().tcpi_delivered_ce == 2
    sock.send(tcp.data(5, 10 * MSS))
    tcp.play("+0 > [ect0] P.EA 14601:14606(5) ack 1")


def test_an_older_ack_that_comes_late_tells_nothing(tcp: Tcp) -> None:
    sock = asked(tcp)
    sock.send(tcp.data(4 * MSS))
    tcp.take()
    tcp.play(
        """
        +0.1 < .WA 1:1(0) ack 5841
        +0   < .EA 1:1(0) ack 2921
        +0   < .EA 1:1(0) ack 5841
        """
    )
    assert sock.tcp_info().tcpi_delivered_ce == 1


def test_text_with_a_newer_timestamp_tells_though_it_acknowledges_nothing(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEWA 0:0(0) win 65535 <mss 1460,TS val 7 ecr 0>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .W   1:1(0) ack 1 <nop,nop,TS val 107 ecr 100>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(5))
    tcp.take()
    tcp.inject(tcp.segment("P.WA 1:11(10) ack 1 <nop,nop,TS val 108 ecr 100>"))
    tcp.take()
    assert sock.tcp_info().tcpi_delivered_ce == 1


def test_an_ack_with_a_newer_timestamp_tells_its_mark_once(tcp: Tcp) -> None:
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEWA 0:0(0) win 65535 <mss 1460,TS val 7 ecr 0>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .W   1:1(0) ack 1 <nop,nop,TS val 107 ecr 100>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(10 * 1448))
    tcp.take()
    tcp.play("+0.1 < .WA 1:1(0) ack 14481 <nop,nop,TS val 207 ecr 200>\n+0 quiet")
    assert sock.tcp_info().tcpi_delivered_ce == 1
    assert ssthresh(sock) == 5


@pytest.mark.parametrize(
    ("acked", "flags", "marks"), [(7, 4, 7), (8, 5, 8), (9, 5, 8), (9, 6, 9), (9, 7, 2)]
)
def test_an_ack_for_more_than_seven_segments_may_have_gone_round(
    tcp: Tcp, acked: int, flags: int, marks: int
) -> None:
    """§3.2.2.5.2: without the option, and where such ACKs are rare, the worst is assumed."""
    sock = asked(tcp)
    sock.send(tcp.data(MSS))
    tcp.take()
    tcp.play("+0.1 < .EA 1:1(0) ack 1461")
    sock.send(tcp.data(9 * MSS, MSS))
    tcp.take()
    tcp.play(f"+0.1 < .{ace(flags)} 1:1(0) ack {(acked + 1) * MSS + 1}")
    assert sock.tcp_info().tcpi_delivered_ce == marks


@pytest.mark.parametrize(("octets", "marks"), [(0, 0), (8 * 1448, 8)])
def test_the_option_tells_whether_it_has(tcp: Tcp, octets: int, marks: int) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(9 * 1448))
    tcp.take()
    left = 9 * 1448 + 1 - octets
    tcp.play(f"+0.1 < .EA 1:1(0) ack {9 * 1448 + 1} <{counters(octets, left)}>")
    info = sock.tcp_info()
    assert info.tcpi_delivered_ce == marks
    assert info.tcpi_delivered_ce_bytes == octets
    assert info.tcpi_delivered_e0_bytes == left - 1
    assert (ssthresh(sock) < 10) == (marks > 0)


def test_counters_never_go_back(tcp: Tcp) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(3 * 1448))
    tcp.take()
    tcp.play(
        f"""
        +0.1 < .WA 1:1(0) ack 2897 <{counters(1448, 1449)}>
        +0   < .WA 1:1(0) ack 4345 <{counters(1000, 1449)}>
        """
    )
    assert sock.tcp_info().tcpi_delivered_ce_bytes == 1448


@pytest.mark.parametrize("order", ["ac", "ae"])
@pytest.mark.parametrize("fields", [1, 2, 3])
def test_the_option_is_read_in_both_orders_and_in_every_length(
    tcp: Tcp, order: str, fields: int
) -> None:
    sock = asked(tcp, option=True)
    sock.send(tcp.data(3000))
    tcp.take()
    values = {"ac": (1000, 500, 200), "ae": (200, 500, 1000)}[order][:fields]
    body = "".join(f"{value:06x}" for value in values)
    tcp.play(f"+0.1 < .EA 1:1(0) ack 3001 <raw 0x{order}{2 + 3 * fields:02x}{body}>")
    info = sock.tcp_info()
    told = (
        info.tcpi_delivered_e0_bytes,
        info.tcpi_delivered_ce_bytes,
        info.tcpi_delivered_e1_bytes,
    )
    wanted = [0, 0, 0]
    for place, value in zip((0, 1, 2) if order == "ac" else (2, 1, 0), values, strict=False):
        wanted[place] = value if place == 1 else value - 1
    assert told == tuple(wanted)


# -- algorithms that count marks -------------------------------------------------------------------


@pytest.fixture
def counting(tcp: Tcp, monkeypatch: pytest.MonkeyPatch) -> Tcp:
    """Reno says that it counts marks itself, and wants ECN with ECT(1)."""
    for name, value in (("wants_ecn", True), ("scalable", True), ("ect", 1)):
        monkeypatch.setattr(Reno, name, value)
    tcp.host.sysctl("tcp_ecn", 0)
    return tcp


def test_who_uses_ect_1_asks_for_accurate_feedback_and_all_its_packets_are_ect(
    counting: Tcp,
) -> None:
    tcp = counting
    sock = tcp.connect()
    tcp.play(
        """
        +0      > [ect1] SEWA 0:0(0) <...>
        +0.1    < [ect1] S.EW 0:0(0) ack 1 win 65535 <mss 1460>
        +0      > [ect1] .EW  1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play(
        """
        +0      > [ect1] P.EA 1:6(5) ack 1
        +0..1   > [ect1] P.EA 1:6(5) ack 1
        +0.01   < .EA 1:1(0) ack 6
        """
    )


def test_with_a_peer_that_knows_only_rfc_3168_its_data_is_ect_0(counting: Tcp) -> None:
    tcp = counting
    sock = tcp.connect()
    tcp.play(
        """
        +0      > [ect1] SEWA 0:0(0) <...>
        +0.1    < S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0      > [ect0] . 1:1(0) ack 1
        """
    )
    sock.send(tcp.data(5))
    tcp.play("+0 > [ect0] P. 1:6(5) ack 1")


@patches_the_core
def test_it_is_told_of_the_octets_that_were_marked(
    counting: Tcp, monkeypatch: pytest.MonkeyPatch
) -> None:
    tcp = counting
    told: list[int] = []
    monkeypatch.setattr(Reno, "on_sample", lambda cc, sample: told.append(sample.ce_bytes))
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < [ect1] SEWA 0:0(0) win 65535 <mss 1460>
        +0   > [ect1] S.EW 0:0(0) ack 1 <mss 1460,{counters()}>
        +0.1 < [ect1] .WA  1:1(0) ack 1 <{counters()}>
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(6 * 1448))
    tcp.take()
    told.clear()
    tcp.play(
        f"""
        +0.1 < .WA  1:1(0) ack {2 * 1448 + 1} <{counters(0, 1, 2 * 1448 + 1)}>
        +0   < .EWA 1:1(0) ack {4 * 1448 + 1} <{counters(1000, 1, 4 * 1448 - 999)}>
        +0   < .    1:1(0) ack {5 * 1448 + 1}
        +0   < .    1:1(0) ack {6 * 1448 + 1} <{counters(2448, 1, 6 * 1448 - 2447)}>
        """
    )
    assert told == [0, 1000, 1448, 0]
    assert sock.tcp_info().tcpi_delivered_ce == 2


@pytest.mark.requirement("RFC9768-S3.2.2.1-1")
def test_who_must_not_send_ect_does_not_answer_marks_either(tcp: Tcp) -> None:
    """What the path makes of our flags is not believed."""
    listener = tcp.listen()
    tcp.play(
        """
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <...>
        +0.1 < .    1:1(0) ack 1
        """
    )
    sock = listener.accept()[0]
    sock.send(tcp.data(4 * MSS))
    tcp.take()
    tcp.play("+0.1 < .WA 1:1(0) ack 2921")
    assert sock.tcp_info().tcpi_delivered_ce == 0
    assert ssthresh(sock) > 10_000
    tcp.play(
        """
        +0 < [ce] P.WA 1:11(10) ack 5841
        +0 > .WA 5841:5841(0) ack 11
        """
    )  # but theirs are told (MUST)


@pytest.mark.requirement("RFC9768-S2.2-1")
@pytest.mark.deviation("RFC3168-S6.1.4-1", "RFC3168-S6.1.5-1")
def test_acks_repeats_and_the_fin_are_ect_as_well(tcp: Tcp) -> None:
    """As Linux since it has accurate feedback: marks on them are counted too."""
    sock = asked(tcp)
    sock.send(tcp.data(MSS))
    tcp.play(
        """
        +0        > [ect0] P.EA 1:1461(1460) ack 1
        +0.2..2   > [ect0] P.EA 1:1461(1460) ack 1
        +0.1      < .EA 1:1(0) ack 1461 win 0
        """
    )
    sock.send(tcp.data(5, MSS))
    tcp.play("+0.2..2 > [ect0] .EA 1460:1460(0) ack 1")  # a probe
    tcp.play(
        """
        +0.1 < .EA 1:1(0) ack 1461 win 65535
        +0   > [ect0] P.EA 1461:1466(5) ack 1
        +0.1 < .EA 1:1(0) ack 1466
        """
    )
    sock.shutdown(1)
    tcp.play("+0 > [ect0] F.EA 1466:1466(0) ack 1")


# -- both ends -------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9768-S3.2.2.5.2-1")
@pytest.mark.parametrize("seed", range(12))
def test_both_ends_agree_on_what_was_marked(seed: int) -> None:
    """Whatever is marked and lost on the way, in either direction."""
    random = Random(seed)
    option = seed % 3
    hosts = []
    for number in (1, 2):
        host = Host((f"192.0.2.{number}/24",), secret=SECRET, gso=seed % 2 == 0)
        host.sysctl("tcp_ecn", 3)
        host.sysctl("tcp_ecn_option", option)
        hosts.append(host)
    lost = 0.02 if seed > 5 else 0
    ways = [
        Link(Cut(), Loss(0.05, random, ecn=True), Loss(lost, random), Delay(5_000)) for _ in hosts
    ]
    pair = Pair(*hosts, there=ways[0], back=ways[1])
    listener = hosts[0].socket(2, 1)
    listener.bind(("192.0.2.1", 80))
    listener.listen(1)
    near = hosts[1].socket(2, 1)
    with suppress(BlockingIOError):
        near.connect(("192.0.2.1", 80))
    accepted: list[Any] = []

    def is_accepted() -> bool:
        with suppress(BlockingIOError):
            accepted.append(listener.accept()[0])
        return bool(accepted)

    assert pair.run(is_accepted, within_s=60)
    ends = (near, accepted[0])
    sent = [bytes(random.randbytes(random.choice((30_000, 300_000)))) for _ in ends]
    left = list(sent)
    come = [bytearray(), bytearray()]

    def is_over() -> bool:
        for index, end in enumerate(ends):
            with suppress(BlockingIOError):
                left[index] = left[index][end.send(left[index]) :]
            with suppress(BlockingIOError):
                come[index] += end.recv(1 << 20)
        return come[0] == sent[1] and come[1] == sent[0]

    assert pair.run(is_over, within_s=60)
    pair.run(lambda: False, within_s=3)
    infos = [end.tcp_info() for end in ends]
    assert sum(info.tcpi_received_ce for info in infos)
    for ours, theirs in (infos, infos[::-1]):
        untold = theirs.tcpi_received_ce - ours.tcpi_delivered_ce  # on the last pure ACKs
        assert untold % 8 < 3
        if option:
            assert untold < 3
            assert ours.tcpi_delivered_ce_bytes == theirs.tcpi_received_ce_bytes
        if option == 2:
            assert ours.tcpi_delivered_e0_bytes == theirs.tcpi_received_e0_bytes > 0


@pytest.mark.requirement("RFC9768-S3.2.3-2")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("seed", range(8))
def test_whatever_flags_marks_and_options_come_nothing_breaks(tcp: Tcp, seed: int) -> None:
    random = Random(seed)
    tcp.host.sysctl("tcp_ecn_option", 1 + seed % 2)
    sock = asked(tcp, option=seed < 4) if seed < 6 else asking(tcp, option=True)
    at = 1
    for _ in range(400):
        flags = "." + "".join(random.sample("PEWA", random.randrange(5)))
        kind, size = random.choice((172, 174, 173)), random.choice((2, 3, 5, 8, 11, 14, 38))
        option = f"<raw 0x{kind:02x}{size:02x}{random.randbytes(size - 2).hex()}>"
        length = random.choice((0, 0, 10, 1460))
        start = at + random.choice((0, 0, 0, 10, -10))
        ack = 1 + random.randint(0, len(tcp.default.sent))
        text = f"{flags} {start}:{start + length}({length}) ack {ack} {random.choice(('', option))}"
        tcp.inject(tcp.segment(text, ecn=random.randrange(4)))
        with suppress(BlockingIOError):
            sock.send(tcp.data(random.choice((1, 1460, 9000)), len(tcp.default.sent)))
        for packet in tcp.run(random.choice((0, 0.001, 0.3))):
            at = max(at, tcp.default.their_number(packet.ack))
        with suppress(BlockingIOError):
            sock.recv(100_000)
    assert tcp.state() == "ESTABLISHED"
