"""What only IPv6's fragments have (RFC 8200 §4.5, 5722, 6946, 7112); the rest is in rfc815."""

from __future__ import annotations

import pytest

from tests.kit.packets import decode, encode
from tests.stack.ip_family import DATA, NOW_US, SECOND_US, V6, Kit, datagram, piece

PARAMETER_PROBLEM = 4


def problem(kit: Kit) -> tuple[int, int, bytes]:
    """Code, pointer and quote of the one parameter problem that was made."""
    (error,) = kit.sent()
    assert error.kind == PARAMETER_PROBLEM
    return error.code, int.from_bytes(error.rest, "big"), error.payload


def fragment_behind(
    extensions: list[tuple[int, bytes]], offset: int, octets: bytes, more: bool, protocol: int = 17
) -> bytes:
    """A fragment whose fragment header follows `extensions`."""
    header = bytes([protocol, 0]) + (offset | more).to_bytes(2, "big") + bytes(3) + b"\7"
    return encode.ip(V6.peer, V6.here, encode.FRAGMENT, header + octets, extensions=extensions)


@pytest.mark.requirement("RFC8200-S4.5-2")
@pytest.mark.parametrize("end", [33, 36, 39])
def test_a_misaligned_fragment_that_is_not_the_last_is_a_problem_of_the_payload_length(
    end: int,
) -> None:
    kit = Kit()
    packet = piece(datagram(V6, 100), 8, end)
    assert kit.add(packet) is None
    assert problem(kit) == (0, 4, packet)
    assert kit.drops() == {"bad_fragment": 1}
    assert kit.reassembly.memory == 0


@pytest.mark.requirement("RFC8200-S4.5-2")
def test_a_packet_that_would_pass_65535_octets_is_a_problem_of_the_fragment_offset() -> None:
    kit = Kit()
    packet = encode.fragment6(datagram(V6, 64)[:40], 65528, bytes(8), False, 7)
    assert kit.add(packet) is None
    assert problem(kit) == (0, 42, packet)
    fits = encode.fragment6(datagram(V6, 64)[:40], 65528, bytes(7), False, 7)
    assert kit.add(fits) is None
    assert kit.sent() == []
    assert kit.drops() == {"bad_fragment": 1}


@pytest.mark.requirement("RFC8200-S4.5-2")
def test_extension_headers_before_the_fragment_header_count_for_the_length() -> None:
    kit = Kit()
    packet = fragment_behind([(0, b"")], 65528, bytes(7), False)
    assert kit.add(packet) is None
    assert problem(kit) == (0, 50, packet)


@pytest.mark.requirement("RFC8200-S4.5-3")
@pytest.mark.requirement("RFC5722-S4-1")
def test_after_an_overlap_all_parts_of_the_packet_are_ignored_in_silence() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    kit.add(piece(packet, 0, 48))
    kit.add(piece(packet, 40, 64))
    for start, end in ((0, 48), (48, 96)):
        assert kit.add(piece(packet, start, end, end < 96)) is None
    kit.reassembly.on_time(NOW_US + 60 * SECOND_US)
    assert kit.sent() == []
    assert kit.drops() == {"bad_fragment": 3}
    assert kit.reassembly.memory == 0


@pytest.mark.requirement("RFC8200-S4.5-3")
def test_a_packet_with_the_same_id_is_taken_again_after_60_seconds() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    kit.add(piece(packet, 0, 48))
    kit.add(piece(packet, 40, 64))
    later = NOW_US + 60 * SECOND_US
    kit.add(piece(packet, 0, 48), later)
    assert kit.add(piece(packet, 48, 96, False), later) == packet


@pytest.mark.requirement("RFC8200-S4.5-3")
@pytest.mark.parametrize(("start", "end"), [(0, 24), (24, 48), (8, 16)])
def test_a_fragment_within_another_is_an_overlap(start: int, end: int) -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    kit.add(piece(packet, 0, 48))
    kit.add(piece(packet, start, end))
    assert kit.add(piece(packet, 48, 96, False)) is None


@pytest.mark.requirement("RFC8200-S4.5-3")
def test_a_repeat_with_other_data_is_an_overlap() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    kit.add(piece(packet, 0, 48))
    kit.add(piece(packet[:40] + packet[40:64] + bytes(72), 0, 48))
    assert kit.add(piece(packet, 48, 96, False)) is None


