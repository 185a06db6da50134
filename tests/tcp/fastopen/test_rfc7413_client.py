"""TCP Fast Open, the client (RFC 7413 §4.1.3, §4.2), as Linux has it."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

import pytest

from pystack.config import Config
from pystack.sockets import constants as c
from pystack.tcp.state.fastopen_cache import MAX_ENTRIES, FastOpenCache
from tests.kit.packets.errnos import fails_with

COOKIE = "0123456789abcdef"
NEW = "fedcba9876543210"

pytestmark = pytest.mark.host(tcp_timestamps=0)


def is_kernels(sock: Any) -> bool:
    return hasattr(sock, "setblocking")


def send_fast(tcp: Any, sock: Any, data: bytes) -> int:
    where = tcp.address(80)
    if is_kernels(sock):
        return int(sock.sendto(data, c.MSG_FASTOPEN, where))
    return int(sock.sendto(data, where, c.MSG_FASTOPEN))


def learn(tcp: Any, mss: int = 1460, cookie: str = COOKIE) -> None:
    """A connection to the server, which gives a cookie; it is closed again."""
    sock = tcp.socket()
    with fails_with(errno.EINPROGRESS):
        send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:0(0) <mss 1460,nop,nop,sackOK,nop,wscale *,FO,nop,nop>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss {mss},FO {cookie},nop,nop>
        +0   > .  1:1(0) ack 1
    """)
    give_up(tcp, sock)


def give_up(tcp: Any, sock: Any) -> None:
    """End the connection with a RST, and forget its numbers in the script."""
    sock.setsockopt(c.SOL_SOCKET, c.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()
    tcp.play("+0 > R. *:*(0) ack *")
    next_flow(tcp)


def next_flow(tcp: Any) -> None:
    """The next connection has numbers and a port of its own."""
    flow = tcp.flow("")
    flow.restart()
    flow.local_port = None


SYN = "mss 1460,nop,nop,sackOK,nop,wscale *"


# -- cookies --------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S2-1")
def test_who_does_not_ask_for_it_sends_a_syn_without_the_option(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.connect()
    tcp.play(f"+0 > S 0:0(0) <{SYN}>")
    sock.close()


@pytest.mark.requirement("RFC7413-S4.1.3-1")
def test_the_first_syn_asks_for_a_cookie_and_the_next_one_has_it_and_data(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    assert send_fast(tcp, sock, tcp.data(500)) == 500
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 501 win 65535 <mss 1460>
        +0   > .  501:501(0) ack 1
        +0   < .  1:11(10) ack 501
        +0   > .  501:501(0) ack 11
    """)
    assert sock.recv(100) == tcp.data(10)
    options = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 8)
    assert options[5] & 32  # TCPI_OPT_SYN_DATA
    assert options[7] >> 1 & 3 == 0


def test_the_cookie_of_another_syn_ack_replaces_it(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 11 win 65535 <mss 1460,FO {NEW},nop,nop>
        +0   > .  11:11(0) ack 1
    """)
    give_up(tcp, sock)
    send_fast(tcp, tcp.socket(), tcp.data(10))
    tcp.play(f"+0 > S 0:10(10) <{SYN},FO {NEW},nop,nop>")


@pytest.mark.requirement("RFC7413-S4.1.1-1")
@pytest.mark.parametrize("option", ["FO 0123", "FO 012345,nop,nop,nop", "FO " + "01" * 18])
def test_a_cookie_of_a_length_that_none_has_is_ignored(tcp: Any, option: str) -> None:
    sock = tcp.socket()
    with fails_with(errno.EINPROGRESS):
        send_fast(tcp, sock, b"x")
    tcp.play(f"""
        +0   > S  0:0(0) <{SYN},FO,nop,nop>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460,{option}>
        +0   > .  1:1(0) ack 1
    """)
    give_up(tcp, sock)
    with fails_with(errno.EINPROGRESS):
        send_fast(tcp, tcp.socket(), b"x")
    tcp.play(f"+0 > S 0:0(0) <{SYN},FOEXP>")


def test_where_none_is_given_the_next_one_is_asked_for_by_the_experimental_option(
    tcp: Any,
) -> None:
    new = f",FO {COOKIE},nop,nop"
    for asked, given in (("FO,nop,nop", ""), ("FOEXP", ""), ("FO,nop,nop", new)):
        sock = tcp.socket()
        with fails_with(errno.EINPROGRESS):
            send_fast(tcp, sock, b"x")
        tcp.play(f"""
            +0   > S  0:0(0) <{SYN},{asked}>
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460{given}>
            +0   > .  1:1(0) ack 1
        """)
        give_up(tcp, sock)
    send_fast(tcp, tcp.socket(), tcp.data(10))
    tcp.play(f"+0 > S 0:10(10) <{SYN},FO {COOKIE},nop,nop>")


def test_a_cookie_that_came_by_the_experimental_option_is_shown_by_it(tcp: Any) -> None:
    for asked, given in (("FO,nop,nop", ""), ("FOEXP", f",FOEXP {COOKIE}")):
        sock = tcp.socket()
        with fails_with(errno.EINPROGRESS):
            send_fast(tcp, sock, b"x")
        tcp.play(f"""
            +0   > S  0:0(0) <{SYN},{asked}>
            +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460{given}>
            +0   > .  1:1(0) ack 1
        """)
        give_up(tcp, sock)
    send_fast(tcp, tcp.socket(), tcp.data(10))
    tcp.play(f"+0 > S 0:10(10) <{SYN},FOEXP {COOKIE}>")


@pytest.mark.host(tcp_fastopen=5)
def test_with_bit_4_data_goes_without_a_cookie(tcp: Any) -> None:
    sock = tcp.socket()
    assert send_fast(tcp, sock, tcp.data(10)) == 10
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN}>
        +0.1 < S. 0:0(0) ack 11 win 65535 <mss 1460>
        +0   > .  11:11(0) ack 1
    """)


def test_tcp_fastopen_no_cookie_sends_data_without_one(tcp: Any) -> None:
    sock = tcp.socket()
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_NO_COOKIE, 1)
    assert send_fast(tcp, sock, tcp.data(10)) == 10
    tcp.play(f"+0 > S 0:10(10) <{SYN}>")


# -- how much -------------------------------------------------------------------------------------
def test_data_of_a_syn_leaves_room_for_forty_octets_of_options(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    assert send_fast(tcp, sock, tcp.data(5000)) == 1420
    tcp.play(f"+0 > S 0:1420(1420) <{SYN},FO {COOKIE},nop,nop>")


def test_data_of_a_syn_keeps_to_the_mss_that_the_server_told_before(tcp: Any) -> None:
    learn(tcp, mss=1000)
    sock = tcp.socket()
    assert send_fast(tcp, sock, tcp.data(5000)) == 960
    tcp.play(f"+0 > S 0:960(960) <{SYN},FO {COOKIE},nop,nop>")


def test_a_cookie_may_be_shown_without_data(tcp: Any) -> None:
    learn(tcp)
    with fails_with(errno.EINPROGRESS):
        send_fast(tcp, tcp.socket(), b"")
    tcp.play(f"+0 > S 0:0(0) <{SYN},FO {COOKIE},nop,nop>")


# -- what is not acknowledged ---------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S4.2.2-3")
def test_data_that_the_syn_ack_leaves_out_goes_again_with_the_first_ack(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(500))
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > P. 1:501(500) ack 1
        +0.1 < .  1:1(0) ack 501
        +0   quiet
    """)
    info = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 8)
    assert not info[5] & 32
    assert info[7] >> 1 & 3 == 2  # TFO_DATA_NOT_ACKED


