"""asyncio's calls of an event loop, for addresses of stacks; all others go on to the kernel.

Connections and servers are here, below are datagrams (`datagram_calls`), sockets (`sock_calls`) and
whose an address is (`finding`). `StackCalls` comes before a loop's own class: each call looks
whether what it is given belongs to a stack, and hands it to the class behind it, the kernel's, if
it does not. An address to listen at is that of a stack when it is one of its own, or a wildcard; an
address to connect to when a stack reaches it (`Endpoint._reaches`).
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from pystack.aio import numbers
from pystack.aio.endpoint.connect import first_connected
from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.listen import bind_first, bound_sockets
from pystack.aio.endpoint.resolve import Target
from pystack.aio.handles import tls
from pystack.aio.handles.server import Server
from pystack.aio.handles.stack_socket import StackSocket
from pystack.aio.loop.datagram_calls import DatagramCalls
from pystack.aio.loop.name_lookup import Info
from pystack.aio.loop.routing import packed
from pystack.sockets import Socket
from pystack.wire import address
from pystack.wire.address import ANY_V4, ANY_V6

if TYPE_CHECKING:
    import ssl as ssl_module

Protocol = Callable[[], asyncio.BaseProtocol]

_WAITS_FOR_CLIENTS: Final = sys.version_info >= (3, 12)  # `Server.wait_closed`


class StackCalls(DatagramCalls):
    """To be mixed in before a loop's class."""

    # -- connections -----------------------------------------------------------------------------
    async def create_connection(
        self, protocol_factory: Protocol, host: Any = None, port: Any = None, *,
        ssl: ssl_module.SSLContext | bool | None = None, family: int = 0, proto: int = 0,
        flags: int = 0, sock: socket.socket | None = None, local_addr: Any = None,
        server_hostname: str | None = None, ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None, happy_eyeballs_delay: float | None = None,
        interleave: int | None = None, all_errors: bool = False,
    ) -> Any:  # fmt: skip
        """As asyncio's. Of several addresses each one goes its own way, ours or the kernel's."""
        secured: dict[str, Any] = {
            "ssl": ssl, "server_hostname": server_hostname,
            "ssl_handshake_timeout": ssl_handshake_timeout,
            "ssl_shutdown_timeout": ssl_shutdown_timeout,
        }  # fmt: skip
        core = self.taken(sock)
        if core is None and (sock is not None or (host is None and port is None)):
            if sock is not None:
                secured["sock"] = sock
            return await super().create_connection(protocol_factory, host, port, **secured)
        wanted = tls.of_client(
            ssl, host, server_hostname, ssl_handshake_timeout, ssl_shutdown_timeout
        )
        if core is not None:
            assert isinstance(sock, StackSocket)
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            return await sock.stack._transport_over(core, protocol_factory, wanted, sock)
        infos = await self._infos(host, port, family, proto, flags)
        local = []
        if local_addr is not None:
            local = await self._infos(local_addr[0], local_addr[1], family, proto, flags)
        if happy_eyeballs_delay is not None and interleave is None:
            interleave = 1
        if interleave:
            infos = _interleaved(infos, interleave)
        made = await first_connected(
            self._loop, [partial(self._connected, info, local) for info in infos], _close,
            happy_eyeballs_delay, all_errors,
        )  # fmt: skip
        if isinstance(made, socket.socket):
            if ssl and server_hostname is None:
                secured["server_hostname"] = host
            secured["sock"] = made
            return await super().create_connection(protocol_factory, **secured)
        endpoint, core = made
        return await endpoint._transport_over(core, protocol_factory, wanted)

    async def _connected(
        self, info: Info, local: Sequence[Info]
    ) -> tuple[Endpoint, Socket] | socket.socket:
        """A connection to one address, on a stack or the kernel."""
        family, kind, proto, _, place = info
        own = [one[4] for one in local if one[0] == family]
        if local and not own:
            raise OSError(f"no matching local address with {family=} found")
        at = packed(own[0]) if own else None
        endpoint = self.stack_to(packed(place), None if at in (ANY_V4, ANY_V6) else at)
        if endpoint is not None:
            number = numbers.family(family)
            places: list[Target] = [(number, one) for one in own]
            return endpoint, await endpoint._connected((number, place), places)
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            bind_first(sock, own)
            await self.sock_connect(sock, place)
        except BaseException:
            sock.close()
            raise
        return sock

    async def connect_accepted_socket(  # type: ignore[override]
        self, protocol_factory: Protocol, sock: socket.socket, *,
        ssl: ssl_module.SSLContext | None = None, ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:  # fmt: skip
        """As asyncio's: a transport for a connection that was accepted by hand."""
        core = self.taken(sock)
        if core is None:
            return await super().connect_accepted_socket(
                protocol_factory, sock, ssl=ssl, ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )  # fmt: skip
        assert isinstance(sock, StackSocket)
        wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        return await sock.stack._transport_over(core, protocol_factory, wanted, sock)

    # -- servers ---------------------------------------------------------------------------------
    async def create_server(  # type: ignore[override]
        self, protocol_factory: Protocol, host: Any = None, port: Any = None, *,
        family: int = socket.AF_UNSPEC, flags: int = socket.AI_PASSIVE,
        sock: socket.socket | None = None, backlog: int = 100,
        ssl: ssl_module.SSLContext | None = None, reuse_address: bool | None = None,
        reuse_port: bool | None = None, keep_alive: bool | None = None,
        ssl_handshake_timeout: float | None = None, ssl_shutdown_timeout: float | None = None,
        start_serving: bool = True,
    ) -> Any:  # fmt: skip
        """As asyncio's. The addresses of stacks, and wildcards, are ours; others the kernel's.
        `reuse_port` changes nothing at ours: nobody else could have the port."""
        core = self.taken(sock)
        given: dict[str, Any] = {"family": family, "flags": flags, "backlog": backlog, "ssl": ssl,
                 "ssl_handshake_timeout": ssl_handshake_timeout,
                 "ssl_shutdown_timeout": ssl_shutdown_timeout, "reuse_address": reuse_address,
                 "reuse_port": reuse_port, "start_serving": start_serving}  # fmt: skip
        if keep_alive is not None:  # new in 3.13
            given["keep_alive"] = keep_alive
        if core is None and (sock is not None or (host is None and port is None)):
            given["sock"] = sock
            return await super().create_server(protocol_factory, host, port, **given)
        wanted = tls.of_server(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
        serving: dict[str, Any] = {"backlog": backlog, "start_serving": start_serving,
                                   "waits_for_clients": _WAITS_FOR_CLIENTS}  # fmt: skip
        if core is not None:
            assert isinstance(sock, StackSocket)
            if host is not None or port is not None:
                raise ValueError("host/port and sock can not be specified at the same time")
            return sock.stack._serve([core], protocol_factory, wanted, user_socket=sock, **serving)
        places, others = await self._places(host, port, family, flags)
        if not places:
            return await super().create_server(protocol_factory, host, port, **given)
        bound = self._bound(places, reuse_address is not False, bool(keep_alive))
        servers: list[Any] = []
        try:
            for endpoint, sockets in bound:
                servers.append(endpoint._serve(sockets, protocol_factory, wanted, **serving))
            if others:
                servers.append(await super().create_server(protocol_factory, others, port, **given))
            if start_serving:
                await asyncio.sleep(0)  # as asyncio: it serves when this returns
        except BaseException:
            for server in servers:
                server.close()
            for left in itertools.chain.from_iterable(sockets for _, sockets in bound):
                left.close()
            raise
        return _joined(servers)

    def _bound(
        self, places: dict[Endpoint, dict[Target, None]], reuse_address: bool, keep_alive: bool
    ) -> list[tuple[Endpoint, list[Socket]]]:
        """Sockets at all places. Raises OSError, leaving none."""
        bound: list[tuple[Endpoint, list[Socket]]] = []
        try:
            for endpoint, own in places.items():
                bound.append(
                    (endpoint, bound_sockets(endpoint.host, own, reuse_address, keep_alive))
                )
        except BaseException:
            for sock in itertools.chain.from_iterable(sockets for _, sockets in bound):
                sock.close()
            raise
        return bound

    async def _places(
        self, host: Any, port: Any, family: int, flags: int
    ) -> tuple[dict[Endpoint, dict[Target, None]], list[str]]:
        """Where to listen: places by stack, and the hosts that are the kernel's."""
        if host is None or isinstance(host, (str, bytes)) or not isinstance(host, Iterable):
            hosts = [host]
        else:
            hosts = list(host)
        places: dict[Endpoint, dict[Target, None]] = {}
        others: list[str] = []
        for name in hosts:
            for info in await self._infos_to_listen(name or None, port, family, flags):
                endpoint = self.stack_at(packed(info[4]))
                if endpoint is None:
                    others.append(info[4][0])
                else:
                    places.setdefault(endpoint, {})[numbers.family(info[0]), info[4]] = None
        return places, list(dict.fromkeys(others))

    async def _infos_to_listen(self, name: Any, port: Any, family: int, flags: int) -> list[Info]:
        if name is not None:
            return await self._infos(name, port, family, flags=flags)
        infos = []
        for own, text in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            if family in (0, own) and self.stack_at(address.pack(text)) is not None:
                infos += await self._infos(text, port or 0, own, flags=flags)
        return infos or await self._infos(name, port, family, flags=flags)


def _close(made: tuple[Endpoint, Socket] | socket.socket) -> None:
    (made if isinstance(made, socket.socket) else made[1]).close()


def _interleaved(infos: Sequence[Info], first: int) -> list[Info]:
    """By turns of each family, beginning with `first` of the first one (RFC 8305 §4)."""
    by_family: dict[Any, list[Info]] = collections.defaultdict(list)
    for info in infos:
        by_family[info[0]].append(info)
    lists = list(by_family.values())
    head, lists[0] = lists[0][: first - 1], lists[0][first - 1 :]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*lists))
    return head + [info for info in turns if info is not None]


def _joined(servers: list[Any]) -> Any:
    """One server that answers for all: the first, with the others beside it."""
    head: Any = None
    for server in reversed(servers):
        if isinstance(server, Server):
            server._beside = head
        head = server
    return head
