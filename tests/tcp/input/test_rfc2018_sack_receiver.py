"""RFC 2018: what the receiver reports of text that came out of order.

The tables of §4 are played with their own numbers: 4999 octets have come and been acknowledged
before, so that 5000 is next; segments have 500 octets.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp

LEFT = 5000


def at_5000(tcp: Tcp, **offer: object) -> socket.socket:
    sock = tcp.established(**{"sack": True, **offer})
    tcp.play("+0 < . 1:1461(1460) ack 1\n+0 > . 1:1(0) ack 1461")
    tcp.play("+0 < . 1461:2921(1460) ack 1\n+0 > . 1:1(0) ack 2921")
    tcp.play("+0 < . 2921:4381(1460) ack 1\n+0 > . 1:1(0) ack 4381")
    tcp.play("+0 < . 4381:5000(619) ack 1\n+0 > . 1:1(0) ack 5000")
    assert len(sock.recv(10_000)) == 4999
    return sock


def arrives(tcp: Tcp, start: int, ack: int, *blocks: tuple[int, int], size: int = 500) -> None:
    """A segment comes; the ACK that it draws is `ack`, with exactly these blocks."""
    option = ""
    if blocks:
        option = " <nop,nop,sack " + " ".join(f"{left}:{right}" for left, right in blocks) + ">"
    tcp.play(
        f"""
        +0.001 < . {start}:{start + size}({size}) ack 1
        +0     > . 1:1(0) ack {ack}{option}
        """
    )


# -- §2, §4: the option itself -------------------------------------------------------------------


@pytest.mark.requirement("RFC2018-S2-1")
def test_sack_permitted_is_in_our_syn_and_in_no_other_segment(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>
        +0   > .  1:1(0) ack 1
        """
    )
    sock.send(b"x")
    sock.close()
    tcp.play(
        """
        +0   > FP. 1:2(1) ack 1
        +0.1 < F.  1:1(0) ack 3
        +0   > .   3:3(0) ack 2
        """
    )


@pytest.mark.requirement("RFC2018-S2-1")
@pytest.mark.parametrize("offered", [True, False])
def test_a_syn_ack_permits_what_the_syn_permitted(tcp: Tcp, offered: bool) -> None:
    tcp.listen()
    option = ",nop,nop,sackOK" if offered else ""
    tcp.play(
        f"""
        +0 < S  0:0(0) win 65535 <mss 1460{option}>
        +0 > S. 0:0(0) ack 1 <mss 1460{option}>
        """
    )


