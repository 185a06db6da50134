"""What a name stands for where stacks have names of their own (`names` of `Stack.over_tun`)."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.resolve import EAI_ADDRFAMILY, Info


def known(
    stacks: Iterable[Endpoint], host: Any, port: Any, family: int, type: int, proto: int, flags: int
) -> list[Info] | None:
    """As getaddrinfo, of a name that one of the stacks knows; None for another. Raises
    `socket.gaierror` where it has no address of the family."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str):
        return None
    found = dict.fromkeys(text for one in stacks for text in one.look_up(name))
    if not found:
        return None
    infos: list[Any] = []
    for text in found:
        own = socket.AF_INET6 if ":" in text else socket.AF_INET
        if family in (0, own):
            numeric = flags | socket.AI_NUMERICHOST
            infos += socket.getaddrinfo(text, port, own, type, proto, numeric)
    if not infos:
        raise socket.gaierror(EAI_ADDRFAMILY, f"{name}: no address of that family")
    return infos
