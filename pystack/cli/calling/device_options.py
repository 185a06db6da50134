"""The options that say which device a command makes, and the stack that follows from them."""

from __future__ import annotations

import asyncio
import difflib
import errno
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from pystack.aio.devices.impaired import ImpairedDevice, parsed
from pystack.aio.endpoint.stack import Stack
from pystack.cli.calling.failures import Incomplete, sentence
from pystack.cli.calling.number import Number
from pystack.config import Config
from pystack.device.addresses import AddressPair, interface
from pystack.errors import SetupError
from pystack.ip import route_metrics
from pystack.parts import entry_points, variants
from pystack.path.language.spec import Impairment
from pystack.wire import address
from pystack.wire.consts import IPV6_MIN_MTU

ADDR: Final = "198.18.0.2/24"  # of the block for tests of devices, RFC 2544
ADDR6: Final = "fd00:198:18::2/64"

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

# what the kernel answers when a device cannot have IPv6
_NO_IPV6: Final = (errno.EAFNOSUPPORT, errno.EACCES, errno.EROFS, errno.EPERM)


@dataclass(frozen=True, slots=True)
class DeviceOptions:
    """What the user asked for. An address is "" for none; `addr6` None when nothing was said."""

    dev: str = "tun0"
    addr: str = ADDR
    peer: str | None = None
    addr6: str | None = None
    peer6: str | None = None
    mtu: int = 1500
    netns: str | None = None
    pcap: Path | None = None
    msl: float | None = None
    offload: bool = True
    impair: Impairment | None = None
    sysctl: tuple[tuple[str, str], ...] = ()
    cc: str | None = None
    variants: tuple[tuple[str, str], ...] = ()
    routes: tuple[str, ...] = ()

    def addresses(self) -> list[tuple[str, str | None]]:
        """Our addresses, each with the kernel's own."""
        pairs = ((self.addr, self.peer), (self._addr6(), self.peer6))
        return [(own, peer) for own, peer in pairs if own]

    def _addr6(self) -> str:
        if self.addr6 is None:
            return ADDR6 if self.mtu >= IPV6_MIN_MTU else ""
        return self.addr6

    def stack(self, **more: Any) -> Stack:
        """The stack, not opened yet; `more` goes to `Stack.over_tun`."""
        sysctl = dict(self.sysctl)
        if self.msl is not None:
            sysctl["tcp_msl_ms"] = str(round(self.msl * 1000))
        for kind, name in self.variants:
            sysctl[variants.KINDS[kind].setting] = name
        if self.cc is not None:
            sysctl[variants.KINDS[variants.CONGESTION_CONTROL].setting] = self.cc
        return Stack.over_tun(
            self.dev, self.addr or None, peer=self.peer,
            addr6=self._addr6() or None, peer6=self.peer6, mtu=self.mtu,
            netns=self.netns, offload=self.offload, impair=self.impair,
            sysctl=sysctl, pcap=self.pcap, routes=self.routes, **more,
        )  # fmt: skip


@asynccontextmanager
async def open_stack(options: DeviceOptions, remark: Callable[[str], None]) -> AsyncIterator[Stack]:
    """The stack, open, and closed at the end. Raises SetupError, and Incomplete at the end."""
    stack = await open_alone(options, remark)
    failed = True
    try:
        yield stack
        failed = False
    except asyncio.CancelledError:
        failed = False
        raise
    finally:
        await stack.aclose()
        if stack.capture_error is not None and not failed:
            raise Incomplete


async def open_alone(options: DeviceOptions, remark: Callable[[str], None], **more: Any) -> Stack:
    """The stack, open, for others to close; `more` goes to `Stack.over_tun`. Raises SetupError.

    Where there is no IPv6 and none was asked for, it goes without, with a remark.
    """
    why_no_ipv6 = ""
    if options.addr6 is None and options.addr and options.mtu < IPV6_MIN_MTU:
        why_no_ipv6 = f"it needs an MTU of {IPV6_MIN_MTU}"
    stack = options.stack(**more)
    try:
        await stack.__aenter__()
    except SetupError as error:
        if options.addr6 is not None or not options.addr or error.errno not in _NO_IPV6:
            raise
        why_no_ipv6 = error.problem
        stack = replace(options, addr6="").stack(**more)
        await stack.__aenter__()  # fails as well when it was not for IPv6
    if why_no_ipv6:
        remark(f"no IPv6: {why_no_ipv6}")
    if isinstance(stack.device, ImpairedDevice):
        remark(f"impaired: {stack.device.impairment.text} (seed {stack.device.seed})")
    return stack


