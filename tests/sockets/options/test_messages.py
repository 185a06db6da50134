"""sendmsg and recvmsg on TCP sockets: TCP_INQ, timestamps, MSG_ZEROCOPY; on ours and on Linux."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.sockets.world import OURS_ONLY, World, outcome, polled

SOCKET, TCP = c.SOL_SOCKET, c.IPPROTO_TCP
RX, TX, SCHED, ACK, SOFTWARE = 1 << 3, 1 << 1, 1 << 8, 1 << 9, 1 << 4
OPT_ID, ONLY, OPT_ID_TCP = 1 << 7, 1 << 11, 1 << 16
SENT, SCHEDULED, ACKED = 0, 1, 2


def number(value: int) -> bytes:
    return struct.pack("i", value)


def report(sock: Any) -> tuple[int, int, int, int, int]:
    """Errno, origin, code, info and data of the oldest entry of the error queue."""
    _, items, flags, _ = sock.recvmsg(100, 500, c.MSG_ERRQUEUE)
    assert flags & c.MSG_ERRQUEUE
    error, origin, _, code, info, data = struct.unpack_from("IBBBxII", items[-1][2])
    return error, origin, code, info, data


def test_sendmsg_sends_all_buffers_in_a_row(world: World) -> None:
    client, server = world.pair()
    assert client.sendmsg([b"one ", b"two ", b"three"]) == 13
    world.settle()
    assert server.recvmsg(100)[:3] == (b"one two three", [], 0)


def test_tcp_inq_tells_how_much_is_left_to_read(world: World) -> None:
    client, server = world.pair()
    server.setsockopt(TCP, c.TCP_INQ, 1)
    client.send(b"0123456789")
    world.settle()
    assert server.recvmsg(4, 100)[:2] == (b"0123", [(TCP, c.TCP_INQ, number(6))])
    assert server.recvmsg(4, 100, c.MSG_PEEK)[0] == b"4567"
    assert server.recvmsg(4, 0)[1:3] == ([], c.MSG_CTRUNC)
    assert server.recvmsg(4, 100)[:2] == (b"89", [(TCP, c.TCP_INQ, number(0))])
    client.shutdown(c.SHUT_WR)
    world.settle()
    assert server.recvmsg(4, 100)[:2] == (b"", [(TCP, c.TCP_INQ, number(1))])


# -- timestamps -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("option", "unit"), [(c.SO_TIMESTAMP, 1_000_000), (c.SO_TIMESTAMPNS, 1_000_000_000)]
)
def test_text_is_stamped_with_the_time_of_day_at_which_it_came(
    world: World, option: int, unit: int
) -> None:
    client, server = world.pair()
    server.setsockopt(SOCKET, option, 1)
    world.know_the_time()
    before = world.time_of_day()
    items: list[Any] = []
    for _ in range(1000):  # the kernel begins to stamp packets a moment after it was asked
        client.send(b"x")
        world.settle()
        if items := server.recvmsg(10, 100)[1]:
            break
    ((level, kind, data),) = items
    assert (level, kind) == (SOCKET, option)
    seconds, fraction = struct.unpack("qq", data)
    assert 0 <= fraction < unit
    assert before <= seconds + fraction / unit <= world.time_of_day()


@OURS_ONLY
def test_each_read_tells_when_its_last_octet_came(world: World) -> None:
    client, server = world.pair()
    server.setsockopt(SOCKET, c.SO_TIMESTAMP, 1)
    world.know_the_time()
    came = []
    for text in (b"first", b"second", b"third"):
        client.send(text)
        came.append(round(world.time_of_day() * 1e6) + 500)  # the way there
        world.settle()

    def stamp(size: int, flags: int = 0) -> int:
        seconds, micros = struct.unpack("qq", server.recvmsg(size, 100, flags)[1][0][2])
        return int(seconds * 1_000_000 + micros)

    assert stamp(6, c.MSG_PEEK) == came[1]
    assert [stamp(3), stamp(2), stamp(6), stamp(9)] == [came[0], came[0], came[1], came[2]]


@OURS_ONLY
def test_times_are_not_kept_of_what_was_read_without_asking_for_them(world: World) -> None:
    client, server = world.pair()
    server.setsockopt(SOCKET, c.SO_TIMESTAMP, 1)

    def talk(times: int) -> int:
        for _ in range(times):
            client.send(b"x")
            world.settle()
            assert server.recv(10) == b"x"
        ours = tracemalloc.Filter(True, "*/pystack/sockets/*")
        found = tracemalloc.take_snapshot().filter_traces([ours]).traces
        return sum(trace.size for trace in found)

    tracemalloc.start()
    try:
        before = talk(200)
        assert talk(600) - before < 10_000  # bytes; 600 times and numbers take more than 30,000
    finally:
        tracemalloc.stop()


def test_the_error_queue_tells_when_octets_left_and_were_acknowledged(world: World) -> None:
    client, _ = world.pair()
    client.send(b"before")
    world.settle()
    flags = TX | SCHED | ACK | SOFTWARE | OPT_ID | OPT_ID_TCP | ONLY
    client.setsockopt(SOCKET, c.SO_TIMESTAMPING, flags)
    client.send(b"12345")
    world.settle()
    assert "ERR" in polled(client)
    found = [report(client) for _ in range(3)]
    assert sorted(found) == [(42, 4, 0, what, 4) for what in (SENT, SCHEDULED, ACKED)]
    client.send(b"678")
    world.settle()
    assert sorted(report(client) for _ in range(3)) == [
        (42, 4, 0, what, 7) for what in (SENT, SCHEDULED, ACKED)
    ]
    assert outcome(report, client) == "EAGAIN"


def test_one_call_may_ask_for_its_own_timestamps(world: World) -> None:
    client, _ = world.pair()
    client.setsockopt(SOCKET, c.SO_TIMESTAMPING, SOFTWARE | ONLY)
    client.send(b"x")
    world.settle()
    assert outcome(report, client) == "EAGAIN"
    client.sendmsg([b"y"], [(SOCKET, c.SO_TIMESTAMPING, number(ACK))])
    world.settle()
    assert report(client) == (42, 4, 0, ACKED, 0)
    assert outcome(client.sendmsg, [b"y"], [(SOCKET, c.SO_TIMESTAMPING, number(RX))]) == "EINVAL"
    assert outcome(client.sendmsg, [b"y"], [(SOCKET, c.SO_RCVBUF, number(1))]) == "EINVAL"


def test_names_of_octets_take_a_connection(world: World) -> None:
    assert outcome(world.near().setsockopt, SOCKET, c.SO_TIMESTAMPING, OPT_ID) == "EINVAL"


# -- MSG_ZEROCOPY ---------------------------------------------------------------------------------
def test_msg_zerocopy_is_taken_and_its_end_told(world: World) -> None:
    client, server = world.pair()
    client.setsockopt(SOCKET, c.SO_ZEROCOPY, 1)
    for _ in range(3):
        assert client.send(bytes(2000), c.MSG_ZEROCOPY) == 2000
    world.settle()
    assert len(server.recv(10_000)) == 6000
    world.settle()
    assert "ERR" in polled(client)
    names: list[int] = []
    while names != [0, 1, 2]:
        error, origin, code, low, high = report(client)
        assert (error, origin, code) == (0, 5, 1)  # SO_EE_ORIGIN_ZEROCOPY, copied
        names += range(low, high + 1)
    assert outcome(report, client) == "EAGAIN"


def test_without_so_zerocopy_the_flag_says_nothing(world: World) -> None:
    client, _ = world.pair()
    assert client.send(bytes(2000), c.MSG_ZEROCOPY) == 2000
    world.settle()
    assert outcome(report, client) == "EAGAIN"
