"""The options of SOL_SOCKET that TCP's and UDP's sockets share, with Linux's answers.

What most of them ask for is not there to be had: a host has one device, one queue, one processor,
no filters and no other users. Those are kept and told again, as Linux does where nothing acts on
them; those that act name what they change.
"""

from __future__ import annotations

import sys
from errno import (
    EDOM,
    EINVAL,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOPROTOOPT,
    ENOTCONN,
    EOPNOTSUPP,
)
from struct import Struct
from typing import Any, Final

from pystack.errors import os_error
from pystack.sockets import constants as c
from pystack.sockets.options import (
    INT,
    INT_MAX,
    LINGER,
    UNSIGNED,
    HasOptions,
    Option,
    Shared,
    doubled,
    fixed,
    flag,
    keep,
    kept_flag,
    kept_number,
    raising,
    refused,
    within,
)

MIN_SNDBUF: Final = 4608  # bytes: two of the smallest packets with Linux's bookkeeping
MIN_RCVBUF: Final = 2304
SNDBUF_LOCK: Final = 1  # SO_BUF_LOCK
RCVBUF_LOCK: Final = 2

TIMEVAL: Final = Struct("=qq")
_TICK_US: Final = 4000  # Linux rounds times up to a tick, of 250 in a second
_FOREVER: Final = 0x7FFF_FFFF_FFFF_FFFF // _TICK_US - 1
_NAME_SIZE: Final = 16  # IFNAMSIZ
_UCRED: Final = INT.pack(0) + INT.pack(-1) * 2  # SO_PEERCRED: of nobody
_TXTIME: Final = Struct("=iI")  # struct sock_txtime: clock, flags
_CLOCKS: Final = frozenset((0, 1, 11))  # CLOCK_REALTIME, _MONOTONIC, _TAI

# SOF_TIMESTAMPING_… (`<linux/net_tstamp.h>`)
TIMESTAMPING_TX_SOFTWARE: Final = 1 << 1
TIMESTAMPING_RX_SOFTWARE: Final = 1 << 3
TIMESTAMPING_SOFTWARE: Final = 1 << 4
TIMESTAMPING_OPT_ID: Final = 1 << 7
TIMESTAMPING_TX_SCHED: Final = 1 << 8
TIMESTAMPING_TX_ACK: Final = 1 << 9
TIMESTAMPING_OPT_CMSG: Final = 1 << 10
TIMESTAMPING_OPT_TSONLY: Final = 1 << 11
_TIMESTAMPING_OPT_STATS: Final = 1 << 12
_TIMESTAMPING_BIND_PHC: Final = 1 << 15
TIMESTAMPING_OPT_ID_TCP: Final = 1 << 16
_TIMESTAMPING_ALL: Final = (1 << 19) - 1

UNPACED: Final = UNSIGNED << 32 | UNSIGNED  # SO_MAX_PACING_RATE's default, bytes/s
_NO_FILTERS: Final = "a stack runs no BPF programs"


