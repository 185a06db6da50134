"""RFC 9293 §3.8.5: urgent data, as Linux has it: the last urgent octet is out of band."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
from typing import Any

import pytest

from pystack.events import EVENT_READABLE, EVENT_URGENT
from tests.kit.packets.errnos import fails_with
from tests.kit.tcp import Tcp

SIOCATMARK = 0x8905
OOB = socket.MSG_OOB


def at_mark(sock: Any) -> bool:
    """SIOCATMARK: whether the next octet to read is the urgent one."""
    if isinstance(sock, socket.socket):  # a script played against the kernel
        return bool(struct.unpack("i", fcntl.ioctl(sock, SIOCATMARK, bytes(4)))[0])
    return bool(sock.ioctl(SIOCATMARK))


def has_urgent(sock: Any) -> bool:
    """Whether poll tells of an urgent octet to read."""
    if isinstance(sock, socket.socket):
        poll = select.poll()
        poll.register(sock, select.POLLPRI)
        return bool(poll.poll(0))
    return bool(sock.poll() & select.POLLPRI)


def oob_error(sock: Any) -> int:
    """The errno that reading out of band fails with, 0 if it does not."""
    try:
        sock.recv(1, OOB)
    except OSError as error:
        return error.errno or 0
    return 0


# -- sending -------------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-30", "RFC9293-MUST-62")
def test_the_pointer_names_the_octet_just_after_the_urgent_data(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"abc", OOB)
    tcp.play(
        """
        +0   > PU. 1:4(3) ack 1 urg 3 "abc"
        +0.1 < .   1:1(0) ack 4
        """
    )
    sock.send(b"def")
    tcp.play('+0 > P. 4:7(3) ack 1 "def"\n+0.1 < . 1:1(0) ack 7')


@pytest.mark.requirement("RFC9293-MUST-30", "RFC9293-MUST-62")
def test_urgent_data_behind_ordinary_data_is_announced_at_once(tcp: Tcp) -> None:
    """All segments until the pointer carry URG and point to the same number."""
    sock = tcp.established(win=2000)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.send(tcp.data(3000))
    assert len(tcp.take()) == 2
    sock.send(b"!", OOB)
    tcp.play(
        """
        +0.1 < .   1:1(0) ack 1001
        +0   > U.  2001:3001(1000) ack 1 urg 1001
        +0   < .   1:1(0) ack 2001
        +0   > PU. 3001:3002(1) ack 1 urg 1 "!"
        +0   < .   1:1(0) ack 3002
        """
    )


@pytest.mark.requirement("RFC9293-MUST-62")
def test_a_repeat_points_to_the_same_number(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(b"abc", OOB)
    tcp.play("+0 > PU. 1:4(3) ack 1 urg 3\n+0.2..0.5 > PU. 1:4(3) ack 1 urg 3")
    tcp.play("+0.01 < . 1:1(0) ack 4")
    sock.send(b"d")
    tcp.play("+0 > P. 4:5(1) ack 1")


@pytest.mark.requirement("RFC9293-MUST-31", "RFC9293-MUST-62")
def test_urgent_data_of_many_segments_is_announced_in_each_of_them(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.send(tcp.data(10 * 1460), OOB)
    pieces = [(at, 14_601 - at) for at in range(1, 14_601, 1460)]
    lines = [f"+0 > U. {at}:{at + 1460}(1460) ack 1 urg {left}" for at, left in pieces]
    tcp.play("\n".join(lines).replace("U. 13141", "PU. 13141"))
    assert tcp.flow("").sent == tcp.data(14_600)
    tcp.play("+0.1 < . 1:1(0) ack 14601")


@pytest.mark.requirement("RFC9293-MUST-31")
def test_the_pointer_can_be_farther_away_than_its_field_can_say(tcp: Tcp) -> None:
    """Linux says 65535 meanwhile: the peer knows that there is more to come."""
    sock = tcp.established(wscale=7, win=2000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
    assert sock.send(tcp.data(100_000), OOB) == 100_000
    end = 100_001
    tcp.take()
    for ack in range(14_601, 29_201, 2920):
        tcp.play(f"+0.1 < . 1:1(0) ack {ack}")
        for packet in tcp.take():
            at = tcp.default.our_number(packet.seq)
            left = end - at
            if left > 0xFFFF + 1:
                assert packet.urgent in (0, 0xFFFF)
            else:
                assert packet.urgent == left
    while at + len(packet.payload) < end:
        tcp.play(f"+0.1 < . 1:1(0) ack {at + len(packet.payload)}")
        for packet in tcp.take():
            at = tcp.default.our_number(packet.seq)
            if end - at <= 0xFFFF:
                assert packet.urgent == end - at
    assert tcp.flow("").sent == tcp.data(100_000)
    tcp.play(f"+0.1 < . 1:1(0) ack {end}")


@pytest.mark.requirement("RFC9293-SHLD-13")
def test_ordinary_writes_are_never_urgent(tcp: Tcp) -> None:
    sock = tcp.established()
    for flags in (0, socket.MSG_MORE, socket.MSG_EOR, socket.MSG_NOSIGNAL):
        sock.send(tcp.data(2000), flags)
    sock.shutdown(socket.SHUT_WR)
    packets = tcp.take()
    assert sum(len(packet.payload) for packet in packets) == 8000
    assert all(packet.flags & 0x20 == 0 and packet.urgent == 0 for packet in packets)
    tcp.play("+0.1 < . 1:1(0) ack 8002")


# -- receiving -----------------------------------------------------------------------------------


@pytest.mark.requirement("RFC9293-MUST-30", "RFC9293-MUST-33", "RFC9293-MUST-62")
def test_an_urgent_octet_is_read_out_of_band_and_its_place_is_marked(tcp: Tcp) -> None:
    sock = tcp.established()
    assert oob_error(sock) == errno.EINVAL
    tcp.play('+0 < PU. 1:8(7) ack 1 urg 4 "abc!def"\n+0 > . 1:1(0) ack 8')
    assert has_urgent(sock)
    assert not at_mark(sock)
    assert sock.recv(1, OOB | socket.MSG_PEEK) == b"!"
    assert sock.recv(1, OOB) == b"!"
    assert oob_error(sock) == errno.EINVAL  # it was read
    assert not has_urgent(sock)
    assert sock.recv(100) == b"abc"  # a read does not run across the mark
    assert at_mark(sock)
    assert sock.recv(100) == b"def"
    assert not at_mark(sock)


@pytest.mark.requirement("RFC9293-MUST-30", "RFC9293-MUST-33")
def test_inline_the_urgent_octet_stays_in_the_stream(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    tcp.play('+0 < PU. 1:8(7) ack 1 urg 4 "abc!def"\n+0 > . 1:1(0) ack 8')
    assert oob_error(sock) == errno.EINVAL
    assert sock.recv(100) == b"abc"
    assert at_mark(sock)
    assert sock.recv(100) == b"!def"
    assert not at_mark(sock)


@pytest.mark.requirement("RFC9293-MUST-32")
def test_the_user_is_told_before_the_urgent_octet_is_there(tcp: Tcp) -> None:
    """The pointer runs ahead of the data: at once EAGAIN, later the octet."""
    sock = tcp.established()
    told: list[int] = []
    tcp.quiet(0)
    sock.on_events = told.append
    tcp.play('+0 < PU. 1:4(3) ack 1 urg 10 "abc"\n+0 > . 1:1(0) ack 4')
    assert oob_error(sock) == errno.EAGAIN
    assert told == [EVENT_READABLE | EVENT_URGENT]
    tcp.play('+0 < P. 4:14(10) ack 1 "defghi!jkl"\n+0 > . 1:1(0) ack 14')
    assert told == 2 * [EVENT_READABLE | EVENT_URGENT]
    assert sock.recv(1, OOB) == b"!"
    assert sock.recv(100) == b"abcdefghi"
    assert at_mark(sock)
    assert sock.recv(100) == b"jkl"


@pytest.mark.requirement("RFC9293-MUST-31", "RFC9293-MUST-33")
def test_an_urgent_sequence_of_many_segments_arrives_whole_and_in_order(tcp: Tcp) -> None:
    sock = tcp.established()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
    got = b""
    for at in range(1, 20 * 1460, 1460):
        left = 20 * 1460 + 1 - at
        flags = "U." if left > 1460 else "PU."
        tcp.play(f"+0.01 < {flags} {at}:{at + 1460}(1460) ack 1 urg {left}")
        tcp.run(0.2)
        assert not at_mark(sock)
        part = sock.recv(100_000)
        got += part
        if left > 1460:
            assert part == tcp.data(1460, at - 1)
    assert got == tcp.data(20 * 1460)[:-1]
    assert at_mark(sock)  # all before the last urgent octet was read
    assert sock.recv(100) == tcp.data(20 * 1460)[-1:]
    assert not at_mark(sock)


@pytest.mark.requirement("RFC9293-MUST-32")
def test_each_advance_of_the_pointer_is_told_once(tcp: Tcp) -> None:
    sock = tcp.established()
    if isinstance(sock, socket.socket):
        pytest.skip("the kernel tells by a signal")
    urgent_events = []
    from pystack.events import EVENT_URGENT

    sock.on_events = lambda events: urgent_events.append(bool(events & EVENT_URGENT))
    tcp.play('+0 < U. 1:4(3) ack 1 urg 20 "abc"\n+0 > . 1:1(0) ack 4')
    assert urgent_events.count(True) == 1
    tcp.play('+0 < U. 4:7(3) ack 1 urg 17 "abc"\n+0 > . 1:1(0) ack 7')
    assert urgent_events.count(True) == 1  # the same place
    tcp.play('+0 < U. 7:10(3) ack 1 urg 30 "abc"\n+0 > . 1:1(0) ack 10')
    assert urgent_events.count(True) == 2


@pytest.mark.requirement("RFC9293-MUST-32")
def test_a_pointer_that_moves_on_makes_the_octet_before_an_ordinary_one(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < PU. 1:4(3) ack 1 urg 3 "ab!"\n+0 > . 1:1(0) ack 4')
    tcp.play('+0 < PU. 4:7(3) ack 1 urg 3 "cd?"\n+0 > . 1:1(0) ack 7')
    assert sock.recv(1, OOB) == b"?"
    assert sock.recv(100) == b"ab!cd"
    assert at_mark(sock)


def test_an_urgent_octet_left_at_the_mark_is_dropped_when_the_pointer_moves_on(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < PU. 1:5(4) ack 1 urg 3 "ab!x"\n+0 > . 1:1(0) ack 5')
    assert sock.recv(100) == b"ab"
    assert at_mark(sock)
    tcp.play('+0 < PU. 5:8(3) ack 1 urg 3 "cd?"\n+0 > . 1:1(0) ack 8')
    assert sock.recv(1, OOB) == b"?"
    assert sock.recv(100) == b"xcd"


def test_a_pointer_into_what_was_read_is_old_news(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6')
    assert sock.recv(100) == b"hello"
    tcp.play('+0 < U. 1:6(5) ack 1 urg 3 "hello"\n+0 > . 1:1(0) ack 6')
    assert oob_error(sock) == errno.EINVAL
    assert not at_mark(sock)


def test_a_repeated_segment_does_not_make_an_octet_urgent_that_came_as_another(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < P. 1:6(5) ack 1 "hello"\n+0 > . 1:1(0) ack 6')
    tcp.play('+0 < PU. 1:6(5) ack 1 urg 3 "hello"\n+0 > . 1:1(0) ack 6')
    assert oob_error(sock) == errno.EINVAL
    assert sock.recv(100) == b"hello"


def test_a_pointer_without_urg_means_nothing(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < P. 1:6(5) ack 1 urg 3 "hello"\n+0 > . 1:1(0) ack 6')
    assert oob_error(sock) == errno.EINVAL
    assert sock.recv(100) == b"hello"


def test_a_pointer_of_zero_names_no_octet(tcp: Tcp) -> None:
    """Linux takes the first octet, which is not what the pointer says."""
    sock = tcp.established()
    tcp.play('+0 < PU. 1:6(5) ack 1 urg 0 "hello"\n+0 > . 1:1(0) ack 6')
    assert oob_error(sock) == errno.EINVAL
    assert sock.recv(100) == b"hello"


def test_an_urgent_octet_behind_a_hole_is_read_before_the_hole_is_filled(tcp: Tcp) -> None:
    sock = tcp.established(sack=True)
    tcp.play('+0 < PU. 4:7(3) ack 1 urg 3 "de!"\n+0 > . 1:1(0) ack 1 <nop,nop,sack 4:7>')
    assert sock.recv(1, OOB) == b"!"
    tcp.play('+0 < P. 1:4(3) ack 1 "abc"\n+0 > . 1:1(0) ack 7')
    assert sock.recv(100) == b"abcde"
    assert at_mark(sock)
    with pytest.raises(BlockingIOError):
        sock.recv(100)


def test_a_fin_behind_the_mark_is_the_end_of_the_stream(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.play('+0 < FPU. 1:4(3) ack 1 urg 3 "ab!"\n+0..0.2 > . 1:1(0) ack 5')
    assert sock.recv(100) == b"ab"
    assert sock.recv(100) == b""


def test_a_read_that_finds_nothing_but_the_urgent_octet_steps_over_it(tcp: Tcp) -> None:
    """As in Linux it is gone then, though nothing was read."""
    sock = tcp.established()
    tcp.play("+0 < PU. 1:2(1) ack 1 urg 1\n+0..0.05 > . 1:1(0) ack 2")
    assert at_mark(sock)
    with fails_with(errno.EAGAIN):
        sock.recv(100)
    assert not at_mark(sock)
    assert oob_error(sock) == errno.EINVAL
