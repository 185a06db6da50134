"""`pystack demo`: a whole connection, segment by segment and state by state, in a private network.

The other side is the kernel's TCP, with `curl` or Python's own web server on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import shutil
import signal
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from pystack.aio.drive.alarm import monotonic_us
from pystack.aio.endpoint.stack import Stack
from pystack.cli import private_network
from pystack.cli.calling.device_options import ADDR6, DeviceOptions, open_stack
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.failures import Failure, Interrupted
from pystack.cli.calling.number import Number
from pystack.cli.calling.until_stopped import Stopped, run, say
from pystack.cli.child import Child
from pystack.cli.report.connection_facts import hostport
from pystack.cli.report.transcript import WIDE, Transcript
from pystack.cli.services import http_server
from pystack.cli.terminal import colours
from pystack.cli.terminal.width import columns
from pystack.errors import SetupError
from pystack.tcp.state.states import CLOSED, LISTEN

_MSL: Final = 0.5  # seconds, in place of 30
_PATIENCE: Final = 30  # seconds for the whole of it
_PORT: Final = 80
_KERNEL_PORT: Final = 8000
_WELCOME: Final = "Hello from the other side\n"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a demo plays on: the stack with its transcript, and the two addresses."""

    stack: Stack
    transcript: Transcript
    palette: colours.Palette
    ours: str
    kernels: str
    over: asyncio.Event  # set whenever a connection has come back to CLOSED

    def title(self, text: str, command: str, state: int) -> None:
        """Head the table of one connection, which begins in `state`."""
        say(f"\n{self.palette.bold(text)}   {command}\n")
        say(self.palette.faint(self.transcript.heading()))
        self.transcript.start(state)
        self.over.clear()


@click.command(
    cls=WithExamples,
    short_help="Show a connection, segment by segment.",
    examples=(
        Example("demo"),
        Example("demo --active", remark="pystack opens, and closes first"),
    ),
)
@click.option("--active", is_flag=True, help="pystack connects and closes first.")
@click.option("-6", "--ipv6", "v6", is_flag=True, help="Over IPv6.")
@click.option("--msl", metavar="SECONDS", default=_MSL, show_default=True,
              type=Number(0.001, 30),
              help="Maximum segment lifetime: TIME_WAIT lasts twice that.")  # fmt: skip
def demo(active: bool, v6: bool, msl: float) -> None:
    """Run the real curl against pystack in a private network and print every segment, with the
    state it puts pystack's side into, from CLOSED back to CLOSED.

    Needs no root where user namespaces are allowed and /dev/net/tun may be opened. Leaves nothing
    behind.
    """
    if not active and shutil.which("curl") is None:
        raise Failure("curl is not installed: apt-get install curl", "pystack demo")
    private_network.enter()
    options = DeviceOptions(msl=msl, addr6=ADDR6 if v6 else "")
    try:
        run(lambda: _demo(options, active, v6))
    except Stopped as stopped:
        if stopped.number == signal.SIGINT:
            raise Interrupted("pystack demo") from None
        sys.exit(stopped.status)
    except TimeoutError:
        raise Failure(
            f"not done after {_PATIENCE} s: is something between curl and {options.dev}?",
            "pystack demo",
        ) from None
    except SetupError as error:
        if error.errno in (errno.EPERM, errno.EACCES):  # root in name only: AppArmor, SELinux
            raise private_network.no_user_namespace(error) from None
        raise


async def _demo(options: DeviceOptions, active: bool, v6: bool) -> int:
    palette = colours.Palette(colours.wanted(sys.stdout))
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    async with asyncio.timeout(_PATIENCE), open_stack(options, say) as stack:
        transcript = Transcript(
            say, palette, clock=monotonic_us, soon=loop.call_soon, over=over.set,
            columns=columns(without=WIDE),
        )  # fmt: skip
        stack.host.trace = transcript
        ours, kernels = _ends(options, v6)
        scene = Scene(stack, transcript, palette, ours, kernels, over)
        _introduce(scene, options)
        await (_active(scene) if active else _passive(scene))
        transcript.flush()
    say("\nThe network and its device are gone.")
    return 0


