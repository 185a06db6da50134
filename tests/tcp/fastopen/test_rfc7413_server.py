"""TCP Fast Open, the server (RFC 7413 §4.1, §4.2.2), as Linux has it.

The cookies are Linux's for these keys and addresses: `--kernel` shows it.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Any

import pytest

from pystack.config import Config
from pystack.sockets import Host
from pystack.sockets import constants as c
from tests.kit.packets.errnos import fails_with

KEY = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4"
OTHER = "0a0b0c0d-01020304-11223344-55667788"
COOKIE = {4: "b3f936a51baeaf84", 6: "8be6ff5e4aed4d6c"}
OTHER_COOKIE = {4: "1f68c6520ec5fc21", 6: "55d0a0c814958591"}
KEPT: list[Any] = []
FALSE = "0123456789abcdef"

pytestmark = pytest.mark.host(tcp_fastopen=2, tcp_fastopen_key=KEY, tcp_timestamps=0)


def listen(tcp: Any, limit: int = 5, **options: Any) -> Any:
    listener = tcp.socket()
    listener.bind(tcp.address(80, "0.0.0.0" if tcp.version == 4 else "::"))
    listener.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN, limit)
    for name, value in options.items():
        listener.setsockopt(c.IPPROTO_TCP, getattr(c, name), value)
    listener.listen(8)
    return listener


def accept(listener: Any) -> Any:
    sock = listener.accept()[0]
    if hasattr(sock, "setblocking"):
        sock.setblocking(False)
    return sock


def opened(tcp: Any, listener: Any, flow: str = "") -> Any:
    """A connection whose SYN has ten octets and a good cookie; its SYN,ACK is claimed."""
    if flow:
        tcp.flow(flow, remote_port=5000 + ord(flow))
    tcp.play(f"""
        +0 {flow}< S  0:10(10) win 65535 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0 {flow}> S. 0:0(0) ack 11 <mss 1460>
    """)
    child = accept(listener)
    KEPT.append(child)  # a socket of the kernel is closed when nobody has it
    return child


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    KEPT.clear()


# -- cookies --------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S4.2.2-1")
def test_a_request_is_answered_by_a_cookie_and_a_syn_ack_of_the_syn_alone(tcp: Any) -> None:
    listener = listen(tcp)
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,FO,nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0   call none
        +0.1 < .  1:1(0) ack 1
        +0   quiet
    """, none=lambda: fails_with_again(listener.accept))  # fmt: skip
    KEPT.append(accept(listener))
    assert tcp.state() == "ESTABLISHED"


def fails_with_again(call: Any) -> None:
    with fails_with(errno.EAGAIN):
        call()


@pytest.mark.requirement("RFC7413-S4.2.2-1")
def test_with_a_good_cookie_data_is_read_and_answered_before_the_handshake_ends(tcp: Any) -> None:
    listener = listen(tcp)
    child = opened(tcp, listener)
    assert tcp.state() == "SYN_RECEIVED"
    assert child.recv(100) == tcp.data(10)
    assert child.send(b"early") == 5
    tcp.play("""
        +0   > P. 1:6(5) ack 11 "early"
        +0.1 < .  11:11(0) ack 6
        +0   quiet
    """)
    assert tcp.state() == "ESTABLISHED"
    tcp.play("+0 < P. 11:21(10) ack 6\n+0 > . 6:6(0) ack 21")
    assert child.recv(100) == tcp.data(10, 10)