@pytest.mark.requirement("RFC8200-S4.5-4")
def test_an_atomic_fragment_stands_for_itself() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    kit.add(piece(packet, 0, 48))
    assert kit.add(piece(packet, 0, 96, False)) == packet
    assert kit.add(piece(packet, 48, 96, False)) == packet


@pytest.mark.requirement("RFC8200-S4-1")
def test_extension_headers_of_both_parts_are_kept() -> None:
    kit = Kit()
    upper = encode.udp(V6.peer, V6.here, 1, 2, DATA[:72])
    options = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    fragmentable = options + upper
    before = [(0, b"\1\4"), (60, b"\1\14")]
    kit.add(fragment_behind(before, 48, fragmentable[48:], False, 60))
    whole = kit.add(fragment_behind(before, 0, fragmentable[:48], True, 60))
    assert whole == encode.ip(V6.peer, V6.here, 60, fragmentable, extensions=before)


def test_the_headers_are_those_of_the_first_fragment() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    odd = bytearray(piece(packet, 48, 96, False))
    odd[40] = 253  # next header; only the first fragment's counts
    odd[7] = 3  # hop limit
    kit.add(bytes(odd))
    assert kit.add(piece(packet, 0, 48)) == packet


@pytest.mark.requirement("RFC7112-S5-1")
@pytest.mark.parametrize("length", [8, 16])
def test_a_first_fragment_without_the_whole_tcp_header_is_refused(length: int) -> None:
    kit = Kit()
    packet = encode.fragment6(V6.sent_tcp(1)[:8] + V6.peer + V6.here, 0, bytes(length), True, 7)
    assert kit.add(packet) is None
    assert problem(kit) == (3, 0, packet)


@pytest.mark.requirement("RFC7112-S5-1")
def test_a_first_fragment_that_cuts_an_extension_header_is_refused() -> None:
    kit = Kit()
    packet = fragment_behind([], 0, bytes([17, 3]) + bytes(6), True, 60)
    assert kit.add(packet) is None
    assert problem(kit) == (3, 0, packet)


def test_a_fragment_within_a_fragment_is_refused() -> None:
    kit = Kit()
    inner = bytes([17, 0, 0, 0, 0, 0, 0, 9]) + DATA[:40]
    assert kit.add(fragment_behind([], 0, inner[:32], True, 44)) is None
    assert kit.add(fragment_behind([], 32, inner[32:], False, 44)) is None
    assert kit.add(fragment_behind([], 0, inner, False, 44)) is None
    assert kit.drops() == {"bad_fragment": 2}


def test_extension_headers_kept_for_the_first_fragment_count_as_memory() -> None:
    kit = Kit()
    kit.add(fragment_behind([(60, bytes([1, 200]) + bytes(1400))], 0, DATA[:8], True))
    assert kit.reassembly.memory > 1400


def test_condemned_packets_are_bounded_like_others() -> None:
    kit = Kit(ipfrag_high_thresh=20_000)
    packet = datagram(V6, 96)
    for i in range(100):
        kit.add(piece(packet, 0, 48, ident=i))
        kit.add(piece(packet, 40, 64, ident=i))
        assert kit.reassembly.memory <= 20_000


def test_a_packet_without_a_fragment_header_is_refused() -> None:
    kit = Kit()
    assert kit.add(V6.udp()) is None
    assert kit.drops() == {"bad_fragment": 1}


@pytest.mark.requirement("RFC8200-S5-1")
def test_1500_octets_in_two_fragments_are_delivered() -> None:
    kit = Kit()
    packet = datagram(V6, 1460)
    first, second = encode.fragments(packet, 1232)
    assert len(first) == 1280
    assert kit.add(first) is None
    whole = kit.add(second)
    assert whole == packet
    assert len(whole) == 1500
    assert decode.decode(whole)[0].upper == packet[40:]


def test_the_fragment_headers_reserved_bits_are_ignored() -> None:
    kit = Kit()
    packet = datagram(V6, 96)
    odd = bytearray(piece(packet, 0, 48))
    odd[41], odd[43] = 0xFF, odd[43] | 6
    kit.add(bytes(odd))
    assert kit.add(piece(packet, 48, 96, False)) == packet
