"""RFC 4015 and RFC 3522, as Linux has them: a recovery that turns out to have been needless because
a segment was late, not lost."""

from __future__ import annotations

import socket

import pytest

from pystack.cc.base import INFINITE_SSTHRESH
from tests.kit.tcp import Tcp

pytestmark = pytest.mark.host(tcp_congestion_control="reno")

MSS = 1448


def ten_out(tcp: Tcp) -> socket.socket:
    """Ten segments are out on a path of 100 ms, with SACK and timestamps."""
    sock = tcp.established(sack=True, ts=1000, wscale=7)
    sock.send(tcp.data(10 * MSS))
    tcp.take()
    tcp.quiet(0.1)
    return sock


def windows(sock: socket.socket) -> tuple[int, int]:
    """cwnd and ssthresh in segments."""
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def test_a_late_segment_that_comes_before_anything_was_repeated_takes_the_cut_back(
    tcp: Tcp,
) -> None:
    sock = ten_out(tcp)
    tcp.play(
        f"""
        +0 < . 1:1(0) ack 1 <nop,nop,TS val 1100 ecr 100,nop,nop,sack {1 + MSS}:{1 + 4 * MSS}>
        &  < . 1:1(0) ack {1 + 4 * MSS} <nop,nop,TS val 1100 ecr 100>
        +0.1 quiet
        """
    )
    assert windows(sock) == (10, INFINITE_SSTHRESH)


def test_what_came_late_once_is_given_more_time_the_next_time(tcp: Tcp) -> None:
    """RFC 8985 §6.2 step 3; Linux: a partial undo counts as reordering."""
    sock = ten_out(tcp)
    sack = f"nop,nop,sack {1 + MSS}:{1 + 4 * MSS}"
    tcp.play(
        f"""
        +0 < . 1:1(0) ack 1 <nop,nop,TS val 1100 ecr 100,{sack}>
        +0 > . 1:{1 + MSS}({MSS}) ack 1 <...>
        +0 < . 1:1(0) ack {1 + 4 * MSS} <nop,nop,TS val 1100 ecr 100>
        """
    )
    assert windows(sock)[1] == INFINITE_SSTHRESH
    left = 1 + 4 * MSS
    sack = f"nop,nop,sack {left + MSS}:{left + 4 * MSS}"
    tcp.play(
        f"""
        +0     < . 1:1(0) ack {left} <nop,nop,TS val 1100 ecr 100,{sack}>
        +0.02  quiet
        +0.005..0.006 > . {left}:{left + MSS}({MSS}) ack 1 <...>
        """
    )
