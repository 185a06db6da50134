"""Which addresses a socket may be bound to, and between which two addresses it talks then."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENETUNREACH
from typing import Final

from pystack.errors import os_error
from pystack.sockets.constants import AF_INET6
from pystack.sockets.options import Shared
from pystack.stack.host import HostCore
from pystack.wire.address import ANY_V4, ANY_V6, is_loopback, is_multicast, is_v4

WILDCARDS: Final = frozenset((ANY_V4, ANY_V6))


def is_free(kept: Mapping[str, int | bytes]) -> bool:
    """Whether a socket may have addresses that are not its host's (IP_FREEBIND, IP_TRANSPARENT)."""
    return bool(
        kept
        and (
            kept.get("IP_FREEBIND") or kept.get("IP_TRANSPARENT")
            or kept.get("IPV6_FREEBIND") or kept.get("IPV6_TRANSPARENT")
        )
    )  # fmt: skip


def check_bindable(host: HostCore, family: int, local: bytes, record: Shared) -> None:
    """Raise what `bind` raises for an address: EINVAL, EADDRNOTAVAIL."""
    if family == AF_INET6 and record.v6only and is_v4(local):
        raise os_error(EINVAL)
    if is_free(record.kept):
        return
    if local not in host.addresses.local and local not in WILDCARDS and not is_shared(host, local):
        raise os_error(EADDRNOTAVAIL)


def is_shared(host: HostCore, local: bytes) -> bool:
    """Whether an address stands for many hosts: multicast, broadcast. Linux lets a socket bind to
    one; what it sends has another source."""
    return is_multicast(local) or local in host.addresses.broadcast


def ends(host: HostCore, local: bytes, remote: bytes, v6only: bool) -> tuple[bytes, bytes]:
    """Source and destination of what a socket that is bound to `local` sends to `remote`; for a
    wildcard it goes to an own address, at `local` if that is one of this version.

    Raises ENETUNREACH where no such packet may go, and for IPv4 from a socket that is bound to
    IPv6; EAFNOSUPPORT, as Linux does, for IPv6 from a socket that is bound to IPv4, if only to its
    wildcard "::ffff:0.0.0.0".
    """
    v4 = is_v4(remote)
    if remote in WILDCARDS:
        v4 = v4 or is_v4(local)
        remote = _own_address(host, local, v4)
    elif not v4 and is_v4(local):
        raise os_error(EAFNOSUPPORT)
    if (v6only and v4) or (is_loopback(remote) and remote not in host.addresses.local):
        raise os_error(ENETUNREACH)
    if local in WILDCARDS or is_shared(host, local):
        return host.addresses.source_for(remote), remote
    if is_v4(local) != v4:
        raise os_error(ENETUNREACH)
    return local, remote


def _own_address(host: HostCore, local: bytes, v4: bool) -> bytes:
    if local not in WILDCARDS and is_v4(local) == v4:
        return local
    for own in host.addresses.all():
        if is_v4(own) == v4:
            return own
    raise os_error(ENETUNREACH)