def _ends(options: DeviceOptions, v6: bool) -> tuple[str, str]:
    """Our address and the kernel's."""
    own = ipaddress.ip_interface(options.addresses()[1 if v6 else 0][0])
    return str(own.ip), str(own.network[1])


def _introduce(scene: Scene, options: DeviceOptions) -> None:
    seconds = 2 * (options.msl or _MSL)
    width = columns(without=WIDE)
    network = (
        f"A private network: {scene.stack.device.name} joins pystack ({scene.ours}) and the "
        f"kernel ({scene.kernels})."
    )
    say(
        f"{textwrap.fill(network, width, break_on_hyphens=False)}\n"
        f"{scene.palette.inbound('<')} comes from the kernel's TCP, "
        f"{scene.palette.outbound('>')} is sent by pystack.{' ' if width >= WIDE else chr(10)}"
        "Sequence numbers count from each side's first.\n"
        f"The MSL is shortened from 30 s to {options.msl:g} s, so TIME_WAIT lasts {seconds:g} s."
    )


# -- curl and we --------------------------------------------------------------------------------
async def _passive(scene: Scene) -> None:
    runner = await http_server.runner(None)
    try:
        assert runner.server is not None
        url = f"http://{hostport((scene.ours, _PORT)).removesuffix(f':{_PORT}')}/"
        scene.title("curl opens, curl closes first", f"curl {url}", CLOSED)
        scene.transcript.listening()
        await scene.stack.create_server(runner.server, scene.ours, _PORT)
        page = await _curl(url)
        await scene.over.wait()
        # in HTTP/1.0 the end of the connection is the end of the page, so curl waits for it
        scene.title("curl opens, pystack closes first", f"curl --http1.0 {url}", LISTEN)
        await _curl("--http1.0", url)
        await scene.over.wait()
    finally:
        await runner.cleanup()
    scene.transcript.flush()
    say("\nWhat curl got the first time:\n")
    for line in page.splitlines():
        say(f"  {line}")


async def _curl(*arguments: str) -> str:
    """What curl prints. Raises Failure when it fails."""
    quietly = ("-q", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*")
    with Child(("curl", *quietly, *arguments)) as curl:
        status, out, err = await curl.output()
    if status:
        raise Failure(err, "pystack demo")
    return out


# -- a server on the kernel's side ----------------------------------------------------------------
async def _active(scene: Scene) -> None:
    with _folder() as folder, _web_server(scene.kernels, folder) as server:
        if not await server.first_line():  # it says where it serves
            raise Failure("python3 -m http.server does not start", "pystack demo")
        where = hostport((scene.kernels, _KERNEL_PORT))
        scene.title("pystack opens, pystack closes first", f"GET http://{where}/hello", CLOSED)
        reader, writer = await scene.stack.open_connection(scene.kernels, _KERNEL_PORT)
        request = f"GET /hello HTTP/1.1\r\nHost: {where}\r\n\r\n"
        writer.write(request.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(_content_length(head))
        writer.close()
        await scene.over.wait()
    scene.transcript.flush()
    say(f"\nWhat pystack got: {body.decode().strip()}")


def _web_server(address: str, folder: str) -> Child:
    """Python's own web server as a program of its own, on the kernel's TCP."""
    return Child((
        sys.executable, "-u", "-m", "http.server", str(_KERNEL_PORT), "--bind", address,
        "--directory", folder, "--protocol", "HTTP/1.1",
    ))  # fmt: skip


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="pystack-demo-") as folder:
        Path(folder, "hello").write_text(_WELCOME)
        yield folder


def _content_length(head: bytes) -> int:
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    raise Failure("the server did not say how much it sends", "pystack demo")
