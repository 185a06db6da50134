"""`loop.create_datagram_endpoint` on a network of stacks and the kernel."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from errno import EADDRINUSE
from typing import Any, Final

from pystack.aio.endpoint import datagram
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.network import Network
from pystack.aio.handles import tls
from pystack.aio.handles.lazy_socket import may_change
from pystack.aio.handles.socket_base import SocketBase, state_of
from pystack.aio.loop.dual_datagram import DualDatagramTransport, begin, leg
from pystack.aio.loop.given_sockets import is_ours, stack_of
from pystack.sockets import DatagramSocket
from pystack.wire.address import ANY_V4, ANY_V6, pack

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Call = Callable[..., Any]

_AF_UNIX: Final[int] = getattr(socket, "AF_UNIX", -1)  # Python has none on Windows
_ANY: Final = {int(socket.AF_INET): ANY_V4, int(socket.AF_INET6): ANY_V6}


async def create_datagram_endpoint(
    network: Network[Endpoint], kernels: Call, protocol_factory: ProtocolFactory,
    local_addr: Any = None, remote_addr: Any = None, *, family: int = 0, proto: int = 0,
    flags: int = 0, reuse_port: bool | None = None, allow_broadcast: bool | None = None,
    sock: socket.socket | None = None, **options: Any,
) -> Any:  # fmt: skip
    """As asyncio's. Where an address may be several, those of stacks come first; what is bound to
    no address and no port is at a stack and at the kernel both."""
    modifiers = {
        "local_addr": local_addr, "remote_addr": remote_addr, "family": family, "proto": proto,
        "flags": flags, "reuse_port": reuse_port, "allow_broadcast": allow_broadcast,
    }  # fmt: skip
    router = network.router
    if sock is not None:
        tls.refuse_ssl_socket(sock)
        if is_ours(sock):
            assert isinstance(sock, SocketBase)
            return _over(sock, protocol_factory, modifiers)
        if may_change(sock) and sock.type == socket.SOCK_DGRAM and not any(modifiers.values()):
            endpoint = router.stack_at(_ANY[sock.family], v6only=False)
            if endpoint is not None:
                given = {"sock": sock}
                return await _dual(network, kernels, protocol_factory, endpoint, sock.family, given)
    elif not local_addr and not remote_addr and family in _ANY:
        endpoint = router.stack_at(_ANY[family], v6only=False)
        if endpoint is not None and network.has_kernel:
            return await _dual(network, kernels, protocol_factory, endpoint, family, modifiers)
        if endpoint is not None:
            found = [(endpoint, (family, None, None))]
            return datagram.opened(found, protocol_factory, False, bool(allow_broadcast))
    elif family != _AF_UNIX and _are_pairs(local_addr, remote_addr):
        try:
            found = await datagram.ends(network, local_addr, remote_addr, family, proto, flags)
        except ValueError:
            found = []  # the kernel says so
        if found:
            endpoint, (one, local, remote) = found[0]
            if remote is None and _is_open(local) and network.has_kernel:
                return await _dual(network, kernels, protocol_factory, endpoint, one, modifiers)
            return datagram.opened(found, protocol_factory, bool(reuse_port), bool(allow_broadcast))
    return await kernels(protocol_factory, sock=sock, **modifiers, **options)


async def _dual(
    network: Network[Endpoint], kernels: Call, protocol_factory: ProtocolFactory,
    endpoint: Endpoint, family: int, given: dict[str, Any],
) -> Any:  # fmt: skip
    """An endpoint that is bound to no address: on the kernel as `given`, and at the same port on
    the stack."""
    protocol = protocol_factory()
    dual = DualDatagramTransport(protocol, endpoint, network.router)
    kernels_leg, _ = await kernels(lambda: leg(dual), **given)
    try:
        host = "0.0.0.0" if family == socket.AF_INET else "::"
        broadcast = bool(given.get("allow_broadcast"))
        port = kernels_leg.get_extra_info("sockname")[1]

        def at(port: int) -> DatagramSocket:
            pair: datagram.Ends = (family, (host, port), None)
            return datagram.datagram_socket(endpoint.host, pair, False, broadcast)

        try:
            made = at(port)
        except OSError as error:
            if error.errno != EADDRINUSE:
                raise
            made = at(0)
        stacks_leg, _ = endpoint.handles.datagrams_over(made, lambda: leg(dual))
    except BaseException:
        kernels_leg.abort()
        raise
    begin(dual, kernels_leg, stacks_leg)
    return dual, protocol


def _are_pairs(local: Any, remote: Any) -> bool:
    """Whether there is an address, and each is a host and a port; asyncio refuses others."""
    given = [where for where in (local, remote) if where]
    return bool(given) and all(isinstance(one, tuple) and len(one) == 2 for one in given)


def _is_open(local: Any) -> bool:
    """Whether neither address nor port are chosen."""
    return local is not None and pack(local[0]) in _ANY.values() and not local[1]


def _over(sock: SocketBase, protocol_factory: ProtocolFactory, modifiers: dict[str, Any]) -> Any:
    inner = state_of(sock).use()
    if not isinstance(inner, DatagramSocket):
        raise ValueError(f"A UDP Socket was expected, got {sock!r}")
    problems = ", ".join(f"{name}={value}" for name, value in modifiers.items() if value)
    if problems:
        raise ValueError(
            "socket modifier keyword arguments can not be used when sock is specified. "
            f"({problems})"
        )
    return stack_of(sock).handles.datagrams_over(inner, protocol_factory, user_socket=sock)
