"""A peer with accurate ECN feedback (RFC 9768), and what a connection has counted."""

from __future__ import annotations

from typing import Any

from tests.kit.tcp import Tcp

MSS = 1460
TOLD = {0: "W", 1: "EW", 2: "A", 3: "WA"}  # the ECN field that a SYN came with


def ace(number: int) -> str:
    """The letters of the ACE field."""
    return "".join(letter for letter, bit in (("E", 1), ("W", 2), ("A", 4)) if number % 8 & bit)


def counters(ceb: int = 0, e0b: int = 1, e1b: int = 1) -> str:
    """The option with all three, as Linux writes it."""
    return f"raw 0xae0b{e1b:06x}{ceb:06x}{e0b:06x},nop"


def asked(tcp: Tcp, *, option: bool = False) -> Any:
    """The peer has opened and asked for accurate feedback; `option`: it uses the option."""
    listener = tcp.listen()
    tcp.play(
        f"""
        +0   < SEWA 0:0(0) win 65535 <mss 1460>
        +0   > S.W  0:0(0) ack 1 <mss 1460,{counters()}>
        +0.1 < .W   1:1(0) ack 1 <{counters() if option else ""}>
        +0   quiet
        """
    )
    return listener.accept()[0]


def asking(
    tcp: Tcp, *, field: int = 0, option: bool = False, answer: str = "W", ect: bool = True
) -> Any:
    """We have opened, asked, and the peer has agreed in a SYN,ACK with that ECN field; `ect`: that
    answer is credible, so that what we send is ECT."""
    sock = tcp.connect()
    offer = f",{counters()}" if option else ""
    tcp.play(
        f"""
        +0   > SEWA 0:0(0) <...>
        +0.1 < [tos {field}] S.{answer} 0:0(0) ack 1 win 65535 <mss 1460{offer}>
        +0   > [tos {2 * ect}] .{TOLD[field]} 1:1(0) ack 1 <{counters() if option else ""}>
        """
    )
    return sock


def ssthresh(sock: Any) -> int:
    """In segments; a large number while nothing has cut it."""
    return int(sock.tcp_info().tcpi_snd_ssthresh)
