"""send() and recv() with their flags (RFC 9293 §3.9.1.2, §3.9.1.3), as Linux answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pystack.sockets import constants as c
from tests.sockets.wire import DELAY_US, connected, make_wire
from tests.sockets.world import World, error_of, outcome, polled

ENDED = {"IN", "OUT", "HUP", "RDHUP"}


def test_what_is_sent_is_received_in_pieces_of_any_size(world: World) -> None:
    client, server = world.pair()
    assert client.send(b"hello ") == 6
    assert client.send(bytearray(b"world")) == 5
    assert client.send(memoryview(b"!!")) == 2
    world.settle()
    assert polled(server) == {"IN", "OUT"}
    assert server.recv(3) == b"hel"
    assert server.recv(100) == b"lo world!!"
    assert outcome(server.recv, 1) == "EAGAIN"
    assert polled(server) == {"OUT"}


def test_an_unconnected_socket_neither_sends_nor_receives(world: World) -> None:
    sock = world.near()
    assert polled(sock) == {"OUT", "HUP"}
    assert outcome(sock.send, b"x") == "EPIPE"
    assert outcome(sock.send, b"") == "EPIPE"
    assert outcome(sock.recv, 1) == "ENOTCONN"
    assert outcome(sock.getpeername) == "ENOTCONN"
    assert outcome(sock.recv, 1, c.MSG_OOB) == "EINVAL"
    for request in (c.SIOCINQ, c.SIOCOUTQ, c.SIOCOUTQNSD, c.SIOCATMARK):
        assert outcome(sock.ioctl, request) == 0


def test_sending_nothing_does_nothing(world: World) -> None:
    client, _ = world.pair()
    assert client.send(b"") == 0
    assert client.recv(0) == b""


def test_peeking_leaves_the_text(world: World) -> None:
    client, server = world.pair()
    client.send(b"hello")
    world.settle()
    assert server.recv(3, c.MSG_PEEK) == b"hel"
    assert server.recv(100, c.MSG_PEEK) == b"hello"
    assert server.ioctl(c.SIOCINQ) == 5
    assert server.recv(100) == b"hello"


def test_msg_trunc_throws_the_text_away(world: World) -> None:
    client, server = world.pair()
    client.send(b"hello world")
    world.settle()
    assert len(server.recv(6, c.MSG_TRUNC)) == 6
    buffer = bytearray(b"........")
    assert server.recv_into(buffer, 2, c.MSG_TRUNC) == 2
    assert buffer == b"........"
    assert server.recv(100) == b"rld"


def test_receiving_into_a_buffer_fills_its_beginning(world: World) -> None:
    client, server = world.pair()
    client.send(b"wxyz!")
    world.settle()
    buffer = bytearray(b"......")
    assert server.recv_into(buffer, 2, c.MSG_PEEK) == 2
    assert buffer == b"wx...."
    assert server.recv_into(memoryview(buffer)[1:5]) == 4
    assert buffer == b"wwxyz."
    assert server.recv_into(buffer) == 1
    assert outcome(server.recv_into, buffer) == "EAGAIN"
    with pytest.raises(ValueError, match="too small"):
        server.recv_into(buffer, 7)


@pytest.mark.parametrize("flag", [c.MSG_WAITALL, c.MSG_DONTWAIT])
def test_flags_about_waiting_change_nothing(world: World, flag: int) -> None:
    client, server = world.pair()
    client.send(b"abc", c.MSG_DONTWAIT | c.MSG_NOSIGNAL)
    world.settle()
    assert server.recv(10, flag) == b"abc"
    assert outcome(server.recv, 10, flag) == "EAGAIN"


def test_recvmsg_gives_text_without_an_address(world: World) -> None:
    client, server = world.pair()
    client.send(b"abc")
    world.settle()
    data, items, flags, address = server.recvmsg(10)
    assert (data, items, flags, address) == (b"abc", [], 0, None)
    assert outcome(server.recvmsg, 10) == "EAGAIN"


def test_the_error_queue_is_empty_without_errors(world: World) -> None:
    client, _ = world.pair()
    assert outcome(client.recvmsg, 10, 100, c.MSG_ERRQUEUE) == "EAGAIN"
    assert outcome(client.recv, 10, c.MSG_ERRQUEUE) == "EAGAIN"
    assert outcome(world.near().recv, 10, c.MSG_ERRQUEUE) == "EAGAIN"


@pytest.mark.requirement("RFC9293-MUST-12")
def test_the_end_of_the_stream_is_told_apart_from_a_reset(world: World) -> None:
    client, server = world.pair()
    server.close()
    world.settle()
    assert client.recv(1) == b""
    client, server = world.pair()
    world.reset(server)
    assert outcome(client.recv, 1) == "ECONNRESET"


def test_the_peers_fin_is_end_of_stream_after_the_text_and_sending_goes_on(world: World) -> None:
    client, server = world.pair()
    server.send(b"hello")
    server.shutdown(c.SHUT_WR)
    world.settle()
    assert polled(client) == {"IN", "OUT", "RDHUP"}
    assert client.ioctl(c.SIOCINQ) == 5
    assert client.recv(100) == b"hello"
    assert client.ioctl(c.SIOCINQ) == 0
    assert client.recv(100) == b""
    assert client.recv(100) == b""
    assert polled(client) == {"IN", "OUT", "RDHUP"}
    assert client.send(b"answer") == 6
    world.settle()
    assert server.recv(100) == b"answer"


def test_a_reset_is_told_once_to_a_reader_and_then_the_stream_is_at_its_end(world: World) -> None:
    client, server = world.pair()
    world.reset(server)
    assert polled(client) == ENDED | {"ERR"}
    assert outcome(client.recv, 1) == "ECONNRESET"
    assert polled(client) == ENDED
    assert outcome(client.recv, 1) == b""
    assert outcome(client.send, b"x") == "EPIPE"
    assert error_of(client) == 0
    assert outcome(client.getpeername) == "ENOTCONN"
    assert client.getsockname()[0] == world.here
    assert outcome(client.shutdown, c.SHUT_RDWR) == "ENOTCONN"
    assert outcome(client.connect, (world.there, 1)) == "EISCONN"


def test_a_reset_is_told_once_to_a_writer_and_then_the_pipe_is_broken(world: World) -> None:
    client, server = world.pair()
    world.reset(server)
    assert outcome(client.send, b"x") == "ECONNRESET"
    assert outcome(client.send, b"x") == "EPIPE"
    assert outcome(client.recv, 1) == b""


def test_text_that_came_before_a_reset_can_be_read_first(world: World) -> None:
    client, server = world.pair()
    server.send(b"hello")
    world.settle()
    world.reset(server)
    assert client.recv(2) == b"he"
    assert client.recv(100) == b"llo"
    assert outcome(client.recv, 100) == "ECONNRESET"
    assert client.recv(100) == b""


def test_text_can_be_read_after_the_reset_was_told(world: World) -> None:
    client, server = world.pair()
    server.send(b"hello")
    world.settle()
    world.reset(server)
    assert error_of(client) == "ECONNRESET"
    assert error_of(client) == 0
    assert client.recv(100) == b"hello"
    assert client.recv(100) == b""


def test_a_reset_after_the_fin_breaks_the_pipe_and_leaves_the_end_of_the_stream(
    world: World,
) -> None:
    client, server = world.pair()
    client.send(b"unread")
    world.settle()
    server.send(b"hello")
    server.shutdown(c.SHUT_WR)
    world.settle()
    server.close()  # with text unread: RST
    world.settle()
    assert polled(client) == ENDED | {"ERR"}
    assert client.recv(100) == b"hello"
    assert client.recv(100) == b""
    assert error_of(client) == "EPIPE"
    assert outcome(client.send, b"x") == "EPIPE"
    assert polled(client) == ENDED


def test_a_full_buffer_takes_a_part_and_then_nothing_until_a_third_is_free(world: World) -> None:
    near = [(c.SOL_SOCKET, c.SO_SNDBUF, 20_000)]
    client, server = world.pair(near=near, far=[(c.SOL_SOCKET, c.SO_RCVBUF, 10_000)])
    sent = 0
    while True:
        part = outcome(client.send, bytes(30_000))
        world.settle()
        if part == "EAGAIN":
            break
        assert 0 < part <= 30_000
        sent += part
    assert polled(client) == set()
    assert 0 < client.ioctl(c.SIOCOUTQNSD) <= client.ioctl(c.SIOCOUTQ)
    got = 0
    while got < sent:
        got += len(server.recv(65536))
        world.settle()
    assert polled(client) == {"OUT"}
    assert client.ioctl(c.SIOCOUTQ) == 0


def test_what_is_queued_is_counted_by_ioctl_until_it_is_acknowledged() -> None:
    wire = make_wire()
    client, server = connected(wire)
    client.send(bytes(5000))
    assert client.ioctl(c.SIOCOUTQ) == client.ioctl(c.SIOCOUTQNSD) == 5000
    wire.run(100)
    assert (client.ioctl(c.SIOCOUTQ), client.ioctl(c.SIOCOUTQNSD)) == (5000, 0)
    wire.run()
    assert client.ioctl(c.SIOCOUTQ) == 0
    assert server.ioctl(c.SIOCINQ) == 5000
    client.shutdown(c.SHUT_WR)
    assert client.ioctl(c.SIOCOUTQ) == 1  # the FIN, as in Linux


@pytest.mark.requirement("RFC9293-MUST-60")
def test_what_was_sent_leaves_without_any_further_call(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    for _ in range(3):
        client.send(b"x" * 700)
    wire.run(1_000_000)
    assert len(server.recv(10_000)) == 2100


def test_msg_more_holds_a_part_back_until_more_comes(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(b"head ", c.MSG_MORE)
    wire.run(20_000)
    assert outcome(server.recv, 100) == "EAGAIN"
    client.send(b"and tail")
    wire.run(20_000)
    assert server.recv(100) == b"head and tail"


def test_no_segment_runs_across_msg_eor(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    server_sizes = []
    client.send(b"a" * 100, c.MSG_EOR)
    client.send(b"b" * 100)
    wire.run()
    while chunk := server.take_chunk():
        server_sizes.append(len(chunk))
    assert server_sizes == [100, 100]


def test_fast_open_needs_an_address_and_a_socket_without_a_connection(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    assert outcome(client.send, b"x", c.MSG_FASTOPEN) == "EISCONN"
    assert outcome(wire.near.socket(family).send, b"x", c.MSG_FASTOPEN) == "EINVAL"


def test_chunks_are_given_as_they_came_until_the_end_of_the_stream(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    assert server.take_chunk() == b""
    assert not server.at_eof
    client.send(b"one")
    wire.run()
    client.send(b"two")
    client.shutdown(c.SHUT_WR)
    wire.run()
    assert [bytes(server.take_chunk()) for _ in range(3)] == [b"one", b"two", b""]
    assert server.at_eof


READING: dict[str, Callable[[Any], Any]] = {
    "recv": lambda sock: sock.recv(1 << 20),
    "recv with a flag": lambda sock: sock.recv(1 << 20, c.MSG_DONTWAIT),
    "recv_into": lambda sock: sock.recv_into(bytearray(1 << 20)),
    "recvmsg": lambda sock: sock.recvmsg(1 << 20),
    "take_chunk": lambda sock: [bytes(chunk) for chunk in iter(sock.take_chunk, b"")],
}


@pytest.mark.parametrize("how", READING)
def test_whichever_way_one_reads_the_peer_is_told_at_once_that_there_is_room(
    family: int, how: str
) -> None:
    wire = make_wire()
    client, server = connected(wire, family, far=[(c.SOL_SOCKET, c.SO_RCVBUF, 20_000)])
    assert client.send(bytes(28_000)) == 28_000
    wire.run(100_000)
    waiting = client.ioctl(c.SIOCOUTQ)
    assert waiting > 5_000
    READING[how](server)
    wire.run(5 * DELAY_US)
    assert client.ioctl(c.SIOCOUTQ) < waiting


@pytest.mark.parametrize("how", READING)
def test_reading_what_came_before_a_reset_wakes_nothing_up(family: int, how: str) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(b"last words")
    wire.run()
    client.setsockopt(c.SOL_SOCKET, c.SO_LINGER, bytes((1, 0, 0, 0)) + bytes(4))
    client.close()
    wire.run()
    READING[how](server)
    assert server.host.next_deadline() == 0
    assert list(server.host.transmit(wire.now_us)) == []
    assert error_of(server) == "ECONNRESET"


def test_what_has_come_is_thrown_away_and_the_window_opens_again(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    assert wire.near.socket(family).skip() == 0
    assert server.skip() == 0
    total = 0
    for _ in range(10):
        while outcome(client.send, bytes(100_000)) == 100_000:
            pass
        wire.run()
        total += server.skip()
    assert total > 500_000  # more than the window at first
    client.shutdown(c.SHUT_WR)
    for _ in range(10):
        wire.run()
        server.skip()
    assert server.at_eof


def test_after_a_reset_the_stream_is_at_its_end_once_the_error_was_told(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    server.setsockopt(c.SOL_SOCKET, c.SO_LINGER, (1, 0))
    server.close()
    wire.run()
    assert client.take_chunk() == b""
    assert not client.at_eof
    assert error_of(client) == "ECONNRESET"
    assert client.at_eof
