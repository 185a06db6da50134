"""What the pair watches: it must notice what no host may send."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest

from pystack.path.link import Delay
from pystack.sockets import Host
from tests.kit.fake import IRS, ISS, ours
from tests.kit.flow import pattern
from tests.kit.packets.decode import BadPacket, Packet, decode
from tests.kit.packets.encode import ACK, FIN, PSH, SYN
from tests.kit.pair import Pair
from tests.kit.stream import Stream

WSCALE = b"\1\3\3\7"


def segment(
    seq: int, ack: int = 0, flags: int = ACK, payload: bytes = b"", window: int = 500,
    options: bytes = b"",
) -> Packet:  # fmt: skip
    return decode(ours(seq, ack, flags, window, options, payload))[0]


@pytest.fixture
def stream() -> Stream:
    """Ours, after its SYN; the peer has offered up to octet 500."""
    begun = Stream(segment(0, flags=SYN))
    begun.note(segment(0, flags=SYN), None)
    return begun


@pytest.fixture
def peer() -> Stream:
    other = Stream(segment(0, flags=SYN))
    other.iss = IRS & 0xFFFF_FFFF
    other.acked_wire = (ISS + 1) & 0xFFFF_FFFF
    other.right_edge = (ISS + 501) & 0xFFFF_FFFF
    return other


def test_a_good_stream_is_not_complained_of(stream: Stream, peer: Stream) -> None:
    stream.note(segment(1, 1), peer)
    stream.note(segment(1, 1, ACK | PSH, pattern(0, 300)), peer)
    stream.note(segment(101, 1, ACK | PSH, pattern(100, 400)), peer)
    stream.note(segment(1, 1, ACK | PSH, pattern(0, 500)), peer)
    stream.note(segment(501, 1, ACK | FIN), peer)
    stream.note(segment(502, 1), peer)
    assert stream.sent == pattern(0, 500)


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (segment(102, 1, payload=b"x"), "never sent"),
        (segment(52, 1, payload=bytes(10)), "not the same octets"),
        (segment(101, 1, payload=pattern(100, 401)), "beyond the window"),
        (segment(51, 1, ACK | FIN), "a FIN before the end"),
        (segment(101, 1, window=499), "the offered window shrank by 1"),
        (segment(101, 0, window=501), "the ACK number went back"),
    ],
)
def test_a_bad_segment_is_noticed(
    stream: Stream, peer: Stream, bad: Packet, complaint: str
) -> None:
    stream.note(segment(1, 1, payload=pattern(0, 100)), peer)
    with pytest.raises(BadPacket, match=complaint):
        stream.note(bad, peer)


def test_text_behind_the_fin_is_noticed(stream: Stream, peer: Stream) -> None:
    stream.note(segment(1, 1, ACK | FIN, pattern(0, 10)), peer)
    with pytest.raises(BadPacket, match="behind the FIN"):
        stream.note(segment(11, 1, payload=b"x"), peer)


@pytest.mark.parametrize("offload", [False, True])
@pytest.mark.parametrize("iss", [1, 2**32 - 20_000])
def test_two_hosts_talk_and_take_the_delay_of_the_way(offload: bool, iss: int) -> None:
    hosts = [
        Host(
            (f"198.18.0.{number}/24",),
            secret=bytes([number]) * 16,
            gso=offload,
            checksum_offload=offload,
        )
        for number in (1, 2)
    ]
    for host in hosts:
        host.isn = lambda key, now_us: iss
    pair = Pair(hosts[0], hosts[1], Delay(10_000), Delay(30_000))
    listener = hosts[1].socket()
    listener.bind(("", 80))
    listener.listen(5)
    client = hosts[0].socket()
    began_us = pair.now_us
    with suppress(BlockingIOError):
        client.connect(("198.18.0.2", 80))
    accepted = []

    def accept() -> bool:
        with suppress(BlockingIOError):
            accepted.append(listener.accept()[0])
        return bool(accepted)

    assert pair.run(accept, within_s=1)
    assert pair.now_us - began_us == 50_000  # SYN 10 ms, SYN,ACK 30 ms, ACK 10 ms
    text = pattern(0, 100_000)
    sent = 0
    got = bytearray()

    def talk() -> bool:
        nonlocal sent
        with suppress(BlockingIOError):
            while sent < len(text):
                sent += client.send(text[sent:])
        with suppress(BlockingIOError):
            while octets := accepted[0].recv(65536):
                got.extend(octets)
        return len(got) == len(text)

    assert pair.run(talk, within_s=10)
    assert got == text
    assert pair.packets > len(text) // 1460
    assert struct.unpack("!I", pair.history[0][2].octets[24:28]) == (iss,)


def test_running_out_of_time_is_told(stream: Stream) -> None:
    host = Host(("198.18.0.1/24",), secret=bytes(16))
    pair = Pair(host, Host(("198.18.0.2/24",), secret=bytes(16)), Delay(1), Delay(1))
    before_us = pair.now_us
    assert not pair.run(lambda: False, within_s=5)
    assert pair.now_us == before_us + 5_000_000
