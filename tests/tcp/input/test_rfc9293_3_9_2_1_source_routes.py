"""RFC 9293 §3.9.2.1: source routes. There are none: packets that bring one are dropped, as in
Linux (`accept_source_route` 0) and as RFC 7126 §4.3 and §4.4 recommend."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

LOOSE, STRICT = 0x83, 0x89
ROUTER = bytes((198, 51, 100, 1))


def route(kind: int, completed: bool) -> bytes:
    return bytes((kind, 7, 8 if completed else 4)) + ROUTER + b"\0"


@pytest.mark.deviation("RFC9293-MUST-51", "RFC9293-MUST-52", "RFC9293-MUST-53", "RFC9293-SHLD-24")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("kind", [LOOSE, STRICT])
@pytest.mark.parametrize("completed", [True, False])
def test_a_source_routed_syn_is_dropped_in_silence(tcp: Tcp, kind: int, completed: bool) -> None:
    tcp.listen()
    tcp.inject(tcp.segment("S 0:0(0) win 1000 <mss 1460>", ipopt=route(kind, completed)))
    tcp.quiet(10)
    tcp.play("+0 < S 0:0(0) win 1000 <mss 1460>\n+0 > S. 0:0(0) ack 1 <...>")


@pytest.mark.deviation("RFC9293-MUST-52", "RFC9293-SHLD-24")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("kind", [LOOSE, STRICT])
def test_a_source_routed_segment_of_a_connection_is_dropped_in_silence(tcp: Tcp, kind: int) -> None:
    sock = tcp.established()
    tcp.inject(tcp.segment("P. 1:6(5) ack 1", ipopt=route(kind, True)))
    tcp.inject(tcp.segment("R 1:1(0)", ipopt=b"\1" + route(kind, True)[:7]))
    tcp.quiet(10)
    with pytest.raises(BlockingIOError):
        sock.recv(1)
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.deviation("RFC9293-MUST-51")
@pytest.mark.variants("ipv4")
def test_an_active_open_carries_no_ip_options(tcp: Tcp) -> None:
    sock = tcp.socket()
    if hasattr(tcp.host, "fd"):
        pytest.skip("Linux takes the option")
    with pytest.raises(OSError, match=r"."):
        sock.setsockopt(0, 4, route(LOOSE, False))  # IP_OPTIONS
    tcp.connect(sock=sock)
    (syn,) = tcp.take()
    assert syn.octets[0] == 0x45
