"""RFC 2883: text that comes again is reported in the first SACK block, once.

The examples of §4 are played with their own numbers: as many octets have come before as they
presuppose; segments have 500 octets.
"""

from __future__ import annotations

import socket

import pytest

from tests.kit.tcp import Tcp


def up_to(tcp: Tcp, nxt: int, **offer: object) -> socket.socket:
    """A connection on which all octets below `nxt` have come and been acknowledged."""
    sock = tcp.established(**{"sack": True, **offer})
    at = 1
    while at < nxt:
        size = min(500, nxt - at)
        arrives(tcp, at, size, at + size)
        at += size
    return sock


def arrives(tcp: Tcp, start: int, size: int, ack: int, *blocks: tuple[int, int]) -> None:
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


# -- §4.1: full duplicates --------------------------------------------------------------------


@pytest.mark.requirement("RFC2883-S4-1", "RFC2883-S4-2")
def test_a_duplicate_segment_is_reported_below_the_ack(tcp: Tcp) -> None:
    """Example 1."""
    up_to(tcp, 3000)
    arrives(tcp, 3000, 500, 3500)
    arrives(tcp, 3500, 500, 4000)
    arrives(tcp, 3000, 500, 4000, (3000, 3500))
    arrives(tcp, 4000, 500, 4500)  # reported once


@pytest.mark.requirement("RFC2883-S4-1")
def test_a_duplicate_while_text_waits_is_reported_before_its_block(tcp: Tcp) -> None:
    """Example 2."""
    up_to(tcp, 3000)
    arrives(tcp, 3000, 500, 3500)
    arrives(tcp, 3500, 500, 4000)
    arrives(tcp, 4500, 500, 4000, (4500, 5000))
    arrives(tcp, 3000, 500, 4000, (3000, 3500), (4500, 5000))


@pytest.mark.requirement("RFC2883-S4-3")
def test_a_duplicate_of_waiting_text_is_followed_by_the_block_around_it(tcp: Tcp) -> None:
    """Example 3."""
    up_to(tcp, 3500)
    arrives(tcp, 3500, 500, 4000)
    arrives(tcp, 4500, 500, 4000, (4500, 5000))
    arrives(tcp, 5000, 500, 4000, (4500, 5500))
    arrives(tcp, 5000, 500, 4000, (5000, 5500), (4500, 5500))


@pytest.mark.requirement("RFC2883-S4-3")
def test_a_duplicate_of_a_whole_block_is_reported_before_that_block(tcp: Tcp) -> None:
    up_to(tcp, 4000)
    arrives(tcp, 4500, 500, 4000, (4500, 5000))
    arrives(tcp, 4500, 500, 4000, (4500, 5000), (4500, 5000))


