"""Pacing against the kernel: a sender's rate is what was asked for, and its bursts are small."""

from __future__ import annotations

import asyncio
import os
import socket
from itertools import pairwise
from pathlib import Path

import dpkt
import pytest

from tests.live.link_to_kernel import LinkToKernel
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

RATE = 5_000_000  # bytes/s
LENGTH = 5_000_000


@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
def test_a_bounded_sender_keeps_to_its_rate(
    namespace: Namespace, offload: bool, tmp_path: Path
) -> None:
    """In octets per second over the whole, and within each tenth of a second."""
    capture = tmp_path / "paced.pcapng"
    link = LinkToKernel(namespace, 4, offload)

    async def main() -> float:
        async with link.stack(pcap=capture) as stack:
            kernels = link.kernel_socket()
            kernels.bind((link.theirs, 0))
            kernels.listen()
            loop = asyncio.get_running_loop()
            _, writer = await stack.open_connection(*kernels.getsockname())
            sink, _ = await loop.sock_accept(kernels)
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, 47, RATE  # SO_MAX_PACING_RATE
            )  # fmt: skip
            began = loop.time()
            writer.write(os.urandom(LENGTH))
            writer.write_eof()
            while await loop.sock_recv(sink, 1 << 20):
                pass
            took = loop.time() - began
            sink.close()
            kernels.close()
            writer.close()
            return took

    took = asyncio.run(main())
    assert 0.9 * LENGTH / RATE < took < 5 * LENGTH / RATE, took
    with capture.open("rb") as file:
        sent = [(at, len(packet)) for at, packet in dpkt.pcapng.Reader(file) if len(packet) > 200]
    buckets: dict[int, int] = {}
    for at, length in sent:
        buckets[int(at * 10)] = buckets.get(int(at * 10), 0) + length
    # a tenth of a second holds a tenth of the rate, and what a late timer caught up on
    assert max(buckets.values()) < 1.15 * (RATE / 10) + 64 * 1024, buckets
    gaps = sorted(later - earlier for (earlier, _), (later, _) in pairwise(sent) if later > earlier)
    assert gaps[len(gaps) // 2] < 0.05  # in small portions, not in one every now and then
