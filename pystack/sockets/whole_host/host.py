"""`Host`: a whole host without I/O or clock, with the socket calls."""

from __future__ import annotations

from errno import (
    EAFNOSUPPORT,
    EINVAL,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from typing import Final, Literal, overload

from pystack import arguments
from pystack.cc import registry
from pystack.compiling import mypyc_attr
from pystack.errors import os_error
from pystack.ip import route_metrics
from pystack.parts import variants
from pystack.sockets import constants as c
from pystack.sockets.tcp.tcp_settings import Settings
from pystack.sockets.tcp.tcp_socket import Socket
from pystack.sockets.udp.udp_socket import DatagramSocket
from pystack.stack.host import HostCore

_FLAGS: Final = c.SOCK_NONBLOCK | c.SOCK_CLOEXEC
_PROTOCOLS: Final = {c.SOCK_STREAM: c.IPPROTO_TCP, c.SOCK_DGRAM: c.IPPROTO_UDP}
_AVAILABLE: Final = "tcp_available_congestion_control"
# shared by the files of `pystack.stack` and this one; `dir` leaves it out
_INSIDE: Final = frozenset((
    "abandon_all", "all_listeners", "is_listening", "acceptable", "add_half_open",
    "connection_key", "contain_fault", "cookies", "dirty", "forget_half_open",
    "has_local_connections", "ip", "isn", "listen", "mark", "new_tcb", "next_cookie", "next_isn",
    "note_acceptable", "open", "opening", "part_failed", "path_mtu_changed", "ports",
    "realtime_offset_us", "receive_packet", "receive_segment", "register", "remove_time_wait",
    "retire", "rx", "secret", "seg", "shared", "take_acceptable", "take_isn_generator",
    "take_path_mtu", "tcb_for", "time_waits", "touch", "tx", "udp", "unlisten", "unregister",
    "wake", "wakeups",
))  # fmt: skip


@mypyc_attr(allow_interpreted_subclasses=True)
class Host(HostCore):
    """A host without I/O and without a clock: TCP, UDP and ICMP, with BSD sockets.

    See `HostCore` for the arguments and for how to drive it: `receive` or `receive_batch`,
    `transmit`, `next_deadline`, `on_time`. What there is to know of it: `addresses`, `config` (its
    settings, see `sysctl`), `counters`, `connections` by flow key, `listeners`, `mtu` in bytes (see
    `set_mtu`), `now_us`, when it was driven last. A driver may say what its interface is called
    (`set_interface`) and what time of day it is (`set_realtime`). To be set: `on_dirty`, called
    when a socket call has made something to transmit and nothing was waiting before;
    `on_part_failed`, called with a sentence and an exception when a replaceable part has raised;
    `trace`, which sees each packet and each change of a state (`pystack.stack.host_state.Trace`).
    `dir` leaves out what else its files share.
    """

    def __dir__(self) -> list[str]:
        """Without what is shared by the files of `pystack.stack` only."""
        return [name for name in object.__dir__(self) if name not in _INSIDE]

    @overload
    def socket(
        self, family: int = c.AF_INET, type: Literal[1] = c.SOCK_STREAM, proto: int = 0
    ) -> Socket: ...

    @overload
    def socket(self, family: int, type: Literal[2], proto: int = 0) -> DatagramSocket: ...

    @overload
    def socket(self, family: int, type: int, proto: int = 0) -> Socket | DatagramSocket: ...

    def socket(
        self, family: int = c.AF_INET, type: int = c.SOCK_STREAM, proto: int = 0
    ) -> Socket | DatagramSocket:
        """A new socket, never blocking: SOCK_STREAM for TCP, SOCK_DGRAM for UDP. AF_INET6 sockets
        speak IPv4 as well (IPV6_V6ONLY).

        Raises OSError EAFNOSUPPORT, ESOCKTNOSUPPORT (another type), EPROTONOSUPPORT (another
        protocol) or EINVAL (no such number).
        """
        kind = type & c.SOCK_TYPE_MASK
        if type & ~(c.SOCK_TYPE_MASK | _FLAGS) or kind >= c.SOCK_MAX:
            raise os_error(EINVAL)
        if family not in (c.AF_INET, c.AF_INET6):
            raise os_error(EAFNOSUPPORT)
        if not 0 <= proto < c.IPPROTO_MAX:
            raise os_error(EINVAL)
        if kind not in _PROTOCOLS:
            raise os_error(ESOCKTNOSUPPORT)
        if proto not in (0, _PROTOCOLS[kind]):
            raise os_error(EPROTONOSUPPORT)
        if kind == c.SOCK_DGRAM:
            return DatagramSocket(self, family)
        return Socket(self, family, Settings())

    def add_route(self, text: str) -> None:
        """Add a route in the words of `ip route`: a network or "default", and what the connections
        there are asked for, as in "10.0.0.0/8 mtu 1400 initcwnd 20" (docs/asyncio.md). One
        for the same network is replaced; connections that there are stay as they are.

        Raises ValueError for what is none, and OSError ENOENT for an unknown congestion control.
        """
        networks, metrics = route_metrics.parse(arguments.text("text", text, "10.0.0.0/8"))
        if metrics is not None and metrics.congctl:
            variants.check(variants.CONGESTION_CONTROL, metrics.congctl)
        for network, mask in networks:
            self.addresses.add_route(network, mask, metrics)

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Read a setting by its short or full name (`tcp_sack`, `net.ipv4.tcp_sack`), after
        setting it if a value is given.

        Raises OSError ENOENT for an unknown name, of a setting or of what a setting chooses
        (`stack.variants`), EINVAL for a value of the wrong form.
        """
        arguments.text("name", name, "tcp_sack")
        short = name.replace("/", ".").rsplit(".", 1)[-1]
        if short == _AVAILABLE and value is None:
            return " ".join(registry.names())
        if value is not None:
            kind = variants.kind_of(short)
            if kind:
                variants.check(kind, str(value))
            self.config.set(name, value)
            if kind == variants.ISN:
                self.take_isn_generator()
        return self.config.get(name)
