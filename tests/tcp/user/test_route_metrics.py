"""What a route asks of the connections that go by it, in the words of `ip route`.

With `--kernel` the same scripts are played against Linux with the same words in its route.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from errno import EINPROGRESS, ENOENT, EPERM
from typing import Any

import pytest

from pystack.sockets import Host
from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp
from tests.tcp.runs import sent

NET = {4: "192.0.2.0/24", 6: "2001:db8::/64"}
SYN = "<mss {mss},sackOK,TS val 100 ecr 0,nop,wscale 7>"


@pytest.fixture
def by(tcp: Tcp) -> Callable[[str], None]:
    """Gives the route to the peer these metrics."""

    def add(metrics: str) -> None:
        tcp.host.add_route(f"{NET[tcp.version]} {metrics}")

    return add


def syn(tcp: Tcp, mss: int, *, win: str = "64240", flags: str = "S", ip: str = "") -> None:
    """Our SYN, in answer to `connect`."""
    tcp.play(f"+0 > {ip} {flags} 0:0(0) win {win} {SYN.format(mss=mss)}")


def announced(tcp: Tcp, passive: bool) -> None:
    """Open a connection whose SYN or SYN,ACK the caller has a line for."""
    if passive:
        tcp.listen()
        tcp.play("+0 < S 0:0(0) win 65535 <mss 1460>")
    else:
        tcp.connect()


both_roles = pytest.mark.parametrize("passive", [True, False])


@both_roles
@pytest.mark.parametrize(
    ("metrics", "mss"), [("advmss 1300", 1300), ("advmss lock 700", 700), ("advmss 2000", 2000)]
)
def test_advmss_is_what_the_mss_option_says(
    tcp: Tcp, by: Any, passive: bool, metrics: str, mss: int
) -> None:
    by(metrics)
    announced(tcp, passive)
    if passive:
        tcp.play(f"+0 > S. 0:0(0) ack 1 <mss {mss}>")
    else:
        tcp.play(f"+0 > S 0:0(0) <mss {mss},...>")


@both_roles
def test_tcp_maxseg_caps_it(tcp: Tcp, by: Any, passive: bool) -> None:
    by("advmss 1300")
    sock = tcp.socket()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 600)
    if passive:
        sock.bind(("", 80) if tcp.version == 4 else ("::", 80))
        sock.listen()
        tcp.play("+0 < S 0:0(0) win 65535 <mss 1460>\n+0 > S. 0:0(0) ack 1 <mss 600>")
    else:
        tcp.connect(sock=sock)
        tcp.play("+0 > S 0:0(0) <mss 600,...>")


@both_roles
def test_mtu_bounds_what_is_announced_and_what_is_sent(tcp: Tcp, by: Any, passive: bool) -> None:
    header = 40 if tcp.version == 4 else 60
    by(f"mtu {1000 + header}")
    sock = tcp.established(passive)
    sock.send(tcp.data(2500))
    tcp.play(sent(1, 2501, 1000))
    assert sock.tcp_info().tcpi_pmtu == 1000 + header
    tcp.flow("b", local_port=81)
    tcp.listen(81)
    tcp.play("+0 b< S 0:0(0) win 65535 <mss 1460>\n+0 b> S. 0:0(0) ack 1 <mss 1000>")


def test_a_router_can_lower_a_mtu_that_is_not_locked(tcp: Tcp, by: Any) -> None:
    header = 40 if tcp.version == 4 else 60
    by(f"mtu {1360 + header}")
    sock = tcp.established()
    sock.send(tcp.data(2720))
    tcp.play(sent(1, 2721, 1360))
    tcp.play(f"+0.05 < icmp frag_needed mtu {1260 + header} [1:1361(1360)]")
    tcp.play(sent(1, 2521, 1260, push=False) + "+0 > P. 2521:2721(200) ack 1")


@pytest.mark.variants("v4")
@both_roles
def test_a_locked_mtu_is_not_lowered_and_packets_go_without_df(
    tcp: Tcp, by: Any, passive: bool
) -> None:
    by("mtu lock 1400")
    if not passive:
        tcp.usual["df"] = 0  # what is as short as a SYN,ACK has DF in any case
    sock = tcp.established(passive)
    tcp.usual["df"] = 0
    sock.send(tcp.data(2720))
    tcp.play(sent(1, 2721, 1360))
    tcp.play("+0.05 < icmp frag_needed mtu 1260 [1:1361(1360)]\n+0.05 quiet")
    assert sock.tcp_info().tcpi_pmtu == 1400


@both_roles
@pytest.mark.parametrize("segments", [2, 20])
def test_initcwnd_is_the_first_window(tcp: Tcp, by: Any, passive: bool, segments: int) -> None:
    by(f"initcwnd {segments}")
    sock = tcp.established(passive, win=65535)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 100_000)
    sock.send(tcp.data(40_000))
    tcp.play(sent(1, 1460 * segments + 1, push=False))
    assert sock.tcp_info().tcpi_snd_cwnd == segments


@both_roles
def test_initrwnd_is_the_first_window_that_is_offered(tcp: Tcp, by: Any, passive: bool) -> None:
    by("initrwnd 4")
    announced(tcp, passive)
    tcp.play(f"+0 > {'S. 0:0(0) ack 1' if passive else 'S 0:0(0)'} win 5840 <...>")


@both_roles
def test_window_bounds_what_is_ever_offered(tcp: Tcp, by: Any, passive: bool) -> None:
    by("window 10000")
    announced(tcp, passive)
    tcp.play(f"+0 > {'S. 0:0(0) ack 1' if passive else 'S 0:0(0)'} win 8760 <...>")


@both_roles
def test_rto_min_is_the_least_that_is_added_to_the_round_trip(
    tcp: Tcp, by: Any, passive: bool
) -> None:
    by("rto_min 20ms")
    sock = tcp.established(passive, rtt=0.01)
    for number in range(8):
        sock.send(tcp.data(100, 100 * number))
        start = 1 + 100 * number
        tcp.play(f"+0 > P. {start}:{start + 100}(100) ack 1\n+0.01 < . 1:1(0) ack {start + 100}")
    sock.send(tcp.data(100, 800))
    tcp.play("+0 > P. 801:901(100) ack 1\n+0.025~0.012 > P. 801:901(100) ack 1")
    assert sock.tcp_info().tcpi_rto < 100_000


def test_quickack_delays_no_ack(tcp: Tcp, by: Any) -> None:
    by("quickack 1")
    sock = tcp.established()
    for number in range(30):  # more than at the start of any connection
        at = 1 + 100 * number
        tcp.play(f"+0.01 < P. {at}:{at + 100}(100) ack 1\n+0 > . 1:1(0) ack {at + 100}")
        sock.recv(1000)


def test_without_it_the_later_ones_wait(tcp: Tcp, by: Any) -> None:
    by("quickack 0")
    sock = tcp.established()
    acks = 0
    for number in range(40):
        at = 1 + 100 * number
        acks += len(tcp.take())
        tcp.play(f"+0 < P. {at}:{at + 100}(100) ack 1")
        acks += len(tcp.run(0.01))
        sock.recv(1000)
    assert acks < 35


@both_roles
def test_congctl_is_the_congestion_control(tcp: Tcp, by: Any, passive: bool) -> None:
    by("congctl reno")
    sock = tcp.established(passive)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0") == b"reno"
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


@both_roles
def test_one_that_is_locked_is_the_users_no_more(tcp: Tcp, by: Any, passive: bool) -> None:
    by("congctl lock reno")
    sock = tcp.established(passive)
    with fails_with(EPERM):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


@both_roles
def test_features_ecn_asks_for_it_and_agrees_to_it(tcp: Tcp, by: Any, passive: bool) -> None:
    tcp.host.sysctl("tcp_ecn", 0)
    by("features ecn")
    if passive:
        tcp.listen()
        tcp.play("+0 < SEW 0:0(0) win 65535 <mss 1460>\n+0 > SE. 0:0(0) ack 1 <mss 1460>")
    else:
        tcp.connect()
        tcp.play("+0 > SEW 0:0(0) <...>")


@both_roles
def test_hoplimit_is_the_ttl_of_those_who_set_none(tcp: Tcp, by: Any, passive: bool) -> None:
    by("hoplimit 7")
    announced(tcp, passive)
    tcp.play(f"+0 > [ttl 7] {'S. 0:0(0) ack 1' if passive else 'S 0:0(0)'} <...>")
    tcp.play(f"+0 < {'.' if passive else 'S.'} {'1:1' if passive else '0:0'}(0) ack 1")
    if not passive:
        tcp.play("+0 > [ttl 7] . 1:1(0) ack 1")


# -- which route -------------------------------------------------------------------------------


def mss_to(host: Host, where: str) -> int:
    """What a SYN to that address announces."""
    sock = host.socket(socket.AF_INET6 if ":" in where else socket.AF_INET)
    with fails_with(EINPROGRESS):
        sock.connect((where, 80))
    (packet,) = [bytes(packet[0]) for packet in host.transmit(1_000_000)]
    tcp_at = 40 if packet[0] >> 4 == 6 else 20
    assert packet[tcp_at + 20 : tcp_at + 22] == b"\x02\x04"
    return int.from_bytes(packet[tcp_at + 22 : tcp_at + 24], "big")


def host_with(*routes: str) -> Host:
    host = Host(["10.1.0.1/16", "fd00::1/64"], secret=bytes(16))
    for route in routes:
        host.add_route(route)
    return host


@pytest.mark.parametrize(
    ("where", "mss"),
    [
        ("10.9.0.1", 1200), ("10.9.9.1", 1100), ("10.1.0.9", 1460), ("192.0.2.1", 1300),
        ("10.9.8.1", 1460), ("fd00::9", 1000), ("2001:db8::1", 1300),
    ],
)  # fmt: skip
@pytest.mark.parametrize("reverse", [True, False])
def test_the_longest_prefix_counts_our_own_ones_among_them(
    where: str, mss: int, reverse: bool
) -> None:
    routes = [
        "default advmss 1300", "10.0.0.0/8 advmss 1200", "10.9.9.0/24 advmss 1100", "10.9.8.0/24",
        "fd00::/64 advmss 1000",
    ]  # fmt: skip
    assert mss_to(host_with(*(reversed(routes) if reverse else routes)), where) == mss


def test_a_route_is_replaced_by_one_for_the_same_network() -> None:
    assert mss_to(host_with("10.9.0.0/16 advmss 1200", "10.9.0.0/16 mtu 1100"), "10.9.0.1") == 1060


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("10.0.0.0/8 advms 1400", "'advms' is no metric of a route: did you mean advmss?"),
        (
            "default xyz 1",
            "'xyz' is no metric of a route: there are mtu, advmss, initcwnd, initrwnd, rto_min,"
            " quickack, congctl, hoplimit, window, features",
        ),
        ("default advmss", "advmss has no value"),
        ("default mtu lock", "mtu has no value"),
        ("default mtu big", "mtu 'big': a number was expected"),
        ("default mtu 67", "mtu 67: it is 68 at least"),
        ("default initcwnd -1", "initcwnd '-1': a number was expected"),
        ("default initcwnd 4294967296", "initcwnd '4294967296': a number was expected"),
        ("default rto_min soon", "rto_min 'soon': a time such as 50ms was expected"),
        ("default rto_min -1ms", "rto_min '-1ms': a time such as 50ms was expected"),
        ("default quickack 2", "quickack '2': 0 or 1 was expected"),
        ("default features sack", "features 'sack': ecn is the one that is known"),
        ("default via 10.0.0.1", "via is not taken of a route: the device is the one way out"),
        ("default cwnd 5", "cwnd is not taken of a route: there is no bound of the congestion"
                           " window"),
        (
            "advmss 1400",
            "'advmss' does not appear to be an IPv4 or IPv6 network: a network such as 10.0.0.0/8"
            " was expected",
        ),
        ("", "'' does not appear to be an IPv4 or IPv6 network: a network such as 10.0.0.0/8 was"
             " expected"),
    ],
)  # fmt: skip
def test_what_is_no_route_is_told_in_one_line(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(line)}$"):
        host_with(text)


def test_an_unknown_congestion_control_is_told() -> None:
    with fails_with(ENOENT):
        host_with("default congctl fast")


@pytest.mark.parametrize(
    ("text", "us"),
    [("50", 50_000), ("50ms", 50_000), ("0.2s", 200_000), ("700us", 700), ("1sec", 1_000_000)],
)
def test_times_have_the_units_of_ip_route(text: str, us: int) -> None:
    host = host_with(f"10.9.0.0/16 rto_min {text}")
    metrics = host.addresses.metrics_for(bytes(10) + b"\xff\xff\x0a\x09\x00\x01")
    assert metrics is not None
    assert metrics.rto_min_us == us