@pytest.mark.requirement("RFC7413-S4.2.2-3")
def test_of_data_that_is_acknowledged_in_part_the_rest_goes_again_at_once(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(500))
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 301 win 65535 <mss 1460>
        +0   > P. 301:501(200) ack 1
        +0.1 < .  1:1(0) ack 501
        +0   quiet
    """)


def test_data_goes_again_in_segments_of_the_mss_that_the_syn_ack_tells(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(1000))
    tcp.play(f"""
        +0   > S  0:1000(1000) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 600>
        +0   > .  1:601(600) ack 1
        +0   > P. 601:1001(400) ack 1
        +0.1 < .  1:1(0) ack 1001
        +0   quiet
    """)


@pytest.mark.requirement("RFC7413-S4.2.2-2")
def test_a_syn_that_is_sent_again_has_neither_data_nor_option(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(500))
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +1   > S  0:0(0) <{SYN}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > P. 1:501(500) ack 1
        +0.1 < .  1:1(0) ack 501
        +0   quiet
    """)
    assert sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 8)[7] >> 1 & 3 == 3  # TFO_SYN_RETRANSMITTED


def test_a_late_syn_ack_that_takes_the_data_is_taken(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(500))
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +1   > S  0:0(0) <{SYN}>
        +0.1 < S. 0:0(0) ack 501 win 65535 <mss 1460>
        +0   > .  501:501(0) ack 1
        +0   quiet
    """)


def test_a_syn_ack_may_have_data_of_its_own(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:20(20) ack 11 win 65535 <mss 1460>
        +0   > .  11:11(0) ack 21
    """)
    assert sock.recv(100) == tcp.data(20)