@pytest.mark.requirement("RFC2018-S2-1")
@pytest.mark.host(tcp_sack=0)
def test_switched_off_it_is_neither_offered_nor_answered(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play("+0 > S 0:0(0) <mss 1460,nop,nop,TS val 100 ecr 0,nop,wscale 7>")
    tcp.listen()
    tcp.flow("b", remote_port=40_001, local_port=80)
    tcp.play(
        """
        +0 b< S  0:0(0) win 65535 <mss 1460,nop,nop,sackOK>
        +0 b> S. 0:0(0) ack 1 <mss 1460>
        """
    )


@pytest.mark.requirement("RFC2018-S4-1")
@pytest.mark.host(tcp_sack=0)
def test_a_syn_ack_that_permits_it_unasked_is_not_believed(tcp: Tcp) -> None:
    tcp.connect()
    tcp.play(
        """
        +0   > S  0:0(0) <mss 1460,nop,nop,TS val 100 ecr 0,nop,wscale 7>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK>
        +0   > .  1:1(0) ack 1
        +0   < .  101:201(100) ack 1
        +0   > .  1:1(0) ack 1
        """
    )


@pytest.mark.requirement("RFC2018-S2-1")
def test_sack_permitted_outside_of_a_syn_permits_nothing(tcp: Tcp) -> None:
    tcp.established()
    tcp.play(
        """
        +0 < . 1:1(0) ack 1 <nop,nop,sackOK>
        +0 < . 101:201(100) ack 1 <nop,nop,sackOK>
        +0 > . 1:1(0) ack 1
        """
    )


@pytest.mark.requirement("RFC2018-S4-1")
@pytest.mark.parametrize("passive", [True, False])
def test_a_peer_that_did_not_permit_it_never_sees_it(tcp: Tcp, passive: bool) -> None:
    tcp.established(passive, sack=False)
    tcp.play(
        """
        +0 < . 101:201(100) ack 1
        +0 > . 1:1(0) ack 1
        +0 < . 301:401(100) ack 1
        +0 > . 1:1(0) ack 1
        +0 < . 1:101(100) ack 1
        +0 > . 1:1(0) ack 201
        +0 < . 1:101(100) ack 1
        +0 > . 1:1(0) ack 201
        """
    )


# -- §4: the tables ------------------------------------------------------------------------------


@pytest.mark.requirement("RFC2018-S4-2")
def test_case_1_the_first_four_come_and_the_last_four_are_lost(tcp: Tcp) -> None:
    at_5000(tcp)
    for start in (5000, 5500, 6000, 6500):
        arrives(tcp, start, start + 500)


@pytest.mark.requirement("RFC2018-S4-2", "RFC2018-S4-3")
def test_case_2_the_first_is_lost_and_the_other_seven_come(tcp: Tcp) -> None:
    sock = at_5000(tcp)
    for start in (5500, 6000, 6500, 7000, 7500, 8000, 8500):
        arrives(tcp, start, LEFT, (5500, start + 500))
    arrives(tcp, 5000, 9000)
    assert sock.recv(10_000) == tcp.data(4000, 4999)


@pytest.mark.requirement("RFC2018-S4-2", "RFC2018-S4-3", "RFC2018-S4-4")
def test_case_3_the_second_fourth_sixth_and_eighth_are_lost(tcp: Tcp) -> None:
    sock = at_5000(tcp)
    arrives(tcp, 5000, 5500)
    arrives(tcp, 6000, 5500, (6000, 6500))
    arrives(tcp, 7000, 5500, (7000, 7500), (6000, 6500))
    arrives(tcp, 8000, 5500, (8000, 8500), (7000, 7500), (6000, 6500))
    # then the fourth comes after all, and joins two blocks
    arrives(tcp, 6500, 5500, (6000, 7500), (8000, 8500))
    # and the second
    arrives(tcp, 5500, 7500, (8000, 8500))
    arrives(tcp, 7500, 8500)
    assert sock.recv(10_000) == tcp.data(3500, 4999)


# -- §4: how many, which first, how often ---------------------------------------------------------


@pytest.mark.requirement("RFC2018-S4-4", "RFC2018-S4-3")
def test_without_timestamps_four_blocks_fit_and_the_newest_are_reported(tcp: Tcp) -> None:
    at_5000(tcp)
    blocks: list[tuple[int, int]] = []
    for start in range(6000, 13_000, 1000):
        blocks.insert(0, (start, start + 500))
        arrives(tcp, start, LEFT, *blocks[:4])


@pytest.mark.requirement("RFC2018-S4-4", "RFC2018-S4-3")
def test_with_timestamps_three_blocks_fit(tcp: Tcp) -> None:
    tcp.established(sack=True, ts=700)
    blocks: list[str] = []
    for start in range(1001, 7001, 1000):
        blocks.insert(0, f"{start}:{start + 500}")
        tcp.play(
            f"""
            +0 < . {start}:{start + 500}(500) ack 1 <nop,nop,TS val 800 ecr 200>
            +0 > . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 800,nop,nop,sack {" ".join(blocks[:3])}>
            """
        )


@pytest.mark.requirement("RFC2018-S4-4")
def test_every_block_is_in_at_least_three_acks_in_a_row(tcp: Tcp) -> None:
    tcp.established(sack=True, ts=700)
    seen: dict[str, int] = {}
    starts = [1001 + 1000 * (5 * index % 12) for index in range(12)]  # in no order
    acks = []
    for start in starts:
        tcp.inject(tcp.segment(f". {start}:{start + 500}(500) ack 1 <nop,nop,TS val 800 ecr 200>"))
        (ack,) = tcp.take()
        edges = [tcp.flow("").their_number(edge) for edge in ack.option("sack") or ()]
        acks.append([f"{left}" for left in edges[::2]])
        for left in edges[::2]:
            seen[str(left)] = seen.get(str(left), 0) + 1
    for start in starts[:-2]:
        assert seen[str(start)] >= 3
    assert [blocks[0] for blocks in acks] == [str(start) for start in starts]


@pytest.mark.requirement("RFC2018-S4-3")
def test_the_first_block_is_the_whole_block_around_the_newest_segment(tcp: Tcp) -> None:
    at_5000(tcp)
    arrives(tcp, 6000, LEFT, (6000, 6500))
    arrives(tcp, 8000, LEFT, (8000, 8500), (6000, 6500))
    arrives(tcp, 6500, LEFT, (6000, 7000), (8000, 8500))
    arrives(tcp, 8500, LEFT, (8000, 9000), (6000, 7000))
    arrives(tcp, 5500, LEFT, (5500, 7000), (8000, 9000))


@pytest.mark.requirement("RFC2018-S4-3")
def test_a_segment_that_advances_the_ack_leaves_the_order_of_the_blocks(tcp: Tcp) -> None:
    at_5000(tcp)
    arrives(tcp, 7000, LEFT, (7000, 7500))
    arrives(tcp, 6000, LEFT, (6000, 6500), (7000, 7500))
    arrives(tcp, 9000, LEFT, (9000, 9500), (6000, 6500), (7000, 7500))
    arrives(tcp, 5000, 5500, (9000, 9500), (6000, 6500), (7000, 7500))


@pytest.mark.requirement("RFC2018-S4-2")
def test_while_there_is_a_hole_every_ack_and_every_segment_of_ours_has_blocks(tcp: Tcp) -> None:
    sock = at_5000(tcp)
    arrives(tcp, 6000, LEFT, (6000, 6500))
    sock.send(b"answer")
    tcp.play(
        """
        +0   > P. 1:7(6) ack 5000 <nop,nop,sack 6000:6500> "answer"
        +0.3 > P. 1:7(6) ack 5000 <nop,nop,sack 6000:6500> "answer"
        +0   < .  5000:5000(0) ack 7
        +0   < .  4500:5000(500) ack 7
        +0   > .  7:7(0) ack 5000 <nop,nop,sack 4500:5000 6000:6500>
        """
    )
    sock.shutdown(socket.SHUT_WR)
    tcp.play("+0 > F. 7:7(0) ack 5000 <nop,nop,sack 6000:6500>")


@pytest.mark.requirement("RFC2018-S4-2")
def test_a_fin_above_the_hole_is_a_part_of_its_block_as_in_linux(tcp: Tcp) -> None:
    sock = at_5000(tcp)
    tcp.play(
        """
        +0 < F. 5500:6000(500) ack 1
        +0 > .  1:1(0) ack 5000 <nop,nop,sack 5500:6001>
        +0 < .  5000:5500(500) ack 1
        +0 > .  1:1(0) ack 6001
        """
    )
    assert sock.recv(10_000) == tcp.data(1000, 4999)
    assert sock.recv(10_000) == b""


@pytest.mark.requirement("RFC2018-S8-2")
@pytest.mark.host(tcp_max_ooo_holes=2)
def test_text_that_is_not_kept_is_not_reported_but_what_is_kept_comes_through(tcp: Tcp) -> None:
    """Apart from the newest segment only what is held may be reported; ours reports no more than
    it holds at all."""
    sock = at_5000(tcp)
    arrives(tcp, 6000, LEFT, (6000, 6500))
    arrives(tcp, 7000, LEFT, (7000, 7500), (6000, 6500))
    arrives(tcp, 8000, LEFT, (7000, 7500), (6000, 6500))  # one hole too many: not kept
    assert tcp.host.counters.as_dict()["dropped_receive_buffer"] == 1
    arrives(tcp, 5500, LEFT, (5500, 6500), (7000, 7500))
    arrives(tcp, 5000, 6500, (7000, 7500))
    arrives(tcp, 6500, 7500)
    assert sock.recv(10_000) == tcp.data(2500, 4999)


@pytest.mark.requirement("RFC2018-S8-2")
def test_every_octet_reported_is_there_when_the_holes_are_filled(tcp: Tcp) -> None:
    """Blocks are promises that ours never breaks: what was reported need not be sent again."""
    sock = tcp.established(sack=True)
    reported: set[int] = set()
    order = [(13 * index) % 40 for index in range(1, 40)]  # all but the first
    for index in order:
        left = 1 + 100 * index
        tcp.inject(tcp.segment(f". {left}:{left + 100}(100) ack 1"))
        for ack in tcp.take():
            edges = [tcp.flow("").their_number(edge) for edge in ack.option("sack") or ()]
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                reported.update(range(start, end))
    assert reported == set(range(101, 4001))
    tcp.play("+0 < . 1:101(100) ack 1\n+0 > . 1:1(0) ack 4001")
    assert sock.recv(10_000) == tcp.data(4000)
