"""Which of several stacks an address is for, or none: then it is the kernel's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pystack.aio.endpoint.endpoint import Endpoint, current
from pystack.wire import address
from pystack.wire.address import ANY_V4, ANY_V6, is_v4


class Choice(Protocol):
    """Who can tell, of addresses of 16 bytes. An `EventLoop` is one."""

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """Of an address to bind to."""

    def stack_to(self, remote: bytes, /) -> Endpoint | None:
        """Of an address to connect or send to."""


class Router:
    """Chooses from `stacks`."""

    @property
    def stacks(self) -> Sequence[Endpoint]:
        """Those in use; who comes first is asked first."""
        raise NotImplementedError

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """The stack that listens at `own` (16 bytes; a wildcard: the first one), or None. Without
        `v6only` the wildcard of IPv6 is that of IPv4, too."""
        if own in (ANY_V4, ANY_V6):
            here = current()
            stacks = [here] if here is not None and here in self.stacks else self.stacks
            found = next((one for one in stacks if _has_family(one, own)), None)
            if found is None and own == ANY_V6 and not v6only:
                return self.stack_at(ANY_V4)
            return found
        return next((one for one in self.stacks if one._owns(own)), None)

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """The stack from which `remote` is reached, of those that have the address `own` if that is
        given: the default (`Endpoint.as_default`), else one that is not `remote` itself, if there
        is one. None: the kernel."""
        found = [
            one for one in self.stacks
            if one._reaches(remote) and (own is None or one._owns(own))
        ]  # fmt: skip
        here = current()
        if here in found:
            return here
        return next((one for one in found if not one._owns(remote)), found[0] if found else None)


class OneStackRouter(Router):
    """The choice where there is one stack only."""

    def __init__(self, stack: Endpoint) -> None:
        self._stacks = (stack,)

    @property
    def stacks(self) -> Sequence[Endpoint]:
        """That one."""
        return self._stacks


def packed(place: Any) -> bytes:
    """16 bytes of the address in an address tuple. Raises ValueError for a name."""
    return address.pack(place[0])


def address_of(where: Any) -> bytes | None:
    """As `packed`, of what a user gave: None for a name, or what is no address tuple; "" is any."""
    if not isinstance(where, tuple) or not where or not isinstance(where[0], str):
        return None
    if not where[0]:
        return ANY_V4 if len(where) == 2 else ANY_V6
    try:
        return address.pack(where[0])
    except ValueError:
        return None


def _has_family(endpoint: Endpoint, wildcard: bytes) -> bool:
    v4 = is_v4(wildcard)
    return any(is_v4(own) == v4 for own in endpoint.host.addresses.all())
