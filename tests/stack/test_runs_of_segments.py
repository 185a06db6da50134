"""A run that is handed in piece by piece: all is as if it had been cut before."""

from __future__ import annotations

from contextlib import suppress

import pytest

from pystack.stack.run_input import RunInput
from pystack.wire.batch import Packet
from pystack.wire.consts import CHECKSUM_COMPLETE
from pystack.wire.offload import Cutter
from tests.kit.packets import decode
from tests.kit.tcp import Tcp
from tests.kit.variants import Variant

MSS = 1460
Outcome = tuple[list[list[decode.Packet]], bytes, list[str], dict[str, int]]


def one_piece(run: RunInput, packet: Packet, index: int, now_us: int) -> None:
    """As a link does that carries runs whole."""
    if run.packet is not packet:
        assert run.load(packet)
    run.piece(index, now_us)


def run_of(kit: Tcp, text: str) -> Packet:
    return kit.segment(text), MSS, CHECKSUM_COMPLETE


def outcome(kit: Tcp, texts: list[str], *, whole: bool, ecn: bool) -> Outcome:
    """All that is sent after each piece, what was read, the states, and what was counted."""
    sock = kit.established(ecn=ecn, wscale=7)
    kit.host.trace = None
    run = RunInput(kit.host)
    sent: list[list[decode.Packet]] = []
    read = b""
    for text in texts:
        packet = run_of(kit, text)
        for index, piece in enumerate(Cutter().packets(packet)):
            if whole:
                one_piece(run, packet, index, kit.now_us)
            else:
                kit.host.receive_packet(piece, kit.now_us)
            sent.append(kit.run(0.000_010))
        with suppress(BlockingIOError):
            read += sock.recv(1 << 20)
    sent.append(kit.run(1.0))
    counted = kit.host.counters.as_dict()
    sock.close()
    sent.append(kit.take())
    return sent, read, kit.history(), counted


def text_of(begin: int, end: int, flags: str = ".") -> str:
    return f"{flags} {begin}:{end}({end - begin}) ack 1 win 512"


LONG = [text_of(1 + n * 29_200, 1 + (n + 1) * 29_200) for n in range(3)]  # no quick ACKs behind it
BEHIND = 1 + 3 * 29_200
SCENES = {
    "one after the other": LONG,
    "the last one pushed, and shorter": [text_of(1, 5001, "P.")],
    "a FIN behind the last one": [text_of(1, 5001, "FP.")],
    "a FIN, and no shorter one": [text_of(1, 2921, "FP.")],
    "of two pieces": [text_of(1, 1462, "P.")],
    "CWR on the first one": [*LONG, text_of(BEHIND, BEHIND + 7300, "W.")],
    "a hole before it": [text_of(1461, 10_001), text_of(1, 1461)],
    "again": [text_of(1, 5001), text_of(1, 5001)],
}


@pytest.mark.parametrize("name", SCENES)
def test_it_is_answered_as_its_segments_are(variant: Variant, name: str) -> None:
    ecn = name.startswith("CWR")
    settings = {"tcp_ecn": 1}
    cut = outcome(Tcp(variant, settings), SCENES[name], whole=False, ecn=ecn)
    whole = outcome(Tcp(variant, settings), SCENES[name], whole=True, ecn=ecn)
    assert whole == cut


def test_the_octets_of_each_piece_are_its_own(tcp: Tcp) -> None:
    sock = tcp.established()
    tcp.host.trace = None
    packet = run_of(tcp, "P. 1:5001(5000) ack 1")
    run = RunInput(tcp.host)
    assert run.load(packet)
    for index, end in enumerate((1460, 2920, 4380, 5000)):
        run.piece(index, tcp.now_us)
        assert sock.recv(10_000) == tcp.data(end - 1460 * index, 1460 * index)
        tcp.take()
    assert run.packet is packet


def test_what_is_no_run_of_text_is_to_be_cut(tcp: Tcp) -> None:
    sock = tcp.established()
    trace, tcp.host.trace = tcp.host.trace, None
    run = RunInput(tcp.host)
    good = run_of(tcp, "P. 1:5001(5000) ack 1")
    broken = bytearray(good[0])
    broken[-1] ^= 1  # its checksum is wrong
    for bad in (
        (bytes(broken), MSS, CHECKSUM_COMPLETE),
        run_of(tcp, "SP. 1:5001(5000) ack 1"),
        run_of(tcp, "PU. 1:5001(5000) ack 1 urg 10"),
        (b"", MSS, CHECKSUM_COMPLETE),
    ):
        assert run.load(good)
        assert not run.load(bad)
        assert run.packet is None
    tcp.host.trace = trace
    assert not run.load(good)  # a trace is shown whole packets
    assert tcp.take() == []
    with pytest.raises(BlockingIOError):
        sock.recv(1)
