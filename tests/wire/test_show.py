"""The one-line notation."""

from __future__ import annotations

import struct

import pytest

from pystack.wire import consts
from pystack.wire.show import Notation
from tests.wire import crafted
from tests.wire.crafted import OURS4, OURS6, PEER4, PEER6

S, A, P, F, R = consts.SYN, consts.ACK, consts.PSH, consts.FIN, consts.RST
SYN_OPTIONS = bytes.fromhex("020405b4 0402 080a 00000001 00000000 01 030307")
DATA_OPTIONS = bytes.fromhex("0101080a 00000005 00000004")


def sent(
    flags: int, seq: int, ack: int = 0, text: bytes = b"", options: bytes = b"", **more: int
) -> bytes:
    """From the peer to us."""
    return crafted.ipv4(
        crafted.tcp(
            flags=flags, seq=seq & 0xFFFFFFFF, ack=ack & 0xFFFFFFFF, options=options, text=text,
            **more,
        )  # type: ignore[arg-type]
    )  # fmt: skip


def answer(flags: int, seq: int, ack: int = 0, text: bytes = b"", options: bytes = b"") -> bytes:
    """From us to the peer."""
    upper = crafted.tcp(
        OURS4, PEER4, sport=80, dport=40000, flags=flags, seq=seq & 0xFFFFFFFF,
        ack=ack & 0xFFFFFFFF, options=options, text=text, wnd=502,
    )  # fmt: skip
    return crafted.ipv4(upper, source=OURS4, target=PEER4)


@pytest.mark.parametrize("peer", [1000, 0xFFFFFFF0])
@pytest.mark.parametrize("us", [5000, 0xFFFFFFFF])
def test_a_connection_reads_in_relative_numbers(peer: int, us: int) -> None:
    notation = Notation()
    packets = (
        sent(S, peer, options=SYN_OPTIONS, wnd=64240),
        answer(S | A, us, peer + 1, options=bytes.fromhex("020405b4")),
        sent(A, peer + 1, us + 1),
        sent(P | A, peer + 1, us + 1, b"x" * 77, DATA_OPTIONS),
        answer(A, us + 1, peer + 78),
        sent(F | A, peer + 78, us + 1),
        sent(R, peer + 79),
    )
    lines = [notation.line(packet) for packet in packets]
    assert lines == [
        "S 0:0(0) win 64240 <mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7>",
        "S. 0:0(0) ack 1 win 502 <mss 1460>",
        ". 1:1(0) ack 1 win 500",
        "P. 1:78(77) ack 1 win 500 <nop,nop,TS val 5 ecr 4>",
        ". 1:1(0) ack 78 win 502",
        "F. 78:78(0) ack 1 win 500",
        "R 79:79(0) win 500",
    ]


def test_sack_blocks_are_relative_to_whom_they_tell() -> None:
    notation = Notation()
    notation.line(sent(S, 1000))
    notation.line(answer(S | A, 5000, 1001))
    options = b"\1\1\5\x12" + struct.pack("!4I", 1101, 1201, 1001, 1051)
    line = notation.line(answer(A, 5001, 1001, options=options))
    assert line == ". 1:1(0) ack 1 win 502 <nop,nop,sack 101:201 1:51>"


def test_numbers_of_a_flow_whose_start_was_not_seen_are_absolute() -> None:
    assert Notation().line(sent(P | A, 7, 9, b"x")) == "P. =7:=8(1) ack =9 win 500"


def test_a_syn_ack_tells_the_other_directions_start_too() -> None:
    notation = Notation()
    notation.line(answer(S | A, 5000, 1001))
    assert notation.line(sent(A, 1001, 5001)) == ". 1:1(0) ack 1 win 500"


def test_a_new_connection_on_the_same_ports_starts_anew() -> None:
    notation = Notation()
    notation.line(sent(S, 1000))
    notation.line(answer(S | A, 5000, 1001))
    assert notation.line(sent(S, 9000)) == "S 0:0(0) win 500"
    assert notation.line(answer(R | A, 0, 9001)) == "R. =0:=0(0) ack 1 win 502"


def test_all_flags_and_odd_options_are_shown() -> None:
    options = bytes((254, 4, 0xF9, 0x89, 2, 3, 7, 0))
    line = Notation().line(sent(0x1FF, 7, 9, options=options, urgent=3))
    assert line == "FSRP.UEWA 0:0(0) ack 1 win 500 urg 3 <raw 0xfe04f989,raw 0x020307,eol>"
    assert Notation().line(sent(0, 7)) == "- =7:=7(0) win 500"


