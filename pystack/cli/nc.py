"""`pystack nc`: stdin and stdout over a connection of the stack, as netcat does."""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import sys
from typing import Final

import click

from pystack.aio.endpoint.stack import Stack
from pystack.cli.calling.device_options import (
    DeviceOptions,
    device_options,
    open_stack,
    own_addresses,
)
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.failures import Failure, sentence
from pystack.cli.calling.number import Number
from pystack.cli.calling.until_stopped import Stopped, run
from pystack.cli.report.connection_facts import bytes_out, hostport, negotiated
from pystack.cli.terminal.call_thread import Blocking, write_all
from pystack.cli.terminal.output import STDOUT, warn
from pystack.sockets.tcp.tcp_info import STATES
from pystack.tcp.state.states import CLOSED, TIME_WAIT

_CHUNK: Final = 262_144
_STDIN, _STDOUT = 0, 1
_OVER: Final = (STATES[CLOSED], STATES[TIME_WAIT])
_FIRST_LOOK, _LAST_LOOK = 0.001, 0.1  # seconds

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Local(Exception):
    """stdin or stdout has failed."""

    def __init__(self, name: str, error: OSError) -> None:
        super().__init__(f"{name}: {sentence(error)}")
        self.error = error


class NoConnection(Failure):
    """The other side could not be reached, or the connection broke; as with nc, status 1."""

    exit_code = 1


@click.command(
    cls=WithExamples,
    short_help="Connect stdin and stdout to a TCP connection.",
    examples=(
        Example("nc -l 9000", root=True, remark="then, elsewhere: nc -N 198.18.0.2 9000"),
        Example("nc 198.18.0.1 9000", root=True, remark="where elsewhere waits: nc -l 9000"),
    ),
)
@click.argument("place", nargs=-1, metavar="[HOST] PORT")
@click.option("-l", "--listen", is_flag=True, help="Wait for one connection instead of making it.")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what happens.")
@click.option("-w", "--wait", metavar="SECONDS", type=Number(0.001),
              help="Give up when there is no connection after so long.")  # fmt: skip
@device_options
def nc(
    place: tuple[str, ...], listen: bool, verbose: bool, wait: float | None, options: DeviceOptions
) -> None:
    """Connect to HOST and PORT from a stack of its own, or wait there with -l; what is read from
    stdin is sent, what comes is written to stdout.

    The end of stdin closes our half of the connection. The command ends when both halves are
    closed, or with a terminal as stdin when the peer's is. Status 0; 1 when there was no
    connection or it broke; 2 when there was no device.
    """
    host, port = _place(place, listen)
    try:
        run(lambda: _nc(options, host, port, listen, verbose, wait))
    except Stopped as stopped:
        sys.exit(stopped.status)
    except _Local as local:
        if isinstance(local.error, BrokenPipeError):
            raise BrokenPipeError(local.error.errno, local.error.strerror, STDOUT) from None
        raise NoConnection(str(local), "pystack nc") from None


def _place(place: tuple[str, ...], listen: bool) -> tuple[str | None, int]:
    if not (1 if listen else 2) <= len(place) <= 2:
        raise click.UsageError("give HOST and PORT, or -l and PORT")
    host, port = (place[0] if len(place) == 2 else None), place[-1]
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise click.UsageError(f"{port!r} is no port: give 1 to 65535")
    return host, int(port)


async def _nc(
    options: DeviceOptions, host: str | None, port: int, listen: bool, verbose: bool,
    wait: float | None,
) -> int:  # fmt: skip
    def remark(text: str) -> None:
        if verbose:
            warn(text)

    async with open_stack(options, remark) as stack:
        try:
            async with asyncio.timeout(wait):
                if listen:
                    own = [host] if host else own_addresses(stack)
                    remark("listening on " + " and ".join(hostport((one, port)) for one in own))
                    streams = await _accepted(stack, host, port)
                else:
                    assert host is not None
                    streams = await stack.open_connection(host, port, limit=_CHUNK)
        except TimeoutError:
            raise _broken(host, port, "no connection in time" if wait else "timed out") from None
        except OSError as error:
            raise _broken(host, port, _in_kernels_words(error)) from None
        transport = streams[1].transport
        peer = hostport(transport.get_extra_info("peername"))
        remark(f"connected to {peer} ({negotiated(transport.get_extra_info('tcp_info'))})")
        await _exchange(*streams, peer)
        info = transport.get_extra_info("tcp_info")
        remark(f"closed: in {info.tcpi_bytes_received:,} B, out {bytes_out(info):,} B")
    return 0


async def _accepted(stack: Stack, host: str | None, port: int) -> Streams:
    """The first connection; further ones are refused."""
    first: asyncio.Future[Streams] = asyncio.get_running_loop().create_future()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if first.done():
            writer.transport.abort()
        else:
            first.set_result((reader, writer))

    server = await stack.start_server(connected, host, port, limit=_CHUNK, backlog=1)
    try:
        return await first
    finally:
        server.close()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
    """Both ways until both are done; with a terminal as stdin, until the peer is."""
    upload = asyncio.create_task(_upload(writer, Blocking("pystack-stdin")))
    download = asyncio.create_task(_download(reader, Blocking("pystack-stdout")))
    try:
        if os.isatty(_STDIN):
            await asyncio.wait((upload, download), return_when=asyncio.FIRST_COMPLETED)
            if upload.done():
                upload.result()
            await download
        else:
            await asyncio.gather(upload, download)
        writer.close()
        await writer.wait_closed()
        await _until_over(writer)
    except OSError as error:
        raise _broken(peer, None, _in_kernels_words(error)) from None
    finally:
        for task in (upload, download):
            task.cancel()
        await asyncio.gather(upload, download, return_exceptions=True)
        writer.transport.abort()


async def _upload(writer: asyncio.StreamWriter, stdin: Blocking) -> None:
    while True:
        try:
            data = await stdin.call(functools.partial(os.read, _STDIN, _CHUNK))
        except OSError as error:
            raise _Local("stdin", error) from error
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


async def _download(reader: asyncio.StreamReader, stdout: Blocking) -> None:
    while data := await reader.read(_CHUNK):
        try:
            await stdout.call(functools.partial(write_all, _STDOUT, data))
        except OSError as error:
            raise _Local("stdout", error) from error


async def _until_over(writer: asyncio.StreamWriter) -> None:
    """Until the peer has all of it: the device goes when we end."""
    pause = _FIRST_LOOK
    while writer.get_extra_info("tcp_info").tcpi_state not in _OVER:
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LAST_LOOK)


def _in_kernels_words(error: OSError) -> str:
    """Such as "Connection refused"; an error of the name look-up has words of its own."""
    if isinstance(error, socket.gaierror) or not error.errno:
        return sentence(error)
    return os.strerror(error.errno)


def _broken(host: str | None, port: int | None, why: str) -> NoConnection:
    where = "" if host is None else f"{hostport((host, port)) if port else host}: "
    return NoConnection(f"{where}{why}", "pystack nc")