@pytest.mark.requirement("RFC2883-S4-3")
def test_the_block_around_the_duplicate_comes_before_newer_blocks(tcp: Tcp) -> None:
    up_to(tcp, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    arrives(tcp, 2500, 500, 1000, (2000, 3000))
    arrives(tcp, 4000, 500, 1000, (4000, 4500), (2000, 3000))
    arrives(tcp, 2500, 500, 1000, (2500, 3000), (2000, 3000), (4000, 4500))


# -- §4.2: partial duplicates ---------------------------------------------------------------------


@pytest.mark.requirement("RFC2883-S4-1")
def test_the_old_part_of_a_segment_is_reported(tcp: Tcp) -> None:
    """The hole was filled by a larger segment before the delayed smaller one came."""
    up_to(tcp, 500)
    arrives(tcp, 500, 500, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    arrives(tcp, 1000, 1000, 2500)
    arrives(tcp, 1000, 500, 2500, (1000, 1500))


@pytest.mark.requirement("RFC2883-S4-1")
def test_two_delayed_segments_are_reported_one_by_one(tcp: Tcp) -> None:
    up_to(tcp, 500)
    arrives(tcp, 500, 500, 1000)
    arrives(tcp, 3000, 500, 1000, (3000, 3500))
    arrives(tcp, 1000, 1000, 2000, (3000, 3500))
    arrives(tcp, 2000, 1000, 3500)
    arrives(tcp, 1000, 500, 3500, (1000, 1500))
    arrives(tcp, 2000, 500, 3500, (2000, 2500))


@pytest.mark.requirement("RFC2883-S4-1")
def test_of_a_segment_that_brings_news_only_the_old_part_is_reported(tcp: Tcp) -> None:
    sock = up_to(tcp, 1000)
    arrives(tcp, 500, 1000, 1500, (500, 1000))
    assert sock.recv(10_000) == tcp.data(1499)


@pytest.mark.requirement("RFC2883-S4-3")
def test_of_a_segment_above_the_hole_the_part_that_waits_already_is_reported(tcp: Tcp) -> None:
    up_to(tcp, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    arrives(tcp, 1500, 1000, 1000, (2000, 2500), (1500, 2500))
    arrives(tcp, 2000, 1000, 1000, (2000, 2500), (1500, 3000))


@pytest.mark.requirement("RFC2883-S4-1")
def test_of_a_segment_that_fills_the_hole_the_waiting_part_is_reported(tcp: Tcp) -> None:
    """Octets 2000 to 2500 came twice, though their block is gone by now."""
    sock = up_to(tcp, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    arrives(tcp, 1000, 1400, 2500, (2000, 2400))
    assert sock.recv(10_000) == tcp.data(2499)


# -- §4: once, and only if SACK was agreed on ---------------------------------------------------


@pytest.mark.requirement("RFC2883-S4-2")
def test_each_duplicate_has_its_own_ack_and_every_ack_its_own_report(tcp: Tcp) -> None:
    up_to(tcp, 3000)
    for start in (2000, 2500, 2000, 1500):
        arrives(tcp, start, 500, 3000, (start, start + 500))
    arrives(tcp, 4000, 500, 3000, (4000, 4500))
    arrives(tcp, 5000, 500, 3000, (5000, 5500), (4000, 4500))


@pytest.mark.requirement("RFC2883-S4-2", "RFC2883-S4-1")
def test_duplicates_of_one_batch_are_each_reported(tcp: Tcp) -> None:
    up_to(tcp, 3000)
    tcp.play(
        """
        +0.01 < . 1000:1500(500) ack 1
        &     < . 2000:2500(500) ack 1
        +0    > . 1:1(0) ack 3000 <nop,nop,sack 1000:1500>
        +0    > . 1:1(0) ack 3000 <nop,nop,sack 2000:2500>
        """
    )


@pytest.mark.requirement("RFC2883-S4-2")
def test_a_report_rides_on_text_of_ours_once(tcp: Tcp) -> None:
    sock = up_to(tcp, 3000)
    tcp.play("+0.01 < . 2500:3000(500) ack 1")
    sock.send(b"answer")
    tcp.play(
        """
        +0 > P. 1:7(6) ack 3000 <nop,nop,sack 2500:3000> "answer"
        """
    )
    rto = sock.tcp_info().tcpi_rto
    tcp.play(f'+{rto}us > P. 1:7(6) ack 3000 "answer"')


@pytest.mark.requirement("RFC2883-S4-1")
def test_a_duplicate_fin_is_reported_by_its_number(tcp: Tcp) -> None:
    up_to(tcp, 1000)
    tcp.play(
        """
        +0 < F. 1000:1000(0) ack 1
        +0 > .  1:1(0) ack 1001
        +0 < F. 1000:1000(0) ack 1
        +0 > .  1:1(0) ack 1001 <nop,nop,sack 1000:1001>
        """
    )


@pytest.mark.requirement("RFC2883-S4-1", "RFC2883-S4-3")
def test_with_timestamps_the_report_takes_one_of_three_places(tcp: Tcp) -> None:
    tcp.established(sack=True, ts=700)
    ts = "<nop,nop,TS val 800 ecr 200>"
    tcp.play(f"+0 < . 1:501(500) ack 1 {ts}\n+0 > *")
    for start in (1001, 2001, 3001, 4001):
        tcp.play(f"+0 < . {start}:{start + 500}(500) ack 1 {ts}\n+0 > *")
    tcp.play(
        f"""
        +0 < . 1:501(500) ack 1 {ts}
        +0 > . 1:1(0) ack 501 <nop,nop,TS val 200 ecr 800,nop,nop,sack 1:501 4001:4501 3001:3501>
        """
    )


@pytest.mark.requirement("RFC2883-S4-1")
def test_without_sack_a_duplicate_is_just_acknowledged(tcp: Tcp) -> None:
    up_to(tcp, 1000, sack=False)
    arrives(tcp, 500, 500, 1000)


@pytest.mark.host(tcp_dsack=0)
def test_reports_of_duplicates_can_be_switched_off(tcp: Tcp) -> None:
    up_to(tcp, 1000)
    arrives(tcp, 500, 500, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    arrives(tcp, 2000, 500, 1000, (2000, 2500))


def test_what_paws_refuses_is_reported_as_a_duplicate_too(tcp: Tcp) -> None:
    """§4.3 leaves it open; so does Linux report it."""
    tcp.established(sack=True, ts=700)
    tcp.play(
        """
        +0 < . 1:501(500) ack 1 <nop,nop,TS val 900 ecr 200>
        +0 > . 1:1(0) ack 501 <nop,nop,TS val 200 ecr 900>
        +0 < . 1:501(500) ack 1 <nop,nop,TS val 850 ecr 200>
        +0 > . 1:1(0) ack 501 <nop,nop,TS val 200 ecr 900,nop,nop,sack 1:501>
        """
    )


@pytest.mark.requirement("RFC2883-S4-3")
@pytest.mark.variants("ipv4")
def test_a_report_that_found_the_batch_full_comes_later_with_the_block_around_it(tcp: Tcp) -> None:
    """Each duplicate draws an ACK while there is room; by the next ACK another block is newer."""
    up_to(tcp, 1000)
    arrives(tcp, 2000, 500, 1000, (2000, 2500))
    again = tcp.segment(". 2000:2100(100) ack 1")
    room = tcp.host.tx.capacity
    tcp.inject(*[again] * (room + 1), tcp.segment(". 4000:4500(500) ack 1"))
    *reports, last = tcp.take()
    numbers = [tcp.default.their_number(edge) for edge in last.option("sack") or ()]
    assert len(reports) == room
    assert numbers == [2000, 2100, 2000, 2500, 4000, 4500]
