"""What options do to the segments of a connection: seen on the wire, in virtual time."""

from __future__ import annotations

import pytest

from pystack.sockets import constants as c
from pystack.sockets.constants import (
    AF_INET,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    SOL_SOCKET,
)
from tests.sockets.packets import ACK, CWR, ECE, FIN, RST, SYN, sent_by, text_of
from tests.sockets.wire import ADDRESSES, Wire, address_of, connected, listening, make_wire
from tests.sockets.world import error_of, outcome

SECOND = 1_000_000


def tos_option(family: int, value: int) -> tuple[int, int, int]:
    if family == AF_INET:
        return IPPROTO_IP, c.IP_TOS, value
    return IPPROTO_IPV6, c.IPV6_TCLASS, value


def probes(wire: Wire, since: int) -> int:
    return len(sent_by(wire, wire.near, since))


# -- keep-alive -------------------------------------------------------------------------------
@pytest.mark.requirement("RFC9293-MUST-25", "RFC9293-MUST-28")
def test_keep_alive_is_off_by_default_and_waits_two_hours_when_on(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    idle = len(wire.sent)
    wire.run(10 * 3600 * SECOND)
    assert len(wire.sent) == idle
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 1)
    wire.run(7199 * SECOND)  # from now, although nothing has come for ten hours (Linux)
    assert probes(wire, idle) == 0
    wire.run(2 * SECOND)
    assert probes(wire, idle) == 1
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 1)  # it was on already
    wire.run(7198 * SECOND)
    assert probes(wire, idle) == 1
    wire.run(2 * SECOND)
    assert probes(wire, idle) == 2


@pytest.mark.requirement("RFC9293-MUST-24", "RFC9293-MUST-27")
def test_keep_alive_is_turned_on_and_off_for_one_connection(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    other, _ = connected(wire, family)
    client.setsockopt(IPPROTO_TCP, c.TCP_KEEPIDLE, 10)
    client.setsockopt(IPPROTO_TCP, c.TCP_KEEPINTVL, 10)  # also after a probe that was answered
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 1)
    idle = len(wire.sent)
    wire.run(9 * SECOND)
    assert len(wire.sent) == idle
    wire.run(22 * SECOND)
    assert probes(wire, idle) == 3
    assert {packet.src_port for packet in sent_by(wire, wire.near, idle)} == {
        client.getsockname()[1]
    }
    assert other.getsockname()[1] != client.getsockname()[1]
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 0)
    idle = len(wire.sent)
    wire.run(100 * SECOND)
    assert len(wire.sent) == idle


@pytest.mark.requirement("RFC9293-MUST-29")
def test_a_silent_peer_is_given_up_only_after_all_probes(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    for option, value in ((c.TCP_KEEPIDLE, 10), (c.TCP_KEEPINTVL, 5), (c.TCP_KEEPCNT, 3)):
        client.setsockopt(IPPROTO_TCP, option, value)
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 1)
    wire.drop = lambda sender, packet: sender is wire.far
    wire.run(24 * SECOND)
    assert error_of(client) == 0
    wire.run(2 * SECOND)
    assert outcome(client.recv, 1) == "ETIMEDOUT"
    assert outcome(client.recv, 1) == b""


