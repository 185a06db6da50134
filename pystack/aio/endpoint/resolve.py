"""What a name stands for: once for all calls, of one host's and of an event loop's.

Addresses in figures are taken as they are. Names go to the loop's `getaddrinfo`, which is the
kernel's resolver with the kernel's network: the stack itself asks no name server.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from pystack import arguments
from pystack.aio.handles import numbers
from pystack.sockets import Host
from pystack.sockets.constants import AF_INET, AF_INET6
from pystack.wire.address import is_v4, pack

Info = tuple[Any, Any, int, str, Any]  # as getaddrinfo gives it: its last is an address tuple

# Windows has none
EAI_ADDRFAMILY: Final[int] = getattr(socket, "EAI_ADDRFAMILY", socket.EAI_NONAME)
_NO_NAME: Final = "no address of a family that the stack has"


class Resolver:
    """Looks names up with the `getaddrinfo` of `loop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        families: Callable[[], Collection[int]] | None = None,
    ) -> None:
        """`families`: those (Linux's numbers) that the one host has addresses of, whose names are
        not for anybody else. An address in figures is not narrowed to them: connecting then says
        that the network is unreachable."""
        self._loop = loop
        self._families = families

    async def look_up(
        self, host: Any, port: Any, family: int = 0, proto: int = 0, flags: int = 0,
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> list[Info]:  # fmt: skip
        """What `host` and `port` may mean, best first, at least one.

        Raises `socket.gaierror` (an OSError) for an unknown name, and when nothing of `family` is
        left; TypeError for one host's name that is no text.
        """
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        elif host is not None and self._families is not None:
            arguments.text("host", host, "198.18.0.1")
        number = port_number(port)
        if number is not None and isinstance(host, str):
            info = _in_figures(host, number, proto, kind)
            if info is not None and family in (0, info[0]):
                return [info]
            if info is not None and self._families is not None:
                raise socket.gaierror(EAI_ADDRFAMILY, f"{host} is of another family")
        infos: list[Info] = await self._loop.getaddrinfo(
            host, port, family=family, type=kind, proto=proto, flags=flags
        )
        if self._families is not None:
            own = self._families()
            infos = [info for info in infos if numbers.family(info[0]) in own]
            if not infos:
                raise socket.gaierror(socket.EAI_NONAME, f"{host}: {_NO_NAME}")
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return infos


def name_key(name: str) -> str:
    """The same for all spellings of a host's name: as Python's resolver encodes it (IDNA 2003),
    without regard to case (RFC 4343) and to the dot that may end it (RFC 1034 §3.1)."""
    with contextlib.suppress(UnicodeError):  # no name of a host, but perhaps one of a world's
        name = name.encode("idna").decode("ascii")
    return name.lower().removesuffix(".") or name


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


def _in_figures(host: str, port: int, proto: int, kind: socket.SocketKind) -> Info | None:
    """Of an address; None for a name, and for a scope by name, which the kernel knows."""
    scope = host.partition("%")[2]
    if scope and not scope.isdecimal():
        return None
    try:
        pack(host)
    except ValueError:
        return None
    if ":" in host:
        return socket.AF_INET6, kind, proto, "", (host, port, 0, int(scope or 0))
    return socket.AF_INET, kind, proto, "", (host, port)


def joined(failures: Sequence[Exception]) -> Exception:
    """What to raise when every place has failed, as asyncio does."""
    if len({str(failure) for failure in failures}) == 1:
        return failures[0]
    return OSError("Multiple exceptions: " + ", ".join(map(str, failures)))
