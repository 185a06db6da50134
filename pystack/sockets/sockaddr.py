"""Addresses as Python's `socket` writes them, and the 16 bytes that the core uses.

AF_INET: (host, port). AF_INET6: (host, port, flow information, scope), the last two optional.
A host is the text of an address, or "" for any: names are looked up elsewhere.
"""

from __future__ import annotations

from errno import EAFNOSUPPORT, EINVAL
from typing import Any, Final

from pystack.errors import os_error
from pystack.sockets.constants import AF_INET
from pystack.wire import address
from pystack.wire.address import ANY_V4, ANY_V6, BROADCAST_V4, is_v4

_LINK_LOCAL: Final = b"\xfe\x80"

Address = tuple[str, int] | tuple[str, int, int, int]


def any_address(family: int) -> bytes:
    """The wildcard of a family, 16 bytes."""
    return ANY_V4 if family == AF_INET else ANY_V6


def parse(family: int, where: Any) -> tuple[bytes, int]:
    """16 bytes and the port of an address tuple.

    Raises as Python's `socket`: TypeError for what is no such tuple, OverflowError for a port
    out of range; OSError EAFNOSUPPORT for an address of another family (an AF_INET6 socket
    takes IPv4 as "::ffff:192.0.2.1"), EINVAL for text that is no address and for a link-local
    one without scope.
    """
    sizes = (2,) if family == AF_INET else (2, 3, 4)
    if not isinstance(where, tuple) or len(where) not in sizes or not isinstance(where[0], str):
        shape = "(host, port)" if family == AF_INET else "(host, port[, flowinfo[, scope_id]])"
        raise TypeError(f"an address of this family is a tuple {shape}, not {where!r}")
    host, port = where[0], where[1]
    if not isinstance(port, int):
        raise TypeError(f"a port is an int, not {port!r}")
    if not 0 <= port <= 0xFFFF:
        raise OverflowError(f"a port is 0 to 65535, not {port}")
    if not host:
        return any_address(family), port
    if host == "<broadcast>" and family == AF_INET:
        return BROADCAST_V4, port
    try:
        packed = address.pack(host)
    except ValueError:
        raise OSError(EINVAL, f"not the text of an address: {host!r}") from None
    if (family == AF_INET) != (":" not in host):
        raise os_error(EAFNOSUPPORT)
    scoped = "%" in host or (len(where) == 4 and bool(where[3]))
    if packed[0] == _LINK_LOCAL[0] and packed[1] & 0xC0 == _LINK_LOCAL[1] and not scoped:
        raise os_error(EINVAL)
    return packed, port


def unparse(family: int, packed: bytes, port: int) -> Address:
    """The address tuple of 16 bytes and a port; IPv4 on an AF_INET6 socket as ::ffff:a.b.c.d."""
    if family == AF_INET:
        return address.text(packed), port
    if is_v4(packed):
        return "::ffff:" + address.text(packed), port, 0, 0
    return address.text(packed), port, 0, 0
