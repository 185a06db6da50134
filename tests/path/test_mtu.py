"""A narrow place on the way, and what it says (RFC 1191 §4, RFC 4443 §3.2, RFC 1122 §3.2.2)."""

from __future__ import annotations

import contextlib

import pytest

from pystack.path.faults import Cut
from pystack.path.link import Delay, Link
from pystack.path.mtu import Mtu
from pystack.path.scheduled import Scheduled
from pystack.sockets import Host
from pystack.wire import consts
from pystack.wire.batch import RxBatch
from tests.path.traffic import partial, sized
from tests.wire import crafted


def told(mtu: Mtu, octets: bytes) -> list[bytes]:
    assert mtu.feed((octets, 0, consts.CHECKSUM_COMPLETE), 1) == []
    return [bytes(answer[0]) for answer in mtu.take_answers()]


@pytest.mark.parametrize("version", [4, 6])
def test_what_fits_passes_and_what_does_not_is_lost(version: int) -> None:
    stage = Mtu(1300)
    fits, too_big = sized(1300, version=version), sized(1301, version=version)
    assert stage.feed(fits, 1) == [fits]
    assert stage.feed(too_big, 2) == []
    assert stage.counts() == {"too_big": 1}


def test_the_sender_of_an_ipv4_packet_is_told_the_mtu() -> None:
    packet = bytes(sized(1301)[0])
    (answer,) = told(Mtu(1300), packet)
    assert answer[12:16] == packet[16:20]  # from whom it was for
    assert answer[16:20] == packet[12:16]  # to whom it came from
    assert answer[9] == consts.IPPROTO_ICMP
    assert answer[20:22] == b"\x03\x04"
    assert int.from_bytes(answer[26:28], "big") == 1300
    assert answer[28:] == packet[:548]
    assert len(answer) == 576
    assert crafted.ones_sum(answer[:20]) == crafted.ones_sum(answer[20:]) == 0xFFFF


def test_the_sender_of_an_ipv6_packet_is_told_the_mtu() -> None:
    packet = bytes(sized(1401, version=6)[0])
    (answer,) = told(Mtu(1400), packet)
    assert answer[8:40] == packet[24:40] + packet[8:24]
    assert answer[6] == consts.IPPROTO_ICMPV6
    assert answer[40:42] == b"\x02\x00"
    assert int.from_bytes(answer[44:48], "big") == 1400
    assert answer[48:] == packet[: 1280 - 48]
    pseudo = answer[8:40] + (len(answer) - 40).to_bytes(4, "big") + b"\0\0\0\x3a"
    assert crafted.ones_sum(pseudo + answer[40:]) == 0xFFFF
    rx = RxBatch(1)
    assert rx.add(answer, 0, consts.CHECKSUM_COMPLETE) == consts.KIND_OTHER


@pytest.mark.parametrize("version", [4, 6])
def test_the_message_fits_through_the_narrow_place_itself(version: int) -> None:
    (answer,) = told(Mtu(400), bytes(sized(401, version=version)[0]))
    assert len(answer) == 400


def test_answers_are_given_once() -> None:
    stage = Mtu(1300)
    assert stage.answers
    stage.feed(sized(1301), 1)
    ((_, gso_size, state),) = stage.take_answers()
    assert (gso_size, state) == (0, consts.CHECKSUM_COMPLETE)
    assert stage.take_answers() == []


def test_a_silent_one_says_nothing() -> None:
    stage = Mtu(1300, silent=True)
    assert not stage.answers
    assert told(stage, bytes(sized(1400)[0])) == []
    assert stage.too_big == 1


@pytest.mark.parametrize(
    ("what", "packet"),
    [
        ("may be fragmented", crafted.ipv4(crafted.tcp(text=bytes(200)), fragment=0)),
        ("an ICMP error", crafted.ipv4(b"\x03\x01" + bytes(200), protocol=1)),
        ("an ICMPv6 error", crafted.ipv6(b"\x01\x00" + bytes(200), protocol=58)),
        ("to a multicast group", crafted.ipv4(bytes(200), target="224.0.0.1")),
        ("from nobody", crafted.ipv4(bytes(200), source="0.0.0.0")),
        ("from nobody", crafted.ipv6(bytes(200), source="::")),
        ("a later fragment", crafted.ipv4(bytes(200), fragment=0x4010)),
        ("nonsense", bytes(200)),
        ("nonsense", b"\x45" + bytes(199)),
    ],
)
def test_nobody_is_told_of(what: str, packet: bytes) -> None:
    assert told(Mtu(100), packet) == [], what


@pytest.mark.parametrize(
    "packet",
    [
        crafted.ipv4(b"\x08\x00" + bytes(200), protocol=1),
        crafted.ipv6(b"\x80\x00" + bytes(200), protocol=58),
        crafted.ipv4(bytes(200), protocol=17),
    ],
)
def test_senders_of_pings_and_datagrams_are_told(packet: bytes) -> None:
    assert len(told(Mtu(100), packet)) == 1


def test_a_link_gathers_what_its_stages_answer() -> None:
    link = Link(Scheduled((10, Mtu(1400)), (20, Mtu(1300))), Delay(5), Mtu(1200))
    assert link.answers
    for at_us in (1, 12, 22):
        link.feed(sized(1350), at_us)
    link.take(100)
    mtus = [int.from_bytes(answer[0][26:28], "big") for answer in link.take_answers()]
    assert mtus == [1300, 1200, 1200]
    assert link.take_answers() == []
    assert not Link(Delay(5), Mtu(1200, silent=True)).answers


@pytest.mark.parametrize("version", [4, 6])
def test_a_host_that_is_told_sends_smaller_segments(version: int) -> None:
    """The MTU of the way falls from 1500 to 1300 in the midst of a connection."""
    near = Host(["198.18.0.1/24", "fd00::1/64"], secret=bytes(16))
    far = Host(["198.18.0.2/24", "fd00::2/64"], secret=bytes(16))
    narrow = Link(Cut(), Scheduled((50_000, Mtu(1300))))
    family, address = (2, "198.18.0.2") if version == 4 else (10, "fd00::2")
    server = far.socket(family)
    server.bind((address, 80))
    server.listen(5)
    client = near.socket(family)
    client.connect_ex((address, 80))
    got = bytearray()
    text = bytes(range(256)) * 400
    sent = 0
    for now_us in range(1_000, 3_000_000, 1_000):
        for packet in near.transmit(now_us):
            for octets, gso_size, state in narrow.feed(packet, now_us):
                far.receive([(bytes(octets), gso_size, state)], now_us)
        near.receive(narrow.take_answers(), now_us)
        near.receive([(bytes(p[0]), p[1], p[2]) for p in far.transmit(now_us)], now_us)
        if now_us == 60_000:
            connection, _ = server.accept()
        if now_us > 60_000:
            sent += client.send(text[sent : sent + 5_000]) if sent < len(text) else 0
            with contextlib.suppress(BlockingIOError):
                got += connection.recv(65_536)
        near.on_time(now_us)
        far.on_time(now_us)
    assert got == text
    info = client.tcp_info()
    assert info.tcpi_pmtu == 1300
    assert narrow.counts()["too_big"] >= 1


def test_runs_belong_behind_a_cut() -> None:
    run = partial(bytes(5_000), gso_size=1000)
    assert len(Link(Cut(), Mtu(1200)).feed(run, 1)) == 5
    assert Mtu(1200).feed(run, 1) == []


def test_an_mtu_below_what_ipv4_needs_is_refused() -> None:
    with pytest.raises(ValueError, match="68 at least: 67"):
        Mtu(67)
