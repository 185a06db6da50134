"""asyncio's calls that make connections and servers, on a network of stacks and the kernel.

Each takes `kernels`, the call of the loop's own class, for what belongs to no stack.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

from pystack.aio.endpoint import connect, listen
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.network import Network
from pystack.aio.handles import tls
from pystack.aio.handles.server import joined
from pystack.aio.handles.socket_base import SocketBase
from pystack.aio.loop.given_sockets import stack_of, stream_inside, unwrapped

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Stacks = Network[Endpoint]
Call = Callable[..., Any]

_WAITS_FOR_CLIENTS: Final = sys.version_info >= (3, 12)  # `Server.wait_closed`
_NOT_BOTH: Final = "host/port and sock can not be specified at the same time"


async def create_connection(
    network: Stacks, kernels: Call, protocol_factory: ProtocolFactory, host: Any = None,
    port: Any = None, *, ssl: Any = None, family: int = 0, proto: int = 0, flags: int = 0,
    sock: socket.socket | None = None, local_addr: Any = None, server_hostname: str | None = None,
    ssl_handshake_timeout: float | None = None, ssl_shutdown_timeout: float | None = None,
    happy_eyeballs_delay: float | None = None, interleave: int | None = None,
    all_errors: bool = False,
) -> Any:  # fmt: skip
    """As asyncio's. Of several addresses each one goes its own way, a stack's or the kernel's."""
    secured: dict[str, Any] = {
        "ssl": ssl, "server_hostname": server_hostname,
        "ssl_handshake_timeout": ssl_handshake_timeout,
        "ssl_shutdown_timeout": ssl_shutdown_timeout,
    }  # fmt: skip
    sock = unwrapped(sock)
    inner = stream_inside(sock)
    if inner is None and (sock is not None or (host is None and port is None)):
        if sock is not None:
            secured["sock"] = sock
        return await kernels(protocol_factory, host, port, **secured)
    wanted = tls.of_client(ssl, host, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout)
    if inner is not None:
        assert isinstance(sock, SocketBase)
        if host is not None or port is not None:
            raise ValueError(_NOT_BOTH)
        handles = stack_of(sock).handles
        return await handles.transport_over(inner, protocol_factory, wanted, sock)
    made = await connect.connected(
        network, host, port, family=family, proto=proto, flags=flags, local_addr=local_addr,
        delay=happy_eyeballs_delay, interleave=interleave, all_errors=all_errors,
    )  # fmt: skip
    if isinstance(made, socket.socket):
        if ssl and server_hostname is None:
            secured["server_hostname"] = host
        return await kernels(protocol_factory, sock=made, **secured)
    endpoint, inner = made
    return await endpoint.handles.transport_over(inner, protocol_factory, wanted)


async def connect_accepted_socket(
    kernels: Call, protocol_factory: ProtocolFactory, sock: socket.socket, *, ssl: Any = None,
    ssl_handshake_timeout: float | None = None, ssl_shutdown_timeout: float | None = None,
) -> Any:  # fmt: skip
    """As asyncio's: a transport for a connection that was accepted by hand."""
    sock = unwrapped(sock)
    inner = stream_inside(sock)
    if inner is None:
        return await kernels(
            protocol_factory, sock, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )  # fmt: skip
    assert isinstance(sock, SocketBase)
    wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    return await stack_of(sock).handles.transport_over(inner, protocol_factory, wanted, sock)


async def create_server(
    network: Stacks, kernels: Call, protocol_factory: ProtocolFactory, host: Any = None,
    port: Any = None, *, family: int = socket.AF_UNSPEC, flags: int = socket.AI_PASSIVE,
    sock: socket.socket | None = None, backlog: int = 100, ssl: Any = None,
    reuse_address: bool | None = None, reuse_port: bool | None = None,
    keep_alive: bool | None = None, ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None, start_serving: bool = True,
) -> Any:  # fmt: skip
    """As asyncio's. The addresses of stacks, and wildcards, are stacks'; others the kernel's.
    With `reuse_port` several servers of the program share a stack's port, each with some clients;
    no other process could have it."""
    sock = unwrapped(sock)
    inner = stream_inside(sock)
    given: dict[str, Any] = {"family": family, "flags": flags, "backlog": backlog, "ssl": ssl,
             "ssl_handshake_timeout": ssl_handshake_timeout,
             "ssl_shutdown_timeout": ssl_shutdown_timeout, "reuse_address": reuse_address,
             "reuse_port": reuse_port, "start_serving": start_serving}  # fmt: skip
    if keep_alive is not None:  # new in 3.13
        given["keep_alive"] = keep_alive
    if inner is None and (sock is not None or (host is None and port is None)):
        return await kernels(protocol_factory, host, port, sock=sock, **given)
    wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    serving: dict[str, Any] = {"backlog": backlog, "start_serving": start_serving,
                               "waits_for_clients": _WAITS_FOR_CLIENTS}  # fmt: skip
    if inner is not None:
        assert isinstance(sock, SocketBase)
        if host is not None or port is not None:
            raise ValueError(_NOT_BOTH)
        handles = stack_of(sock).handles
        return handles.serve([inner], protocol_factory, wanted, user_socket=sock, **serving)
    places, others = await listen.places(network, host, port, family, flags)
    if not places:
        return await kernels(protocol_factory, host, port, **given)
    bound = listen.bound(
        places, reuse_address is not False, bool(keep_alive), bool(reuse_port)
    )
    servers: list[Any] = []
    try:
        for endpoint, sockets in bound:
            servers.append(endpoint.handles.serve(sockets, protocol_factory, wanted, **serving))
        if others:
            servers.append(await kernels(protocol_factory, others, port, **given))
        if start_serving:
            await asyncio.sleep(0)  # as asyncio: it serves when this returns
    except BaseException:
        for server in servers:
            server.close()
        listen.close_all(bound)
        raise
    return joined(servers)
