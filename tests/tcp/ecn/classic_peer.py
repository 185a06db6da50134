"""A peer with classic ECN (RFC 3168)."""

from __future__ import annotations

from typing import Any

from tests.kit.tcp import Tcp

MSS = 1460
OPT_ECN, OPT_ECN_SEEN = 8, 16


def asked(tcp: Tcp, *, win: int = 65535, sack: bool = False) -> Any:
    """The peer has opened and asked for ECN."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEW 0:0(0) win {win} <mss 1460{",sackOK" if sack else ""}>
        +0   > S.E 0:0(0) ack 1 <...>
        +0.1 < .   1:1(0) ack 1 win {win}
        +0   quiet
        """
    )
    return listener.accept()[0]


def asking(tcp: Tcp) -> Any:
    """We have opened, asked, and the peer has agreed."""
    sock = tcp.connect()
    tcp.play(
        """
        +0   > SEW 0:0(0) <...>
        +0.1 < S.E 0:0(0) ack 1 win 65535 <mss 1460>
        +0   > .   1:1(0) ack 1
        """
    )
    return sock


def marked(start: int, end: int, *, flags: str = ".", first: str = "", push: bool = True) -> str:
    """Full ECT(0) segments of ours; `first` are more flags of the first one."""
    lines = []
    for left in range(start, end, MSS):
        right = min(left + MSS, end)
        more = (first if left == start else "") + ("P" if push and right == end else "")
        lines.append(f"+0 > [ect0] {flags}{more} {left}:{right}({right - left}) ack 1")
    return "\n".join(lines) + "\n"
