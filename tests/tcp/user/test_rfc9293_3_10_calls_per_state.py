"""RFC 9293 §3.10.1 to §3.10.6: what each user call does in each state.

Errors are those of Linux 6.18: `pytest --kernel` plays the same.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.kit.tcp import Tcp

pytestmark = pytest.mark.variants("ipv4", "ipv6-wrap")

# how far a connection has got; LISTEN and CLOSED have none
OPENING = ("SYN_SENT", "SYN_RECEIVED")
OPEN = ("ESTABLISHED", "CLOSE_WAIT")
ENDING = ("FIN_WAIT_1", "FIN_WAIT_2", "CLOSING", "LAST_ACK", "TIME_WAIT")
STATES = ("CLOSED", "LISTEN", *OPENING, *OPEN, *ENDING)
NUMBERS = {  # of tcpi_state; in TIME_WAIT a record stands for the socket, which is closed (Linux)
    "CLOSED": 7, "LISTEN": 10, "SYN_SENT": 2, "SYN_RECEIVED": 3, "ESTABLISHED": 1,
    "CLOSE_WAIT": 8, "FIN_WAIT_1": 4, "FIN_WAIT_2": 5, "CLOSING": 11, "LAST_ACK": 9,
    "TIME_WAIT": 7,
}  # fmt: skip
each_state = pytest.mark.parametrize("state", STATES)


def reach(tcp: Tcp, state: str) -> Any:
    """A socket in that state; both sides have sent no text, and what was due has left."""
    if state == "CLOSED":
        return tcp.socket()
    if state == "LISTEN":
        return tcp.listen()
    if state in OPENING:
        sock = tcp.connect()
        tcp.play("+0 > S 0:0(0) <...>")
        if state == "SYN_RECEIVED":
            tcp.play("+0 < S 0:0(0) win 65535 <mss 1460>\n+0 > S. 0:0(0) ack 1 <...>")
        return sock
    sock = tcp.established(passive=True)
    if state in ("CLOSE_WAIT", "LAST_ACK"):
        tcp.play("+0 < F. 1:1(0) ack 1\n+0..0.05 > . 1:1(0) ack 2")
    if state == "LAST_ACK":
        sock.shutdown(socket.SHUT_WR)
        tcp.play("+0 > F. 1:1(0) ack 2")
    if state in ENDING and state != "LAST_ACK":
        sock.shutdown(socket.SHUT_WR)
        tcp.play("+0 > F. 1:1(0) ack 1")
    if state in ("FIN_WAIT_2", "TIME_WAIT"):
        tcp.play("+0 < . 1:1(0) ack 2")
        tcp.take()
    if state in ("CLOSING", "TIME_WAIT"):
        acked = 2 if state == "TIME_WAIT" else 1
        tcp.play(f"+0 < F. 1:1(0) ack {acked}\n+0 > . 2:2(0) ack 2")
    return sock


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0].replace("EWOULDBLOCK", "EAGAIN")


def shown(tcp: Tcp) -> list[str]:
    """The flags of what is sent now."""
    letters = (("F", 1), ("R", 4), (".", 16))
    return [
        "".join(letter for letter, bit in letters if packet.flags & bit) for packet in tcp.take()
    ]


@pytest.mark.requirement("RFC9293-S3.10.1-1")
@pytest.mark.deviation("RFC9293-S3.10.1-1")
@each_state
def test_open_makes_a_connection_where_there_is_none(tcp: Tcp, state: str) -> None:
    """In LISTEN too there is none; but as in Linux, a listener does not become a client."""
    sock = reach(tcp, state)
    expected = {"CLOSED": "EINPROGRESS", "SYN_SENT": "EALREADY", "SYN_RECEIVED": "EALREADY"}
    assert outcome(lambda: sock.connect(tcp.address(90))) == expected.get(state, "EISCONN")
    sent = tcp.take()
    assert [packet.flags & 0x3F for packet in sent] == ([2] if state == "CLOSED" else [])


@pytest.mark.requirement("RFC9293-S3.10.2-1")
@pytest.mark.deviation("RFC9293-S3.10.2-1")
@each_state
def test_send_takes_text_while_this_side_is_open(tcp: Tcp, state: str) -> None:
    """In SYN_SENT it may queue it; as in Linux, a socket that does not block takes none."""
    sock = reach(tcp, state)
    expected = 5 if state in OPEN else "EAGAIN" if state in OPENING else "EPIPE"
    assert outcome(lambda: sock.send(tcp.data(5), 0x4000)) == expected  # MSG_NOSIGNAL
    assert [packet.payload for packet in tcp.take()] == [tcp.data(5)] * (state in OPEN)


@pytest.mark.requirement("RFC9293-S3.10.3-1")
@each_state
def test_receive_waits_while_the_other_side_is_open(tcp: Tcp, state: str) -> None:
    sock = reach(tcp, state)
    over = ("CLOSE_WAIT", "CLOSING", "LAST_ACK", "TIME_WAIT")
    unconnected = ("CLOSED", "LISTEN")
    expected = b"" if state in over else "ENOTCONN" if state in unconnected else "EAGAIN"
    assert outcome(lambda: sock.recv(10)) == expected
    assert tcp.take() == []


@pytest.mark.requirement("RFC9293-S3.10.4-3")
@each_state
def test_close_sends_a_fin_once(tcp: Tcp, state: str) -> None:
    sock = reach(tcp, state)
    sock.close()
    fin = state in (*OPEN, "SYN_RECEIVED")
    assert shown(tcp) == ["F."] * fin


@pytest.mark.requirement("RFC9293-S3.10.5-1")
@each_state
def test_abort_sends_a_reset_where_the_peer_waits_for_us(tcp: Tcp, state: str) -> None:
    sock = reach(tcp, state)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
    reset = state in (*OPEN, "SYN_RECEIVED", "FIN_WAIT_1", "FIN_WAIT_2")
    assert shown(tcp) == ["R."] * reset
    tcp.quiet(2)


@pytest.mark.requirement("RFC9293-S3.10.6-1")
@each_state
def test_status_tells_the_state(tcp: Tcp, state: str) -> None:
    assert reach(tcp, state).tcp_info().tcpi_state == NUMBERS[state]
    tcp.take()


# -- what is on a SYN,ACK besides (§3.10.7.3) ------------------------------------------------------


@pytest.mark.deviation("RFC9293-S3.10.7.3-4")
@pytest.mark.parametrize(
    ("what", "end"), [("S.", 5), ("SF.", 5), ("SF.", 0), ("SU.", 5)], ids=str
)
def test_text_fin_and_urgent_pointer_of_a_syn_ack_are_not_taken(
    tcp: Tcp, what: str, end: int
) -> None:
    """As in Linux; the peer sends them again."""
    sock = tcp.connect()
    urgent = " urg 1" if "U" in what else ""
    tcp.play(
        f"""
        +0   > S 0:0(0) <...>
        +0.1 < {what} 0:{end}({end}) ack 1 win 65535{urgent} <mss 1460>
        +0   > . 1:1(0) ack 1
        +0.1 < P. 1:6(5) ack 1
        +0..0.05 > . 1:1(0) ack 6
        """
    )
    assert sock.recv(10) == tcp.data(5)
    assert tcp.state() == "ESTABLISHED"
