"""One machinery for the options of all sockets, and the options that TCP and UDP share.

An `OptionTable` leads from (level, name) to an `Option`: how it is read, and how it is set. Values
lie in a record: TCP's `Settings`, UDP's `UdpEndpoint`. The two tables are `tcp_options` and
`udp_options`. A value comes and goes as an int, or as the bytes of its C form in the machine's byte
order, as with Python's `socket`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import EINVAL, ENOPROTOOPT, EOPNOTSUPP
from struct import Struct
from typing import Any, Final, Generic, Protocol, TypeVar

from pystack.compiling import mypyc_attr
from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.stack.host import HostCore

INT_MAX: Final = 0x7FFF_FFFF
UNSIGNED: Final = 0xFFFF_FFFF  # all ones of an unsigned int
MOST_BYTES: Final = 1024  # that getsockopt may be asked for, as in Python's `socket`

INT: Final = Struct("=i")
LINGER: Final = Struct("=ii")

MIN_SNDBUF: Final = 4608  # bytes: two of the smallest packets with Linux's bookkeeping
MIN_RCVBUF: Final = 2304


class HasOptions(Protocol):
    """A socket, as far as options look at it."""

    host: HostCore
    family: int

    @property
    def is_bound(self) -> bool:
        """Whether it has a port."""


class Shared(Protocol):
    """The values that TCP's and UDP's records both have; -1 stands for the host's own choice."""

    sndbuf: int
    rcvbuf: int
    tclass: int
    ttl: int
    hops: int
    v6only: bool


Sock = TypeVar("Sock", bound=HasOptions)
Record = TypeVar("Record")

Getter = Callable[[Sock, Record], int | bytes]
Setter = Callable[[Sock, Record, Any], None]


@mypyc_attr(native_class=False)  # mypyc does not know slots=True
@dataclass(frozen=True, slots=True)
class Option(Generic[Sock, Record]):
    """How an option is read and, where it may be, set.

    `set` checks a value and puts it into the record; `effect` then brings the record to a TCB that
    exists. `raw` options are set with bytes, the others with an int.
    """

    get: Getter[Sock, Record]
    set: Setter[Sock, Record] | None = None
    effect: Callable[[Record, Any], None] | None = None
    raw: bool = False


class OptionTable(Generic[Sock, Record]):
    """The options of one kind of socket. `record` gives what a socket keeps the values in."""

    __slots__ = ("record", "levels")

    def __init__(
        self,
        record: Callable[[Sock], Record],
        levels: Mapping[int, Mapping[int, Option[Sock, Record]]],
    ) -> None:
        self.record = record
        self.levels = levels

    def get(self, sock: Sock, level: int, name: int, size: int) -> int | bytes:
        """See `BaseSocket.getsockopt`."""
        if not 0 <= size <= MOST_BYTES:
            raise os_error(EINVAL)
        options = self._of_level(sock, level)
        if options is None:
            raise os_error(ENOPROTOOPT if sock.family == c.AF_INET6 else EOPNOTSUPP)
        option = options.get(name)
        if option is None:
            raise os_error(ENOPROTOOPT)
        return as_asked(level, option.get(sock, self.record(sock)), size)

    def set(self, sock: Sock, level: int, name: int, value: Any) -> None:
        """See `BaseSocket.setsockopt`."""
        self.put(sock, self.record(sock), level, name, value)

    def put(
        self, sock: Sock, record: Record, level: int, name: int, value: Any
    ) -> Option[Sock, Record]:
        """Check a value and put it into `record`; the option that it is of."""
        option = (self._of_level(sock, level) or {}).get(name)
        if option is None or option.set is None:
            raise os_error(ENOPROTOOPT)
        option.set(sock, record, as_bytes(value) if option.raw else as_int(level, value))
        return option

    def _of_level(self, sock: Sock, level: int) -> Mapping[int, Option[Sock, Record]] | None:
        if level == c.IPPROTO_IPV6 and sock.family != c.AF_INET6:
            return None
        return self.levels.get(level)


# -- values ---------------------------------------------------------------------------------------
def as_int(level: int, value: Any) -> int:
    """The C int that a value stands for; at IPPROTO_IP also an unsigned char.

    Raises OverflowError for an int that is no C int, EINVAL for bytes that are too few.
    """
    if isinstance(value, int):
        if not -INT_MAX - 1 <= value <= INT_MAX:
            raise OverflowError("an option is a C int")
        return value
    data = as_bytes(value)
    if len(data) >= INT.size:
        number: int = INT.unpack_from(data)[0]
        return number
    if level == c.IPPROTO_IP:
        return data[0] if data else 0
    raise os_error(EINVAL)