# -- buffers --------------------------------------------------------------------------------------
def set_sndbuf(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_SNDBUF."""
    record.sndbuf = doubled(value, sock.host.config.wmem_max, MIN_SNDBUF)
    _lock(record, SNDBUF_LOCK)


def set_rcvbuf(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_RCVBUF."""
    record.rcvbuf = doubled(value, sock.host.config.rmem_max, MIN_RCVBUF)
    _lock(record, RCVBUF_LOCK)


def set_sndbuf_force(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_SNDBUFFORCE: beyond `wmem_max` too."""
    record.sndbuf = doubled(max(value, 0), INT_MAX // 2, MIN_SNDBUF)
    _lock(record, SNDBUF_LOCK)


def set_rcvbuf_force(sock: HasOptions, record: Shared, value: int) -> None:
    """SO_RCVBUFFORCE: beyond `rmem_max` too."""
    record.rcvbuf = doubled(max(value, 0), INT_MAX // 2, MIN_RCVBUF)
    _lock(record, RCVBUF_LOCK)


def _lock(record: Shared, which: int) -> None:
    keep(record, "SO_BUF_LOCK", int(record.kept.get("SO_BUF_LOCK", 0)) | which)


# -- times ----------------------------------------------------------------------------------------
def _timeout(name: str) -> Option[Any, Any]:
    """A struct timeval, kept in µs; 0 is for ever."""

    def get(sock: Any, record: Shared) -> bytes:
        return TIMEVAL.pack(*divmod(int(record.kept.get(name, 0)), 1_000_000))

    def set(sock: Any, record: Shared, value: bytes) -> None:
        if len(value) < TIMEVAL.size:
            raise os_error(EINVAL)
        seconds, micros = TIMEVAL.unpack_from(value)
        if not 0 <= micros < 1_000_000:
            raise os_error(EDOM)
        ticks = -(-micros // _TICK_US) + seconds * (1_000_000 // _TICK_US)
        keep(record, name, ticks * _TICK_US if seconds >= 0 and ticks < _FOREVER else 0)

    return Option(get, set, raw=True)


def _stamp(number: int) -> Option[Any, Any]:
    """SO_TIMESTAMP and its like: one at a time, and whichever is switched off ends it."""

    def get(sock: Any, record: Shared) -> int:
        return int(record.kept.get("SO_TIMESTAMP", 0) == number)

    def set(sock: Any, record: Shared, value: int) -> None:
        keep(record, "SO_TIMESTAMP", number if value else 0)

    return Option(get, set)


def get_timestamping(sock: Any, record: Shared) -> bytes:
    """SO_TIMESTAMPING: the flags, and no clock of hardware."""
    return INT.pack(int(record.kept.get("SO_TIMESTAMPING", 0))) + INT.pack(0)


def check_timestamping(value: int) -> int:
    """SO_TIMESTAMPING's flags. Raises EINVAL for those that Linux does not take."""
    if (
        value & ~_TIMESTAMPING_ALL
        or (value & TIMESTAMPING_OPT_ID_TCP and not value & TIMESTAMPING_OPT_ID)
        or (value & _TIMESTAMPING_OPT_STATS and not value & TIMESTAMPING_OPT_TSONLY)
        or value & _TIMESTAMPING_BIND_PHC  # no device here has a clock
    ):
        raise os_error(EINVAL)
    return value


def _set_timestamping(sock: Any, record: Shared, value: int) -> None:
    keep(record, "SO_TIMESTAMPING", check_timestamping(value))


def _get_txtime(sock: Any, record: Shared) -> bytes:
    value = record.kept.get("SO_TXTIME", b"")
    return value if isinstance(value, bytes) and value else bytes(_TXTIME.size)


def _set_txtime(sock: Any, record: Shared, value: bytes) -> None:
    if len(value) != _TXTIME.size:
        raise os_error(EINVAL)
    clock, flags = _TXTIME.unpack(value)
    if flags & ~3 or clock not in _CLOCKS:
        raise os_error(EINVAL)
    keep(record, "SO_TXTIME", value)


# -- pacing ---------------------------------------------------------------------------------------
def pacing_rate(value: bytes) -> int:
    """SO_MAX_PACING_RATE: an unsigned int, all ones for no bound, or an unsigned long."""
    if len(value) < 4:
        raise os_error(EINVAL)
    if len(value) >= 8:
        return int.from_bytes(value[:8], sys.byteorder)
    rate = int.from_bytes(value[:4], sys.byteorder)
    return UNPACED if rate == UNSIGNED else rate


def _get_pacing_rate(sock: Any, record: Shared) -> bytes:
    return int(record.kept.get("SO_MAX_PACING_RATE", UNPACED)).to_bytes(8, sys.byteorder)


def _set_pacing_rate(sock: Any, record: Shared, value: bytes) -> None:
    keep(record, "SO_MAX_PACING_RATE", pacing_rate(value))


# -- the device -----------------------------------------------------------------------------------
def _get_device(sock: HasOptions, record: Shared) -> bytes:
    if record.kept.get("SO_BINDTOIFINDEX", 0) != sock.host.ip.interface.index:
        return b""
    return sock.host.ip.interface.name.encode() + b"\0"


def _set_device(sock: HasOptions, record: Shared, value: bytes) -> None:
    name = value[: _NAME_SIZE - 1].split(b"\0")[0]
    interface = sock.host.ip.interface
    if name and name != interface.name.encode():
        raise os_error(ENODEV)
    keep(record, "SO_BINDTOIFINDEX", interface.index if name else 0)


_MEMINFO: Final = Struct("=9I")


def meminfo(
    received: int, rcvbuf: int, sent: int, sndbuf: int, *, queued: int = 0, drops: int = 0
) -> bytes:
    """SO_MEMINFO: octets that are held, and their bounds (`<linux/sock_diag.h>`)."""
    return _MEMINFO.pack(received, rcvbuf, sent, sndbuf, 0, queued, 0, 0, drops)


# -- others ---------------------------------------------------------------------------------------
def _get_cookie(sock: Any, record: Shared) -> bytes:
    number: int = sock.take_cookie()
    return number.to_bytes(8, "little")


def _set_txrehash(sock: Any, record: Shared, value: int) -> None:
    keep(record, "SO_TXREHASH", 1 if value == -1 else within(value, 0, 1))


def _set_reserve(sock: Any, record: Shared, value: int) -> None:
    raise os_error(EINVAL if value < 0 else EOPNOTSUPP)


def _get_peer_name(sock: Any, record: Shared) -> bytes:
    raise os_error(ENOTCONN if sock.peer_name() is None else EINVAL)  # getpeername() has it


def get_linger(sock: Any, record: Shared) -> bytes:
    """SO_LINGER of a socket that never lingers."""
    value = record.kept.get("SO_LINGER", b"")
    return value if isinstance(value, bytes) and value else bytes(LINGER.size)


def set_linger(sock: Any, record: Shared, value: bytes) -> None:
    """SO_LINGER of a socket that never lingers."""
    if len(value) < LINGER.size:
        raise os_error(EINVAL)
    on, seconds = LINGER.unpack_from(value)
    before = LINGER.unpack(get_linger(sock, record))[1]
    keep(record, "SO_LINGER", LINGER.pack(on != 0, seconds if on else before))


_NO: Final = raising(EOPNOTSUPP)
_UNIX_ONLY: Final = Option(_NO, _NO)
_GONE: Final = raising(ENOPROTOOPT)


def socket_options(type: int, protocol: int) -> dict[int, Option[Any, Any]]:
    """Of SOL_SOCKET, for a SOCK_… type and its IPPROTO_…."""
    return {
        c.SO_DEBUG: kept_flag("SO_DEBUG"),
        c.SO_REUSEADDR: Option(*flag("reuse_address")),
        c.SO_TYPE: fixed(type),
        c.SO_DONTROUTE: kept_flag("SO_DONTROUTE"),
        c.SO_BROADCAST: kept_flag("SO_BROADCAST"),
        c.SO_KEEPALIVE: kept_flag("SO_KEEPALIVE"),
        c.SO_OOBINLINE: kept_flag("SO_OOBINLINE"),
        c.SO_NO_CHECK: kept_flag("SO_NO_CHECK"),
        c.SO_PRIORITY: kept_number("SO_PRIORITY"),
        c.SO_LINGER: Option(get_linger, set_linger, raw=True),
        c.SO_BSDCOMPAT: Option(lambda sock, record: 0, lambda sock, record, value: None),
        c.SO_REUSEPORT: Option(*flag("reuse_port")),
        c.SO_PASSCRED: _UNIX_ONLY,
        c.SO_PEERCRED: fixed(_UCRED),
        c.SO_SNDLOWAT: fixed(1),
        c.SO_RCVTIMEO: _timeout("SO_RCVTIMEO"),
        c.SO_SNDTIMEO: _timeout("SO_SNDTIMEO"),
        c.SO_BINDTODEVICE: Option(_get_device, _set_device, raw=True),
        c.SO_ATTACH_FILTER: refused("SO_ATTACH_FILTER", _NO_FILTERS),
        c.SO_DETACH_FILTER: Option(_GONE, raising(ENOENT)),
        c.SO_PEERNAME: Option(_get_peer_name),
        c.SO_TIMESTAMP: _stamp(c.SO_TIMESTAMP),
        c.SO_SNDBUFFORCE: Option(_GONE, set_sndbuf_force),
        c.SO_RCVBUFFORCE: Option(_GONE, set_rcvbuf_force),
        c.SO_PASSSEC: _UNIX_ONLY,
        c.SO_TIMESTAMPNS: _stamp(c.SO_TIMESTAMPNS),
        c.SO_MARK: kept_number("SO_MARK"),
        c.SO_TIMESTAMPING: Option(get_timestamping, _set_timestamping),
        c.SO_PROTOCOL: fixed(protocol),
        c.SO_DOMAIN: Option(lambda sock, record: sock.family),
        c.SO_RXQ_OVFL: kept_flag("SO_RXQ_OVFL"),
        c.SO_WIFI_STATUS: kept_flag("SO_WIFI_STATUS"),
        c.SO_PEEK_OFF: kept_number("SO_PEEK_OFF", default=-1),
        c.SO_NOFCS: kept_flag("SO_NOFCS"),
        c.SO_LOCK_FILTER: kept_flag("SO_LOCK_FILTER"),
        c.SO_SELECT_ERR_QUEUE: kept_flag("SO_SELECT_ERR_QUEUE"),
        c.SO_BUSY_POLL: kept_number("SO_BUSY_POLL", 0),
        c.SO_INCOMING_CPU: kept_number("SO_INCOMING_CPU", default=-1),
        c.SO_CNX_ADVICE: Option(_GONE, lambda sock, record, value: None),
        c.SO_INCOMING_NAPI_ID: fixed(0),
        c.SO_COOKIE: Option(_get_cookie),
        c.SO_PEERGROUPS: Option(raising(ENODATA)),
        c.SO_ZEROCOPY: kept_number("SO_ZEROCOPY", 0, 1),
        c.SO_TXTIME: Option(_get_txtime, _set_txtime, raw=True),
        c.SO_BINDTOIFINDEX: kept_number("SO_BINDTOIFINDEX", 0),
        c.SO_TIMESTAMP_NEW: _stamp(c.SO_TIMESTAMP_NEW),
        c.SO_TIMESTAMPNS_NEW: _stamp(c.SO_TIMESTAMPNS_NEW),
        c.SO_TIMESTAMPING_NEW: Option(get_timestamping, _set_timestamping),
        c.SO_RCVTIMEO_NEW: _timeout("SO_RCVTIMEO"),
        c.SO_SNDTIMEO_NEW: _timeout("SO_SNDTIMEO"),
        c.SO_PREFER_BUSY_POLL: kept_flag("SO_PREFER_BUSY_POLL"),
        c.SO_BUSY_POLL_BUDGET: Option(_GONE, kept_number("SO_BUSY_POLL_BUDGET", 0, 0xFFFF).set),
        c.SO_NETNS_COOKIE: Option(raising(EINVAL)),
        c.SO_BUF_LOCK: kept_number("SO_BUF_LOCK", 0, SNDBUF_LOCK | RCVBUF_LOCK),
        c.SO_RESERVE_MEM: Option(lambda sock, record: 0, _set_reserve),
        c.SO_RCVMARK: kept_flag("SO_RCVMARK"),
        c.SO_PASSPIDFD: _UNIX_ONLY,
        c.SO_PEERPIDFD: Option(raising(ENODATA)),
        c.SO_RCVPRIORITY: kept_flag("SO_RCVPRIORITY"),
        c.SO_PASSRIGHTS: _UNIX_ONLY,
    }


# TCP's; of UDP it is not supported
TXREHASH: Final[Option[Any, Any]] = Option(
    lambda sock, record: record.kept.get("SO_TXREHASH", 1), _set_txrehash
)
NO_TXREHASH: Final = _UNIX_ONLY
# UDP's; TCP's has an effect
KEPT_PACING_RATE: Final[Option[Any, Any]] = Option(_get_pacing_rate, _set_pacing_rate, raw=True)
