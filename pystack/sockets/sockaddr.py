"""Addresses as Python's `socket` writes them, and the 16 bytes that the core uses.

AF_INET: (host, port). AF_INET6: (host, port, flow information, scope), the last two optional.
A host is the text of an address, or "" for any: names are looked up elsewhere.
"""

from __future__ import annotations

from errno import EAFNOSUPPORT, EINVAL, ENODEV
from typing import Any, Final

from pystack.errors import os_error
from pystack.ip.ip_state import Interface
from pystack.sockets.constants import AF_INET
from pystack.wire import address
from pystack.wire.address import ANY_V4, ANY_V6, BROADCAST_V4, is_v4

_UNICAST: Final = 0xFE  # first octet of fe80::/10
_LINK_SCOPES: Final = (1, 2)  # of groups: interface-local, link-local (RFC 4291 §2.7)

Address = tuple[str, int] | tuple[str, int, int, int]


def any_address(family: int) -> bytes:
    """The wildcard of a family, 16 bytes."""
    return ANY_V4 if family == AF_INET else ANY_V6


def parse(family: int, where: Any, interface: Interface) -> tuple[bytes, int]:
    """16 bytes and the port of an address tuple.

    Raises as Python's `socket`: TypeError for what is no such tuple, OverflowError for a port
    out of range; OSError EAFNOSUPPORT for an address of another family (an AF_INET6 socket
    takes IPv4 as "::ffff:192.0.2.1"), EINVAL for text that is no address and for a link-local
    one without scope, ENODEV for a link-local one whose scope is not `interface`.
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
    if packed[0] >= _UNICAST and is_scoped(packed):
        scope_id = where[3] if len(where) == 4 else 0
        if scope_id or "%" in host or packed[0] == _UNICAST:  # a group has one where none is given
            _check_scope(host.partition("%")[2], scope_id, interface)
    return packed, port


def is_scoped(packed: bytes) -> bool:
    """Whether an address means something together with an interface only (RFC 4007): link-local
    ones, of groups too."""
    first = packed[0]
    if first == _UNICAST:
        return packed[1] & 0xC0 == 0x80
    return first == 0xFF and packed[1] & 0x0F in _LINK_SCOPES


def _check_scope(zone: str, scope_id: int, interface: Interface) -> None:
    if zone:
        if zone not in (interface.name, str(interface.index)):
            raise OSError(ENODEV, f"no interface {zone!r} here, but {interface.name!r}")
    elif not scope_id:
        raise os_error(EINVAL)
    elif scope_id != interface.index:
        raise OSError(ENODEV, f"no interface {scope_id} here, but {interface.index}")


def unparse(family: int, packed: bytes, port: int, index: int) -> Address:
    """The address tuple of 16 bytes and a port; IPv4 on an AF_INET6 socket as ::ffff:a.b.c.d.
    `index` is the number of the interface: the scope of a link-local address."""
    if family == AF_INET:
        return address.text(packed), port
    if is_v4(packed):
        return "::ffff:" + address.text(packed), port, 0, 0
    if packed[0] >= _UNICAST and is_scoped(packed):
        return address.text(packed), port, 0, index
    return address.text(packed), port, 0, 0
