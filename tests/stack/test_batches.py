"""What a host does with packets that come in: it counts them, and notifies owners at the end."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pystack import Host
from pystack.events import EVENT_ACCEPTABLE, EVENT_CLOSED, EVENT_READABLE
from pystack.wire.batch import Packet, RxBatch
from pystack.wire.segment import Segment
from tests.kit.packets.decode import decode
from tests.sockets.wire import address_of, connected, listening, make_wire


def one_by_one(host: Host, packets: list[Packet], now_us: int) -> None:
    """As a simulated link does, which has parsed them already."""
    rx = RxBatch(1)
    for packet in packets:
        rx.clear()
        rx.add(*packet)
        segment = Segment()
        segment.load(rx.view, rx.records, 0)
        host.receive_segment(segment, now_us)


@pytest.mark.parametrize(
    ("receive", "times"), [(Host.receive, 1), (one_by_one, 3)], ids=["batch", "segments"]
)
def test_owners_are_notified_before_it_returns(receive: Callable[..., None], times: int) -> None:
    wire = make_wire()
    client, server = connected(wire)
    wire.run()
    told: list[int] = []
    server.on_events = told.append
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    packets: list[Any] = []
    for text in b"abc":
        client.send(bytes((text,)))
        sent = wire.near.transmit(wire.now_us)
        packets += [(bytes(view), gso, state) for view, gso, state in sent]
    before = wire.far.counters.as_dict()
    receive(wire.far, packets, wire.now_us)
    assert told == [EVENT_READABLE] * times
    assert server.recv(10) == b"abc"
    after = wire.far.counters.as_dict()
    changed = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert changed == {"in_packets": 3, "in_segs": 3}


def test_whoever_drives_a_host_is_told_once_that_there_is_something_to_send() -> None:
    wire = make_wire()
    client, _ = connected(wire)
    wire.run()
    told: list[str] = []
    wire.near.on_dirty = lambda: told.append("dirty")
    for _ in range(2):
        client.send(b"x")
    assert told == ["dirty"]
    wire.run()
    assert told == ["dirty"]
    client.send(b"x")
    assert told == ["dirty", "dirty"]
    wire.run()
    datagrams = wire.near.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.sendto(b"x", ("198.18.0.2", 53))
    assert told == ["dirty"] * 3


def test_when_the_device_is_gone_every_owner_is_told_and_nothing_is_sent() -> None:
    wire = make_wire()
    client, server = connected(wire)
    listener = wire.near.socket()
    listener.bind(("", 80))
    listener.listen(1)
    wire.run()
    told: list[tuple[str, int]] = []
    client.on_events = lambda events: told.append(("client", events))
    listener.on_events = lambda events: told.append(("listener", events))
    server.on_events = lambda events: told.append(("server", events))
    wire.near.fail_all(errno.ENETDOWN)
    assert dict(told).keys() == {"client", "listener"}
    assert len(told) == 2
    assert dict(told)["client"] & EVENT_CLOSED
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN
    assert list(wire.near.transmit(wire.now_us)) == []
    assert not wire.near.connections


def test_a_listener_is_told_once_of_all_that_a_batch_has_brought() -> None:
    wire = make_wire()
    listener = listening(wire.far)
    told: list[int] = []
    listener.on_events = told.append
    for count in (1, 2):
        clients = [wire.near.socket() for _ in range(2)]
        for client in clients:
            client.connect_ex(address_of(wire, listener))
        wire.run()
        assert told == [EVENT_ACCEPTABLE] * count
        for _ in clients:
            listener.accept()


def test_a_connection_that_fills_the_batch_goes_on_behind_all_others() -> None:
    wire = make_wire(tcp_rmem=(4096, 4_000_000, 6_000_000), tcp_wmem=(4096, 4_000_000, 4_000_000))
    (many, reader), (few, _) = connected(wire), connected(wire)
    for _ in range(20):  # until the windows are larger than a batch
        many.send(bytes(600_000))
        wire.run(200_000)
        while reader.skip():
            wire.run()
    wire.near.tx.limit(0)  # as a driver does whose device is full: 256 KB at once
    assert many.send(bytes(400_000)) == 400_000
    assert few.send(b"little") == 6
    batches: list[list[str]] = []
    octets = {"many": 0, "few": 0}
    names = {sock.getsockname()[1]: name for name, sock in (("many", many), ("few", few))}
    while tx := wire.near.transmit(wire.now_us):
        batches.append([])
        for packet in tx:
            for segment in decode(bytes(packet[0]), *packet[1:]):
                name = names[segment.src_port]
                octets[name] += len(segment.payload)
                if batches[-1][-1:] != [name]:
                    batches[-1].append(name)
    assert batches[:2] == [["many"], ["few", "many"]]
    assert octets == {"many": 400_000, "few": 6}
