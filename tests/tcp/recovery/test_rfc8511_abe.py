"""RFC 8511: a mark costs less of the window than a loss, because marks come from short queues."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.kit.tcp import Tcp

MSS = 1460

pytestmark = pytest.mark.host(tcp_ecn=1, tcp_congestion_control="reno")


def out(tcp: Tcp, segments: int) -> Any:
    """So many segments are out, and a round trip has passed."""
    sock = tcp.established(ecn=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 60 * MSS)
    sock.send(tcp.data(segments * MSS))
    assert len(tcp.take()) == segments
    tcp.quiet(0.1)
    return sock


@pytest.mark.requirement("RFC8511-S3-1")
def test_a_mark_leaves_eight_tenths_where_a_loss_leaves_half(tcp: Tcp) -> None:
    marked = out(tcp, 10)
    tcp.play("+0 < .E 1:1(0) ack 1461")
    assert marked.tcp_info().tcpi_snd_ssthresh == 8


def test_a_loss_leaves_half(tcp: Tcp) -> None:
    lost = out(tcp, 10)
    for _ in range(3):
        tcp.inject(tcp.segment(". 1:1(0) ack 1"))
        tcp.take()
    assert lost.tcp_info().tcpi_snd_ssthresh == 5


@pytest.mark.requirement("RFC8511-S3-1")
def test_after_a_mark_ssthresh_is_two_segments_at_the_least(tcp: Tcp) -> None:
    sock = out(tcp, 1)
    tcp.play("+0 < .E 1:1(0) ack 1461")
    assert sock.tcp_info().tcpi_snd_ssthresh == 2