def route(text: str) -> str:
    """A route, checked at once. Raises BadParameter."""
    try:
        _, metrics = route_metrics.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if metrics is not None and metrics.congctl:
        _known(variants.CONGESTION_CONTROL, metrics.congctl)
    return text


def setting(text: str) -> tuple[str, str]:
    """Name and value of "tcp_sack=0", checked at once. Raises BadParameter."""
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form name=value")
    short = name.replace("/", ".").rsplit(".", 1)[-1]
    kind = variants.kind_of(short)
    if kind:
        _known(kind, value)
    try:
        Config().set(name, value)
    except OSError as error:
        hint = _near(short) if error.errno == errno.ENOENT else ""
        raise click.BadParameter(f"{error.strerror}{hint}") from None
    return name, value


def _near(name: str) -> str:
    """Which setting may have been meant; where none is like it, all there are."""
    names = [field.name for field in fields(Config)]
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f" (is it {near[0]}?)"
    parts = [one for one in names if name and name in one]
    return f": there is {', '.join(parts or names)}"


def capture_file(text: str) -> Path:
    """A file for --pcap. Raises BadParameter."""
    if text == "-":
        raise click.BadParameter("stdout has what the command says: give a file (or ./- for that)")
    if not text or Path(text).is_dir():
        raise click.BadParameter(f"{text!r} is no file to write to")
    return Path(text)


def congestion_control(text: str) -> str:
    """A name for --cc, checked at once. Raises BadParameter."""
    return _known(variants.CONGESTION_CONTROL, text)


def variant(text: str) -> tuple[str, str]:
    """Kind and name of "ack_policy=quick", checked at once. Raises BadParameter."""
    kind, equals, name = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form kind=name")
    return kind, _known(kind, name)


def _known(kind: str, name: str) -> str:
    try:
        variants.names(kind)
        entry_points.find(kind, name)
    except OSError as error:
        raise click.BadParameter(str(error.strerror)) from None
    return name


