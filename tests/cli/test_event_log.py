"""The lines of `pystack serve`: what they say, and that they never flood the terminal."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

from pystack.cli.report.connection_facts import facts, lines
from pystack.cli.report.event_log import LINES_AT_ONCE, LINES_PER_SECOND, EventLog, Watched
from pystack.cli.services.small_servers import Discard
from pystack.sockets.tcp.tcp_info import OPT_SACK, OPT_TIMESTAMPS, OPT_WSCALE, TcpInfo


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Transport(asyncio.Transport):
    info = TcpInfo(
        1, tcpi_snd_mss=1448, tcpi_options=OPT_SACK | OPT_TIMESTAMPS | OPT_WSCALE,
        tcpi_snd_wscale=10, tcpi_rcv_wscale=7, tcpi_bytes_received=1234,
        tcpi_bytes_sent=5678 + 2896, tcpi_bytes_retrans=2896, tcpi_total_retrans=2,
        tcpi_notsent_bytes=1000,
    )  # fmt: skip

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"tcp_info": self.info, "peername": ("fd00::1", 40000, 0, 0)}.get(name, default)


def lines_of(error: Exception | None) -> list[str]:
    """What the log says of one connection that ends with `error`."""
    lines: list[str] = []
    protocol = Watched(Discard(), "discard", EventLog(lines.append))
    protocol.connection_made(Transport())
    protocol.connection_lost(error)
    return lines


def test_a_connection_that_opens_shows_what_was_negotiated() -> None:
    opened, _ = lines_of(None)
    assert "discard" in opened
    assert "[fd00::1]:40000" in opened
    assert opened.endswith("opened     mss 1448, wscale 10/7, sack, timestamps")


def test_a_connection_that_closes_shows_bytes_once_and_duration() -> None:
    _, closed = lines_of(None)
    assert " closed     in 1,234 B, out 6,678 B, 2 retransmitted, 0.0" in closed
    assert closed.endswith(" s")


def test_a_connection_that_breaks_counts_out_only_what_was_sent() -> None:
    _, reset = lines_of(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
    assert " reset      in 1,234 B, out 5,678 B, " in reset


def test_the_page_counts_repeats_apart() -> None:
    class Connected(Transport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            here = {"sockname": ("fd00::2", 80, 0, 0)}
            return here.get(name) or super().get_extra_info(name, default)

    known = facts(Connected())
    assert (known["bytes_out"], known["bytes_retransmitted"]) == (5678, 2896)
    shown = dict(lines(known))
    assert shown["sent"].startswith("5,678 bytes in ")
    assert shown["retransmitted"] == "2,896 bytes in 2 segments"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), " reset "),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), " timed out "),
        (OSError(errno.ENETDOWN, "Network is down"), " network is down "),
        (ValueError("a handler's own"), " failed "),
    ],
)
def test_a_connection_that_breaks_says_how(error: Exception, word: str) -> None:
    assert word in lines_of(error)[1]


def test_the_protocol_itself_is_told_of_everything() -> None:
    calls: list[Any] = []

    class Inner(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            calls.append(transport)

        def data_received(self, data: bytes) -> None:
            calls.append(data)

        def eof_received(self) -> bool:
            calls.append("eof")
            return True

        def pause_writing(self) -> None:
            calls.append("pause")

        def resume_writing(self) -> None:
            calls.append("resume")

        def connection_lost(self, exc: Exception | None) -> None:
            calls.append(exc)

    transport = Transport()
    protocol = Watched(Inner(), "http", EventLog(lambda line: None))
    protocol.connection_made(transport)
    protocol.data_received(b"x")
    protocol.pause_writing()
    protocol.resume_writing()
    assert protocol.eof_received()
    protocol.connection_lost(None)
    assert calls == [transport, b"x", "pause", "resume", "eof", None]


def test_a_burst_is_cut_short_and_the_rest_counted() -> None:
    lines: list[str] = []

    async def burst() -> None:
        log = EventLog(lines.append, Clock())
        for number in range(10_000):
            log.line(f"event {number}")
        log.close()

    asyncio.run(burst())
    assert len(lines) == LINES_AT_ONCE + 1
    assert lines[-1].endswith(f"{10_000 - LINES_AT_ONCE:,} more events")


def test_lines_come_again_when_time_has_passed() -> None:
    lines: list[str] = []
    clock = Clock()
    log = EventLog(lines.append, clock)
    for _ in range(LINES_AT_ONCE):
        log.line("x")
    clock.now += 1
    for _ in range(LINES_PER_SECOND):
        log.line("y")
    assert len(lines) == LINES_AT_ONCE + LINES_PER_SECOND


def test_nothing_is_held_back_without_a_burst() -> None:
    lines: list[str] = []
    log = EventLog(lines.append, Clock())
    log.line("one")
    log.close()
    assert len(lines) == 1
