"""A host for tests of the kit: it sends what it is told to, when it is told to."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address

import pytest

from tests.kit.driver import START_US, Driver
from tests.kit.packets import encode
from tests.kit.packets.encode import ACK
from tests.kit.report import ScriptMismatch

ISS, IRS = 0xFFFF_FFF0, 0xFFFF_FFFE
OURS, THEIRS = ip_address("192.0.2.1").packed, ip_address("192.0.2.2").packed
OURS6, THEIRS6 = ip_address("2001:db8::1").packed, ip_address("2001:db8::2").packed


class FakeHost:
    """Sends what a test has scheduled, and what its `answer` makes of each incoming packet."""

    def __init__(self) -> None:
        self.schedule: list[tuple[int, bytes, int, int]] = []
        self.received: list[tuple[int, list[bytes]]] = []
        self.answer: Callable[[bytes], bytes | None] = lambda packet: None
        self._now = START_US

    def at(self, seconds: float, packet: bytes, gso_size: int = 0, state: int = 0) -> None:
        self.schedule.append((START_US + round(seconds * 1e6), packet, gso_size, state))
        self.schedule.sort(key=lambda item: item[0])

    def receive(self, packets: Iterable[tuple[bytes, int, int]], now_us: int) -> None:
        came = [packet for packet, _gso, _state in packets]
        self.received.append((now_us, came))
        for packet in came:
            reply = self.answer(packet)
            if reply is not None:
                self.schedule.insert(0, (now_us, reply, 0, 0))

    def transmit(self, now_us: int) -> list[tuple[bytes, int, int]]:
        due = [item[1:] for item in self.schedule if item[0] <= now_us]
        self.schedule = [item for item in self.schedule if item[0] > now_us]
        return due

    def next_deadline(self) -> int:
        return self.schedule[0][0] if self.schedule else 0

    def on_time(self, now_us: int) -> None:
        assert now_us >= self._now
        self._now = now_us


def ours(
    seq: int, ack: int = 0, flags: int = ACK, window: int = 500, options: bytes = b"",
    payload: bytes = b"", urgent: int = 0, version: int = 4, **ip_fields: int,
) -> bytes:  # fmt: skip
    """A segment of ours: port 40001 to 80, numbers relative to ISS and IRS."""
    src, dst = (OURS, THEIRS) if version == 4 else (OURS6, THEIRS6)
    segment = encode.tcp(
        src, dst, 40001, 80, seq + ISS, ack + IRS if flags & ACK else 0, flags, window,
        options, payload, urgent=urgent,
    )  # fmt: skip
    return encode.ip(src, dst, encode.TCP, segment, **ip_fields)  # type: ignore[arg-type]


def fails(kit: Driver, script: str, *words: str) -> str:
    with pytest.raises(ScriptMismatch) as failure:
        kit.play(script)
    text = str(failure.value)
    for word in words:
        assert word in text
    return text


SYN_OPTIONS = struct.pack("!BBH BB BBII B BBB", 2, 4, 1460, 4, 2, 8, 10, 777, 0, 1, 3, 3, 7)
SYN_LINE = "+0 > S 0:0(0) win 500 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 7>"
