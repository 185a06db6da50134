"""Whose an address is, a stack's or the kernel's, and what a name stands for."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pystack.aio.doors import Doors, current
from pystack.wire import address
from pystack.wire.address import ANY_V4, ANY_V6, is_v4

Info = tuple[Any, Any, int, str, Any]  # as getaddrinfo gives it

if TYPE_CHECKING:
    _Loop = asyncio.SelectorEventLoop
else:
    _Loop = object


class Finding(_Loop):
    """To be mixed in before a loop's class."""

    @property
    def stacks(self) -> Sequence[Doors]:
        """Those in use; who comes first is asked first."""
        raise NotImplementedError

    # -- which stack -----------------------------------------------------------------------------
    def stack_at(self, own: bytes) -> Doors | None:
        """The stack that listens at `own` (16 bytes; a wildcard: the first one), or None."""
        if own in (ANY_V4, ANY_V6):
            here = current()
            stacks = [here] if here is not None and here in self.stacks else self.stacks
            return next((one for one in stacks if _has_family(one, own)), None)
        return next((one for one in self.stacks if one.owns(own)), None)

    def stack_to(self, remote: bytes, own: bytes | None = None) -> Doors | None:
        """The stack from which `remote` is reached, of those that have the address `own` if that is
        given: the current one (`Doors.here`), else one that is not `remote` itself, if there is
        such a one. None: the kernel."""
        found = [
            one for one in self.stacks
            if one.reaches(remote) and (own is None or one.owns(own))
        ]  # fmt: skip
        here = current()
        if here in found:
            return here
        return next((one for one in found if not one.owns(remote)), found[0] if found else None)

    # -- names -----------------------------------------------------------------------------------
    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:  # fmt: skip
        """As asyncio's; a stack's own names (`names` of `Stack.over_tun`) come first."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        known = dict.fromkeys(text for one in self.stacks for text in one.look_up(name or ""))
        if not known:
            found: list[Any] = await super().getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
            return found
        numeric = flags | socket.AI_NUMERICHOST
        infos: list[Any] = []
        for text in known:
            own = socket.AF_INET6 if ":" in text else socket.AF_INET
            if family in (0, own):
                infos += socket.getaddrinfo(text, port, own, type, proto, numeric)
        if not infos:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"{name}: no address of that family")
        return infos

    async def _infos(
        self, host: Any, port: Any, family: int, proto: int = 0, flags: int = 0,
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> list[Info]:  # fmt: skip
        """What `host` and `port` stand for; an address in figures is taken without asking."""
        number = _number(port)
        if number is not None and isinstance(host, str) and _is_numeric(host):
            own = socket.AF_INET6 if ":" in host else socket.AF_INET
            if family in (0, own):
                place = (host, number) if own == socket.AF_INET else (host, number, 0, 0)
                return [(own, kind, proto, "", place)]
        infos: list[Info] = await self.getaddrinfo(
            host, port, family=family, type=kind, proto=proto, flags=flags
        )
        if not infos:
            raise OSError("getaddrinfo() returned empty list")
        return infos


def _has_family(doors: Doors, wildcard: bytes) -> bool:
    v4 = is_v4(wildcard)
    return any(is_v4(own) == v4 for own in doors.host.addresses.all())


def packed(place: Any) -> bytes:
    """16 bytes of the address in an address tuple."""
    return address.pack(place[0])


def _is_numeric(host: str) -> bool:
    try:
        address.pack(host)
    except ValueError:
        return False
    return "%" not in host


def _number(port: Any) -> int | None:
    if port is None or port in ("", b""):
        return 0
    try:
        return int(port)
    except (TypeError, ValueError):
        return None  # the name of a service
