"""An experimental option (RFC 6994) on segments that the kernel takes: it ignores the option."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import pystack
from pystack.tcp.policies.experimental_option import ExperimentalOption
from tests.live.over_tun import OverTun, echo

pytestmark = pytest.mark.live

TEXT = bytes(range(251)) * 20_000  # 5 MB


class Offset(ExperimentalOption):
    """Where in the stream a segment begins; asks nobody."""

    exid = 0x6F66_6673
    exid_bits = 32
    data_size = 4
    needs_peer = False

    def __init__(self) -> None:
        super().__init__()
        self.highest = 0

    def syn_value(self, now_us: int) -> bytes:
        return b""

    syn_ack_value = syn_value

    def data_value(self, offset: int, length: int, now_us: int) -> bytes:
        self.highest = max(self.highest, offset + length)
        return (offset & 0xFFFF_FFFF).to_bytes(4, "big")

    def ack_value(self, now_us: int) -> bytes:
        return b"ack"


class Alike(Offset):
    """The same for all segments, which may then leave as runs."""

    uniform = True

    def data_value(self, offset: int, length: int, now_us: int) -> bytes:
        super().data_value(offset, length, now_us)
        return b"data"


@pytest.mark.parametrize("option", [Offset, Alike])
def test_text_with_an_option_goes_both_ways(tun: OverTun, option: type[Offset]) -> None:
    pystack.register_variant("option", "live", option)

    async def main() -> None:
        async with tun.stack(sysctl={"tcp_experimental_option": "live"}) as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening):
                reader, writer = await stack.open_connection(tun.peer, port)
                chosen = writer.get_extra_info("socket").variant("option")
                sending = asyncio.create_task(_send(writer))
                assert await reader.readexactly(len(TEXT)) == TEXT
                await sending
                assert chosen.highest == len(TEXT)
                writer.close()
            drops = await stack.drop_counters()
            assert not {name: count for name, count in drops.items() if name.startswith("bad")}

    asyncio.run(main())


def test_the_kernel_connects_to_a_listener_with_an_option(tun: OverTun) -> None:
    pystack.register_variant("option", "live", Offset)

    async def main() -> None:
        async with tun.stack(sysctl={"tcp_experimental_option": "live"}) as stack:
            await stack.start_server(echo, None, 7)
            argv = ["nc", "-N", tun.ours, "7"]
            status, out, err = await tun.namespace.arun(argv, input=TEXT[:100_000])
            assert (status, out) == (0, TEXT[:100_000]), err

    asyncio.run(main())


async def _send(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        writer.write(TEXT)
        await writer.drain()
