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

# with one of these set, calls that send and receive have more to do
_TELLING: Final = frozenset((
    "SO_TIMESTAMP", "SO_TIMESTAMPING", "SO_RXQ_OVFL", "SO_RCVMARK", "SO_RCVPRIORITY", "SO_ZEROCOPY",
    "TCP_INQ", "IP_PKTINFO", "IP_RECVTTL", "IP_RECVTOS", "IP_RECVORIGDSTADDR", "IPV6_RECVPKTINFO",
    "IPV6_2292PKTINFO", "IPV6_RECVHOPLIMIT", "IPV6_2292HOPLIMIT", "IPV6_RECVTCLASS",
    "IPV6_ORIGDSTADDR",
))  # fmt: skip
_LENGTH_FIRST: Final = (c.SOL_SOCKET, c.IPPROTO_TCP, c.IPPROTO_UDP)


class HasOptions(Protocol):
    """A socket, as far as options look at it."""

    host: HostCore
    family: int

    @property
    def is_bound(self) -> bool:
        """Whether it has a port."""


class Shared(Protocol):
    """The values that TCP's and UDP's records both have; -1 stands for the host's own choice.

    `kept` has, by name, those that most sockets never set. It is replaced and never changed, since
    records are copied. `tells`: one of them asks for ancillary data.
    """

    kept: Mapping[str, int | bytes]
    tells: bool
    reuse_port: bool
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
    exists. `raw` options are set with bytes, the others with an int. Octets that an int is made of
    are at least `least`: 4, at IPPROTO_IP 0, where another number was not given (Linux).
    """

    get: Getter[Sock, Record]
    set: Setter[Sock, Record] | None = None
    effect: Callable[[Record, Any], None] | None = None
    raw: bool = False
    least: int = -1


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
        is_there = level != c.IPPROTO_IPV6 or sock.family == c.AF_INET6
        options = self.levels.get(level) if is_there else None
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
        is_there = level != c.IPPROTO_IPV6 or sock.family == c.AF_INET6
        options = self.levels.get(level) if is_there else None
        option = options.get(name) if options is not None else None
        is_raw = option is not None and option.raw
        if options is not None and level in _LENGTH_FIRST and not is_raw:
            value = as_int(level, value)  # Linux: before it asks which option it is
        if option is None or option.set is None:
            raise os_error(ENOPROTOOPT)
        option.set(
            sock, record, as_bytes(value) if is_raw else as_int(level, value, option.least)
        )
        return option


# -- values ---------------------------------------------------------------------------------------
def as_int(level: int, value: Any, least: int = -1) -> int:
    """The C int that a value stands for; at IPPROTO_IP also an unsigned char, of at least `least`
    octets; elsewhere fewer than 4 are 0 where `least` says that they may be fewer.

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
    if len(data) < (least if least >= 0 else 0 if level == c.IPPROTO_IP else INT.size):
        raise os_error(EINVAL)
    return data[0] if data and level == c.IPPROTO_IP else 0


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
        if size:
            return value[:size]
        whole: int = INT.unpack_from(value)[0] if len(value) >= INT.size else 0
        return whole
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


def fixed(value: int | bytes) -> Option[Any, Any]:
    """Always the same, and not to be set."""
    return Option(lambda sock, record: value)


def keep(record: Any, name: str, value: int | bytes) -> None:
    """Put a value among those that are kept by name."""
    record.kept = {**record.kept, name: value}
    if name in _TELLING:
        record.tells = True


def kept_flag(name: str, default: int = 0, *, least: int = -1) -> Option[Any, Any]:
    """Kept by name: any number but 0 is 1."""

    def set_flag(sock: Any, record: Any, value: int) -> None:
        keep(record, name, int(value != 0))

    return Option(lambda sock, record: record.kept.get(name, default), set_flag, least=least)


def kept_number(
    name: str, low: int = -INT_MAX - 1, high: int = INT_MAX, default: int = 0, *, least: int = -1
) -> Option[Any, Any]:
    """Kept by name: from `low` to `high`; EINVAL for others."""

    def set_number(sock: Any, record: Any, value: int) -> None:
        keep(record, name, within(value, low, high))

    return Option(lambda sock, record: record.kept.get(name, default), set_number, least=least)


def raising(code: int) -> Callable[..., Any]:
    """What reads or sets an option that Linux refuses, here or always, with this errno."""

    def refuse(sock: Any, record: Any, value: Any = None) -> Any:
        raise os_error(code)

    return refuse


def refused(name: str, why: str, code: int = ENOPROTOOPT) -> Option[Any, Any]:
    """An option that Linux has and a stack has not: the error says so by its name."""

    def refuse(sock: Any, record: Any, value: Any = None) -> Any:
        raise OSError(code, f"{name}: {why}")

    return Option(refuse, refuse, raw=True)


# -- of IP, which both kinds of socket have -------------------------------------------------------
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
