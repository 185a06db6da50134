"""`loop.create_datagram_endpoint` for what is a stack's; all else goes on to the kernel."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from errno import EADDRINUSE
from typing import Any, Final

from pystack.aio.endpoint.datagram_endpoint import Pair
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.handles import tls
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.loop.dual_datagram import DualDatagramTransport
from pystack.aio.loop.routing import packed
from pystack.aio.loop.socket_calls import SockCalls
from pystack.sockets import DatagramSocket
from pystack.wire.address import ANY_V4, ANY_V6

Protocol = Callable[[], asyncio.BaseProtocol]

_AF_UNIX: Final[int] = getattr(socket, "AF_UNIX", -1)  # Python has none on Windows
_ANY: Final = {int(socket.AF_INET): ANY_V4, int(socket.AF_INET6): ANY_V6}


class DatagramCalls(SockCalls):
    """To be mixed in before a loop's class."""

    has_kernel = True  # whether there is one to send what no stack reaches

    async def create_datagram_endpoint(
        self, protocol_factory: Protocol, local_addr: Any = None, remote_addr: Any = None, *,
        family: int = 0, proto: int = 0, flags: int = 0, reuse_port: bool | None = None,
        allow_broadcast: bool | None = None, sock: socket.socket | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """As asyncio's. Where an address may be several, those of stacks come first; what is bound
        to no address and no port is at a stack and at the kernel both."""
        modifiers = {
            "local_addr": local_addr, "remote_addr": remote_addr, "family": family,
            "proto": proto, "flags": flags, "reuse_port": reuse_port,
            "allow_broadcast": allow_broadcast,
        }  # fmt: skip
        if sock is not None:
            tls.refuse_ssl_socket(sock)
            if isinstance(sock, StackSocket) and sock.is_ours:
                return _over(sock, protocol_factory, modifiers)
            if getattr(sock, "_may_change", False) and not any(modifiers.values()):
                endpoint = self.stack_at(_ANY[sock.family], v6only=False)
                if endpoint is not None and sock.type == socket.SOCK_DGRAM:
                    return await self._of_both(
                        protocol_factory, endpoint, sock.family, {"sock": sock}
                    )
        elif not local_addr and not remote_addr and family in _ANY:
            endpoint = self.stack_at(_ANY[family], v6only=False)
            if endpoint is not None and self.has_kernel:
                return await self._of_both(protocol_factory, endpoint, family, modifiers)
            if endpoint is not None:
                made = endpoint._datagram_socket((family, None, None), False, bool(allow_broadcast))
                return endpoint._datagrams_over(made, protocol_factory)
        elif family != _AF_UNIX and _are_pairs(local_addr, remote_addr):
            found = await self._pairs(local_addr, remote_addr, family, proto, flags)
            failures: list[OSError] = []
            for endpoint, pair in found:
                if pair[2] is None and _is_open(pair[1]) and self.has_kernel:
                    return await self._of_both(protocol_factory, endpoint, pair[0], modifiers)
                try:
                    made = endpoint._datagram_socket(pair, bool(reuse_port), bool(allow_broadcast))
                except OSError as error:
                    failures.append(error)
                else:
                    return endpoint._datagrams_over(made, protocol_factory, pair[2])
            if failures:
                raise failures[0]
        return await super().create_datagram_endpoint(
            protocol_factory, sock=sock, **modifiers, **options
        )

    async def _of_both(
        self, protocol_factory: Protocol, endpoint: Endpoint, family: int, given: dict[str, Any]
    ) -> Any:
        """An endpoint that is bound to no address: on the kernel as `given`, and at the same port
        on the stack."""
        protocol = protocol_factory()
        both = DualDatagramTransport(protocol, endpoint, self)
        kernels, _ = await super().create_datagram_endpoint(both._side, **given)
        try:
            any_address = "0.0.0.0" if family == socket.AF_INET else "::"
            broadcast = bool(given.get("allow_broadcast"))
            port = kernels.get_extra_info("sockname")[1]
            try:
                made = endpoint._datagram_socket(
                    (family, (any_address, port), None), False, broadcast
                )
            except OSError as error:
                if error.errno != EADDRINUSE:
                    raise
                made = endpoint._datagram_socket((family, (any_address, 0), None), False, broadcast)
            ours, _ = endpoint._datagrams_over(made, both._side)
        except BaseException:
            kernels.abort()
            raise
        both._begin(kernels, ours)
        return both, protocol

    async def _pairs(
        self, local: Any, remote: Any, family: int, proto: int, flags: int
    ) -> list[tuple[Endpoint, Pair]]:
        """Families with both ends, as far as they belong to a stack."""
        ends: list[dict[int, Any]] = []
        for where in (local, remote):
            infos = []
            if where is not None:
                infos = await self._infos(
                    where[0], where[1], family, proto, flags, socket.SOCK_DGRAM
                )
            ends.append({int(info[0]): info[4] for info in infos})
        found = []
        for own in ends[0] or ends[1]:
            if all(own in end for end in ends if end):
                pair = (own, ends[0].get(own), ends[1].get(own))
                endpoint = self._stack_of(pair)
                if endpoint is not None:
                    found.append((endpoint, pair))
        return found

    def _stack_of(self, pair: Pair) -> Endpoint | None:
        _, local, remote = pair
        own = None if local is None else packed(local)
        if remote is None:
            return None if own is None else self.stack_at(own, v6only=False)
        return self.stack_to(packed(remote), None if own in _ANY.values() else own)


def _are_pairs(local: Any, remote: Any) -> bool:
    """Whether there is an address, and each is a host and a port; asyncio refuses others."""
    given = [where for where in (local, remote) if where]
    return bool(given) and all(isinstance(one, tuple) and len(one) == 2 for one in given)


def _is_open(local: Any) -> bool:
    """Whether neither address nor port are chosen."""
    return local is not None and packed(local) in _ANY.values() and not local[1]


def _over(sock: StackSocket, protocol_factory: Protocol, modifiers: dict[str, Any]) -> Any:
    core = sock._take_inner()
    if not isinstance(core, DatagramSocket):
        raise ValueError(f"A UDP Socket was expected, got {sock!r}")
    problems = ", ".join(f"{name}={value}" for name, value in modifiers.items() if value)
    if problems:
        raise ValueError(
            "socket modifier keyword arguments can not be used when sock is specified. "
            f"({problems})"
        )
    return sock.stack._datagrams_over(core, protocol_factory, user_socket=sock)
