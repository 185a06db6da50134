"""RFC 9438 and RFC 9406 on whole connections: what CUBIC, the default, makes of ACKs, losses,
timeouts and marks. Its equations are in tests/cc.

The connections have neither SACK nor timestamps but where it says so; a segment is 1460 octets.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.kit.tcp import Tcp

MSS = 1460


def windows(sock: Any) -> tuple[int, int]:
    """cwnd and ssthresh in segments."""
    info = sock.tcp_info()
    return info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh


def out(tcp: Tcp, segments: int, total: int = 60, **offer: object) -> Any:
    """A connection with `segments` in flight and more to send; a round trip has passed."""
    sock = tcp.established(**{"wscale": 7, "win": 65535, **offer})
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, total * MSS)
    sock.send(tcp.data(total * MSS))
    tcp.take()
    tcp.quiet(0.1)
    una = 1
    while windows(sock)[0] < segments:
        una += MSS
        tcp.inject(tcp.segment(f". 1:1(0) ack {una}"))
        tcp.take()
    assert windows(sock)[0] == segments
    return sock


def test_it_is_the_default(tcp: Tcp) -> None:
    assert tcp.host.sysctl("tcp_congestion_control") == "cubic"
    sock = tcp.established()
    assert sock.getsockopt(socket.IPPROTO_TCP, 13, 16).rstrip(b"\0") == b"cubic"


@pytest.mark.requirement("RFC9438-S4.10-1")
def test_slow_start_doubles_the_window(tcp: Tcp) -> None:
    sock = out(tcp, 10)
    for n in range(1, 11):
        tcp.inject(tcp.segment(f". 1:1(0) ack {1 + n * MSS}"))
        assert len(tcp.take()) == 2
    assert windows(sock)[0] == 20


@pytest.mark.deviation("RFC9406-S4.3-1")
@pytest.mark.parametrize("name", ["cubic", "reno", "dctcp", "westwood", "bbr", "bbr3"])
def test_an_ack_of_ten_segments_doubles_a_window_of_ten(tcp: Tcp, name: str) -> None:
    tcp.host.sysctl("tcp_congestion_control", name)
    sock = out(tcp, 10)
    tcp.inject(tcp.segment(f". 1:1(0) ack {1 + 10 * MSS}"))
    tcp.take()
    assert windows(sock)[0] == 20


@pytest.mark.parametrize("where", ["", "tcp_cubic.", "/sys/module/tcp_cubic/parameters/"])
@pytest.mark.parametrize("detect", [1, 2])
def test_hystart_has_the_parameters_of_linuxs_module(tcp: Tcp, where: str, detect: int) -> None:
    for name, value in (("detect", detect), ("low_window", 2), ("ack_delta_us", 60_000)):
        tcp.host.sysctl(f"{where}hystart_{name}", value)
    sock = out(tcp, 10)  # 100 ms
    tcp.inject(tcp.segment(f". 1:1(0) ack {1 + MSS}"))
    tcp.take()
    tcp.quiet(0.055)
    tcp.inject(tcp.segment(f". 1:1(0) ack {1 + 2 * MSS}"))
    tcp.take()
    assert (windows(sock)[1] == 11) == (detect == 1)  # a train of more than half of it


@pytest.mark.requirement("RFC9438-S4.6-1", "RFC9406-S4.2-3")
@pytest.mark.parametrize("sack", [False, True])
def test_a_loss_leaves_seven_tenths(tcp: Tcp, sack: bool) -> None:
    sock = out(tcp, 20, sack=sack)
    una = 1 + 10 * MSS
    for n in range(1, 4):
        right = una + (n + 1) * MSS
        block = f" <nop,nop,sack {una + MSS}:{right}>" if sack else ""
        tcp.inject(tcp.segment(f". 1:1(0) ack {una}{block}"))
        tcp.take()
    assert windows(sock)[1] == 14
    tcp.quiet(0.1)
    tcp.inject(tcp.segment(f". 1:1(0) ack {una + 20 * MSS}"))
    tcp.take()
    tcp.inject(tcp.segment(f". 1:1(0) ack {una + 23 * MSS}"))
    tcp.take()
    # without SACK no burst is let out after recovery (RFC 6582 §3.2 step 3)
    assert windows(sock)[0] == (14 if sack else 12)


@pytest.mark.requirement("RFC9438-S4.8-1")
def test_a_timeout_leaves_one_segment_and_seven_tenths_as_threshold(tcp: Tcp) -> None:
    sock = out(tcp, 20)
    tcp.run(sock.tcp_info().tcpi_rto / 1e6)
    assert windows(sock) == (1, 14)
