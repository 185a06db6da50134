"""From what a user calls a place to addresses of the families that the host has.

Numeric addresses are taken as they are. Names go to the loop's `getaddrinfo`, which is the
kernel's resolver with the kernel's network: the stack itself asks no name server.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any, Final

from pystack import arguments
from pystack.aio import numbers
from pystack.sockets import Host
from pystack.sockets.constants import AF_INET, AF_INET6, AF_UNSPEC, SOCK_STREAM
from pystack.sockets.sockaddr import Address
from pystack.wire.address import is_v4

Target = tuple[int, Address]  # family and address

# Windows has none
EAI_ADDRFAMILY: Final[int] = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME)
_NO_NAME: Final = "no address of a family that the stack has"


async def resolve(
    loop: asyncio.AbstractEventLoop,
    host: str | bytes | None,
    port: int | str,
    families: Iterable[int],
    family: int = AF_UNSPEC,
    kind: int = SOCK_STREAM,
) -> list[Target]:
    """The places that `host` and `port` may mean, best first, at least one.

    `families` are those that the stack has addresses of, `family` is the one asked for, `kind`
    the type of socket that a service has its port for. Raises
    `socket.gaierror` (an OSError) for an unknown name, and when nothing of those is left, TypeError
    for a host that is no text.
    """
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    elif host is not None:
        arguments.text("host", host, "198.18.0.1")
    asked = numbers.family(family)
    wanted = [one for one in families if asked in (AF_UNSPEC, one)]
    number = port_number(port)
    if number is not None:
        place = _numeric(host, number)
        if place is not None:
            # not narrowed to `wanted`: connecting then says that the network is unreachable
            if asked not in (AF_UNSPEC, place[0]):
                raise socket.gaierror(EAI_ADDRFAMILY, f"{host} is of another family")
            return [place]
    places: list[Target] = []
    for found, _, _, _, address in await loop.getaddrinfo(
        host, port, family=socket.AF_INET6 if asked == AF_INET6 else family, type=kind
    ):
        place = _numeric(str(address[0]), int(address[1]))
        if numbers.family(found) in wanted and place:
            places.append(place)
    if not places:
        raise socket.gaierror(socket.EAI_NONAME, f"{host}: {_NO_NAME}")
    return places


def families_of(host: Host) -> list[int]:
    """AF_INET and AF_INET6, as far as the host has addresses of them."""
    own = [is_v4(address) for address in host.addresses.all()]
    return [AF_INET] * any(own) + [AF_INET6] * (not all(own))


def port_number(port: Any) -> int | None:
    """The number of a port, 0 for none at all; None for the name of a service."""
    if port is None or port in ("", b""):
        return 0
    try:
        return int(port)
    except (TypeError, ValueError):
        return None


def pair(what: str, given: object) -> tuple[Any, Any]:
    """A host and a port. Raises TypeError for anything else."""
    if not isinstance(given, tuple) or len(given) != 2:
        wanted = "a pair such as ('198.18.0.1', 80) was expected"
        raise TypeError(arguments.unfit(what, given, wanted))
    return given


def _numeric(host: str | None, port: int) -> Target | None:
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return None
    if address.version == 4:
        return AF_INET, (str(address), port)
    scope = address.scope_id if isinstance(address, ipaddress.IPv6Address) else None
    return AF_INET6, (str(address), port, 0, int(scope) if scope and scope.isdecimal() else 0)


def joined(failures: Sequence[Exception]) -> Exception:
    """What to raise when every place has failed, as asyncio does."""
    if len({str(failure) for failure in failures}) == 1:
        return failures[0]
    return OSError("Multiple exceptions: " + ", ".join(map(str, failures)))
