"""The lines of `pystack demo`, from packets made by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pystack.cli.report.transcript import WIDE, Transcript
from pystack.cli.terminal.colours import Palette
from pystack.tcp.state.states import (
    CLOSE_WAIT,
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from pystack.wire import codec
from pystack.wire.address import pack
from pystack.wire.batch import Packet
from pystack.wire.consts import ACK, CHECKSUM_COMPLETE, SYN
from pystack.wire.flow_key import flow_key

KEY = flow_key(pack("198.18.0.2"), pack("198.18.0.1"), 80, 40000)
BACK = flow_key(pack("198.18.0.1"), pack("198.18.0.2"), 40000, 80)


def packet(key: bytes, seq: int, ack: int, flags: int, tsval: int, tsecr: int) -> Packet:
    """A segment without text, sent from the local side of `key`."""
    arena = bytearray(200)
    length = codec.build_tcp(
        codec.pin(arena), 0, key, seq, ack, flags, 65000, 0, 0, 64, 0, 1, 1, tsval, tsecr, b"", 0,
        CHECKSUM_COMPLETE,
    )  # fmt: skip
    return bytes(arena[:length]), 0, CHECKSUM_COMPLETE


class Page:
    """A transcript without colours, and what it wrote."""

    def __init__(self, columns: int = WIDE) -> None:
        self.lines: list[str] = []
        self.later: list[Callable[[], None]] = []
        self.ended = 0
        self.transcript = Transcript(
            self.lines.append,
            Palette(False),
            clock=lambda: 5_000_000,
            soon=self.later.append,
            over=self._over,
            columns=columns,
        )

    def _over(self) -> None:
        self.ended += 1

    def words(self) -> list[list[str]]:
        self.transcript.flush()
        return [line.split() for line in self.lines]


def test_a_state_stands_on_the_line_of_the_segment_that_led_to_it() -> None:
    page = Page()
    page.transcript.packet(True, packet(BACK, 100, 0, SYN, 7, 0), 1_000_000)
    page.transcript.state(KEY, LISTEN, SYN_RECEIVED, 1_000_000)
    page.transcript.packet(False, packet(KEY, 500, 101, SYN | ACK, 9, 7), 1_000_250)
    assert [" ".join(words) for words in page.words()] == [
        "0.000 < S 0:0(0) win 65000 <nop,nop,TS val 0 ecr 0> SYN_RECEIVED",
        "0.250 > S. 0:0(0) ack 1 win 65000 <nop,nop,TS val 0 ecr 0>",
    ]


def test_two_states_of_one_segment_stand_below_each_other() -> None:
    page = Page()
    page.transcript.packet(True, packet(BACK, 100, 1, ACK, 7, 0), 1_000_000)
    page.transcript.state(KEY, 5, FIN_WAIT_2, 1_000_000)
    page.transcript.state(KEY, FIN_WAIT_2, TIME_WAIT, 1_000_000)
    page.transcript.flush()
    first, second = page.lines
    assert first.endswith(" FIN_WAIT_2")
    assert second.split() == ["TIME_WAIT"]
    column = page.transcript.heading().index("our state")
    assert first.index("FIN_WAIT_2") == second.index("TIME_WAIT") == column


def test_a_transcript_begins_with_the_state_there_is() -> None:
    page = Page()
    page.transcript.start(CLOSED)
    page.transcript.listening()
    page.transcript.flush()
    assert [line.split() for line in page.lines] == [["CLOSED"], ["0.000", "listen()", "LISTEN"]]


def test_states_that_a_call_or_the_clock_brought_have_lines_of_their_own() -> None:
    page = Page()
    page.transcript.listening()
    page.transcript.state(KEY, CLOSE_WAIT, LAST_ACK, 5_000_300)
    page.transcript.state(KEY, TIME_WAIT, CLOSED, 5_001_000)
    assert page.words() == [
        ["0.000", "listen()", "LISTEN"],
        ["0.300", "close()", "LAST_ACK"],
        ["1.000", "2", "MSL", "have", "passed", "CLOSED"],
    ]


def test_a_connect_before_the_first_packet_has_the_time_of_the_clock() -> None:
    page = Page()
    page.transcript.state(KEY, CLOSED, SYN_SENT, 1)
    page.transcript.packet(False, packet(KEY, 500, 0, SYN, 9, 0), 5_000_100)
    assert [words[0] for words in page.words()] == ["0.000", "0.100"]


def test_a_half_open_record_that_becomes_a_connection_is_no_second_state() -> None:
    page = Page()
    page.transcript.packet(True, packet(BACK, 100, 0, SYN, 7, 0), 1_000_000)
    page.transcript.state(KEY, LISTEN, SYN_RECEIVED, 1_000_000)
    page.transcript.packet(True, packet(BACK, 101, 501, ACK, 8, 9), 1_001_000)
    page.transcript.state(KEY, CLOSED, SYN_RECEIVED, 1_001_000)
    page.transcript.state(KEY, SYN_RECEIVED, ESTABLISHED, 1_001_000)
    assert [words[-1] for words in page.words()] == ["SYN_RECEIVED", "ESTABLISHED"]


def test_the_end_of_a_connection_is_told() -> None:
    page = Page()
    page.transcript.state(KEY, TIME_WAIT, CLOSED, 5_000_000)
    assert page.ended == 1


def test_timestamps_count_from_the_first_of_each_side() -> None:
    page = Page()
    page.transcript.packet(True, packet(BACK, 100, 0, SYN, 0xFFFF_FFFF, 0), 1_000_000)
    page.transcript.packet(False, packet(KEY, 500, 101, SYN | ACK, 900, 0xFFFF_FFFF), 1_000_000)
    page.transcript.packet(True, packet(BACK, 101, 501, ACK, 4, 903), 1_000_000)
    page.transcript.flush()
    assert "TS val 0 ecr 0" in page.lines[0]
    assert "TS val 0 ecr 0" in page.lines[1]
    assert "TS val 5 ecr 3" in page.lines[2]


def test_a_held_line_is_written_at_the_end_of_the_turn() -> None:
    page = Page()
    page.transcript.packet(True, packet(BACK, 100, 1, ACK, 7, 0), 1_000_000)
    assert page.lines == []
    page.later.pop()()
    assert len(page.lines) == 1


def longest() -> Packet:
    """A SYN with all options, and the largest numbers."""
    arena = bytearray(200)
    options = bytes([2, 4, 5, 180, 4, 2, 8, 10, *[255] * 4, *[0] * 4, 1, 3, 3, 14])
    length = codec.build_tcp(
        codec.pin(arena), 0, BACK, 100, 0, SYN, 65000, 0, 0, 64, 0, 1, 0, 0, 0, options, 0,
        CHECKSUM_COMPLETE,
    )  # fmt: skip
    return bytes(arena[:length]), 0, CHECKSUM_COMPLETE


@pytest.mark.parametrize("columns", [WIDE, 200])
def test_where_there_is_room_a_segment_is_one_line(columns: int) -> None:
    page = Page(columns)
    page.transcript.packet(True, longest(), 1_000_000)
    page.transcript.state(KEY, LISTEN, SYN_RECEIVED, 1_000_000)
    page.transcript.flush()
    (line,) = page.lines
    assert "mss 1460" in line
    assert line.endswith(" SYN_RECEIVED")
    assert max(len(line), len(page.transcript.heading())) <= WIDE


def test_in_80_columns_the_options_stand_in_a_line_of_their_own() -> None:
    page = Page(80)
    page.transcript.packet(True, longest(), 1_000_000)
    page.transcript.state(KEY, LISTEN, SYN_RECEIVED, 1_000_000)
    page.transcript.packet(True, packet(BACK, 101, 501, ACK, 8, 9), 1_001_000)
    page.transcript.state(KEY, SYN_RECEIVED, ESTABLISHED, 1_001_000)
    page.transcript.flush()
    syn, options, ack = page.lines
    assert syn.split()[:3] == ["0.000", "<", "S"]
    assert syn.endswith(" SYN_RECEIVED")
    assert options.strip().startswith("<mss 1460,sackOK,")
    assert ack.split()[-3:] == ["ecr", "9>", "ESTABLISHED"]  # this one has room
    assert syn.index("SYN_RECEIVED") == ack.index("ESTABLISHED")
    assert max(map(len, [*page.lines, page.transcript.heading()])) <= 80


def test_below_80_columns_no_line_is_cut() -> None:
    page = Page(20)
    page.transcript.packet(True, longest(), 1_000_000)
    page.transcript.state(KEY, LISTEN, SYN_RECEIVED, 1_000_000)
    page.transcript.flush()
    assert page.lines[0].endswith(" SYN_RECEIVED")
    assert "wscale" in page.lines[1]