@pytest.mark.requirement("RFC9293-MUST-29")
def test_an_answer_to_any_probe_keeps_the_connection(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    for option, value in ((c.TCP_KEEPIDLE, 10), (c.TCP_KEEPINTVL, 5), (c.TCP_KEEPCNT, 3)):
        client.setsockopt(IPPROTO_TCP, option, value)
    client.setsockopt(SOL_SOCKET, c.SO_KEEPALIVE, 1)
    wire.drop = lambda sender, packet: True
    wire.run(17 * SECOND)
    wire.drop = lambda sender, packet: False
    wire.run(100 * SECOND)
    client.send(b"still here")
    wire.run()
    assert server.recv(100) == b"still here"


# -- user timeout -----------------------------------------------------------------------------
@pytest.mark.requirement("RFC9293-MUST-21", "RFC9293-S3.10.8-1")
def test_the_user_timeout_ends_one_connection_in_its_time(family: int) -> None:
    wire = make_wire()
    hasty, _ = connected(wire, family)
    patient, _ = connected(wire, family)
    stubborn, _ = connected(wire, family)
    hasty.setsockopt(IPPROTO_TCP, c.TCP_USER_TIMEOUT, 5000)
    stubborn.setsockopt(IPPROTO_TCP, c.TCP_USER_TIMEOUT, 0x7FFF_FFFF)  # 24 days
    wire.drop = lambda sender, packet: True
    for sock in (hasty, patient, stubborn):
        sock.send(b"anybody there?")
    wire.run(4 * SECOND)
    assert error_of(hasty) == 0
    wire.run(3 * SECOND)
    assert outcome(hasty.send, b"x") == "ETIMEDOUT"
    wire.run(600 * SECOND)
    assert error_of(patient) == 0
    wire.run(600 * SECOND)
    assert error_of(patient) == "ETIMEDOUT"
    wire.run(48 * 3600 * SECOND)
    assert error_of(stubborn) == 0
    assert wire.near.shared.memory.held_bytes == len(b"anybody there?")


# -- IP ---------------------------------------------------------------------------------------
@pytest.mark.requirement("RFC9293-MUST-48", "RFC9293-SHLD-21", "RFC9293-SHLD-22")
def test_the_diffserv_field_is_what_was_set_and_may_change(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[tos_option(family, 0xB8)])
    client.send(b"x")
    wire.run()
    assert {packet.tos for packet in sent_by(wire, wire.near)} == {0xB8}
    since = len(wire.sent)
    client.setsockopt(*tos_option(family, 0x48))
    client.send(b"x")
    wire.run()
    assert {packet.tos for packet in sent_by(wire, wire.near, since)} == {0x48}


@pytest.mark.requirement("RFC9293-SHLD-23")
def test_the_stack_itself_leaves_the_diffserv_field_alone(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, far=[tos_option(family, 0x20)])
    client.send(bytes(5000))
    wire.run()
    client.close()
    wire.run()
    assert {packet.tos for packet in sent_by(wire, wire.near)} == {0}
    assert {packet.tos for packet in sent_by(wire, wire.far)} == {0x20}


def test_ttl_and_hop_limit_are_what_was_set(family: int) -> None:
    wire = make_wire()
    option = (IPPROTO_IP, c.IP_TTL) if family == AF_INET else (IPPROTO_IPV6, c.IPV6_UNICAST_HOPS)
    client, _ = connected(wire, family, near=[(*option, 7)], far=[(*option, 9)])
    client.send(b"x")
    wire.run()
    assert {packet.ttl for packet in sent_by(wire, wire.near)} == {7}
    assert {packet.ttl for packet in sent_by(wire, wire.far)} == {9}


def test_dont_fragment_follows_ip_mtu_discover() -> None:
    wire = make_wire()
    client, _ = connected(wire)
    seen = []
    for mode in (c.IP_PMTUDISC_WANT, c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_DO, c.IP_PMTUDISC_PROBE):
        client.setsockopt(IPPROTO_IP, c.IP_MTU_DISCOVER, mode)
        since = len(wire.sent)
        client.send(b"x")
        wire.run()
        seen.append({packet.df for packet in sent_by(wire, wire.near, since)})
    assert seen == [{True}, {False}, {True}, {False}]


def test_the_syn_ack_has_the_df_bit_that_its_listener_wants() -> None:
    seen = []
    for mode in (c.IP_PMTUDISC_WANT, c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_DO, c.IP_PMTUDISC_PROBE):
        wire = make_wire()
        connected(wire, far=[(IPPROTO_IP, c.IP_MTU_DISCOVER, mode)])
        (answer,) = sent_by(wire, wire.far)
        seen.append(answer.df)
    assert seen == [True, False, True, False]


def test_the_syn_ack_agrees_to_ecn_for_a_congestion_control_that_wants_it(family: int) -> None:
    for name, agreed in ("cubic", 0), ("dctcp", CWR | ECE):
        wire = make_wire(tcp_ecn=0)
        listener = listening(
            wire.far, family, options=[(IPPROTO_TCP, c.TCP_CONGESTION, name.encode())]
        )
        client = wire.near.socket(family)
        client.setsockopt(IPPROTO_TCP, c.TCP_CONGESTION, b"dctcp")
        client.connect_ex(address_of(wire, listener))
        wire.run()
        (answer,) = sent_by(wire, wire.far)
        assert answer.flags == SYN | ACK | agreed


# -- segments -----------------------------------------------------------------------------------
def test_maxseg_caps_what_is_announced_and_what_is_sent(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_MAXSEG, 600)])
    assert sent_by(wire, wire.near)[0].option("mss") == (600,)
    client.send(bytes(3000))
    wire.run()
    assert {len(text) for text in text_of(sent_by(wire, wire.near))} == {588, 60}


