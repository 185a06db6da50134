"""What a name stands for, where stacks have names of their own."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from pystack.aio.endpoint.resolve import EAI_ADDRFAMILY, port_number
from pystack.aio.loop.routing import Router
from pystack.wire import address

Info = tuple[Any, Any, int, str, Any]  # as getaddrinfo gives it

if TYPE_CHECKING:
    _Loop = asyncio.SelectorEventLoop
else:
    _Loop = object


class Resolver(Router, _Loop):
    """To be mixed in before a loop's class."""

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
            raise socket.gaierror(EAI_ADDRFAMILY, f"{name}: no address of that family")
        return infos

    async def _infos(
        self, host: Any, port: Any, family: int, proto: int = 0, flags: int = 0,
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> list[Info]:  # fmt: skip
        """What `host` and `port` stand for; an address in figures is taken without asking."""
        number = port_number(port)
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


def _is_numeric(host: str) -> bool:
    try:
        address.pack(host)
    except ValueError:
        return False
    return "%" not in host
