"""Packets through the device's descriptor, with offload and without, against kernel sockets."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator

import pytest

from pystack.device.tun import Tun, open_tun
from pystack.wire import codec, consts
from pystack.wire.batch import Packet, RxBatch, TxBatch
from pystack.wire.segment import Segment
from tests.live.namespace import Namespace
from tests.path.traffic import partial
from tests.surroundings import PATIENCE
from tests.wire import crafted

pytestmark = pytest.mark.live

OURS = {4: crafted.OURS4, 6: crafted.OURS6}
PEER = {4: crafted.PEER4, 6: crafted.PEER6}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
HEADERS = {4: 40, 6: 60}
MTU = 1500


class Wire:
    """A device, and what reads and writes it as the stack's driver does."""

    def __init__(self, tun: Tun) -> None:
        self.tun = tun
        self.rx = RxBatch(slots=1)
        self.tx = TxBatch(gso=tun.offload, checksum_offload=tun.offload)
        self.segment = Segment()

    def write(self, packet: Packet) -> int:
        buffer, gso_size, state = packet
        self.tx.clear()
        off = self.tx.reserve(len(buffer), gso_size)
        self.tx.view[off : off + len(buffer)] = buffer
        self.tx.commit(off, len(buffer), gso_size, state)
        return codec.write_batch(
            self.tun.fd, self.tx.pinned, self.tx.records_pinned, 0, self.tx.count, self.tun.vnet
        )

    def read(self) -> Segment:
        assert select.select([self.tun.fd], [], [], 10)[0], "the kernel sends nothing"
        rx = self.rx
        count = codec.read_batch(
            self.tun.fd, rx.pinned, rx.slot_size, 1, self.tun.vnet, rx.records_pinned
        )
        assert count == 1
        self.segment.load(rx.view, rx.records, 0)
        return self.segment

    def answer(self, segment: Segment, version: int, *, seq: int, ack: int, flags: int) -> int:
        """A TCP segment to the sender of `segment`."""
        upper = crafted.tcp(
            OURS[version],
            PEER[version],
            sport=segment.local_port,
            dport=segment.remote_port,
            seq=seq,
            ack=ack,
            flags=flags,
            wnd=65535,
        )
        return self.write((around(upper, version), 0, consts.CHECKSUM_COMPLETE))


def around(upper: bytes, version: int, protocol: int = crafted.TCP) -> bytes:
    """An IP packet from us to the kernel."""
    build = crafted.ipv4 if version == 4 else crafted.ipv6
    return build(upper, protocol=protocol, source=OURS[version], target=PEER[version])


@pytest.fixture(params=[True, False], ids=["offload", "plain"])
def wire(namespace: Namespace, request: pytest.FixtureRequest) -> Iterator[Wire]:
    pairs = [(f"{OURS[4]}/24", None), (f"{OURS[6]}/64", None)]
    tun = asyncio.run(
        open_tun(addresses=pairs, mtu=MTU, offload=request.param, netns=namespace.path)
    )
    assert tun.offload == request.param
    yield Wire(tun)
    tun.close()


@pytest.mark.parametrize("version", [4, 6])
def test_datagrams_pass_in_both_directions(wire: Wire, namespace: Namespace, version: int) -> None:
    with namespace.socket(FAMILY[version], socket.SOCK_DGRAM) as client:
        client.settimeout(PATIENCE)
        client.sendto(b"a question", (OURS[version], 7))
        segment = wire.read()
        assert (segment.kind, segment.protocol) == (consts.KIND_OTHER, crafted.UDP)
        port = client.getsockname()[1]
        answer = crafted.udp(OURS[version], PEER[version], 7, port, b"an answer")
        packet = around(answer, version, crafted.UDP)
        assert wire.write((packet, 0, consts.CHECKSUM_COMPLETE)) == 1
        assert client.recv(100) == b"an answer"


def connected(wire: Wire, client: socket.socket, version: int) -> Segment:
    """The handshake, with crafted packets; the last segment the kernel sent."""
    client.setblocking(False)
    assert client.connect_ex((OURS[version], 80)) != 0
    syn = wire.read()
    assert syn.flags == consts.SYN
    assert syn.mss == MTU - HEADERS[version]
    wire.answer(syn, version, seq=7000, ack=syn.seq + 1, flags=consts.SYN | consts.ACK)
    ack = wire.read()
    while ack.flags == consts.SYN:  # the kernel's IPv6 may not have been ready to hear the answer
        wire.answer(ack, version, seq=7000, ack=ack.seq + 1, flags=consts.SYN | consts.ACK)
        ack = wire.read()
    assert (ack.flags, ack.ack) == (consts.ACK, 7001)
    return ack


@pytest.mark.parametrize("version", [4, 6])
def test_what_the_kernel_sends_comes_in_runs_with_offload_only(
    wire: Wire, namespace: Namespace, version: int
) -> None:
    with namespace.socket(FAMILY[version]) as client:
        ack = connected(wire, client, version)
        text = bytes(range(256)) * 20
        assert client.send(text) == len(text)
        segment = wire.read()
        assert segment.kind == consts.KIND_TCP
        assert segment.seq == ack.seq
        mss = 536 if version == 4 else 1220  # we announced none
        if wire.tun.offload:
            assert segment.gso_size == mss
            assert segment.length > 2 * mss
        else:
            assert segment.gso_size == 0
            assert segment.length == mss
        assert segment.payload(0, segment.length) == text[: segment.length]


@pytest.mark.parametrize("version", [4, 6])
def test_a_run_that_is_written_reaches_the_kernels_socket(
    wire: Wire, namespace: Namespace, version: int
) -> None:
    with namespace.socket(FAMILY[version]) as client:
        ack = connected(wire, client, version)
        text = bytes(range(256)) * 100
        length = 20 + len(text)
        pseudo = crafted.pseudo_header(OURS[version], PEER[version], crafted.TCP, length)
        upper = crafted.tcp(
            OURS[version],
            PEER[version],
            sport=ack.local_port,
            dport=ack.remote_port,
            seq=7001,
            ack=ack.seq,
            text=text,
            checksum=crafted.ones_sum(pseudo),
        )
        written = wire.write((around(upper, version), 1400, consts.CHECKSUM_PARTIAL))
        assert written == (1 if wire.tun.offload else 19)
        client.setblocking(True)
        client.settimeout(PATIENCE)
        received = b""
        while len(received) < len(text):
            received += client.recv(len(text))
        assert received == text


def test_a_packet_the_kernel_does_not_understand_harms_no_other(wire: Wire) -> None:
    einval = 22
    assert wire.write((bytes(40), 0, consts.CHECKSUM_COMPLETE)) == -einval
    assert wire.write(partial(b"text")) == 1
