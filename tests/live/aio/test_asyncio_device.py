"""What becomes of a stack and its connections when something happens to the device."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

import pystack
from pystack.aio.endpoint.stack import Stack
from tests.aio.recorder import Recorder
from tests.live.over_tun import MUCH, OverTun, echo

pytestmark = pytest.mark.live


def test_a_transfer_survives_the_link_going_down_and_up(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(MUCH)
                writer.close()

            await stack.start_server(serve, None, 19)
            process = await tun.namespace.start(["nc", "-d", tun.ours, "19"])
            assert process.stdout is not None
            received = hashlib.sha256(await process.stdout.readexactly(1_000_000))
            link = ["ip", "link", "set", "tun0"]
            await tun.namespace.arun([*link, "down"])
            with suppress(TimeoutError):
                while data := await asyncio.wait_for(process.stdout.read(1 << 16), 0.3):
                    received.update(data)  # what was on its way
            assert process.returncode is None
            await tun.namespace.arun([*link, "up"])
            while data := await process.stdout.read(1 << 20):
                received.update(data)
            assert received.digest() == hashlib.sha256(MUCH).digest()

    asyncio.run(main())


def test_a_deleted_device_fails_all_connections_with_enetdown_and_costs_no_cpu(
    any_tun: OverTun,
) -> None:
    tun = any_tun

    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            with listening:
                _, protocol = await stack.create_connection(Recorder, tun.peer, port)
                await tun.namespace.arun(["ip", "link", "delete", "tun0"])
                await protocol.lost
                assert isinstance(protocol.error, OSError)
                assert protocol.error.errno == errno.ENETDOWN
                with pytest.raises(OSError, match="down"):
                    await stack.open_connection(tun.peer, port)
                before = time.process_time()
                await asyncio.sleep(0.3)
                assert time.process_time() - before < 0.1  # a descriptor left polled would spin

    asyncio.run(main())


def test_the_device_is_gone_afterwards_also_when_the_body_raises(any_tun: OverTun) -> None:
    tun = any_tun

    async def main() -> None:
        with suppress(ZeroDivisionError):
            async with tun.stack() as stack:
                await stack.start_server(echo, None, 7)
                assert "tun0" in tun.namespace.run(["ip", "link"]).stdout
                raise ZeroDivisionError
        assert "tun0" not in tun.namespace.run(["ip", "link"]).stdout

    asyncio.run(main())


def test_a_changed_mtu_is_followed(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening, backlog=512):
                await tun.namespace.arun(["ip", "link", "set", "tun0", "mtu", "1300"])
                reader, writer = await stack.open_connection(tun.peer, port)
                while stack.host.mtu != 1300:
                    writer.write(b"\n")
                    await reader.readline()
                writer.write(MUCH[:1_000_000])
                writer.write_eof()
                assert await reader.read() == MUCH[:1_000_000]
                assert writer.get_extra_info("tcp_info").tcpi_pmtu == 1300
                writer.close()

    asyncio.run(main())


# -- what the kernel sees -------------------------------------------------------------------------
def test_ss_shows_the_options_that_were_agreed_on(tun: OverTun) -> None:
    async def main() -> None:
        async with tun.stack() as stack:
            listening, port = tun.listening()
            async with await asyncio.start_server(echo, sock=listening, backlog=512):
                reader, writer = await stack.open_connection(tun.peer, port)
                writer.write(b"hello")
                await reader.readexactly(5)
                argv = ["ss", "-tineH", "state", "established"]
                _, out, _ = await tun.namespace.arun(argv)
                # with 12 octets of timestamps in each segment
                mss = {4: " mss:1448 ", 6: " mss:1428 "}[tun.version]
                for word in (
                    " ts sack ",
                    mss,
                    " wscale:7,",
                    " rtt:",
                    " bytes_received:5 ",
                    " pmtu:1500 ",
                ):
                    assert word in out.decode()
                writer.close()

    asyncio.run(main())


def test_a_capture_is_one_that_can_be_read(any_tun: OverTun, tmp_path: Path) -> None:
    tun = any_tun
    from dpkt import pcapng

    async def main() -> None:
        async with tun.stack(pcap=tmp_path / "capture") as stack:
            await stack.start_server(echo, None, 7)
            await tun.namespace.arun(["nc", "-N", tun.ours, "7"], input=b"hello")

    asyncio.run(main())
    with open(tmp_path / "capture", "rb") as file:
        packets = list(pcapng.Reader(file))
    assert len(packets) >= 6
    assert abs(packets[0][0] - time.time()) < 60


def test_setup_errors_are_one_clear_line(any_tun: OverTun) -> None:
    tun = any_tun

    async def main() -> None:
        async with tun.stack():
            second = Stack.over_tun("tun0", "198.18.1.2/24", netns=tun.namespace.path)
            with pytest.raises(pystack.SetupError, match="tun0 exists") as caught:
                await second.__aenter__()
            assert "\n" not in str(caught.value)

    asyncio.run(main())


def test_curl_is_served_a_file_by_aiohttp_on_these_transports(tun: OverTun, tmp_path: Path) -> None:
    from aiohttp import web

    (tmp_path / "much").write_bytes(MUCH)
    host = tun.ours if tun.version == 4 else f"[{tun.ours}]"

    async def main() -> None:
        application = web.Application()
        application.router.add_static("/", tmp_path)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        async with tun.stack() as stack:
            await stack.create_server(runner.server, None, 80)  # type: ignore[arg-type]
            command = f"curl -sS --http1.1 http://{host}/much http://{host}/much | sha256sum"
            _, out, err = await tun.namespace.arun(["sh", "-c", command])
            assert out.split()[0].decode() == hashlib.sha256(MUCH * 2).hexdigest(), err
            await runner.cleanup()

    asyncio.run(main())


def test_a_stack_lives_on_in_the_parent_when_a_child_was_started(any_tun: OverTun) -> None:
    tun = any_tun

    async def main() -> None:
        async with tun.stack() as stack:
            await stack.start_server(echo, None, 7)
            subprocess.run(["true"], check=True, preexec_fn=lambda: None)  # noqa: ASYNC221
            argv = ["nc", "-N", tun.ours, "7"]
            _, out, _ = await tun.namespace.arun(argv, input=b"still here")
            assert out == b"still here"

    asyncio.run(main())