def as_bytes(value: Any) -> bytes:
    """The C form of a value: of an int, a str (names), a pair (SO_LINGER), or bytes as they are."""
    if isinstance(value, int):
        return INT.pack(value)
    if isinstance(value, str):
        return value.encode("ascii", "replace")
    if isinstance(value, tuple):
        return LINGER.pack(*value)
    return bytes(value)


def as_asked(level: int, value: int | bytes, size: int) -> int | bytes:
    """A value as `getsockopt` gives it: an int, or with `size` up to that many bytes."""
    if isinstance(value, bytes):
        whole: int = INT.unpack_from(value)[0]
        return value[:size] if size else whole
    if not size:
        return value
    if level == c.IPPROTO_IP and size < INT.size and 0 <= value <= 0xFF:
        return bytes((value,))  # Linux: these fit an unsigned char
    return INT.pack(value)[:size]


def within(value: int, low: int, high: int) -> int:
    """`value`. Raises EINVAL when it is outside of the bounds."""
    if not low <= value <= high:
        raise os_error(EINVAL)
    return value


def doubled(value: int, most: int, least: int) -> int:
    """The size of a buffer. Linux doubles for its own bookkeeping, and takes a negative number
    for a huge one."""
    return max(2 * min(value & UNSIGNED, most, INT_MAX // 2), least)


# -- kinds of options: how they are read and set --------------------------------------------------
def flag(field: str) -> tuple[Getter[Any, Any], Setter[Any, Any]]:
    """A bool of the record: any number but 0 is on."""

    def set_flag(sock: Any, record: Any, value: int) -> None:
        setattr(record, field, value != 0)

    return lambda sock, record: int(getattr(record, field)), set_flag


def number(field: str, low: int, high: int) -> tuple[Getter[Any, Any], Setter[Any, Any]]:
    """An int of the record from `low` to `high`; EINVAL for others."""

    def set_number(sock: Any, record: Any, value: int) -> None:
        setattr(record, field, within(value, low, high))

    return lambda sock, record: getattr(record, field), set_number


def fixed(value: int) -> Option[Any, Any]:
    """Always the same, and not to be set."""
    return Option(lambda sock, record: value)


# -- those that both kinds of socket have ---------------------------------------------------------
def socket_options(type: int, protocol: int) -> dict[int, Option[Any, Any]]:
    """Of SOL_SOCKET, for a SOCK_… type and its IPPROTO_…."""
    return {
        c.SO_REUSEADDR: Option(*flag("reuse_address")),
        c.SO_TYPE: fixed(type),
        c.SO_SNDLOWAT: fixed(1),
        c.SO_PROTOCOL: fixed(protocol),
        c.SO_DOMAIN: Option(lambda sock, record: sock.family),
    }


def set_sndbuf(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_SNDBUF."""
    record.sndbuf = doubled(value, sock.host.config.wmem_max, MIN_SNDBUF)


def set_rcvbuf(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_RCVBUF."""
    record.rcvbuf = doubled(value, sock.host.config.rmem_max, MIN_RCVBUF)


def get_ttl(sock: HasOptions, record: Shared) -> int:
    """IP_TTL: the host's where none was set."""
    return sock.host.config.ip_default_ttl if record.ttl < 0 else record.ttl


def set_ttl(sock: HasOptions, record: Shared, value: int) -> None:
    """IP_TTL."""
    record.ttl = -1 if value == -1 else within(value, 1, 255)


def get_hops(sock: HasOptions, record: Shared) -> int:
    """IPV6_UNICAST_HOPS: the host's where none was set."""
    return sock.host.config.ip_default_ttl if record.hops < 0 else record.hops


def set_hops(sock: HasOptions, record: Shared, value: int) -> None:
    """IPV6_UNICAST_HOPS."""
    record.hops = within(value, -1, 255)


def set_tclass(sock: HasOptions, record: Shared, value: int) -> None:
    """IPV6_TCLASS: -1 is 0."""
    record.tclass = max(within(value, -1, 255), 0)


def set_v6only(sock: HasOptions, record: Shared, value: int) -> None:
    """IPV6_V6ONLY, before there is a port."""
    if sock.is_bound:
        raise os_error(EINVAL)
    record.v6only = value != 0


TTL: Final = (get_ttl, set_ttl)
HOPS: Final = (get_hops, set_hops)
MTU_DISCOVER: Final = number("mtu_discover", c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT)
MTU_DISCOVER_V6: Final = number("mtu_discover_v6", c.IP_PMTUDISC_DONT, c.IP_PMTUDISC_OMIT)
V6ONLY: Final = (flag("v6only")[0], set_v6only)
