"""errno values as OSError, and which of them a call on a socket meets.

A connection that ends leaves its errno in `Tcb.error` (see `tcp.transitions.end`). As Linux's
`sk_err`, it is given once: to the first call that asks, be it a read, a write, `connect` or
SO_ERROR. The room reads no clock and does no I/O, so `os.strerror` has a small twin here.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from pystack.errors import ENONET
from pystack.tcp.state.states import CLOSED

if TYPE_CHECKING:
    from pystack.sockets.tcp_socket import Socket

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


def os_error(code: int) -> OSError:
    """The OSError (of its subclass, such as BlockingIOError for EAGAIN) for an errno."""
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


def pending(sock: Socket) -> int:
    """The errno that the next call would meet, 0 for none; it stays (Linux: `sk_err`)."""
    if sock.error:
        return sock.error
    tcb = sock.tcb
    if tcb is not None and tcb.state == CLOSED and not sock.error_taken:
        return tcb.error
    return 0


def take(sock: Socket) -> int:
    """The pending errno, which is thereby forgotten; 0 for none."""
    if sock.error:
        code = sock.error
        sock.error = 0
        if sock.tcb is not None and sock.tcb.state == CLOSED:
            sock.error_taken = True  # one error was pending, not two
        return code
    code = pending(sock)
    if code:
        sock.error_taken = True
    return code


def taken(sock: Socket, otherwise: int) -> OSError:
    """As `take`, as an OSError; one for `otherwise` where nothing is pending. What a replaceable
    part has ended says which one it was."""
    code = take(sock) or otherwise
    tcb = sock.tcb
    if tcb is not None and tcb.failure and code == tcb.error:
        return OSError(code, tcb.failure)
    return os_error(code)
