"""RFC 5961: resets, SYNs and data from somebody who has to guess the numbers."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.kit.tcp import Tcp

pytestmark = pytest.mark.variants("ipv4", "ipv6-wrap")  # nothing here is for offloading


def error_of(sock: socket.socket) -> int:
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def still_works(tcp: Tcp, sock: socket.socket, flow: str = "") -> None:
    """A request and its answer go through as if nothing had happened."""
    tcp.play(f'+0.6 {flow}< P. 1:6(5) ack 1 "hello"\n+0 {flow}> . 1:1(0) ack 6')
    assert sock.recv(100) == b"hello"
    assert error_of(sock) == 0


# -- RST (§3) ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5961-S3.2-1")
@pytest.mark.parametrize("flags", ["R ", "R."])
def test_a_reset_at_exactly_rcv_nxt_ends_the_connection(tcp: Tcp, flags: str) -> None:
    sock = tcp.established()
    tcp.play("+0 < . 1:1001(1000) ack 1\n+0 > . 1:1(0) ack 1001")
    tcp.play(f"+0 < {flags} 1001:1001(0) ack 1 win 0\n+60 quiet")
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ECONNRESET
    tcp.play("+0 < . 1001:1002(1) ack 1\n+0 > R 1:1(0) win 0")


@pytest.mark.requirement("RFC5961-S3.2-2")
@pytest.mark.parametrize("seq", [2, 1000, 40_000, 64_240])
@pytest.mark.parametrize("flags", ["R ", "R."])
def test_a_reset_elsewhere_in_the_window_draws_a_challenge_ack(
    tcp: Tcp, flags: str, seq: int
) -> None:
    sock = tcp.established()
    tcp.play(
        f"""
        +0  < {flags} {seq}:{seq}(0) ack 1 win 0
        +0  > .  1:1(0) ack 1
        +60 quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    still_works(tcp, sock)


