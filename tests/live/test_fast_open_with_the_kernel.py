"""TCP Fast Open with the kernel at the other end of the TUN device, in both roles."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from pystack.aio.endpoint.stack import Stack
from pystack.sockets import constants as c
from tests.live.link_to_kernel import LinkToKernel, echo
from tests.live.namespace import Namespace

pytestmark = pytest.mark.live

BLACK_HOLE = (  # for SYNs with data
    "table inet t",
    "chain inet t in { type filter hook input priority 0; }",
    "rule inet t in tcp flags & (syn | ack) == syn meta length > 120 drop",
)
ON = {"tcp_fastopen": 3}


@pytest.fixture(params=[(4, True), (4, False), (6, True)], ids=["IPv4", "IPv4-plain", "IPv6"])
def link(request: pytest.FixtureRequest, namespace: Namespace) -> LinkToKernel:
    version, offload = request.param
    return LinkToKernel(namespace, version, offload)


async def counted(link: LinkToKernel) -> dict[str, int]:
    """The kernel's own counters of TCP Fast Open that are not 0, without their common name."""
    name = "TcpExtTCPFastOpen"
    lines = (await link.output("nstat", "-as", f"{name}*")).splitlines()
    words = [line.split() for line in lines if line.startswith(name)]
    return {word[0].removeprefix(name): int(word[1]) for word in words if int(word[1])}


def ours(stack: Stack) -> dict[str, int]:
    counts = stack.host.counters.as_dict()
    return {
        name.removeprefix("fastopen_"): count
        for name, count in counts.items() if name.startswith("fastopen_")
    }  # fmt: skip


# -- the kernel connects --------------------------------------------------------------------------
async def send_fast(link: LinkToKernel, sock: socket.socket, text: bytes) -> int:
    try:
        return sock.sendto(text, c.MSG_FASTOPEN, (link.ours, 7))
    except BlockingIOError:
        return 0


def test_a_client_of_the_kernel_gets_a_cookie_and_then_its_answer_at_once(
    link: LinkToKernel,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with link.stack(sysctl=ON) as stack:
            await stack.start_server(echo, None, 7, fastopen=8)
            for round, at_once in enumerate((0, 5, 5)):
                sock = link.kernel_socket()
                assert await send_fast(link, sock, b"hello") == at_once, round
                await loop.sock_sendall(sock, b"hello"[at_once:])
                assert await loop.sock_recv(sock, 100) == b"hello"
                sock.close()
            assert ours(stack) == {"cookie_reqd": 1, "passive": 2}
            assert await counted(link) == {"Active": 2}

    asyncio.run(main())


def test_curl_fetches_with_tcp_fastopen(link: LinkToKernel) -> None:
    page = b"<p>fast" * 1000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(page) + page)
        await writer.drain()
        writer.close()

    async def main() -> None:
        host = link.ours if link.version == 4 else f"[{link.ours}]"
        curl = ("curl", "-q", "-sS", "--tcp-fastopen", f"http://{host}/")
        async with link.stack(sysctl=ON) as stack:
            await stack.start_server(serve, None, 80, fastopen=8)
            for _ in range(3):
                assert await link.output(*curl) == page.decode()
            assert ours(stack) == {"cookie_reqd": 1, "passive": 2}
            assert await counted(link) == {"Active": 2}

    asyncio.run(main())


def test_a_cookie_of_an_old_key_is_replaced_for_the_kernel_too(link: LinkToKernel) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with link.stack(sysctl=ON) as stack:
            await stack.start_server(echo, None, 7, fastopen=8)

            async def ask() -> None:
                sock = link.kernel_socket()
                sent = await send_fast(link, sock, b"hello")
                await loop.sock_sendall(sock, b"hello"[sent:])
                assert await loop.sock_recv(sock, 100) == b"hello"
                sock.close()

            await ask()
            stack.host.sysctl("tcp_fastopen_key", "1-2-3-4")
            await ask()
            await ask()
            assert ours(stack) == {"cookie_reqd": 1, "passive_fail": 1, "passive": 1}
            assert await counted(link) == {"Active": 1, "ActiveFail": 1}

    asyncio.run(main())


# -- we connect -----------------------------------------------------------------------------------
async def kernels_server(link: LinkToKernel) -> tuple[Any, int]:
    link.namespace.set("net.ipv4.tcp_fastopen", 3)
    listening = link.kernel_socket()
    listening.setsockopt(socket.IPPROTO_TCP, c.TCP_FASTOPEN, 8)
    listening.bind((link.theirs, 0))
    return await asyncio.start_server(echo, sock=listening), listening.getsockname()[1]


async def answer(link: LinkToKernel, stack: Stack, port: int, text: bytes = b"hello") -> str:
    """What ss says of the connection when the kernel's server has echoed `text`."""
    reader, writer = await stack.open_connection(link.theirs, port, fastopen=True)
    writer.write(text)
    assert await reader.readexactly(len(text)) == text
    out = await link.output("ss", "-tinoH", "state", "established")
    writer.close()
    await writer.wait_closed()
    return out


def test_a_server_of_the_kernel_takes_what_our_syn_has(link: LinkToKernel) -> None:
    async def main() -> None:
        async with link.stack(sysctl={"tcp_fastopen": 1}) as stack:
            server, port = await kernels_server(link)
            async with server:
                assert "fastopen" not in (await answer(link, stack, port)).split()
                assert "fastopen" in (await answer(link, stack, port)).split()
                much = bytes(range(256)) * 400
                await answer(link, stack, port, much)
                assert ours(stack) == {"active": 2}
                assert await counted(link) == {"Passive": 2, "CookieReqd": 1}

    asyncio.run(main())


def test_syns_with_data_that_are_dropped_cost_one_timeout_and_then_are_not_sent(
    link: LinkToKernel,
) -> None:
    async def main() -> None:
        async with link.stack(sysctl={"tcp_fastopen": 1}) as stack:
            server, port = await kernels_server(link)
            async with server:
                await answer(link, stack, port)
                for rule in BLACK_HOLE:
                    await link.output("nft", f"add {rule}")
                loop = asyncio.get_running_loop()
                began = loop.time()
                await answer(link, stack, port, bytes(500))
                assert loop.time() - began > 0.9
                began = loop.time()
                await answer(link, stack, port, bytes(500))
                assert loop.time() - began < 0.9
                assert ours(stack) == {"active_fail": 1}

    asyncio.run(main())
