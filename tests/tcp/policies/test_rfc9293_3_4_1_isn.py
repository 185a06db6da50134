"""RFC 9293 §3.4.1 and RFC 6528: initial sequence numbers."""

from __future__ import annotations

import itertools

import pytest

from tests.kit.tcp import SECRET, Tcp
from tests.kit.variants import VARIANTS

MASK = 0xFFFF_FFFF


def isn(tcp: Tcp, remote_port: int, local_port: int = 45_000) -> int:
    """Of a connection that is tried now, from that port to that one, and given up at once."""
    sock = tcp.socket()
    sock.bind(tcp.address(local_port, tcp.local))
    tcp.connect(remote_port, sock=sock)
    (syn,) = tcp.take()
    sock.close()
    assert syn.src_port == local_port
    assert tcp.take() == []
    return syn.seq


@pytest.mark.host(isn=False)
@pytest.mark.requirement("RFC9293-MUST-8", "RFC9293-SHLD-1")
@pytest.mark.parametrize("seconds", [0.5, 1, 10, 100, 10_000])
def test_the_isn_of_one_4_tuple_grows_by_250000_per_second(tcp: Tcp, seconds: float) -> None:
    first = isn(tcp, 80)
    tcp.quiet(seconds)
    grown = (isn(tcp, 80) - first) & MASK
    assert grown == round(seconds * 250_000) & MASK


@pytest.mark.host(isn=False)
@pytest.mark.requirement("RFC9293-MUST-8")
def test_the_isn_never_goes_back_and_ticks_every_four_microseconds(tcp: Tcp) -> None:
    seen = []
    for _ in range(100):
        seen.append(isn(tcp, 80))
        tcp.quiet(0.000004)
    steps = {(after - before) & MASK for before, after in itertools.pairwise(seen)}
    assert steps == {1}


@pytest.mark.host(isn=False)
@pytest.mark.requirement("RFC9293-MUST-9", "RFC9293-SHLD-1")
def test_isns_of_different_4_tuples_at_one_moment_look_unrelated(tcp: Tcp) -> None:
    seen = [isn(tcp, 1000 + port) for port in range(256)]
    seen += [isn(tcp, 1000, 50_000 + port) for port in range(256)]
    assert len(set(seen)) == 512
    # neighbours differ by numbers from the whole range, not by a common step
    steps = [(after - before) & MASK for before, after in itertools.pairwise(seen)]
    assert len(set(steps)) == 511
    for bit in range(32):
        ones = sum(number >> bit & 1 for number in seen)
        assert 180 < ones < 332, f"bit {bit} is set in {ones} of 512"


@pytest.mark.host(isn=False)
@pytest.mark.requirement("RFC9293-MUST-9")
def test_isns_seen_on_one_4_tuple_do_not_tell_that_of_another(tcp: Tcp) -> None:
    # the offset between two 4-tuples is another for each secret
    def offset(secret: bytes) -> int:
        kit = Tcp(tcp.variant, {"isn": False, "secret": secret})
        return (isn(kit, 80) - isn(kit, 81)) & MASK

    offsets = {offset(bytes([number]) * 16) for number in range(50)}
    assert len(offsets) == 50


@pytest.mark.requirement("RFC9293-MUST-9", "RFC6528-S3-1")
def test_a_new_secret_gives_new_isns_and_the_same_one_the_same(tcp: Tcp) -> None:
    def first(secret: bytes) -> int:
        return isn(Tcp(VARIANTS["ipv4"], {"isn": False, "secret": secret}), 80)

    assert first(SECRET) == first(SECRET)
    changed = [bytearray(SECRET) for _ in SECRET]
    for at, secret in enumerate(changed):
        secret[at] ^= 1
    seen = {first(bytes(secret)) for secret in changed}
    assert len(seen | {first(SECRET)}) == len(SECRET) + 1


@pytest.mark.requirement("RFC6528-S3-1")
def test_a_secret_shorter_than_128_bits_is_refused(tcp: Tcp) -> None:
    with pytest.raises(ValueError, match="secret"):
        Tcp(tcp.variant, {"secret": b"fifteen octets!"})


@pytest.mark.requirement("RFC6528-S3-1")
def test_the_secret_is_shown_nowhere(tcp: Tcp) -> None:
    sock = tcp.connect()
    tcp.take()
    for shown in (tcp.host, sock, tcp.host.config):
        assert repr(SECRET)[2:-1] not in repr(shown)


@pytest.mark.host(isn=False)
@pytest.mark.requirement("RFC9293-MUST-8", "RFC9293-SHLD-1")
def test_a_listener_draws_its_isns_from_the_same_clock(tcp: Tcp) -> None:
    listener = tcp.listen()

    def answer() -> int:
        tcp.inject(tcp.segment("S 0:0(0) win 65535 <mss 1460>"))
        (syn_ack,) = tcp.take()
        tcp.inject(tcp.segment("R 1:1(0) win 0"))
        return syn_ack.seq

    first = answer()
    tcp.quiet(2)
    assert (answer() - first) & MASK == 500_000
    listener.close()
