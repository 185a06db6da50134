"""The small servers, driven by hand: RFC 862 echo, 863 discard, 864 chargen, 867 daytime."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from pystack.cli.services.small_servers import PATTERN, Chargen, Daytime, Discard, Echo, daytime


class Transport(asyncio.Transport):
    """Records; says stop after `room` bytes."""

    def __init__(self, protocol: Any, room: int = 1 << 30) -> None:
        super().__init__()
        self.protocol = protocol
        self.room = room
        self.written = b""
        self.calls: list[str] = []
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        before = len(self.written)
        self.written += bytes(data)
        if before <= self.room < len(self.written):
            self.protocol.pause_writing()

    def pause_reading(self) -> None:
        self.calls.append("pause_reading")

    def resume_reading(self) -> None:
        self.calls.append("resume_reading")

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


def test_echo_sends_back_what_it_gets() -> None:
    protocol = Echo()
    transport = Transport(protocol)
    protocol.data_received(b"one")
    protocol.data_received(b"\0two")
    assert transport.written == b"one\0two"


def test_echo_reads_no_more_while_the_peer_does_not_take_it_back() -> None:
    protocol = Echo()
    transport = Transport(protocol, room=10)
    protocol.data_received(bytes(11))
    assert transport.calls == ["pause_reading"]
    protocol.resume_writing()
    assert transport.calls == ["pause_reading", "resume_reading"]


@pytest.mark.parametrize("server", [Echo, Discard, Chargen])
def test_the_peers_end_of_stream_closes_the_connection(server: Any) -> None:
    protocol = server()
    Transport(protocol, room=100)
    assert not protocol.eof_received()


def test_discard_never_answers() -> None:
    protocol = Discard()
    transport = Transport(protocol)
    protocol.data_received(b"anything")
    assert transport.written == b""
    assert transport.calls == []


def test_daytime_says_one_line_and_closes() -> None:
    transport = Transport(Daytime())
    assert re.fullmatch(
        rb"[A-Z][a-z]+day, [A-Z][a-z]+ \d{1,2}, \d{4} \d\d:\d\d:\d\d-\S+\r\n", transport.written
    )
    assert transport.calls == ["close"]


def test_daytime_of_the_epoch_is_its_local_time() -> None:
    assert f"{time.localtime(0).tm_year}".encode() in daytime(0)


def test_chargen_sends_72_characters_a_line_each_one_further() -> None:
    lines = PATTERN.split(b"\r\n")
    assert lines.pop() == b""
    assert {len(line) for line in lines} == {72}
    assert lines[0].startswith(b" !\"#$%&'()*+,-./0123456789:;<=>?@ABC")
    assert lines[1] == lines[0][1:] + b"h"
    assert len(set(lines)) == len(lines) == 95
    assert lines[-1][1:] + b"g" == lines[0]  # and around again


def test_chargen_stops_when_the_peer_has_no_room_and_goes_on_when_it_has() -> None:
    protocol = Chargen()
    transport = Transport(protocol, room=1000)
    first = len(transport.written)
    assert 1000 < first <= 1000 + len(PATTERN)
    transport.room = first + 1000
    protocol.resume_writing()
    assert first < len(transport.written) <= first + 1000 + len(PATTERN)
    assert (PATTERN * 3).startswith(transport.written)


def test_chargen_throws_away_what_it_gets() -> None:
    protocol = Chargen()
    transport = Transport(protocol, room=0)
    before = transport.written
    protocol.data_received(b"x")
    assert transport.written == before