def test_the_user_goes_on_where_the_syn_has_ended(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    assert send_fast(tcp, sock, tcp.data(2000)) == 1420
    with fails_with(errno.EAGAIN):
        sock.send(b"not yet")
    tcp.play(f"""
        +0   > S  0:1420(1420) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 1421 win 65535 <mss 1460>
        +0   > .  1421:1421(0) ack 1
    """)
    assert sock.send(tcp.data(580, 1420)) == 580
    tcp.play("+0 > P. 1421:2001(580) ack 1\n+0.1 < . 1:1(0) ack 2001\n+0 quiet")


def test_both_may_open_at_the_same_time(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(500))
    tcp.play(f"""
        +0   > S  0:500(500) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S  0:300(300) win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 0,FO {NEW},nop,nop>
        +0   > S. 0:0(0) ack 1 <{SYN}>
        +0.1 < S. 0:0(0) ack 501 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 0>
        +0   > .  501:501(0) ack 1 <...>
        +0   < P. 1:301(300) ack 501
        +0   > .  501:501(0) ack 301
    """)
    assert sock.recv(1000) == tcp.data(300)


# -- failures -------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC7413-S4.1.3.1-1")
def test_after_data_was_lost_a_syn_to_that_server_is_plain_for_a_minute(tcp: Any) -> None:
    learn(tcp)
    if is_kernels(tcp.socket()):
        pytest.skip("Linux has no such pause any more")
    sock = lose(tcp)
    give_up(tcp, sock)
    plain(tcp)
    tcp.play("+58 quiet")
    plain(tcp)
    tcp.play("+3 quiet")
    sock = lose(tcp)
    give_up(tcp, sock)
    tcp.play("+100 quiet")
    plain(tcp)  # twice as long
    tcp.play("+20 quiet")
    send_fast(tcp, tcp.socket(), tcp.data(10))
    tcp.play(f"+0 > S 0:10(10) <{SYN},FO {COOKIE},nop,nop>")


def lose(tcp: Any) -> Any:
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +1   > S  0:0(0) <{SYN}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > P. 1:11(10) ack 1
        +0.1 < .  1:1(0) ack 11
        +0   quiet
    """)
    return sock


def plain(tcp: Any) -> None:
    """As the clock is not known to the call, ours takes the data, for after the handshake."""
    sock = tcp.socket()
    with suppress(BlockingIOError):
        assert send_fast(tcp, sock, tcp.data(10)) == 10
    tcp.play(f"+0 > S 0:0(0) <{SYN}>")
    if not is_kernels(sock):
        tcp.play("""
            +0 < S. 0:0(0) ack 1 win 65535 <mss 1460>
            +0 > P. 1:11(10) ack 1
        """)
        give_up(tcp, sock)
    sock.close()
    next_flow(tcp)


def test_a_failure_at_one_port_of_a_server_says_nothing_of_another(tcp: Any) -> None:
    learn(tcp)
    if is_kernels(tcp.socket()):
        pytest.skip("Linux has no such pause any more")
    give_up(tcp, lose(tcp))
    tcp.flow("b", remote_port=81)
    sock = tcp.socket()
    assert sock.sendto(tcp.data(10), tcp.address(81), c.MSG_FASTOPEN) == 10
    tcp.play(f"+0 b> S 0:10(10) <{SYN},FO {COOKIE},nop,nop>")


def test_what_is_kept_of_servers_is_bounded() -> None:
    cache = FastOpenCache(Config())
    for number in range(3 * MAX_ENTRIES):
        key = number.to_bytes(36, "little")
        cache.learn(key, 1460, b"cookie", False)
        cache.failed(key, 1)
    assert len(cache) == MAX_ENTRIES
    assert cache.find((0).to_bytes(36, "little")) is None
    assert not cache.is_paused((0).to_bytes(36, "little"), 2)
    assert cache.is_paused((3 * MAX_ENTRIES - 1).to_bytes(36, "little"), 2)


@pytest.mark.requirement("RFC7413-S4.1.3.1-1")
def test_after_an_icmp_error_a_syn_to_that_server_is_plain(tcp: Any) -> None:
    learn(tcp)
    if is_kernels(tcp.socket()):
        pytest.skip("Linux has no such pause any more")
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < icmp unreachable host
        +0   quiet
    """)
    next_flow(tcp)
    plain(tcp)


