"""How far segments overtake each other, and what the window grows by, as Linux has it.

The connections have SACK, no timestamps, and Reno. Segment n is octets 1460 (n - 1) + 1 to 1460 n.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.kit.tcp import Tcp

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1460


def at(segment: int) -> int:
    """The number of the first octet of a segment."""
    return MSS * (segment - 1) + 1


def ack(tcp: Tcp, last: int, *blocks: tuple[int, int]) -> None:
    """Segments up to `last`, and those of the blocks, have come."""
    edges = " ".join(f"{at(left)}:{at(right + 1)}" for left, right in blocks)
    options = f" <nop,nop,sack {edges}>" if blocks else ""
    tcp.inject(tcp.segment(f". 1:1(0) ack {at(last + 1)}{options}"))
    tcp.take()


def ten(tcp: Tcp) -> Any:
    """A connection with a window of ten segments, all of it out, from segment 1 on."""
    sock = tcp.established(sack=True, wscale=7, win=65535, rtt=0.1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400 * MSS)
    sock.send(tcp.data(200 * MSS))
    tcp.take()
    tcp.quiet(0.1)
    assert sock.tcp_info().tcpi_unacked == 10
    return sock


def degree(sock: Any) -> tuple[int, int]:
    """In segments, and how often reordering was seen."""
    info = sock.tcp_info()
    return info.tcpi_reordering, info.tcpi_reord_seen


# -- the degree -----------------------------------------------------------------------------------
def test_a_block_below_the_highest_is_reordering(tcp: Tcp) -> None:
    sock = ten(tcp)
    ack(tcp, 0, (2, 2))
    ack(tcp, 0, (5, 5), (2, 2))
    assert degree(sock) == (3, 0), "each is above the one before"
    ack(tcp, 0, (3, 3), (5, 5), (2, 2))
    assert degree(sock) == (3, 1), "3 has come after 5: a distance of three"


def test_the_degree_is_the_distance_to_the_highest(tcp: Tcp) -> None:
    sock = ten(tcp)
    ack(tcp, 0, (8, 8))
    tcp.quiet(0.01)
    ack(tcp, 0, (2, 2), (8, 8))
    assert degree(sock) == (7, 1)
    ack(tcp, 0, (3, 3), (2, 2), (8, 8))
    assert degree(sock) == (7, 2), "it does not become less"


def test_what_the_ack_covers_counts_by_the_lowest(tcp: Tcp) -> None:
    tcp.host.sysctl("tcp_reordering", 4)
    sock = ten(tcp)
    ack(tcp, 0, (5, 6))
    ack(tcp, 6)
    assert degree(sock) == (6, 1), "1 has come after 6"


def test_from_tcp_reordering_to_tcp_max_reordering(tcp: Tcp) -> None:
    tcp.host.sysctl("tcp_reordering", 4)
    tcp.host.sysctl("tcp_max_reordering", 6)
    sock = ten(tcp)
    assert degree(sock) == (4, 0)
    ack(tcp, 0, (9, 9))
    ack(tcp, 0, (2, 2), (9, 9))
    assert degree(sock) == (6, 1)


def test_what_was_sent_again_says_nothing(tcp: Tcp) -> None:
    sock = ten(tcp)
    ack(tcp, 0, (2, 4))  # 1 goes again
    assert sock.tcp_info().tcpi_retrans == 1
    ack(tcp, 4)
    assert degree(sock) == (3, 0)


def test_so_many_segments_beyond_a_hole_are_a_loss(tcp: Tcp) -> None:
    tcp.host.sysctl("tcp_reordering", 5)
    sock = ten(tcp)
    ack(tcp, 0, (2, 5))
    assert sock.tcp_info().tcpi_lost == 0
    ack(tcp, 0, (2, 6))
    assert sock.tcp_info().tcpi_ca_state == 3


# -- growth ---------------------------------------------------------------------------------------
def test_what_blocks_have_reported_does_not_count_again(tcp: Tcp) -> None:
    sock = ten(tcp)
    ack(tcp, 0, (2, 3))
    assert sock.tcp_info().tcpi_snd_cwnd == 10, "blocks alone bring no growth"
    ack(tcp, 3)
    assert sock.tcp_info().tcpi_snd_cwnd == 11, "1 is the only news"
    ack(tcp, 5)
    assert sock.tcp_info().tcpi_snd_cwnd == 13


def test_where_much_reordering_was_seen_blocks_bring_growth(tcp: Tcp) -> None:
    sock = ten(tcp)
    ack(tcp, 0, (6, 6))
    ack(tcp, 0, (2, 2), (6, 6))
    assert degree(sock)[0] == 5
    assert sock.tcp_info().tcpi_snd_cwnd == 11, "of the second block, which showed it"
    ack(tcp, 0, (3, 3), (2, 2), (6, 6))
    assert sock.tcp_info().tcpi_snd_cwnd == 12
    ack(tcp, 3, (6, 6))
    assert sock.tcp_info().tcpi_snd_cwnd == 13
