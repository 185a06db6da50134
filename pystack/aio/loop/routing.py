"""Which of several stacks an address is for, or none: then it is the kernel's."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

from pystack.aio.endpoint.endpoint import Endpoint, default, has_family
from pystack.wire.address import ANY_V4, ANY_V6


class StackRouter:
    """Chooses from the stacks that a loop has."""

    def __init__(self, stacks: Callable[[], Sequence[Endpoint]]) -> None:
        """`stacks` gives those in use now; who comes first is asked first."""
        self._stacks = stacks

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """The stack that listens at `own` (16 bytes; a wildcard: the first one), or None. Without
        `v6only` the wildcard of IPv6 is that of IPv4, too."""
        stacks = self._stacks()
        if own in (ANY_V4, ANY_V6):
            chosen = default()
            if chosen is not None and chosen in stacks:
                stacks = [chosen]
            found = next((one for one in stacks if has_family(one, own)), None)
            if found is None and own == ANY_V6 and not v6only:
                return self.stack_at(ANY_V4)
            return found
        return next((one for one in stacks if one.owns(own)), None)

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """The stack from which `remote` is reached, of those that have the address `own` if that is
        given: the default (`Endpoint.as_default`), else one that is not `remote` itself, if there
        is one. None: the kernel."""
        found = [
            one for one in self._stacks()
            if one.reaches(remote) and (own is None or one.owns(own))
        ]  # fmt: skip
        if len(found) < 2:
            return found[0] if found else None
        chosen = default()
        if chosen in found:
            return chosen
        return next((one for one in found if not one.owns(remote)), found[0])

    def is_taken(self, own: bytes, port: int, kind: int, /) -> bool:
        """Never: what a loop has, its thread may have."""
        return False


class CallersRouter:
    """Which stack an address is for in a program with one stack, as the calling thread has it.

    Where a loop runs in the thread, that loop knows: one that the stack is not on has the kernel
    only. Elsewhere the stack is meant; what of it the thread may use, the stack says.
    """

    def __init__(self, stack: Endpoint) -> None:
        self._stack = stack
        self._alone = StackRouter(lambda: (stack,))

    def stack_at(self, own: bytes, /, v6only: bool = True) -> Endpoint | None:
        """As `StackRouter.stack_at`."""
        router = self._router()
        return None if router is None else router.stack_at(own, v6only)

    def stack_to(self, remote: bytes, /, own: bytes | None = None) -> Endpoint | None:
        """As `StackRouter.stack_to`."""
        router = self._router()
        return None if router is None else router.stack_to(remote, own)

    def is_taken(self, own: bytes, port: int, kind: int, /) -> bool:
        """Whether the stack has the address, and the port is in use there."""
        host = self._stack.host
        if kind == socket.SOCK_DGRAM:
            places = [one.local for one in host.udp.by_port.get(port, ())]
        else:
            places = [one.local for one in list(host.listeners.values()) if one.port == port]
        return self._stack.owns(own) and any(at in (own, ANY_V4, ANY_V6) for at in places)

    def _router(self) -> StackRouter | None:
        loop = asyncio._get_running_loop()
        if loop is None:
            return self._alone
        router = getattr(loop, "router", None)
        return router if isinstance(router, StackRouter) else None

