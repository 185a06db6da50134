"""RFC 8200 §4.2 and §4.4, RFC 1122 §3.2.2.5: who sends a header that is refused is told where.

Expected is what Linux 6.18 sends, too: `pytest --kernel` plays the same.
"""

from __future__ import annotations

import pytest

from tests.kit.tcp import Tcp

SYN = "S 0:0(0) win 65535 <mss 1460>"
v4, v6 = pytest.mark.variants("ipv4"), pytest.mark.variants("ipv6")
FIELD, OPTION = 0, 2  # codes


def answer(tcp: Tcp, header: str) -> tuple[int, ...] | str:
    """What a listener's host sends for a SYN with such a header: type, code and pointer of an ICMP
    error that quotes it, "SYN,ACK", or "" for nothing."""
    tcp.listen()
    tcp.play(f"+0 < [{header}] {SYN}")
    sent = tcp.run(0.3)
    if not sent:
        return ""
    (packet,) = sent
    if packet.flags:
        return "SYN,ACK"
    version = packet.octets[0] >> 4
    assert packet.payload[:1] == (b"\x46" if version == 4 else b"\x60")  # its own header
    pointer = packet.rest[0] if version == 4 else int.from_bytes(packet.rest, "big")
    return packet.kind, packet.code, pointer


# -- IPv6: hop-by-hop and destination options (§4.2) -----------------------------------------------


@v6
@pytest.mark.requirement("RFC8200-S4.2-1")
@pytest.mark.parametrize("kind", ["hbh", "dstopt"])
@pytest.mark.parametrize("option", ["1e0400000000", "3e0400000000", "01001e020000"])
def test_an_unknown_option_that_may_be_skipped_is_skipped(tcp: Tcp, kind: str, option: str) -> None:
    assert answer(tcp, f"{kind} 0x{option}") == "SYN,ACK"


@v6
@pytest.mark.requirement("RFC8200-S4.2-2")
@pytest.mark.parametrize("kind", ["hbh", "dstopt"])
def test_an_unknown_option_may_have_its_packet_dropped(tcp: Tcp, kind: str) -> None:
    assert answer(tcp, f"{kind} 0x420400000000") == ""


@v6
@pytest.mark.requirement("RFC8200-S4.2-3")
@pytest.mark.parametrize("kind", ["hbh", "dstopt"])
@pytest.mark.parametrize(
    ("options", "pointer"),
    [
        ("820400000000", 42),
        ("d30400000000", 42),
        ("010082020000", 44),
        ("0001001e00d30001050000000000", 47),
    ],
)
def test_an_unknown_option_may_ask_for_an_error_with_its_place(
    tcp: Tcp, kind: str, options: str, pointer: int
) -> None:
    assert answer(tcp, f"{kind} 0x{options}") == (4, OPTION, pointer)


@v6
@pytest.mark.requirement("RFC8200-S4.2-3")
def test_of_two_headers_the_first_that_is_refused_is_told(tcp: Tcp) -> None:
    header = "hbh 0x010400000000, dstopt 0x820400000000"
    assert answer(tcp, header) == (4, OPTION, 50)


@v6
@pytest.mark.requirement("RFC8200-S4.2-2")
def test_options_behind_one_that_drops_the_packet_are_not_told(tcp: Tcp) -> None:
    assert answer(tcp, "dstopt 0x42008200" + "0000") == ""


@v6
def test_an_option_that_runs_over_its_header_is_dropped_in_silence(tcp: Tcp) -> None:
    assert answer(tcp, "dstopt 0x820900000000") == ""


# -- IPv6: routing headers (§4.4) ------------------------------------------------------------------


@v6
@pytest.mark.requirement("RFC8200-S4.4-1")
def test_a_routing_header_that_has_been_used_up_is_passed_over(tcp: Tcp) -> None:
    assert answer(tcp, "rthdr 0x0000" + "00" * 20) == "SYN,ACK"


@v6
@pytest.mark.requirement("RFC8200-S4.4-2")
@pytest.mark.parametrize("kind", ["00", "07", "fd"])
def test_a_routing_header_with_segments_left_is_told_by_its_type(tcp: Tcp, kind: str) -> None:
    assert answer(tcp, f"rthdr 0x{kind}01" + "00" * 20) == (4, FIELD, 42)


@v6
@pytest.mark.requirement("RFC8200-S4.4-2")
def test_behind_other_headers_too(tcp: Tcp) -> None:
    header = "hbh 0x010400000000, rthdr 0x0001" + "00" * 20
    assert answer(tcp, header) == (4, FIELD, 50)


# -- IPv4 (RFC 1122 §3.2.2.5) ----------------------------------------------------------------------


@v4
@pytest.mark.requirement("RFC1122-S3.2.2.5-1")
@pytest.mark.parametrize(
    ("options", "pointer"),
    [("07ff0400", 20), ("94000000", 20), ("94010000", 20), ("01019405", 22), ("01010107", 23)],
)
def test_an_option_of_impossible_length_is_told(tcp: Tcp, options: str, pointer: int) -> None:
    assert answer(tcp, f"ipopt 0x{options}") == (12, FIELD, pointer)


@v4
def test_a_source_route_is_dropped_in_silence(tcp: Tcp) -> None:
    """As Linux, which takes none (accept_source_route is 0)."""
    assert answer(tcp, "ipopt 0x830704c000020100") == ""


@v4
def test_unknown_options_are_skipped(tcp: Tcp) -> None:
    assert answer(tcp, "ipopt 0x1e040000") == "SYN,ACK"


@pytest.mark.requirement("RFC1122-S3.2.2-2")
@pytest.mark.parametrize("source", ["127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0"])
@v4
def test_no_error_goes_to_an_address_that_is_no_single_host(tcp: Tcp, source: str) -> None:
    assert answer(tcp, f"from {source}, ipopt 0x07ff0400") == ""