@pytest.mark.requirement("RFC7413-S4.2.2-1")
def test_with_a_false_cookie_the_syn_alone_is_acknowledged_and_a_good_one_told(tcp: Any) -> None:
    listener = listen(tcp)
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,FO {FALSE},nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0.1 < P. 1:11(10) ack 1
        +0   > .  1:1(0) ack 11
    """)
    assert accept(listener).recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC7413-S4.1.2-1")
def test_the_cookie_of_another_address_is_refused(tcp: Any) -> None:
    listen(tcp)
    net = ("192.0.2.", "2001:db8::")[tcp.version == 6]
    tcp.flow("b", remote=f"{net}77")
    tcp.play(f"""
        +0   b< S  0:10(10) win 65535 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0   b> S. 0:0(0) ack 1 <mss 1460,...>
        +0.1 b< R  1:1(0)
        +0   quiet
    """)


@pytest.mark.requirement("RFC7413-S4.1.2-1")
def test_cookies_of_the_key_before_are_taken_and_replaced_and_older_ones_are_not(
    tcp: Any,
) -> None:
    listener = listen(tcp)
    v = tcp.version
    tcp.host.sysctl("tcp_fastopen_key", f"{OTHER},{KEY}")
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,FO {COOKIE[v]},nop,nop>
        +0   > S. 0:0(0) ack 11 <mss 1460,FO {OTHER_COOKIE[v]},nop,nop>
        +0.1 < R  11:11(0)
        +0   quiet
    """)
    accept(listener)
    tcp.host.sysctl("tcp_fastopen_key", OTHER)
    tcp.flow("b", remote_port=5001)
    tcp.play(f"""
        +0   b< S  0:10(10) win 65535 <mss 1460,FO {COOKIE[v]},nop,nop>
        +0   b> S. 0:0(0) ack 1 <mss 1460,FO {OTHER_COOKIE[v]},nop,nop>
        +0.1 b< R  1:1(0)
        +0   quiet
    """)


def test_a_listener_may_have_a_key_of_its_own(tcp: Any) -> None:
    key = b"".join(int(word, 16).to_bytes(4, "little") for word in OTHER.split("-"))
    listener = listen(tcp, TCP_FASTOPEN_KEY=key)
    assert listener.getsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_KEY, 32) == key
    tcp.play(f"""
        +0   < S  0:0(0) win 65535 <mss 1460,FO,nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460,FO {OTHER_COOKIE[tcp.version]},nop,nop>
        +0.1 < R  1:1(0)
        +0   quiet
    """)


def test_who_asks_by_the_experimental_option_is_answered_by_it(tcp: Any) -> None:
    listener = listen(tcp)
    v = tcp.version
    tcp.play(f"""
        +0   < S  0:0(0) win 65535 <mss 1460,FOEXP>
        +0   > S. 0:0(0) ack 1 <mss 1460,FOEXP {COOKIE[v]}>
        +0.1 < R  1:1(0)
        +0   quiet
    """)
    tcp.flow("b", remote_port=5001)
    tcp.play(f"""
        +0   b< S  0:10(10) win 65535 <mss 1460,FOEXP {COOKIE[v]}>
        +0   b> S. 0:0(0) ack 11 <mss 1460>
    """)
    assert accept(listener).recv(100) == tcp.data(10)


@pytest.mark.requirement("RFC7413-S4.1.1-1")
@pytest.mark.parametrize("option", ["FO 0123", "FO 012345", "FO 0123456789", "FO " + "01" * 18])
def test_an_option_of_a_length_that_no_cookie_has_is_ignored(tcp: Any, option: str) -> None:
    listen(tcp)
    if option == "FO 0123456789":
        option = "FO 01234567890123"  # seven octets
    padding = ",nop" * (-(len(option[3:]) // 2 + 2) % 4)
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,{option}{padding}>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < R  1:1(0)
        +0   quiet
    """)


@pytest.mark.requirement("RFC7413-S4.1.1-1")
def test_an_option_without_syn_is_ignored(tcp: Any) -> None:
    child = opened(tcp, listen(tcp))
    tcp.play(f"""
        +0.1 < P. 11:21(10) ack 1 <FO {FALSE},nop,nop>
        +0   > .  1:1(0) ack 21
    """)
    assert child.recv(100) == tcp.data(20)


# -- when it is off -------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S2-1")
def test_without_tcp_fastopen_a_listener_ignores_the_option(tcp: Any) -> None:
    listen(tcp, limit=0)
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < R  1:1(0)
        +0   quiet
    """)


@pytest.mark.requirement("RFC7413-S2-1")
@pytest.mark.host(tcp_fastopen=1)
def test_unless_tcp_fastopen_allows_servers_a_listener_ignores_the_option(tcp: Any) -> None:
    listen(tcp)
    tcp.play("""
        +0   < S  0:10(10) win 65535 <mss 1460,FO,nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < R  1:1(0)
        +0   quiet
    """)


@pytest.mark.host(tcp_fastopen=0x402)
def test_0x400_turns_it_on_for_every_listener_as_large_as_its_backlog(tcp: Any) -> None:
    listener = tcp.listen(backlog=3)
    assert listener.getsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN) == 3
    opened(tcp, listener)


