"""tcp_info(), and TCP_INFO in the layout of Linux's `struct tcp_info`."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any

from pystack.sockets import constants as c
from pystack.sockets.tcp.tcp_info import STATES
from tests.sockets.wire import DELAY_US, connected, make_wire
from tests.sockets.world import World, outcome

# offsets and formats in the C structure
FIELDS = {
    "tcpi_state": (0, "B"), "tcpi_ca_state": (1, "B"), "tcpi_options": (5, "B"),
    "tcpi_unacked": (24, "I"), "tcpi_total_retrans": (100, "I"), "tcpi_notsent_bytes": (144, "I"),
    "tcpi_data_segs_in": (152, "I"), "tcpi_data_segs_out": (156, "I"),
    "tcpi_bytes_sent": (200, "Q"), "tcpi_bytes_retrans": (208, "Q"),
    "tcpi_rcv_ooopack": (224, "I"),
}  # fmt: skip


def info(sock: Any) -> dict[str, int]:
    """The fields above, from the bytes that getsockopt gives."""
    raw = sock.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 240)
    return {
        name: struct.unpack_from("=" + form, raw, offset)[0]
        for name, (offset, form) in FIELDS.items()
    }


def test_the_state_is_told_by_linuxs_numbers_through_a_whole_life(world: World) -> None:
    names = {number: state for state, number in STATES.items()}
    sock = world.near()
    told = [info(sock)["tcpi_state"]]
    outcome(sock.connect, world.silent_port())
    told.append(info(sock)["tcpi_state"])
    client, server = world.pair()
    told.append(info(client)["tcpi_state"])
    client.shutdown(c.SHUT_WR)
    world.settle()
    told += [info(client)["tcpi_state"], info(server)["tcpi_state"]]
    server.shutdown(c.SHUT_WR)
    world.settle()
    told += [info(client)["tcpi_state"], info(server)["tcpi_state"]]
    told.append(info(world.listener())["tcpi_state"])
    assert told.pop(3) in (4, 5)  # the kernel's ACK of the FIN may take 40 ms
    assert told == [7, 2, 1, 8, 7, 7, 10]
    assert [names[number] for number in (7, 10)] == [0, 1]


def test_counts_of_a_short_exchange_are_linuxs(world: World) -> None:
    client, server = world.pair()
    client.send(b"q" * 100)
    world.settle()
    server.recv(1000)
    server.send(b"a" * 200)
    world.settle()
    told = info(client)
    assert told == {
        "tcpi_state": 1, "tcpi_ca_state": 0, "tcpi_options": 7, "tcpi_unacked": 0,
        "tcpi_total_retrans": 0, "tcpi_notsent_bytes": 0, "tcpi_data_segs_in": 1,
        "tcpi_data_segs_out": 1, "tcpi_bytes_sent": 100, "tcpi_bytes_retrans": 0,
        "tcpi_rcv_ooopack": 0,
    }  # fmt: skip


def test_round_trip_windows_and_ages_are_told(family: int) -> None:
    wire = make_wire()
    client, server = connected(wire, family)
    client.send(bytes(20_000))
    wire.run(5_000)
    server.recv(100_000)
    wire.run(250_000)
    wire.near.on_time(wire.now_us)  # ages are told as of the last time that the host was told
    told = client.tcp_info()
    assert told.tcpi_min_rtt == 2 * DELAY_US
    assert told.tcpi_rtt >= 2 * DELAY_US
    assert told.tcpi_rto >= 200_000
    assert told.tcpi_pmtu == 1500
    assert told.tcpi_snd_mss == client.getsockopt(c.IPPROTO_TCP, c.TCP_MAXSEG)
    assert told.tcpi_snd_mss == told.tcpi_advmss
    assert (told.tcpi_snd_wscale, told.tcpi_rcv_wscale) == (7, 7)
    assert told.tcpi_snd_cwnd > 10
    assert told.tcpi_bytes_acked == 20_000
    assert 150 < told.tcpi_last_data_sent < 300
    assert server.tcp_info().tcpi_bytes_received == 20_000
    assert server.tcp_info().tcpi_data_segs_in == told.tcpi_data_segs_out
    assert server.tcp_info().tcpi_rcv_wnd == told.tcpi_snd_wnd > 0


def test_a_socket_without_a_connection_has_nothing_to_tell(family: int) -> None:
    wire = make_wire()
    told = dataclasses.asdict(wire.near.socket(family).tcp_info())
    assert {name: value for name, value in told.items() if value} == {
        "tcpi_state": 7, "tcpi_reordering": 3, "tcpi_pacing_rate": (1 << 64) - 1,
        "tcpi_max_pacing_rate": (1 << 64) - 1,
    }  # fmt: skip


def test_what_is_in_flight_and_lost_is_told(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    wire.drop = lambda sender, packet: sender is wire.near
    mss = client.tcp_info().tcpi_snd_mss
    client.send(bytes(3 * mss))
    wire.run(100)
    assert client.tcp_info().tcpi_unacked == 3
    wire.run(300_000)
    told = client.tcp_info()
    assert told.tcpi_ca_state == 4  # TCP_CA_Loss
    assert told.tcpi_retransmits == 1
    assert told.tcpi_total_retrans == 2  # a tail loss probe, then the timer's
    assert (told.tcpi_lost, told.tcpi_retrans) == (3, 1)  # a repeat counts in both
    assert (told.tcpi_snd_cwnd, told.tcpi_snd_ssthresh) == (1, 7)  # segments
    assert told.tcpi_bytes_retrans == 2 * mss


def test_the_bytes_say_what_the_object_says(family: int) -> None:
    wire = make_wire()
    client, _ = connected(wire, family)
    client.send(bytes(5000))
    wire.run()
    told = client.tcp_info()
    raw = client.getsockopt(c.IPPROTO_TCP, c.TCP_INFO, 300)
    assert isinstance(raw, bytes)
    assert len(raw) == 280
    assert {name: getattr(told, name) for name in FIELDS} == info(client)
    rto, ato, snd_mss, rcv_mss = struct.unpack_from("=4I", raw, 8)
    assert (rto, ato) == (told.tcpi_rto, told.tcpi_ato)
    assert (snd_mss, rcv_mss) == (told.tcpi_snd_mss, told.tcpi_rcv_mss)
    assert struct.unpack_from("=2I", raw, 68) == (told.tcpi_rtt, told.tcpi_rttvar)
    assert struct.unpack_from("=I", raw, 80) == (told.tcpi_snd_cwnd,)
    assert struct.unpack_from("=Q", raw, 120) == (told.tcpi_bytes_acked,)
    assert struct.unpack_from("=2I", raw, 228) == (told.tcpi_snd_wnd, told.tcpi_rcv_wnd)