@pytest.mark.requirement("RFC7413-S4.1.3.1-1")
@pytest.mark.host(tcp_fastopen_blackhole_timeout_sec=3600)
def test_the_third_timeout_in_a_row_pauses_it_for_every_server(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +1   > S  0:0(0) <{SYN}>
        +1   > S  0:0(0) <{SYN}>
        +1   > S  0:0(0) <{SYN}>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > P. 1:11(10) ack 1
        +0.1 < .  1:1(0) ack 11
        +0   quiet
    """)
    give_up(tcp, sock)
    plain(tcp)
    if not is_kernels(sock):
        tcp.play("+3597 quiet")
        plain(tcp)
        tcp.play("+3 quiet")
        send_fast(tcp, tcp.socket(), tcp.data(10))
        tcp.play(f"+0 > S 0:10(10) <{SYN},FO {COOKIE},nop,nop>")


def test_a_syn_too_large_for_the_path_goes_again_without_its_data(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(1400))
    too_big = "packet_too_big mtu 1300" if tcp.version == 6 else "frag_needed mtu 1300"
    payload = 1300 - (60 if tcp.version == 6 else 40)
    tcp.play(f"""
        +0    > S  0:1400(1400) <{SYN},FO {COOKIE},nop,nop>
        +0.01 < icmp {too_big} [S 0:1400(1400)]
        +0    > S  0:0(0) <{SYN.replace("1460", "*")}>
        +0.1  < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0    > .  1:{1 + payload}({payload}) ack 1
        +0    > P. {1 + payload}:1401({1400 - payload}) ack 1
        +0.1  < .  1:1(0) ack 1401
        +0    quiet
    """)


# -- the calls ------------------------------------------------------------------------------------
def test_tcp_fastopen_connect_without_a_cookie_asks_for_one(tcp: Any) -> None:
    sock = tcp.socket()
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    with fails_with(errno.EINPROGRESS):
        sock.connect(tcp.address(80))
    tcp.play(f"+0 > S 0:0(0) <{SYN},FO,nop,nop>")


def test_tcp_fastopen_connect_with_a_cookie_waits_for_the_first_data(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    sock.connect(tcp.address(80))
    with fails_with(errno.EISCONN):
        sock.connect(tcp.address(80))
    with fails_with(errno.EAGAIN):
        sock.recv(10)
    tcp.play("+1 quiet")
    if not is_kernels(sock):
        assert sock.poll() == c.POLLOUT | c.POLLWRNORM
    assert sock.send(tcp.data(10)) == 10
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < S. 0:0(0) ack 11 win 65535 <mss 1460>
        +0   > .  11:11(0) ack 1
    """)


def test_when_the_device_goes_a_connection_that_waits_for_data_ends(tcp: Any) -> None:
    sock = tcp.socket()
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_NO_COOKIE, 1)
    sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    sock.connect(tcp.address(80))
    tcp.host.fail_all(errno.ENETDOWN)
    with fails_with(errno.ENETDOWN):
        sock.send(b"late")
    tcp.play("+10 quiet")


def test_where_tcp_fastopen_is_off_it_is_refused(tcp: Any) -> None:
    tcp.host.sysctl("tcp_fastopen", 0)
    sock = tcp.socket()
    with fails_with(errno.EOPNOTSUPP):
        sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    with fails_with(errno.EOPNOTSUPP):
        send_fast(tcp, sock, b"x")


def test_each_state_of_a_socket_has_its_error(tcp: Any) -> None:
    sock = tcp.socket()
    with fails_with(errno.EINVAL):
        sock.send(b"x", c.MSG_FASTOPEN)
    with fails_with(errno.EINVAL):
        sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 2)
    with fails_with(errno.EINPROGRESS):
        send_fast(tcp, sock, b"x")
    with fails_with(errno.EALREADY):
        send_fast(tcp, sock, b"x")
    with fails_with(errno.EINVAL):
        sock.setsockopt(c.IPPROTO_TCP, c.TCP_FASTOPEN_CONNECT, 1)
    tcp.play(f"""
        +0   > S  0:0(0) <{SYN},FO,nop,nop>
        +0.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .  1:1(0) ack 1
    """)
    assert send_fast(tcp, sock, b"x") == 1
    tcp.play('+0 > P. 1:2(1) ack 1 "x"')
    with fails_with(errno.EISCONN):
        send_fast(tcp, sock, b"x")
    listener = tcp.listen(81)
    with fails_with(errno.EISCONN):
        send_fast(tcp, listener, b"x")


def test_a_refusal_is_told_to_the_next_call(tcp: Any) -> None:
    learn(tcp)
    sock = tcp.socket()
    send_fast(tcp, sock, tcp.data(10))
    tcp.play(f"""
        +0   > S  0:10(10) <{SYN},FO {COOKIE},nop,nop>
        +0.1 < R. 0:0(0) ack 11
        +0   quiet
    """)
    with fails_with(errno.ECONNREFUSED):
        sock.recv(10)