# -- without a cookie -----------------------------------------------------------------------------
@pytest.mark.host(tcp_fastopen=0x202)
def test_0x200_takes_data_without_a_cookie(tcp: Any) -> None:
    takes_data_without_a_cookie(tcp, listen(tcp))


def test_tcp_fastopen_no_cookie_takes_data_without_one(tcp: Any) -> None:
    takes_data_without_a_cookie(tcp, listen(tcp, TCP_FASTOPEN_NO_COOKIE=1))


def takes_data_without_a_cookie(tcp: Any, listener: Any) -> None:
    tcp.play("""
        +0 < S  0:10(10) win 65535 <mss 1460>
        +0 > S. 0:0(0) ack 11 <mss 1460>
    """)
    assert accept(listener).recv(100) == tcp.data(10)


# -- the limit ------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S4.2-1")
def test_above_the_limit_there_is_none_until_a_handshake_ends(tcp: Any) -> None:
    listener = listen(tcp, limit=1)
    opened(tcp, listener)
    refused(tcp, "b")
    tcp.play("+0.1 < . 11:11(0) ack 1\n+0 quiet")
    opened(tcp, listener, "c")


@pytest.mark.requirement("RFC7413-S4.2-1")
def test_a_connection_that_was_reset_counts_for_60_seconds_more(tcp: Any) -> None:
    listener = listen(tcp, limit=1)
    opened(tcp, listener)
    tcp.play("+0.1 < R 11:11(0)\n+0 quiet")
    refused(tcp, "b")
    if tcp.host.next_deadline():
        tcp.play("+59.8 quiet")
        refused(tcp, "c")
        tcp.play("+0.2 quiet")
        opened(tcp, listener, "d")


def test_one_that_was_reset_before_it_was_accepted_does_not_count(tcp: Any) -> None:
    listener = listen(tcp, limit=1)
    tcp.play(f"""
        +0   < S  0:10(10) win 65535 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0   > S. 0:0(0) ack 11 <mss 1460>
        +0.1 < R  11:11(0)
        +0   quiet
    """)
    opened(tcp, listener, "b")

def refused(tcp: Any, flow: str) -> None:
    tcp.flow(flow, remote_port=5000 + ord(flow))
    tcp.play(f"""
        +0 {flow}< S  0:10(10) win 65535 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +0 {flow}> S. 0:0(0) ack 1 <mss 1460>
        +0 {flow}< R  1:1(0)
        +0 quiet
    """)


# -- the handshake --------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S4.2.2-2")
def test_the_syn_ack_is_sent_again_and_data_is_not_before_it_is_acknowledged(tcp: Any) -> None:
    child = opened(tcp, listen(tcp))
    child.send(b"early")
    tcp.play("""
        +0   > P. 1:6(5) ack 11 "early"
        +1   > S. 0:0(0) ack 11 <mss 1460>
        +2   > S. 0:0(0) ack 11 <mss 1460>
        +0.1 < .  11:11(0) ack 1
        +0   > P. 1:6(5) ack 11 "early"
        +0.1 < .  11:11(0) ack 6
        +0   quiet
    """)


@pytest.mark.requirement("RFC7413-S4.2.2-2")
def test_a_syn_ack_with_a_cookie_is_sent_again_without_it(tcp: Any) -> None:
    listen(tcp)
    tcp.play(f"""
        +0   < S  0:0(0) win 65535 <mss 1460,FO,nop,nop>
        +0   > S. 0:0(0) ack 1 <mss 1460,FO {COOKIE[tcp.version]},nop,nop>
        +1   > S. 0:0(0) ack 1 <mss 1460>
        +0.1 < R  1:1(0)
        +0   quiet
    """)


@pytest.mark.host(mtu=65535)
def test_a_syn_ack_that_is_sent_again_offers_no_more_than_its_window_field_holds(tcp: Any) -> None:
    """Segments that left before have scaled windows: what they offer may be rounded up."""
    mss = {4: 65495, 6: 65475}[tcp.version]
    listener = listen(tcp)
    tcp.play(f"""
        +0 < S  0:10(10) win 65535 <mss 1460,nop,wscale 7,FO {COOKIE[tcp.version]},nop,nop>
        +0 > S. 0:0(0) ack 11 win {mss} <mss {mss},nop,wscale 7>
    """)
    child = accept(listener)
    assert len(child.recv(100)) == 10
    child.send(b"early")
    tcp.flow("").shrinkable = True  # by one octet: no field of a SYN,ACK has 65536
    tcp.play(f"""
        +0   > P. 1:6(5) ack 11 win 512 "early"
        +1   > S. 0:0(0) ack 11 win 65535 <mss {mss},nop,wscale 7>
        +0.1 < .  11:11(0) ack 6
        +0   quiet
    """)