@pytest.mark.parametrize(("tos", "mark"), [(0, ""), (1, "[ect1] "), (2, "[ect0] "), (3, "[ce] ")])
def test_the_ecn_field_is_shown_when_it_is_used(tos: int, mark: str) -> None:
    assert Notation().line(crafted.ipv4(crafted.tcp(flags=S), tos=tos)) == f"{mark}S 0:0(0) win 500"


def test_dropped_packets_say_why() -> None:
    notation = Notation()
    broken = crafted.ipv4(crafted.tcp(flags=S, checksum=1))
    assert notation.line(broken, consts.CHECKSUM_COMPLETE) == "bad_tcp_checksum (40)"
    assert notation.line(broken) == "S 0:0(0) win 500"
    assert notation.line(b"") == "truncated (0)"


def test_udp_fragments_and_other_protocols_have_a_short_form() -> None:
    line = Notation().line
    datagram = crafted.udp(PEER4, OURS4, 5000, 53, b"abcde")
    assert line(crafted.ipv4(datagram, protocol=17)) == "udp 5000:53(5)"
    assert line(crafted.ipv4(b"x" * 7, protocol=17)) == "protocol 17 (7)"
    assert line(crafted.ipv4(b"x" * 9, protocol=47)) == "protocol 47 (9)"
    assert line(crafted.ipv4(b"x" * 24, fragment=0x2000 | 185)) == "fragment id 7 1480:1504(24)"
    part = crafted.fragment_header(17, 1448, 0, 0x87654321) + b"x" * 5
    assert line(crafted.ipv6(part, protocol=44)) == f"fragment id {0x87654321} 1448:1453(5) last"


def icmp(kind: int, code: int, word: int, rest: bytes) -> bytes:
    return struct.pack("!BBHI", kind, code, 0, word) + rest


def test_icmp_names_what_it_says() -> None:
    line = Notation().line
    for version, kinds in ((4, (8, 0)), (6, (128, 129))):
        for kind, name in zip(kinds, ("echo_request", "echo_reply"), strict=True):
            message = icmp(kind, 0, 1 << 16 | 2, bytes(56))
            packet = (
                crafted.ipv4(message, protocol=1)
                if version == 4
                else crafted.ipv6(message, protocol=58)
            )
            assert line(packet) == f"icmp {name} id 1 seq 2 (56)"
    assert line(crafted.ipv6(icmp(135, 0, 0, bytes(16)), protocol=58)) == (
        "icmp type 135 code 0 (16)"
    )
    assert line(crafted.ipv4(b"\x08\0\0", protocol=1)) == "protocol 1 (3)"


def test_icmp_errors_show_what_they_quote() -> None:
    notation = Notation()
    notation.line(answer(S, 5000))
    ours = answer(A, 5001, 9, b"x" * 1000)
    for size in (len(ours), 40, 28):
        message = icmp(3, 4, 1000, ours[:size])
        shown = "1:1001(1000)" if size >= 40 else "1"
        assert notation.line(crafted.ipv4(message, protocol=1)) == (
            f"icmp frag_needed mtu 1000 [{shown}]"
        )
    short = icmp(11, 0, 0, ours[:19])
    assert notation.line(crafted.ipv4(short, protocol=1)) == (
        "icmp time_exceeded transit [19 octets]"
    )


def test_icmpv6_errors_show_what_they_quote() -> None:
    line = Notation().line
    tcp = crafted.ipv6(crafted.tcp(OURS6, PEER6, seq=7, text=b"abc"), source=OURS6, target=PEER6)
    udp = crafted.ipv6(crafted.udp(OURS6, PEER6, 9, 10, b"abc"), protocol=17)
    for kind, code, word, quoted, text in (
        (2, 0, 1280, tcp, "packet_too_big mtu 1280 [=7:=10(3)]"),
        (1, 4, 0, udp, "unreachable port [udp 9:10(3)]"),
        (3, 1, 0, crafted.ipv6(b"", protocol=58), "time_exceeded reassembly [protocol 58]"),
        (99, 1, 0, b"", "type 99 code 1 [0 octets]"),
    ):
        packet = crafted.ipv6(icmp(kind, code, word, quoted), protocol=58)
        assert line(packet) == f"icmp {text}"
