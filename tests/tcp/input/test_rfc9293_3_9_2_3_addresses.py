"""RFC 9293 §3.9.2.3, RFC 1122 §3.2.1.3: who may be talked to, and who may not."""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

NO_SOURCE4 = ["224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1", "192.0.2.255",
              "127.0.0.1", "127.255.255.255", "0.0.0.0", "0.1.2.3"]  # fmt: skip
NO_SOURCE6 = ["ff02::1", "ff0e::1234", "::", "::1"]
MANY4 = ["192.0.2.255", "255.255.255.255", "224.0.0.1", "239.1.2.3"]
MANY6 = ["ff02::1", "ff01::1", "ff0e::1234"]
FOREIGN = {
    4: ["192.0.2.77", "198.51.100.1", "127.0.0.1", "0.0.0.0"],
    6: ["2001:db8::77", "::1", "::", "2001:db8:1::1"],
}

SEGMENTS = ["S 0:0(0) win 1000 <mss 1460>", "S. 0:0(0) ack 1", ". 1:1(0) ack 1", "P. 1:9(8) ack 1",
            "F. 1:1(0) ack 1", "P 1:9(8)"]  # fmt: skip


def works(tcp: Tcp) -> None:
    """A SYN from the peer's own address to ours is answered: nothing stands in its way."""
    tcp.play("+0 < S 0:0(0) win 1000 <mss 1460>\n+0 > S. 0:0(0) ack 1 <...>\n+0 < R 1:1(0) win 0")
    tcp.quiet(10)


def draws_nothing(tcp: Tcp, prefix: str) -> None:
    """No answer and no state, with and without a listener."""
    key = prefix.split()[0]
    for port in (80, 81):
        for text in SEGMENTS:
            tcp.inject(tcp.segment(text, dport=port, **{key: prefix.split()[1]}))
            tcp.quiet(0.01)
    tcp.quiet(10)
    if not hasattr(tcp.host, "fd"):
        assert tcp.states == []
        assert tcp.host.counters.out_packets == 0


@pytest.mark.requirement("RFC9293-MUST-57")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("to", MANY4)
def test_ipv4_segments_to_many_hosts_are_dropped_in_silence(tcp: Tcp, to: str) -> None:
    tcp.listen()
    draws_nothing(tcp, f"to {to}")
    works(tcp)


@pytest.mark.requirement("RFC9293-MUST-57")
@pytest.mark.variants("ipv6")
@pytest.mark.parametrize("to", MANY6)
def test_ipv6_segments_to_many_hosts_are_dropped_in_silence(tcp: Tcp, to: str) -> None:
    tcp.listen()
    draws_nothing(tcp, f"to {to}")
    works(tcp)


@pytest.mark.requirement("RFC9293-MUST-63", "RFC1122-S3.2.1.3-1")
@pytest.mark.variants("ipv4")
@pytest.mark.parametrize("source", NO_SOURCE4)
def test_ipv4_segments_from_no_possible_source_are_dropped_in_silence(
    tcp: Tcp, source: str
) -> None:
    tcp.listen()
    draws_nothing(tcp, f"from {source}")
    works(tcp)


@pytest.mark.requirement("RFC9293-MUST-63")
@pytest.mark.variants("ipv6")
@pytest.mark.parametrize("source", NO_SOURCE6)
def test_ipv6_segments_from_no_possible_source_are_dropped_in_silence(
    tcp: Tcp, source: str
) -> None:
    tcp.listen()
    draws_nothing(tcp, f"from {source}")
    works(tcp)


@pytest.mark.requirement("RFC9293-MUST-63", "RFC1122-S3.2.1.3-1")
@pytest.mark.variants("ipv4", "ipv6")
def test_our_own_address_as_a_source_is_not_believed(tcp: Tcp) -> None:
    """The land attack."""
    tcp.listen()
    draws_nothing(tcp, f"from {tcp.local}")
    tcp.inject(tcp.segment("S 0:0(0) win 1000", **{"from": tcp.local, "sport": 80, "dport": 80}))
    tcp.quiet(10)
    works(tcp)


@pytest.mark.requirement("RFC1122-S3.2.1.3-1")
@pytest.mark.variants("ipv4", "ipv6")
@pytest.mark.parametrize("which", range(4))
def test_segments_to_somebody_else_are_dropped_in_silence(tcp: Tcp, which: int) -> None:
    tcp.listen()
    draws_nothing(tcp, f"to {FOREIGN[tcp.version][which]}")
    works(tcp)


@pytest.mark.requirement("RFC1122-S3.2.1.3-1", "RFC9293-MUST-63")
@pytest.mark.variants("ipv4", "ipv6")
def test_what_a_connection_receives_from_no_possible_source_does_not_touch_it(tcp: Tcp) -> None:
    sock = tcp.established()
    source = "255.255.255.255" if tcp.version == 4 else "ff02::1"
    for text in ("R 1:1(0)", "P. 1:6(5) ack 1", "S 1:1(0)"):
        tcp.inject(tcp.segment(text, **{"from": source}))
    tcp.quiet(1)
    assert tcp.state() == "ESTABLISHED"
    tcp.play('+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6')
    assert sock.recv(100) == b"hello"


@pytest.mark.requirement("RFC1122-S3.2.1.3-1")
@pytest.mark.variants("ipv4", "ipv6")
def test_every_packet_leaves_from_the_address_that_was_spoken_to(tcp: Tcp) -> None:
    """The host has two addresses; answers come from the one that was asked."""
    second = "192.0.2.9" if tcp.version == 4 else "2001:db8::9"
    tcp.host.addresses.add(f"{second}/{24 if tcp.version == 4 else 64}")
    listener = tcp.listen()
    tcp.flow("b", local=second)
    tcp.established(listener=listener, rtt=0.01)
    tcp.established(listener=listener, flow="b", rtt=0.01)
    tcp.play("+0 b< P. 1:6(5) ack 1\n+0 b> . 1:1(0) ack 6")
    tcp.flow("c", local=second, local_port=99, remote_port=1234)
    tcp.play("+0 c< S 0:0(0)\n+0 c> R. =0:=0(0) ack 1 win 0")