def impairment(text: str) -> Impairment:
    """What --impair says. Raises BadParameter."""
    try:
        return parsed(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    except OSError as error:
        raise click.BadParameter(f"trace: {sentence(error)}") from None


_ADDRESSES: Final = (
    click.option("--addr", metavar="ADDR/LEN", default=ADDR, show_default=True,
                 help="The stack's IPv4 address, or `none`. An IPv6 one here is the only one."),
    click.option("--peer", metavar="ADDR",
                 help="The kernel's own on the device.  [default: the first of the prefix]"),
    click.option("--addr6", metavar="ADDR/LEN",
                 help=f"The stack's IPv6 address, or `none`.  [default: {ADDR6}]"),
    click.option("--peer6", metavar="ADDR", help="The kernel's own."),
    click.option("--netns", metavar="NAME",
                 help="Put the device into this network namespace; pystack stays outside."),
)  # fmt: skip
_DEVICE: Final = (
    click.option("--dev", metavar="NAME", default="tun0", show_default=True,
                 help="Name of the device; tun%d takes the next free one."),
    *_ADDRESSES,
    click.option("--mtu", metavar="N", type=int, default=1500, show_default=True,
                 help="MTU of the device in bytes."),
    click.option("--pcap", metavar="FILE", type=capture_file,
                 help="Capture all packets to FILE, for Wireshark and tshark. A full disk ends the "
                 "capture alone; the exit status is 1 then."),
    click.option("--msl", metavar="SECONDS", type=Number(0.001, 3600),
                 help="Maximum segment lifetime: TIME_WAIT lasts twice that.  [default: 30]"),
    click.option("--no-offload", "offload", is_flag=True, flag_value=False, default=True,
                 help="MTU-sized packets with full checksums, instead of runs of up to 64 KB."),
    click.option("--impair", metavar="WORDS", type=impairment,
                 help='A bad way, in netem\'s words: "delay 20ms 2ms loss 1% rate 20mbit".'),
    click.option("--sysctl", metavar="NAME=VALUE", type=setting, multiple=True,
                 help="A setting by Linux's name, such as tcp_sack=0. May be repeated."),
    click.option("--cc", metavar="NAME", type=congestion_control,
                 help=f"The congestion control.  [default: {Config().tcp_congestion_control}]"),
    click.option("--variant", "variants", metavar="KIND=NAME", type=variant, multiple=True,
                 help="Another part of TCP, such as ack_policy=quick. May be repeated."),
    click.option("--route", "routes", metavar="ROUTE", type=route, multiple=True,
                 help="Another network that is reached through the stack, or `default`; and what "
                 'connections there are asked for, in words of `ip route`: "default initcwnd 20".'),
)  # fmt: skip


def _gathering(options: tuple[Decorator, ...], command: F) -> Callable[..., Any]:
    names = {field.name for field in fields(DeviceOptions)}

    @functools.wraps(command)
    def gathered(**given: Any) -> Any:
        asked = {name: given.pop(name) for name in list(given) if name in names}
        options = DeviceOptions(**_addressed(asked))
        return command(options=options, **given)

    wrapped: Callable[..., Any] = gathered
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def _addressed(asked: dict[str, Any]) -> dict[str, Any]:
    """The options, with what their addresses stand for. Raises UsageError that names the option,
    for whatever no device could have."""
    addr, addr6 = _own(asked, "addr"), _own(asked, "addr6")
    if addr and ":" in addr and addr6 is None:
        addr6 = ""
    if addr6 and ":" not in addr6:
        raise _mistake("addr6", f"{addr6!r} is no IPv6 address: give one such as {ADDR6}")
    if addr == addr6 == "":
        raise _mistake("addr6", "with --addr none, too, the stack has no address")
    _check(asked, "addr", addr or "", "peer")
    _check(asked, "addr6", ADDR6 if addr6 is None else addr6, "peer6")
    return {**asked, "addr": addr, "addr6": addr6}


def _own(asked: dict[str, Any], name: str) -> str | None:
    text: str | None = asked[name]
    if text == "":
        raise _mistake(name, "it is empty: give an address, or none")
    return "" if text == "none" else text


def _check(asked: dict[str, Any], name: str, ours: str, peer_name: str) -> None:
    """One of our addresses, with the kernel's. Raises UsageError."""
    peer: str | None = asked[peer_name]
    if not ours:
        if peer is not None:
            raise _mistake(peer_name, f"it goes with --{name}, but there is none")
        return
    at = name
    try:
        own = interface(ours)
        if peer is not None:
            at = peer_name
        elif own.network.prefixlen == own.network.max_prefixlen:
            raise _mistake(
                name,
                f"{own} leaves no address for the kernel: give that one with --{peer_name}, or a "
                f"prefix here, such as {own.ip}/{24 if own.version == 4 else 64}",
            )
        AddressPair.parse(ours, peer)
    except SetupError as error:
        raise _mistake(at, str(error)) from None


def _mistake(name: str, problem: str) -> click.UsageError:
    ctx = click.get_current_context()
    return click.BadParameter(problem, ctx, param_hint=f"'--{name}'")


def address_options(command: F) -> Callable[..., Any]:
    """Give a command --addr, --addr6, --netns …, as one DeviceOptions called `options`."""
    return _gathering(_ADDRESSES, command)


def device_options(command: F) -> Callable[..., Any]:
    """As `address_options`, with all there is to say of a device and its stack."""
    return _gathering(_DEVICE, command)


def in_words(options: DeviceOptions, stack: Stack) -> str:
    """The stack in a few words: addresses, device, MTU, offload."""
    where = stack.device.name + (f" in namespace {options.netns}" if options.netns else "")
    offload = "on" if stack.device.offload else "off"
    own = " and ".join(own_addresses(stack))
    return f"{own} on {where}, MTU {stack.device.mtu}, offload {offload}"


def own_addresses(stack: Stack) -> list[str]:
    """The stack's addresses as text."""
    return [address.text(own) for own in stack.host.addresses.all()]
