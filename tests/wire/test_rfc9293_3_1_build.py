"""RFC 9293 §3.1, RFC 791 §3.1, RFC 8200 §3, RFC 7323 §3.2: the headers that are built."""

from __future__ import annotations

import pytest

from pystack.wire import consts
from tests.wire import crafted
from tests.wire.codecs import Codec

KEY4 = crafted.key(crafted.OURS4, crafted.PEER4, 80, 40000)
KEY6 = crafted.key(crafted.OURS6, crafted.PEER6, 80, 40000)
SYN_OPTIONS = bytes.fromhex("020405b4 0402 080a 00000001 00000000 01 030307")
PORTS = {"sport": 80, "dport": 40000}


def test_an_ipv4_segment_is_built_octet_for_octet(codec: Codec) -> None:
    built = codec.build(
        KEY4, seq=0xFFFFFFFF, ack=0x80000000, flags=0x1FF, wnd=65535, urgent=7, tos=0xB9, ttl=3,
        ident=0xFFFF, df=1, options=SYN_OPTIONS, text=b"hello",
    )  # fmt: skip
    upper = crafted.tcp(
        crafted.OURS4, crafted.PEER4, seq=0xFFFFFFFF, ack=0x80000000, flags=0x1FF, wnd=65535,
        urgent=7, options=SYN_OPTIONS, text=b"hello", **PORTS,
    )  # fmt: skip
    assert built == crafted.ipv4(
        upper, source=crafted.OURS4, target=crafted.PEER4, tos=0xB9, ident=0xFFFF, ttl=3
    )


def test_an_ipv6_segment_is_built_octet_for_octet(codec: Codec) -> None:
    built = codec.build(
        KEY6, seq=1, ack=2, flags=consts.ACK, wnd=500, tos=0xB9, ttl=255, ident=0xFABCDE,
        text=b"odd",
    )  # fmt: skip
    upper = crafted.tcp(
        crafted.OURS6, crafted.PEER6, seq=1, ack=2, flags=consts.ACK, text=b"odd", **PORTS
    )
    assert built == crafted.ipv6(
        upper, source=crafted.OURS6, target=crafted.PEER6, tos=0xB9, label=0xABCDE, hop_limit=255
    )


def test_df_is_set_only_when_asked_for(codec: Codec) -> None:
    assert codec.build(KEY4, df=1)[6:8] == b"\x40\0"
    assert codec.build(KEY4, df=0)[6:8] == b"\0\0"


def test_timestamps_come_first_and_aligned(codec: Codec) -> None:
    sack = bytes.fromhex("0101050a 00000001 00000009")
    built = codec.build(KEY4, timestamps=(0xFFFFFFFE, 5), options=sack, text=b"x")
    assert built[40:] == bytes.fromhex("0101080a fffffffe 00000005") + sack + b"x"
    seg = codec.parse(built)
    assert (seg.tsval, seg.tsecr, seg.sack_blocks()) == (0xFFFFFFFE, 5, [(1, 9)])


@pytest.mark.requirement("RFC9293-MUST-2")
@pytest.mark.parametrize("key", [KEY4, KEY6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("size", [0, 1, 2, 3, 1447, 1448, 65455])
def test_the_checksum_is_right_for_every_size(codec: Codec, key: bytes, size: int) -> None:
    built = codec.build(key, seq=1, ack=2, text=bytes(i * 7 & 0xFF for i in range(size)))
    assert crafted.checksums_hold(built)
    assert codec.parse(built).length == size


@pytest.mark.parametrize("key", [KEY4, KEY6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("size", [0, 1, 1448, 65000])
def test_a_partial_checksum_is_the_sum_of_the_pseudo_header(
    codec: Codec, key: bytes, size: int
) -> None:
    built = codec.build(key, text=bytes(size), state=consts.CHECKSUM_PARTIAL)
    source, target, at = (
        (crafted.OURS4, crafted.PEER4, 20) if key is KEY4 else (crafted.OURS6, crafted.PEER6, 40)
    )
    pseudo = crafted.pseudo_header(source, target, crafted.TCP, len(built) - at)
    assert int.from_bytes(built[at + 16 : at + 18], "big") == crafted.ones_sum(pseudo)
    assert codec.complete(built) == codec.build(key, text=bytes(size))


def test_the_other_end_parses_what_was_built_with_the_key_turned_round(codec: Codec) -> None:
    assert codec.parse(codec.build(KEY6)).key == crafted.key(
        crafted.PEER6, crafted.OURS6, 40000, 80
    )
