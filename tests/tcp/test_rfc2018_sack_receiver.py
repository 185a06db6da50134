"""RFC 2018 and RFC 2883: the SACK blocks that a receiver sends."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp


def ahead(start: int, end: int) -> str:
    """The peer sends these octets now."""
    return f"+0.001 < . {start}:{end}({end - start}) ack 1\n"


def reports(ack: int, blocks: str) -> str:
    """We acknowledge with exactly these blocks."""
    nops = f"<nop,nop,sack {blocks}>" if blocks else ""
    return f"+0 > . 1:1(0) ack {ack} {nops}\n"


@pytest.mark.requirement("RFC2018-S2-1")
def test_sack_permitted_is_sent_in_syn_segments_only(tcp: Tcp) -> None:
    sock = tcp.established(passive=False, sack=True, ts=1, wscale=7)
    sock.send(tcp.data(3000))
    sock.shutdown(1)
    sent = tcp.take()
    tcp.inject(tcp.segment("P. 11:21(10) ack 1 <nop,nop,TS val 2 ecr 0>"))
    sent += tcp.take()
    assert len(sent) >= 4
    for packet in sent:
        assert packet.option("sackOK") is None


@pytest.mark.requirement("RFC2018-S4-1")
@pytest.mark.parametrize("passive", [True, False])
def test_a_peer_that_did_not_permit_sack_never_sees_a_block(tcp: Tcp, passive: bool) -> None:
    tcp.established(passive, sack=False)
    tcp.play(
        ahead(11, 21) + reports(1, "")
        + ahead(31, 41) + reports(1, "")
        + ahead(11, 21) + reports(1, "")
    )  # fmt: skip


@pytest.mark.requirement("RFC2018-S4-1")
@pytest.mark.host(tcp_sack=0)
def test_without_the_setting_sack_is_neither_offered_nor_used(tcp: Tcp) -> None:
    tcp.established(sack=True)
    tcp.play(ahead(11, 21) + reports(1, ""))


@pytest.mark.requirement("RFC2018-S4-2")
def test_while_a_hole_exists_every_ack_has_blocks(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, rtt=0.01)
    tcp.play(ahead(1001, 2001) + reports(1, "1001:2001"))
    sock.send(b"hello")
    tcp.play("+0 > P. 1:6(5) ack 1 <nop,nop,sack 1001:2001>\n+0.01 < . 1:1(0) ack 6")
    tcp.play(
        """
        +0.001 < . 1:501(500) ack 6
        +0     > . 6:6(0) ack 501 <nop,nop,sack 1001:2001>
        +0.001 < . 501:1001(500) ack 6
        +0     > . 6:6(0) ack 2001
        """
    )


@pytest.mark.requirement("RFC2018-S4-3", "RFC2018-S4-4")
def test_the_first_block_holds_the_segment_that_has_just_come(tcp: Tcp) -> None:
    # the second table of RFC 2018 §5 (case 2): of eight segments every second one is lost
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        + ahead(1001, 1501) + reports(501, "1001:1501")
        + ahead(2001, 2501) + reports(501, "2001:2501 1001:1501")
        + ahead(3001, 3501) + reports(501, "3001:3501 2001:2501 1001:1501")
        + ahead(4001, 4501) + reports(501, "4001:4501 3001:3501 2001:2501 1001:1501")
        # a fifth hole: the oldest block has no room left
        + ahead(5001, 5501) + reports(501, "5001:5501 4001:4501 3001:3501 2001:2501")
    )  # fmt: skip


@pytest.mark.requirement("RFC2018-S4-3")
def test_a_block_that_grows_comes_first_again(tcp: Tcp) -> None:
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        ahead(1001, 2001) + reports(1, "1001:2001")
        + ahead(3001, 4001) + reports(1, "3001:4001 1001:2001")
        + ahead(2001, 2501) + reports(1, "1001:2501 3001:4001")
        + ahead(2501, 3001) + reports(1, "1001:4001")
    )  # fmt: skip


@pytest.mark.requirement("RFC2018-S4-3", "RFC2018-S4-2")
def test_after_the_left_edge_has_moved_the_other_blocks_stay_reported(tcp: Tcp) -> None:
    # the third table of RFC 2018 §5 (case 2, continued): the fourth segment comes, then the second
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        ahead(501, 1001) + reports(1, "501:1001")
        + ahead(1501, 2001) + reports(1, "1501:2001 501:1001")
        + ahead(2501, 3001) + reports(1, "2501:3001 1501:2001 501:1001")
        + ahead(1001, 1501) + reports(1, "501:2001 2501:3001")
        + ahead(1, 501) + reports(2001, "2501:3001")
        + ahead(2001, 2501) + reports(3001, "")
    )  # fmt: skip


@pytest.mark.requirement("RFC2018-S4-4")
def test_with_timestamps_three_blocks_fit(tcp: Tcp) -> None:
    tcp.established(sack=True, ts=700, rtt=0.01)

    def comes(start: int, end: int, blocks: str) -> str:
        return (
            f"+0 < . {start}:{end}({end - start}) ack 1 <nop,nop,TS val 710 ecr 100>\n"
            f"+0 > . 1:1(0) ack 1 <nop,nop,TS val 110 ecr 710,nop,nop,sack {blocks}>\n"
        )

    tcp.play(
        comes(1001, 2001, "1001:2001")
        + comes(3001, 4001, "3001:4001 1001:2001")
        + comes(5001, 6001, "5001:6001 3001:4001 1001:2001")
        + comes(7001, 8001, "7001:8001 5001:6001 3001:4001")
    )


@pytest.mark.requirement("RFC2018-S8-2")
def test_what_is_reported_is_held_even_when_there_are_more_holes_than_are_kept(tcp: Tcp) -> None:
    sock = tcp.established(sack=True, rtt=0.01)
    islands = 300
    reported: set[int] = set()
    for number in range(1, islands):
        tcp.inject(tcp.segment(f". {1 + 2 * number}:{2 + 2 * number}(1) ack 1"))
        for packet in tcp.take():
            edges = [tcp.default.their_number(edge) for edge in packet.option("sack") or ()]
            reported = set()
            # the first block may be the newest segment, kept or not
            for left, right in zip(edges[2::2], edges[3::2], strict=True):
                reported |= set(range(left, right))
    end = 2 * islands + 1
    ack = 1
    for at in range(1, end):
        if at not in reported:
            tcp.inject(tcp.segment(f". {at}:{at + 1}(1) ack 1"))
            ack = max([ack, *(tcp.default.their_number(packet.ack) for packet in tcp.take())])
    ack = max([ack, *(tcp.default.their_number(packet.ack) for packet in tcp.run(1))])
    assert ack == end
    assert sock.recv(10_000) == tcp.data(end - 1)


# -- D-SACK ----------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC2883-S4-1", "RFC2883-S4-2")
def test_a_duplicate_is_reported_once_and_first(tcp: Tcp) -> None:
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        + ahead(1, 501) + reports(501, "1:501")
        + ahead(1001, 1501) + reports(501, "1001:1501")
    )  # fmt: skip


@pytest.mark.requirement("RFC2883-S4-1", "RFC2883-S4-2")
def test_a_duplicate_of_old_octets_stands_before_the_blocks_of_what_waits(tcp: Tcp) -> None:
    # RFC 2883 §4.1.2
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        + ahead(1001, 1501) + reports(501, "1001:1501")
        + ahead(1, 501) + reports(501, "1:501 1001:1501")
        + ahead(1501, 2001) + reports(501, "1001:2001")
    )  # fmt: skip


@pytest.mark.requirement("RFC2883-S4-3", "RFC2883-S4-2")
def test_a_duplicate_within_what_waits_is_followed_by_the_block_around_it(tcp: Tcp) -> None:
    # RFC 2883 §4.2.1
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        ahead(1001, 1501) + reports(1, "1001:1501")
        + ahead(1501, 2001) + reports(1, "1001:2001")
        + ahead(3001, 3501) + reports(1, "3001:3501 1001:2001")
        + ahead(1501, 2001) + reports(1, "1501:2001 1001:2001 3001:3501")
        + ahead(3501, 4001) + reports(1, "3001:4001 1001:2001")
    )  # fmt: skip


@pytest.mark.requirement("RFC2883-S4-1")
def test_of_a_segment_that_is_partly_known_the_known_part_is_reported(tcp: Tcp) -> None:
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        + ahead(301, 801) + reports(801, "301:501")
        + ahead(801, 901) + "+0..0.05 > . 1:1(0) ack 901\n"
    )  # fmt: skip


@pytest.mark.requirement("RFC2883-S4-2")
def test_each_of_two_duplicates_has_its_own_report(tcp: Tcp) -> None:
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        "+0 < . 501:1001(500) ack 1\n+0..0.05 > . 1:1(0) ack 1001\n"
        + ahead(1, 501) + reports(1001, "1:501")
        + ahead(501, 1001) + reports(1001, "501:1001")
        + ahead(501, 1001) + reports(1001, "501:1001")
    )  # fmt: skip


@pytest.mark.host(tcp_dsack=0)
def test_without_the_setting_duplicates_are_not_reported(tcp: Tcp) -> None:
    tcp.established(sack=True, rtt=0.01)
    tcp.play(
        "+0 < . 1:501(500) ack 1\n+0..0.05 > . 1:1(0) ack 501\n"
        + ahead(1, 501) + reports(501, "")
        + ahead(1001, 1501) + reports(501, "1001:1501")
    )  # fmt: skip
