"""The scoreboard under peers that report crumbs by SACK: bounded, and none the worse for it."""

from __future__ import annotations

from pystack.tcp.scoreboard.ack_result import AckResult
from pystack.tcp.scoreboard.scoreboard import Scoreboard

MSS = 1460


def test_blocks_of_single_octets_make_no_more_runs_than_twice_the_segments() -> None:
    board = Scoreboard(AckResult())
    board.mss = MSS
    flight = 4_000_000
    board.sent(0, flight, 1)
    for seq in range(2, flight, 40):
        board.sacked(seq, seq + 1, 2)
    # an octet and the gap behind it are two runs: of 100,000 blocks most are not taken
    assert board.sacked_bytes <= flight // MSS + 1024
    assert board.sacked(0, flight, 3)  # whole runs are still marked
    assert board.sacked_bytes == flight
    board.acked(flight, 4)
    assert board.sacked_bytes == board.lost_bytes == 0
    assert board.delivered == flight


def test_blocks_at_the_edges_of_segments_are_all_taken_however_many_there_are() -> None:
    board = Scoreboard(AckResult())
    board.mss = MSS
    for number in range(4000):
        board.sent(number * MSS, (number + 1) * MSS, number + 1)
    for number in range(1, 4000, 2):
        board.sacked(number * MSS, (number + 1) * MSS, 5000)
    assert board.sacked_bytes == 2000 * MSS