@pytest.mark.requirement("RFC5961-S3.2-2")
def test_the_true_peer_answers_the_challenge_with_a_reset_that_is_obeyed(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0   < R 500:500(0) win 0
        +0   > . 1:1(0) ack 1
        +0.1 < R 1:1(0) win 0
        +60  quiet
        """
    )
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ECONNRESET


@pytest.mark.requirement("RFC5961-S3.2-2")
def test_a_challenge_ack_names_snd_nxt_and_rcv_nxt_of_this_moment(tcp: Tcp) -> None:
    sock = tcp.established(ts=5000, wscale=7, sack=True, win=512)
    sock.send(b"abc")
    tcp.play(
        """
        +0    > P. 1:4(3) ack 1 <nop,nop,TS val 200 ecr 5100>
        +0.01 < .  1:11(10) ack 1 <nop,nop,TS val 5200 ecr 200>
        +0    > .  4:4(0) ack 11 <nop,nop,TS val 210 ecr 5200>
        +0    < R  20:20(0) win 0
        +0    > .  4:4(0) ack 11 <nop,nop,TS val 210 ecr 5200>
        +0    < .  11:11(0) ack 4 <nop,nop,TS val 5210 ecr 210>
        """
    )


@pytest.mark.requirement("RFC5961-S3.2-3")
@pytest.mark.parametrize("seq", [0, -1, -60_000, 64_241, 100_000, 0x4000_0000, -0x7FFF_FFFF])
@pytest.mark.parametrize("flags", ["R ", "R."])
def test_a_reset_outside_of_the_window_is_dropped_in_silence(
    tcp: Tcp, flags: str, seq: int
) -> None:
    sock = tcp.established()
    tcp.play(f"+0 < {flags} {seq}:{seq}(0) ack 1 win 0\n+60 quiet")
    assert tcp.state() == "ESTABLISHED"
    still_works(tcp, sock)


@pytest.mark.requirement("RFC5961-S3.2-1", "RFC5961-S3.2-2", "RFC5961-S3.2-3")
@pytest.mark.parametrize("state", ["FIN_WAIT_1", "FIN_WAIT_2", "CLOSE_WAIT", "CLOSING", "LAST_ACK"])
def test_the_rule_for_resets_holds_in_every_synchronized_state(tcp: Tcp, state: str) -> None:
    sock = tcp.established(ts=5000)
    later = "TS val 5200 ecr 200"
    fin = "> F. 1:1(0)"
    if state in ("FIN_WAIT_1", "FIN_WAIT_2", "CLOSING"):
        sock.shutdown(socket.SHUT_WR)
        tcp.play(f"+0 {fin} ack 1 <nop,nop,TS val 200 ecr 5100>")
    if state == "FIN_WAIT_2":
        tcp.play(f"+0 < . 1:1(0) ack 2 <nop,nop,{later}>")
    if state in ("CLOSE_WAIT", "CLOSING", "LAST_ACK"):
        tcp.play(f"+0 < F. 1:1(0) ack 1 <nop,nop,{later}>")
        end = 2 if state == "CLOSING" else 1
        tcp.play(f"+0 > . {end}:{end}(0) ack 2 <nop,nop,TS val 200 ecr 5200>")
    if state == "LAST_ACK":
        sock.shutdown(socket.SHUT_WR)
        tcp.play(f"+0 {fin} ack 2 <nop,nop,TS val 200 ecr 5200>")
    assert tcp.state() == state
    nxt = 1 if state == "CLOSE_WAIT" else 2
    ack = 1 if state in ("FIN_WAIT_1", "FIN_WAIT_2") else 2
    tcp.play(
        f"""
        +0    < R {ack + 1}:{ack + 1}(0) win 0
        +0    > . {nxt}:{nxt}(0) ack {ack} <...>
        +0    < R 70000:70000(0) win 0
        +0    < R -5:-5(0) win 0
        +0.1  quiet
        """
    )
    assert tcp.state() == state
    tcp.play(f"+0 < R {ack}:{ack}(0) win 0\n+60 quiet")
    assert tcp.state() == "CLOSED"


# -- SYN (§4) ------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC5961-S4.2-1")
@pytest.mark.parametrize("seq", [1, 0, 2, -40_000, 40_000, 64_241, 1_000_000, 0x7000_0000])
@pytest.mark.parametrize("flags", ["S ", "S."])
def test_a_syn_with_any_number_draws_a_challenge_ack(tcp: Tcp, flags: str, seq: int) -> None:
    sock = tcp.established()
    tcp.play(
        f"""
        +0  < {flags} {seq}:{seq}(0) ack 1 win 1000 <mss 500>
        +0  > .  1:1(0) ack 1
        +60 quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"
    still_works(tcp, sock)


@pytest.mark.requirement("RFC5961-S4.2-1")
def test_a_peer_that_has_lost_its_memory_answers_the_challenge_with_a_reset(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play(
        """
        +0   < S =77:=77(0) win 1000 <mss 500>
        +0   > . 1:1(0) ack 1
        +0.1 < R 1:1(0) win 0
        +60  quiet
        """
    )
    assert tcp.state() == "CLOSED"
    assert error_of(sock) == errno.ECONNRESET


@pytest.mark.requirement("RFC5961-S4.2-1")
def test_text_on_a_syn_is_not_taken(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < SP. 1:11(10) ack 1 win 1000\n+0 > . 1:1(0) ack 1")
    with pytest.raises(BlockingIOError):
        sock.recv(100)
    still_works(tcp, sock)


# -- ACK and text (§5) ---------------------------------------------------------------------------


def sent_twice_the_window(tcp: Tcp) -> socket.socket:
    """A peer whose window is 1000 has acknowledged 2000 octets: SND.UNA is 2001."""
    sock: socket.socket = tcp.established(win=1000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start in (1, 1001):
        sock.send(tcp.data(1000, start - 1))
        tcp.play(
            f"""
            +0   > P. {start}:{start + 500}(500) ack 1
            +0   > P. {start + 500}:{start + 1000}(500) ack 1
            +0.1 < .  1:1(0) ack {start + 1000}
            """.replace("P.", ". ", 1)
        )
    return sock


@pytest.mark.requirement("RFC5961-S5.2-1", "RFC9293-MAY-12")
@pytest.mark.parametrize("ack", [2002, 2001 + 1000, 0x4000_0000, 2001 + 0x7FFF_FFFF])
def test_text_that_acknowledges_what_was_never_sent_is_not_taken(tcp: Tcp, ack: int) -> None:
    sock = sent_twice_the_window(tcp)
    tcp.play(f"+0 < P. 1:11(10) ack {ack}\n+0 > . 2001:2001(0) ack 1\n+1 quiet")
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.requirement("RFC5961-S5.2-1", "RFC9293-MAY-12")
@pytest.mark.parametrize("ack", [1000, 1, -5000, 2001 - 0x7FFF_FFFF])
def test_text_whose_ack_is_older_than_the_largest_window_is_not_taken(tcp: Tcp, ack: int) -> None:
    sock = sent_twice_the_window(tcp)
    tcp.play(f"+0 < P. 1:11(10) ack {ack}\n+0 > . 2001:2001(0) ack 1\n+1 quiet")
    with pytest.raises(BlockingIOError):
        sock.recv(100)


@pytest.mark.requirement("RFC5961-S5.2-1", "RFC9293-MAY-12")
@pytest.mark.parametrize("ack", [1001, 1500, 2000, 2001])
def test_text_whose_ack_is_old_but_within_the_largest_window_is_taken(tcp: Tcp, ack: int) -> None:
    sock = sent_twice_the_window(tcp)
    tcp.play(f'+0 < P. 1:6(5) ack {ack} "hello"\n+0..0.04 > . 2001:2001(0) ack 6')
    assert sock.recv(100) == b"hello"


@pytest.mark.requirement("RFC5961-S5.2-1")
def test_an_ack_of_octets_before_the_first_is_not_taken_however_large_the_window(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play("+0 < P. 1:11(10) ack -100\n+0 > . 1:1(0) ack 1\n+1 quiet")
    with pytest.raises(BlockingIOError):
        sock.recv(100)


# -- throttling (§7) -----------------------------------------------------------------------------


@pytest.mark.requirement("RFC5961-S7-1")
def test_a_connection_sends_one_challenge_ack_in_half_a_second(tcp: Tcp) -> None:
    tcp.established()
    flood = "+0.001 < R 500:500(0) win 0\n+0 < S 9:9(0)\n+0 < . 1:1(0) ack 77\n"
    tcp.play("+0 < R 500:500(0) win 0\n+0 > . 1:1(0) ack 1\n" + flood * 150)
    tcp.play(
        """
        +0.349 < R 500:500(0) win 0
        +0.001 < R 500:500(0) win 0
        +0     > . 1:1(0) ack 1
        +0     < R 500:500(0) win 0
        +60    quiet
        """
    )
    assert tcp.state() == "ESTABLISHED"


@pytest.mark.requirement("RFC5961-S7-1")
@pytest.mark.host(tcp_invalid_ratelimit=50)
def test_the_interval_between_challenge_acks_can_be_set(tcp: Tcp) -> None:
    tcp.established()
    tcp.play(
        """
        +0    < R 500:500(0) win 0
        +0    > . 1:1(0) ack 1
        +0.04 < R 500:500(0) win 0
        +0.01 < R 500:500(0) win 0
        +0    > . 1:1(0) ack 1
        """
    )


@pytest.mark.requirement("RFC5961-S7-1")
@pytest.mark.host(tcp_challenge_ack_limit=3)
def test_all_connections_together_send_a_bounded_number_in_a_second(tcp: Tcp) -> None:
    listener = tcp.listen()
    names = [f"c{number}" for number in range(8)]
    for name in names:
        tcp.established(flow=name, listener=listener, rtt=0.01)
    packets = [tcp.segment("R 500:500(0) win 0", name) for name in names]
    for _ in range(3):
        tcp.inject(*packets)
        # half as many more or less: Linux does not let others count with it
        assert 1 <= len(tcp.run(0.5)) <= 4
        tcp.run(1)
