"""C and Python give the same answer to the same octets, good, broken or random."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import crafted
from tests.wire.codecs import CODECS

pytestmark = pytest.mark.skipif(len(CODECS) < 2, reason="the C module was not built")

C, TWIN = CODECS[0], CODECS[-1]
U8, U16, U32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
STATES = st.sampled_from((0, 1, 2))

# an option as it should be, as it should not, or whatever
OPTION = st.one_of(
    st.sampled_from([b"\1", b"\0", b"\4\2", bytes((3, 3, 7)), bytes((2, 4, 5, 180))]),
    st.binary(min_size=8, max_size=8).map(lambda value: b"\x08\x0a" + value),
    st.integers(1, 4).flatmap(
        lambda n: st.binary(min_size=8 * n, max_size=8 * n).map(
            lambda value: bytes((5, len(value) + 2)) + value
        )
    ),
    st.tuples(st.sampled_from((2, 3, 4, 5, 8, 253, 254, 77)), U8, st.binary(max_size=6)).map(
        lambda parts: bytes(parts[:2]) + parts[2]
    ),
)


def padded(parts: list[bytes]) -> bytes:
    octets = b"".join(parts)[:40]
    return octets + bytes(-len(octets) % 4)


OPTIONS = st.lists(OPTION, max_size=5).map(padded)


@st.composite
def tcp_packets(draw: st.DrawFn) -> bytes:
    """A valid TCP packet, if its options are; IPv6 with up to three extension headers."""
    v4 = draw(st.booleans())
    source, target = (crafted.PEER4, crafted.OURS4) if v4 else (crafted.PEER6, crafted.OURS6)
    segment = crafted.tcp(
        source, target, sport=draw(U16), dport=draw(U16), seq=draw(U32), ack=draw(U32),
        flags=draw(st.integers(0, 0x1FF)), wnd=draw(U16), urgent=draw(U16),
        options=draw(OPTIONS), text=draw(st.binary(max_size=100)), reserved=draw(st.integers(0, 7)),
    )  # fmt: skip
    if v4:
        options = draw(st.sampled_from([b"", bytes((0x94, 4, 0, 0)), bytes((1, 7, 3, 4))]))
        return crafted.ipv4(segment, options=options, tos=draw(U8), ident=draw(U16), ttl=draw(U8))
    protocol = crafted.TCP
    for _ in range(draw(st.integers(0, 3))):
        kind = draw(st.sampled_from((0, 43, 44, 60)))
        if kind == crafted.FRAGMENT:
            offset, more = draw(st.sampled_from(((0, 0), (0, 0), (0, 1), (8, 0))))
            segment = crafted.fragment_header(protocol, offset, more, draw(U32)) + segment
        else:
            value = draw(st.sampled_from((bytes(6), bytes((1, 12)) + bytes(12))))
            segment = crafted.extension(protocol, value) + segment
        protocol = kind
    return crafted.ipv6(segment, protocol=protocol, tos=draw(U8), label=draw(st.integers(0, 99)))


@st.composite
def hostile_packets(draw: st.DrawFn) -> bytes:
    """A valid packet with octets changed, cut off or appended; or random octets."""
    packet = bytearray(draw(tcp_packets()))
    for _ in range(draw(st.integers(0, 4))):
        packet[draw(st.integers(0, min(len(packet), 90) - 1))] = draw(U8)
    size = draw(st.one_of(st.just(len(packet)), st.integers(0, len(packet) + 5)))
    packet = packet[:size].ljust(size, b"\x77")
    if draw(st.booleans()) and len(packet) > 20 and packet[0] >> 4 == 4:
        header = (packet[0] & 15) * 4  # a header that passes, so that what follows is reached
        packet[10:12] = b"\0\0"
        packet[10:12] = (crafted.ones_sum(bytes(packet[:header])) ^ 0xFFFF).to_bytes(2, "big")
    return bytes(packet)


ANYTHING = st.one_of(
    tcp_packets(),
    hostile_packets(),
    st.binary(max_size=120),
    st.binary(max_size=120).map(lambda octets: b"\x45" + octets),
    st.binary(max_size=120).map(lambda octets: b"\x60" + octets),
)


@settings(max_examples=600, deadline=None)
@given(packet=ANYTHING, state=STATES, gso_size=U16, off=st.integers(10, 70))
def test_records_are_the_same_octet_for_octet(
    packet: bytes, state: int, gso_size: int, off: int
) -> None:
    assert C.record(packet, state, gso_size, off) == TWIN.record(packet, state, gso_size, off)


@settings(max_examples=200, deadline=None)
@given(octets=st.binary(max_size=5000), initial=U32, off=st.integers(0, 9))
def test_sums_are_the_same(octets: bytes, initial: int, off: int) -> None:
    assert C.checksum(octets, initial, off) == TWIN.checksum(octets, initial, off)
    assert C.checksum(octets, 0, off) == crafted.ones_sum(octets)


@settings(max_examples=300, deadline=None)
@given(packet=ANYTHING)
def test_completed_packets_are_the_same(packet: bytes) -> None:
    assert C.complete(packet) == TWIN.complete(packet)


@settings(max_examples=300, deadline=None)
@given(packet=ANYTHING, gso_size=st.integers(0, 120))
def test_pieces_are_the_same(packet: bytes, gso_size: int) -> None:
    assert C.cut(packet, gso_size) == TWIN.cut(packet, gso_size)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), v4=st.booleans(), text=st.binary(max_size=300), state=STATES)
def test_built_packets_are_the_same_and_parse_to_what_was_asked_for(
    data: st.DataObject, v4: bool, text: bytes, state: int
) -> None:
    draw = data.draw
    local, remote = (crafted.OURS4, crafted.PEER4) if v4 else (crafted.OURS6, crafted.PEER6)
    key = crafted.key(local, remote, draw(U16), draw(U16))
    fields = {
        "seq": draw(U32), "ack": draw(U32), "flags": draw(st.integers(0, 0x1FF)),
        "wnd": draw(U16), "urgent": draw(U16), "tos": draw(U8), "ttl": draw(U8),
    }  # fmt: skip
    stamps = draw(st.one_of(st.none(), st.tuples(U32, U32)))
    sack = draw(st.sampled_from((b"", b"\1\1\5\x0a" + bytes(range(8)))))
    built = [
        codec.build(
            key, **fields, ident=draw(st.just(7)), df=0, timestamps=stamps, options=sack,
            text=text, state=state,
        )
        for codec in (C, TWIN)
    ]  # fmt: skip
    assert built[0] == built[1]
    seg = C.parse(built[0], state)
    assert {name: getattr(seg, name) for name in fields} == fields
    assert (seg.kind, bytes(seg.payload(0, seg.length))) == (1, text)
    assert seg.key == key[16:32] + key[:16] + key[34:] + key[32:34]
    assert (seg.tsval, seg.tsecr) == (stamps or (0, 0))
    assert seg.n_sack == bool(sack)
    assert state or crafted.checksums_hold(built[0])


@settings(max_examples=200, deadline=None)
@given(text=st.binary(min_size=1, max_size=600), gso_size=st.integers(1, 300), v4=st.booleans())
def test_pieces_parse_and_make_up_the_whole(text: bytes, gso_size: int, v4: bool) -> None:
    local, remote = (crafted.OURS4, crafted.PEER4) if v4 else (crafted.OURS6, crafted.PEER6)
    run = C.build(crafted.key(local, remote, 1, 2), seq=5, text=text, state=2)
    whole = b""
    for piece in C.cut(run, gso_size):
        seg = C.parse(piece)
        assert (seg.kind, seg.seq) == (1, 5 + len(whole))
        assert crafted.checksums_hold(piece)
        whole += bytes(seg.payload(0, seg.length))
    assert whole == text


EDGE = """
    import ctypes, mmap, random
    from pystack.wire.codec import fast
    from tests.wire import crafted

    PAGE = mmap.PAGESIZE
    libc = ctypes.CDLL(None, use_errno=True)

    def fenced():
        "A page whose neighbours may not be touched."
        pages = mmap.mmap(-1, 3 * PAGE)
        at = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        for page in (at, at + 2 * PAGE):
            assert libc.mprotect(ctypes.c_void_p(page), PAGE, 0) == 0
        return pages

    pages = fenced()
    arena = fast._from_buffer(fast._octets, pages, require_writable=True)
    records = fast.pin(bytearray(256))
    out, lengths = fast.pin(bytearray(1 << 18)), fast.pin(bytearray(1 << 13))
    packets = [
        crafted.ipv4(crafted.tcp(options=bytes((2, 4, 5, 180, 5, 18)) + bytes(18), text=b"x" * 90)),
        crafted.ipv4(crafted.tcp(), options=bytes((7, 7, 4, 0, 0, 0, 0, 1))),
        crafted.ipv6(crafted.extension(60, bytes(6)) + crafted.extension(44, bytes(14))
                     + crafted.fragment_header(6, 0, 0, 1)
                     + crafted.tcp(crafted.PEER6, crafted.OURS6, text=b"y" * 50), protocol=0),
    ]
    random = random.Random(20)
    for _ in range(60_000):
        packet = bytearray(random.choice(packets))
        for _ in range(random.randrange(4)):
            packet[random.randrange(len(packet))] = random.randrange(256)
        del packet[random.randrange(len(packet) + 1):]
        if packet[:1] and packet[0] >> 4 == 4 and len(packet) >= 20:
            packet[2:4] = len(packet).to_bytes(2, "big")
            packet[10:12] = b"\\0\\0"
            head = bytes(packet[: (packet[0] & 15) * 4])
            packet[10:12] = (crafted.ones_sum(head) ^ 0xFFFF).to_bytes(2, "big")
        elif len(packet) >= 40:
            packet[4:6] = (len(packet) - 40).to_bytes(2, "big")
        for off in (PAGE, 2 * PAGE - len(packet)):
            pages[off : off + len(packet)] = bytes(packet)
            for state in (0, 2):
                fast.parse(arena, off, len(packet), state, 0, records, 0)
            fast.cut(arena, off, len(packet), random.randrange(1, 99), out, 0, lengths)
            fast.checksum(arena, off, len(packet))
            fast.complete_checksum(arena, off, len(packet))
    print("untouched")
"""


def test_c_reads_and_writes_nothing_outside_of_the_packet() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(EDGE)], capture_output=True, text=True, check=False
    )
    assert done.stdout == "untouched\n", done.stderr
