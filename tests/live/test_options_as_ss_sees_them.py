"""`ss -tino` on the kernel's side: which options it has agreed on with us, in both roles."""

from __future__ import annotations

import asyncio

import pytest

from tests.live.link_to_kernel import LinkToKernel, echo
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

# a sysctl of ours that is switched off, and the word of ss that is then missing
SWITCHES = {
    "tcp_timestamps": "ts",
    "tcp_sack": "sack",
    "tcp_window_scaling": "wscale:7",
}


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    return LinkToKernel(namespace, request.param)


async def seen_by_ss(link: LinkToKernel, active: bool, **settings: int) -> list[str]:
    """The words of ss about a connection that has been used; `active`: we opened it."""
    async with link.stack(sysctl=settings) as stack:
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
) -> list[str]:
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    out = await link.output("ss", "-tinoH", "state", "established")
    writer.close()
    await writer.wait_closed()
    return [word.partition(",")[0] for word in out.split()]  # wscale:OURS,THEIRS


@pytest.mark.parametrize("active", [True, False], ids=["we-open", "kernel-opens"])
def test_all_options_are_agreed_on(link: LinkToKernel, active: bool) -> None:
    words = asyncio.run(seen_by_ss(link, active))
    mss = {4: "mss:1448", 6: "mss:1428"}[link.version]  # without 12 octets for timestamps
    acked = "bytes_acked:5" if active else "bytes_acked:6"  # who opens counts its SYN
    sides = {"bytes_sent:5", acked, "bytes_received:5"}
    assert {*SWITCHES.values(), mss, "pmtu:1500", *sides} <= set(words), words
    assert not [word for word in words if word.startswith(("retrans:", "lost:", "dsack"))]


@pytest.mark.parametrize("active", [True, False], ids=["we-open", "kernel-opens"])
@pytest.mark.parametrize("switch", SWITCHES)
def test_an_option_that_is_switched_off_is_not(
    link: LinkToKernel, switch: str, active: bool
) -> None:
    words = asyncio.run(seen_by_ss(link, active, **{switch: 0}))
    assert SWITCHES[switch] not in words, words
    assert not [word for word in words if switch == "tcp_window_scaling" and "wscale" in word]
    assert {word for name, word in SWITCHES.items() if name != switch} <= set(words), words
