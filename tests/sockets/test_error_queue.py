"""Soft errors: IP_RECVERR and MSG_ERRQUEUE (RFC 9293 §3.9.1.8, RFC 5461), and SO_ERROR.

Linux has no queue for TCP: with IP_RECVERR it makes a soft error the next call's error. Here it is
that and an entry of the queue, as Linux has it for datagrams.
"""

from __future__ import annotations

import errno
import struct

import pytest

from pystack.events import EVENT_SOFT_ERROR
from pystack.sockets import Socket
from pystack.sockets import constants as c
from pystack.sockets.constants import AF_INET
from pystack.wire.consts import CHECKSUM_COMPLETE
from tests.sockets.packets import icmp_about
from tests.sockets.wire import Wire, connected, make_wire
from tests.sockets.world import error_of, outcome, polled

ROUTER = {AF_INET: "203.0.113.9", c.AF_INET6: "2001:db8::9"}
HOST_UNREACHABLE = {AF_INET: (3, 1), c.AF_INET6: (1, 3)}
HOUR = 3600 * 1_000_000


def recverr(family: int) -> tuple[int, int, int]:
    if family == AF_INET:
        return c.IPPROTO_IP, c.IP_RECVERR, 1
    return c.IPPROTO_IPV6, c.IPV6_RECVERR, 1


def unreachable(wire: Wire, family: int, client: Socket) -> None:
    """Text of the client's is lost, and a router says that its destination is unreachable."""
    wire.drop = lambda sender, packet: sender is wire.near
    client.send(b"x" * 100)
    wire.run(100)
    message = icmp_about(wire.sent[-1][1], *HOST_UNREACHABLE[family], ROUTER[family])
    wire.near.receive([(message, 0, CHECKSUM_COMPLETE)], wire.now_us)
    wire.drop = lambda sender, packet: False


@pytest.mark.requirement("RFC9293-MUST-47")
def test_a_soft_error_is_told_queued_and_the_next_calls_error_while_the_connection_lives(
    family: int,
) -> None:
    wire = make_wire()
    client, server = connected(wire, family, near=[recverr(family)])
    told: list[int] = []
    client.on_events = told.append
    unreachable(wire, family, client)
    assert told[-1] & EVENT_SOFT_ERROR
    assert polled(client) == {"OUT", "ERR"}
    assert outcome(client.recv, 1) == "EHOSTUNREACH"
    assert outcome(client.recv, 1) == "EAGAIN"
    data, items, flags, address = client.recvmsg(100, 100, c.MSG_ERRQUEUE)
    assert (data, flags, address) == (b"", c.MSG_ERRQUEUE, client.getpeername())
    ((level, kind, item),) = items
    assert (level, kind) == recverr(family)[:2]
    code, origin, icmp_type, icmp_code, _, _, _ = struct.unpack_from("=IBBBBII", item)
    assert code == errno.EHOSTUNREACH
    assert (icmp_type, icmp_code) == HOST_UNREACHABLE[family]
    if family == AF_INET:
        assert origin == c.SO_EE_ORIGIN_ICMP
        assert item[16:] == struct.pack("=HH4s8x", c.AF_INET, 0, bytes((203, 0, 113, 9)))
    else:
        assert origin == c.SO_EE_ORIGIN_ICMP6
        assert item[24:40] == bytes.fromhex("20010db8000000000000000000000009")
    assert polled(client) == {"OUT"}
    wire.run(2_000_000)
    assert server.recv(1000) == b"x" * 100


def test_taking_the_report_takes_the_error_too(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[recverr(family)])
    unreachable(wire, family, client)
    client.recvmsg(100, 100, c.MSG_ERRQUEUE)
    assert polled(client) == {"OUT"}
    assert outcome(client.recv, 1) == "EAGAIN"
    assert outcome(client.recvmsg, 100, 100, c.MSG_ERRQUEUE) == "EAGAIN"


def test_an_item_that_does_not_fit_is_left_out_and_said_to_be(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[recverr(family)])
    unreachable(wire, family, client)
    _, items, flags, _ = client.recvmsg(100, 10, c.MSG_ERRQUEUE)
    assert (items, flags) == ([], c.MSG_ERRQUEUE | c.MSG_CTRUNC)


@pytest.mark.requirement("RFC9293-SHLD-20")
def test_without_recverr_nobody_is_told_and_so_error_knows(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    told: list[int] = []
    client.on_events = told.append
    unreachable(wire, family, client)
    assert not [events for events in told if events & EVENT_SOFT_ERROR]
    assert polled(client) == {"OUT"}
    assert outcome(client.recv, 1) == "EAGAIN"
    assert outcome(client.recvmsg, 100, 100, c.MSG_ERRQUEUE) == "EAGAIN"
    assert error_of(client) == "EHOSTUNREACH"
    assert error_of(client) == 0


@pytest.mark.requirement("RFC9293-SHLD-20")
def test_switching_recverr_off_empties_the_queue(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[recverr(family)])
    unreachable(wire, family, client)
    client.setsockopt(*recverr(family)[:2], 0)
    assert outcome(client.recvmsg, 100, 100, c.MSG_ERRQUEUE) == "EAGAIN"


@pytest.mark.requirement("RFC9293-SHLD-9")
def test_many_repeats_are_a_warning_in_the_queue_before_the_connection_is_given_up(
    family: int,
) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[recverr(family)])
    told: list[int] = []
    client.on_events = told.append
    wire.drop = lambda sender, packet: True
    client.send(b"x")
    wire.run(60_000_000)
    assert told[-1] & EVENT_SOFT_ERROR
    assert polled(client) == {"OUT", "ERR"}
    assert error_of(client) == 0
    assert outcome(client.recv, 1) == "EAGAIN"  # no error of the connection yet
    _, ((_, _, item),), _, _ = client.recvmsg(0, 100, c.MSG_ERRQUEUE)
    assert struct.unpack_from("=IB", item) == (errno.ETIMEDOUT, c.SO_EE_ORIGIN_LOCAL)
    wire.run(HOUR)
    assert error_of(client) == "ETIMEDOUT"


def test_an_unreachable_host_ends_an_attempt_to_connect(family: int) -> None:
    wire = make_wire()
    wire.drop = lambda sender, packet: True
    sock = wire.near.socket(family)
    remote = ("198.18.0.2" if family == AF_INET else "fd00::2", 80)
    outcome(sock.connect, remote)
    wire.run(100)
    message = icmp_about(wire.sent[-1][1], *HOST_UNREACHABLE[family], ROUTER[family])
    wire.near.receive([(message, 0, CHECKSUM_COMPLETE)], wire.now_us)
    assert outcome(sock.connect, remote) == "EHOSTUNREACH"
    assert outcome(sock.connect, remote) == "EINPROGRESS"