def test_nagle_holds_a_second_small_segment_back_and_nodelay_does_not(family: int) -> None:
    sizes = []
    for nodelay in (0, 1):
        wire = make_wire()
        client, _ = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_NODELAY, nodelay)])
        since = len(wire.sent)
        for _ in range(3):
            client.send(b"x" * 10)
            wire.run(10)
        wire.run()
        sizes.append([len(text) for text in text_of(sent_by(wire, wire.near, since))])
    assert sizes == [[10, 20], [10, 10, 10]]


def test_setting_nodelay_sends_what_nagle_held_back(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    client.send(b"x" * 10)
    wire.run(10)
    client.send(b"y" * 10)
    wire.run(10)
    since = len(wire.sent)
    client.setsockopt(IPPROTO_TCP, c.TCP_NODELAY, 1)
    wire.run(10)
    assert text_of(sent_by(wire, wire.near, since)) == [b"y" * 10]


def test_a_cork_holds_partial_segments_until_it_is_drawn(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_CORK, 1)])
    since = len(wire.sent)
    client.send(b"head")
    client.send(b"tail")
    wire.run(100_000)
    assert not text_of(sent_by(wire, wire.near, since))
    client.setsockopt(IPPROTO_TCP, c.TCP_CORK, 0)
    wire.run(10)
    assert text_of(sent_by(wire, wire.near, since)) == [b"headtail"]


def test_with_quickack_off_an_ack_waits_to_ride_on_an_answer(family: int) -> None:
    acknowledged = []
    for quick in (1, 0):
        wire = make_wire()
        client, server = connected(wire, family)
        server.setsockopt(IPPROTO_TCP, c.TCP_QUICKACK, quick)
        since = len(wire.sent)
        client.send(b"x")
        wire.run(10_000)
        acknowledged.append(len(sent_by(wire, wire.far, since)))
    assert acknowledged == [1, 0]


# -- buffers and windows --------------------------------------------------------------------------
def test_the_receive_buffer_bounds_the_window_and_a_clamp_does_too(family: int) -> None:
    wire = make_wire()
    for option in ((SOL_SOCKET, c.SO_RCVBUF, 10_000), (IPPROTO_TCP, c.TCP_WINDOW_CLAMP, 9_000)):
        since = len(wire.sent)
        connected(wire, family, near=[option])
        syn = sent_by(wire, wire.near, since)[0]
        assert syn.flags == SYN
        assert option[2] * 3 // 4 < syn.window <= option[2]


def test_a_receive_buffer_set_on_a_listener_makes_no_extra_segment(family: int) -> None:
    wire = make_wire()
    connected(wire, family, far=[(SOL_SOCKET, c.SO_RCVBUF, 400_000)])
    wire.run()
    assert len(sent_by(wire, wire.far)) == 1  # the SYN,ACK