def test_a_syn_that_comes_again_is_answered_by_the_syn_ack_with_all_it_acknowledged(
    tcp: Any,
) -> None:
    opened(tcp, listen(tcp))
    tcp.play("""
        +0.5 < S  0:0(0) win 65535 <mss 1460>
        +0   > S. 0:0(0) ack 11 <mss 1460>
        +0.1 < .  11:11(0) ack 1
        +0   quiet
    """)
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.host(tcp_synack_retries=1)
def test_without_an_answer_the_connection_times_out_after_one_more_syn_ack_than_others(
    tcp: Any,
) -> None:
    child = opened(tcp, listen(tcp))
    assert child.recv(100) == tcp.data(10)
    tcp.play("""
        +1   > S. 0:0(0) ack 11 <mss 1460>
        +2   > S. 0:0(0) ack 11 <mss 1460>
        +4.1 quiet
    """)
    with fails_with(errno.ETIMEDOUT):
        child.recv(100)


def test_a_reset_before_the_handshake_ends_is_told_as_one(tcp: Any) -> None:
    child = opened(tcp, listen(tcp))
    assert child.recv(100) == tcp.data(10)
    tcp.play("+0.1 < R 11:11(0)\n+0 quiet")
    with fails_with(errno.ECONNRESET):
        child.recv(100)


def test_as_many_segments_leave_early_as_the_initial_window_holds(tcp: Any) -> None:
    child = opened(tcp, listen(tcp))
    child.send(tcp.data(20_000))
    for at in range(1, 14601, 1460):
        tcp.play(f"+0 > . {at}:{at + 1460}(1460) ack 11")
    tcp.play("+0 quiet")


def test_closed_before_the_handshake_ends_the_fin_leaves_at_once(tcp: Any) -> None:
    child = opened(tcp, listen(tcp))
    assert child.recv(100) == tcp.data(10)
    child.send(b"bye")
    tcp.play('+0 > P. 1:4(3) ack 11 "bye"')
    child.close()
    tcp.play("""
        +0   > F.  4:4(0) ack 11
        +0.1 < .   11:11(0) ack 5
        +0   quiet
        +0   < F.  11:11(0) ack 5
        +0   > .   5:5(0) ack 12
    """)


def test_closed_with_data_unread_the_peer_gets_a_reset(tcp: Any) -> None:
    opened(tcp, listen(tcp)).close()
    tcp.play("+0 > R. 1:1(0) ack 11")
    assert tcp.state() == "CLOSED"


def test_the_limit_of_a_child_is_0_and_its_options_are_bounded(tcp: Any) -> None:
    listener = listen(tcp, limit=7)
    child = opened(tcp, listener)
    assert listener.getsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN) == 7
    assert child.getsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN) == 0
    with fails_with(errno.EINVAL):
        child.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN, 1)
    with fails_with(errno.EINVAL):
        listener.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN, -1)
    with fails_with(errno.EINVAL):
        listener.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_NO_COOKIE, 2)
    with fails_with(errno.EINVAL):
        listener.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_KEY, b"short")


def test_keys_and_bits_are_set_as_by_sysctl() -> None:
    config = Config()
    config.set("net.ipv4.tcp_fastopen", "0x403")
    assert config.tcp_fastopen == 1027
    for good in (KEY, f"{KEY},{OTHER}", ""):
        config.set("tcp_fastopen_key", good)
        assert config.get("tcp_fastopen_key") == good
    for bad in ("1-2-3", f"{KEY},", f"{KEY},{KEY},{KEY}", "x-1-2-3", "123456789-1-2-3"):
        with fails_with(errno.EINVAL):
            config.set("tcp_fastopen_key", bad)
    with pytest.raises(ValueError, match="tcp_fastopen_key"):
        Host("10.0.0.1/24", secret=bytes(16), config=Config(tcp_fastopen_key="1-2-3"))
