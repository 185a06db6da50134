"""Script lines for runs of equal segments, so that a test with forty of them stays short."""

from __future__ import annotations

from typing import Final

MSS: Final = 1460


def sent(
    start: int, end: int, mss: int = MSS, *, ack: int = 1, push: bool = True, wait: str = "0"
) -> str:
    """Octets `start` to `end` leave at once, cut by `mss`; the last segment is pushed or not.

    `wait` is the time before the first one.
    """
    lines = []
    for left in range(start, end, mss):
        right = min(left + mss, end)
        flags = "P." if push and right == end else ". "
        lines.append(f"+{wait} > {flags} {left}:{right}({right - left}) ack {ack}")
        wait = "0"
    return "\n".join(lines) + "\n"


def repeated(line: str, count: int) -> str:
    """The same line `count` times."""
    return f"{line}\n" * count


# Segment n of our stream is octets MSS (n - 1) + 1 to MSS n.


def at(segment: int) -> int:
    """The number of the first octet of a segment."""
    return MSS * (segment - 1) + 1


def segments(*numbers: int, wait: str = "0") -> str:
    """Those segments leave, one by one; none is the end of what was written."""
    lines = ""
    for number in numbers:
        lines += sent(at(number), at(number + 1), push=False, wait=wait)
        wait = "0"
    return lines


def run(first: int, last: int, *, wait: str = "0") -> str:
    """Those segments and all between leave."""
    return segments(*range(first, last + 1), wait=wait)


def acked(last: int, *blocks: tuple[int, int], wait: str = "0") -> str:
    """An ACK of all segments up to `last`, with SACK blocks of segments, both ends inclusive."""
    line = f"+{wait} < . 1:1(0) ack {at(last + 1)}"
    if blocks:
        edges = " ".join(f"{at(left)}:{at(right + 1)}" for left, right in blocks)
        line += f" <nop,nop,sack {edges}>"
    return line + "\n"
