"""Errors: a stack that can't run, a part that raises, and errno values with their texts.

The errors that a stack raises have the numbers of the system that it runs on, as Python's own
have: those are what `except ConnectionRefusedError` and a look at `errno` go by. Their texts are
short ones of our own, since the core, which does no I/O, does not ask `os.strerror`.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final

# Linux's alone; elsewhere what comes closest
ENONET: Final[int] = getattr(errno, "ENONET", errno.EHOSTUNREACH)
EBADFD: Final[int] = getattr(errno, "EBADFD", errno.EBADF)

_TEXTS: Final = {
    errno.EPERM: "not permitted",
    errno.ENOENT: "no such name",
    errno.EBADF: "the socket is closed",
    errno.EAGAIN: "would have to wait",
    errno.EACCES: "forbidden by the network",
    errno.EINVAL: "invalid argument, or not in this state",
    errno.ENOTTY: "no such request for a socket",
    errno.EPIPE: "nothing can be sent any more",
    errno.EPROTO: "protocol error reported by the network",
    errno.EDESTADDRREQ: "no address to send to",
    errno.EMSGSIZE: "packet too big",
    errno.ENOPROTOOPT: "no such option",
    errno.EPROTONOSUPPORT: "only TCP and UDP are spoken here",
    errno.ESOCKTNOSUPPORT: "only SOCK_STREAM and SOCK_DGRAM sockets are made here",
    errno.EOPNOTSUPP: "not supported",
    errno.EAFNOSUPPORT: "an address of another family",
    errno.EADDRINUSE: "address in use",
    errno.EADDRNOTAVAIL: "address not available",
    errno.ENETDOWN: "the network is down",
    errno.ENETUNREACH: "network unreachable",
    errno.ENETRESET: "dropped by the network",
    errno.ECONNABORTED: "connection given up",
    errno.ECONNRESET: "connection reset by the peer",
    errno.EISCONN: "connected already",
    errno.ENOTCONN: "not connected",
    errno.ETIMEDOUT: "no answer in time",
    errno.ECONNREFUSED: "connection refused",
    errno.EHOSTDOWN: "host is down",
    ENONET: "host is not on the network",
    errno.EHOSTUNREACH: "no route to the host",  # elsewhere the same as ENONET
    errno.EALREADY: "connecting already",
    errno.EINPROGRESS: "connecting; wait until it is writable",
}

class SetupError(OSError):
    """The device or the namespace could not be had as asked; nothing was left behind.

    `errno` is what the kernel gave (or would have given), `problem` what is wrong, `hint` what to
    do about it. `str()` is both in one line.
    """

    def __init__(self, code: int, problem: str, hint: str) -> None:
        super().__init__(code, problem)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}: {self.hint}"


class PartError(Exception):
    """A replaceable part of a connection has raised `cause`.

    `kind` is what it is called ("congestion control"), `name` what it was asked for by, `part` the
    object if it has a guard (`parts.guard`).
    """

    def __init__(self, kind: str, name: str, cause: Exception, part: object = None) -> None:
        super().__init__(kind, name, cause)
        self.kind = kind
        self.name = name
        self.cause = cause
        self.part = part
        self.__cause__ = cause  # in compiled code `raise … from` does not set it

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} raised {type(self.cause).__name__}: {self.cause}"


def os_error(code: int) -> OSError:
    """The OSError of an errno; Python picks the subclass, such as BlockingIOError for EAGAIN."""
    return OSError(code, _TEXTS.get(code) or errno.errorcode.get(code, f"error {code}"))


def errno_of(call: Callable[[Any], object], argument: Any) -> int:
    """The errno of the OSError that `call(argument)` raises, 0 for none."""
    try:
        call(argument)
    except OSError as error:
        if error.errno is None:
            raise
        return error.errno
    return 0
