"""Captures of a clean link, read by tshark: no bad checksum, nothing lost, repeated or impossible.

The kernel's own capture is taken in the namespace. With offload it shows checksums before they
are filled in, so there they are looked at in the stack's capture, which completes them.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
from pathlib import Path

import pytest

from pystack.aio.endpoint.stack import Stack
from tests.live.link_to_kernel import LinkToKernel, echo
from tests.live.namespace import Namespace
from tests.surroundings import PATIENCE

pytestmark = pytest.mark.live

TEXT = bytes(range(251)) * 12_000  # 3 MB
MARK = "the end of it   "  # what a ping carries
# Linux writes 0xffff for a sum of 0, one in 65,536 times: as good, but tshark calls it bad
CHECKSUMS = "ip.checksum.status == Bad || (tcp.checksum.status == Bad && tcp.checksum != 0xffff)"
IMPOSSIBLE = " || ".join(
    (
        "_ws.malformed",
        "tcp.analysis.lost_segment",
        "tcp.analysis.ack_lost_segment",
        "tcp.analysis.retransmission",
        "tcp.analysis.fast_retransmission",
        "tcp.analysis.spurious_retransmission",
        "tcp.analysis.rto",
        "tcp.analysis.out_of_order",
        "tcp.analysis.duplicate_ack",
        "tcp.analysis.reused_ports",
        "tcp.analysis.zero_window_probe",
        "tcp.option_len < 2",
    )
)


@pytest.fixture(
    params=[(4, True), (6, True), (4, False), (6, False)],
    ids=["IPv4-offload", "IPv6-offload", "IPv4-plain", "IPv6-plain"],
)
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    return LinkToKernel(namespace, *request.param)


def found(capture: Path, condition: str) -> str:
    """The packets of a capture for which a display filter holds, a line each."""
    command = [
        "tshark", "-n", "-2", "-r", str(capture), "-Y", condition,
        "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


async def traffic(link: LinkToKernel, stack: Stack) -> None:
    """Bulk and little, both ways and in both roles."""
    await stack.start_server(echo, None, 7)
    for text in (b"hello", TEXT):
        _, out, _ = await link.namespace.arun(["nc", "-N", link.ours, "7"], input=text)
        assert out == text
    listening = link.kernel_socket()
    listening.bind((link.theirs, 0))
    listening.listen()
    async with await asyncio.start_server(echo, sock=listening):
        reader, writer = await stack.open_connection(link.theirs, listening.getsockname()[1])
        for number in range(100):
            writer.write(b"%d\n" % number)
            assert await reader.readline() == b"%d\n" % number
        writer.close()
        await writer.wait_closed()


async def capture_of(link: LinkToKernel, kernels: Path, ours: Path) -> None:
    async with link.stack(pcap=ours, sysctl={"tcp_early_retrans": 0}) as stack:
        command = ["dumpcap", "-q", "-i", "tun0", "-B", "64", "-w", str(kernels)]
        dumpcap = await link.namespace.start(command)
        assert dumpcap.stderr is not None
        while not (await dumpcap.stderr.readline()).startswith(b"File:"):
            assert not dumpcap.stderr.at_eof()  # then it has failed
        await traffic(link, stack)
        await link.output("ping", "-c", "1", "-p", MARK.encode().hex(), link.ours)
        arrived = f"until grep -q '{MARK}' \"$0\"; do sleep 0.02; done"
        await link.output("sh", "-c", arrived, str(kernels))
        dumpcap.send_signal(signal.SIGINT)
        _, said = await dumpcap.communicate()
        assert b"/0 (pcap:0/dumpcap:0/" in said, said  # received, and dropped


def test_nothing_is_wrong_with_any_segment_of_a_clean_link(
    link: LinkToKernel, tmp_path: Path
) -> None:
    # a loss probe is sent 2 RTTs after the last segment: when this machine is busy, for nothing
    link.namespace.set("net.ipv4.tcp_early_retrans", 0)
    kernels, ours = tmp_path / "kernels.pcap", tmp_path / "ours.pcapng"
    asyncio.run(capture_of(link, kernels, ours))
    lines = found(kernels, f"tcp.flags.syn == 1 || {IMPOSSIBLE}").splitlines()
    assert len(lines) == 6, "\n".join(lines)
    assert all("[SYN" in line for line in lines), "\n".join(lines)
    assert found(ours, CHECKSUMS) == ""
    if not link.offload:
        assert found(kernels, CHECKSUMS) == ""