def test_notsent_lowat_keeps_the_unsent_short(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.setsockopt(IPPROTO_TCP, c.TCP_NOTSENT_LOWAT, 1000)
    while outcome(client.send, bytes(2000)) != "EAGAIN":
        wire.run(10)
    assert not client.poll() & c.POLLOUT
    assert client.ioctl(c.SIOCOUTQNSD) <= 3000
    wire.run()
    while outcome(server.recv, 65536) != "EAGAIN":
        wire.run()
    assert client.poll() & c.POLLOUT


def test_the_writer_who_was_sent_away_is_told_of_room_once(family: int) -> None:
    from pystack.events import EVENT_WRITABLE

    wire = make_wire()
    client, server = connected(wire, family)
    told: list[int] = []
    client.on_events = told.append
    client.send(b"x")
    wire.run()
    assert not [events for events in told if events & EVENT_WRITABLE]
    while outcome(client.send, bytes(100_000)) != "EAGAIN":
        wire.run()
    told.clear()
    for _ in range(100):
        outcome(server.recv, 1 << 20)
        wire.run()
    assert len([events for events in told if events & EVENT_WRITABLE]) == 1


# -- opening and closing --------------------------------------------------------------------------
def test_syncnt_bounds_how_long_a_connection_is_tried(family: int) -> None:
    wire = make_wire()
    wire.drop = lambda sender, packet: True
    sock = wire.near.socket(family)
    sock.setsockopt(IPPROTO_TCP, c.TCP_SYNCNT, 1)
    outcome(sock.connect, (ADDRESSES[family][1], 80))
    wire.run(2_900_000)
    assert error_of(sock) == 0
    wire.run(200_000)
    assert error_of(sock) == "ETIMEDOUT"


def test_linger2_bounds_how_long_a_closed_socket_awaits_the_peers_fin(family: int) -> None:
    wire = make_wire()
    client, _server = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_LINGER2, 3)])
    client.close()
    wire.run(2_900_000)
    assert wire.near.connections
    wire.run(200_000)
    assert not wire.near.connections


def test_a_negative_linger2_resets_at_once(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family, near=[(IPPROTO_TCP, c.TCP_LINGER2, -1)])
    since = len(wire.sent)
    client.close()
    wire.run()
    assert [packet.flags & (FIN | RST) for packet in sent_by(wire, wire.near, since)] == [FIN, RST]
    assert not wire.near.connections
    assert server.recv(1) == b""


def test_a_connection_without_data_is_not_accepted_before_defer_accept_has_passed(
    family: int,
) -> None:
    wire = make_wire()
    listener = listening(wire.far, family, options=[(IPPROTO_TCP, c.TCP_DEFER_ACCEPT, 3)])
    client = wire.near.socket(family)
    outcome(client.connect, address_of(wire, listener))
    wire.run(2 * SECOND)
    assert outcome(listener.accept) == "EAGAIN"
    wire.run(5 * SECOND)
    assert listener.accept()


def test_the_congestion_control_of_a_connection_can_be_changed(family: int) -> None:
    from pystack.cc import registry
    from pystack.cc.reno import Reno

    class Mine(Reno):
        name = "mine"
        __slots__ = ()

    registry.register("mine", Mine)
    wire = make_wire()
    client, _ = connected(wire, family)
    before = client.tcp_info().tcpi_snd_cwnd
    client.setsockopt(IPPROTO_TCP, c.TCP_CONGESTION, "mine")
    assert client.getsockopt(IPPROTO_TCP, c.TCP_CONGESTION, 4) == b"mine"
    assert client.tcp_info().tcpi_snd_cwnd == before
    client.send(bytes(1000))
    wire.run()
    assert client.ioctl(c.SIOCOUTQ) == 0
