"""Script lines for runs of equal segments, so that a test with forty of them stays short."""

from __future__ import annotations


def sent(
    start: int, end: int, mss: int = 1460, *, ack: int = 1, push: bool = True, wait: str = "0"
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
