"""What a parameter problem tells of a packet that the parser refuses (RFC 791, RFC 8200 §4)."""

from __future__ import annotations

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pystack.wire import consts, header_faults
from pystack.wire.codec import pure
from tests.wire import crafted
from tests.wire.codecs import Codec

OPTIONS = st.lists(st.integers(0, 255), min_size=6, max_size=30).map(bytes)
KINDS = st.sampled_from((crafted.HOPOPTS, crafted.DSTOPTS, crafted.ROUTING))


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(st.tuples(KINDS, OPTIONS), min_size=1, max_size=3), st.integers(0, 40))
@example([(crafted.DSTOPTS, bytes((0x80, 0, 0, 0, 0, 0)))], 0)
def test_the_pointer_lies_in_a_header_that_the_parser_refuses(
    chain: list[tuple[int, bytes]], cut: int
) -> None:
    octets = b""
    follows = crafted.TCP
    for kind, options in reversed(chain):
        octets = crafted.extension(follows, options[: 6 + len(options[6:]) // 8 * 8]) + octets
        follows = kind
    packet = crafted.ipv6(octets[: len(octets) - cut], protocol=follows)
    assume(Codec(pure).parse(packet).reason == consts.DROP_BAD_IP_OPTION)
    code, pointer = header_faults.fault(packet, 6) or (0, 0)  # some are dropped in silence
    told = packet[pointer:]
    assert not pointer or (told[0] >> 6 >= 2 if code == 2 else pointer > 40 and told[1] > 0)
