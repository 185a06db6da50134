"""ECN with the kernel at the other end of the TUN device, as `ss -ti` there sees it."""

from __future__ import annotations

import asyncio

import pytest

from tests.live.link_to_kernel import LinkToKernel, echo
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

MUCH = bytes(range(256)) * 8192  # 2 MB


@pytest.fixture(params=[(4, True), (4, False), (6, True)], ids=["IPv4", "IPv4-plain", "IPv6"])
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    version, offload = request.param
    return LinkToKernel(namespace, version, offload)


async def seen_by_ss(
    link: LinkToKernel, active: bool, theirs: int, ours: int, cc: str = "cubic"
) -> set[str]:
    """The words of ss about a connection that has echoed 2 MB; `active`: we opened it."""
    link.namespace.set("net.ipv4.tcp_ecn", theirs)
    async with link.stack(sysctl={"tcp_ecn": ours, "tcp_congestion_control": cc}) as stack:
        kernels = link.kernel_socket()
        if active:
            kernels.bind((link.theirs, 0))
            kernels.listen()
            port = kernels.getsockname()[1]
            async with await asyncio.start_server(echo, sock=kernels):
                return await used(link, *await stack.open_connection(link.theirs, port))
        await stack.start_server(echo, None, 7)
        await asyncio.get_running_loop().sock_connect(kernels, (link.ours, 7))
        return await used(link, *await asyncio.open_connection(sock=kernels))


async def used(
    link: LinkToKernel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> set[str]:
    writer.write(MUCH)
    assert await reader.readexactly(len(MUCH)) == MUCH
    out = await link.output("ss", "-tinoH", "state", "established")
    writer.close()
    await writer.wait_closed()
    return set(out.split())


@pytest.mark.parametrize("active", [True, False], ids=["we-open", "kernel-opens"])
def test_who_is_asked_agrees_and_both_send_data_that_is_ect(
    link: LinkToKernel, active: bool
) -> None:
    theirs, ours = (2, 1) if active else (1, 2)
    words = asyncio.run(seen_by_ss(link, active, theirs, ours))
    assert {"ecn", "ecnseen"} <= words, words


def test_a_kernel_asked_for_accurate_feedback_agrees_on_what_it_knows(link: LinkToKernel) -> None:
    words = asyncio.run(seen_by_ss(link, True, 2, 3))
    assert {"ecn", "ecnseen"} <= words, words


def test_a_kernel_without_dctcp_agrees_with_ours(link: LinkToKernel) -> None:
    words = asyncio.run(seen_by_ss(link, True, 2, 0, "dctcp"))
    assert {"ecn", "ecnseen"} <= words, words


@pytest.mark.parametrize("active", [True, False], ids=["we-open", "kernel-opens"])
def test_when_nobody_asks_there_is_none(link: LinkToKernel, active: bool) -> None:
    words = asyncio.run(seen_by_ss(link, active, 2, 2))
    assert not {"ecn", "ecnseen"} & words, words
