"""`pystack serve`: HTTP and the small servers of old on a stack of our own, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from pystack.aio.devices.impaired import ImpairedDevice
from pystack.aio.drive.device import follow_link
from pystack.aio.endpoint.stack import Stack
from pystack.cli.calling.device_options import (
    DeviceOptions,
    device_options,
    in_words,
    open_stack,
    own_addresses,
)
from pystack.cli.calling.examples import Example, WithExamples
from pystack.cli.calling.until_stopped import Stopped, run, say
from pystack.cli.report.event_log import EventLog, Watched
from pystack.cli.services import http_server
from pystack.cli.services.small_servers import Chargen, Daytime, Discard, Echo
from pystack.device.link_state import LinkState
from pystack.errors import SetupError

PORTS: Final = {"http": 80, "echo": 7, "discard": 9, "daytime": 13, "chargen": 19}
_BACKLOG: Final = 1024

Factory = Callable[[], asyncio.Protocol]
_SMALL: Final[dict[str, Factory]] = {
    "echo": Echo, "discard": Discard, "daytime": Daytime, "chargen": Chargen,
}  # fmt: skip


def service_port(text: str) -> tuple[str, int]:
    """Service and port of "http=8080". Raises BadParameter."""
    service, _, port = text.partition("=")
    if service not in PORTS:
        raise click.BadParameter(f"{text!r}: the services are {', '.join(PORTS)}")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise click.BadParameter(f"{text!r}: a port is 1 to 65535, as in {service}=8080")
    return service, int(port)


@dataclass(frozen=True, slots=True)
class Service:
    """A service and where it listens."""

    name: str
    port: int


_EXAMPLES: Final = tuple(
    Example(f"serve{words}", root=True)
    for words in (
        "",
        " http echo --port http=8080 --dir .",
        " --dev tun7 --addr 10.9.0.2/24 --addr6 none --sysctl tcp_sack=0",
        " --netns blue --pcap blue.pcapng --msl 1",
        ' --impair "delay 20ms 2ms loss 1% reorder 5% rate 20mbit limit 100"',
    )
)


@click.command(
    cls=WithExamples,
    short_help="Serve HTTP, echo, discard, daytime, chargen.",
    examples=_EXAMPLES,
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", type=click.Choice([*PORTS]))
@device_options
@click.option("--port", "ports", metavar="SERVICE=PORT", type=service_port, multiple=True,
              help="Another port than the usual one. May be repeated.")  # fmt: skip
@click.option("--dir", "folder", metavar="FOLDER", help="Serve this folder too, below /files/.",
              type=click.Path(exists=True, file_okay=False, path_type=Path))  # fmt: skip
def serve(
    services: tuple[str, ...], ports: tuple[tuple[str, int], ...], folder: Path | None,
    options: DeviceOptions,
) -> None:  # fmt: skip
    """Make a TUN device and serve on it until Ctrl-C: http, echo, discard, daytime and chargen,
    or those that are named.

    Then shows what to try, and a line for each connection that opens or ends. It ends, too, when
    nobody reads these any more.
    """
    for name, port in ports:
        if services and name not in services:
            named = ", ".join(services)
            raise click.UsageError(f"--port {name}={port}: of the services only {named} is wanted")
    chosen = [
        Service(name, dict(ports).get(name, port))
        for name, port in PORTS.items()
        if name in services or not services
    ]
    _refuse_twice(chosen)
    with contextlib.suppress(Stopped):  # as it is meant to end
        run(lambda: _serve(options, chosen, folder))


def _refuse_twice(chosen: Iterable[Service]) -> None:
    taken: dict[int, str] = {}
    for service in chosen:
        other = taken.setdefault(service.port, service.name)
        if other != service.name:
            raise click.UsageError(f"{other} and {service.name} cannot both have {service.port}")


async def _serve(options: DeviceOptions, chosen: list[Service], folder: Path | None) -> int:
    log = EventLog(say)
    async with open_stack(options, say) as stack, _factories(chosen, folder) as factories:
        for service in chosen:
            await stack.create_server(
                _watched(factories[service.name], service.name, log),
                None, service.port, backlog=_BACKLOG,
            )  # fmt: skip
        say(f"pystack is {in_words(options, stack)}\n\nTry:")
        for line in to_try(chosen, own_addresses(stack), options.netns, folder is not None):
            say(f"  {line}")
        say("\nCtrl-C ends it.\n")
        try:
            await _until_gone(stack, log)
        finally:
            log.close()
            say("\n" + await summary(stack))
    return 0


def _watched(factory: Factory, name: str, log: EventLog) -> Factory:
    return lambda: Watched(factory(), name, log)


@contextlib.asynccontextmanager
async def _factories(
    chosen: Iterable[Service], folder: Path | None
) -> AsyncIterator[dict[str, Factory]]:
    """What makes the protocol of a connection, by service."""
    if not any(service.name == "http" for service in chosen):
        yield _SMALL
        return
    runner = await http_server.runner(folder)
    try:
        assert runner.server is not None
        yield {"http": runner.server, **_SMALL}
    finally:
        await runner.cleanup()


async def _until_gone(stack: Stack, log: EventLog) -> None:
    """Tell of the link until somebody removes it. Raises SetupError then."""
    name = stack.device.name
    up = True
    states: asyncio.Queue[LinkState] = asyncio.Queue()
    unfollow = follow_link(stack.device, stack.loop, states.put_nowait)
    try:
        while (state := await states.get()).present:
            if state.up != up:
                up = state.up
                log.line(f"{name} is {'up again' if up else 'down'}")
    finally:
        unfollow()
    raise SetupError(errno.ENODEV, f"{name} was removed", "start again to make it anew")


def to_try(
    chosen: Iterable[Service], addresses: Iterable[str], netns: str | None, files: bool
) -> Iterator[str]:
    """The commands that reach each service, with a word on each."""
    inside = ""
    if netns is not None:
        enter = f"nsenter --net={netns}" if "/" in netns else f"ip netns exec {netns}"
        inside = " ".join(map(shlex.quote, enter.split(" "))) + " "
    rows = [
        row
        for address in addresses
        for service in chosen
        for row in _commands(service, address, inside, files)
    ]
    width = max(len(command) for command, _ in rows)
    for command, remark in rows:
        yield f"{command:<{width}}   # {remark}"


def _commands(
    service: Service, address: str, inside: str, files: bool
) -> Iterator[tuple[str, str]]:
    port = service.port
    curl, nc = f"{inside}curl", f"{inside}nc"
    if service.name == "http":
        host = f"[{address}]" if ":" in address else address
        base = f"http://{host}" + (f":{port}" if port != PORTS["http"] else "")
        yield f"{curl} {_url(base + '/')}", "this very connection"
        yield f"{curl} {_url(base + '/connection')}", "the same as JSON"
        if files:
            yield f"{curl} {_url(base + http_server.FILES + '/')}", "the folder"
    elif service.name == "echo":
        yield f"echo hello | {nc} -N {address} {port}", "gives it back"
    elif service.name == "discard":
        yield f"head -c 100M /dev/zero | {nc} -N {address} {port}", "takes it all"
    elif service.name == "daytime":
        yield f"{nc} -d {address} {port}", "the time of day"
    else:
        yield f"{nc} -d {address} {port} | head", "never ends by itself"


def _url(url: str) -> str:
    return shlex.quote(url)  # brackets are patterns to a shell


async def summary(stack: Stack) -> str:
    """What has passed, and what was lost at this end."""
    counters = stack.host.counters
    text = (
        f"{_number(counters.passive_opens, 'connection')}, "
        f"{_number(counters.in_packets, 'packet')} in, {counters.out_packets:,} out, "
        f"{_number(counters.retrans_segs, 'segment')} retransmitted"
    )
    if isinstance(stack.device, ImpairedDevice):
        for way, counts in zip(("in", "out"), stack.device.counts(), strict=True):
            text += f"\nimpaired {way}: {_counted(counts) or 'nothing'}"
    try:
        drops = _counted(await stack.drop_counters())
    except OSError:
        return text  # the device is gone, and its counters with it
    return f"{text}\ndropped: {drops}" if drops else text


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
