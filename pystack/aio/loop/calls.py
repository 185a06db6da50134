"""asyncio's calls of an event loop, handed to a stack or to the kernel: the one place for all.

`StackCalls` comes before a loop's own class. Each call looks whether what it is given belongs to a
stack (`connection_calls`, `datagram_calls`, `socket_calls`, `watches`). If it does not, the call of
the class behind it, the kernel's, is made. An address to listen at belongs to a stack when it is
one of its own, or a wildcard; an address to connect to when the stack reaches it (`routing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVarTuple

from pystack.aio.endpoint.endpoint import Endpoint
from pystack.aio.endpoint.network import Network
from pystack.aio.endpoint.resolve import Resolver
from pystack.aio.handles.ready_fd import READABLE, WRITABLE
from pystack.aio.handles.stream import Transport, send_file
from pystack.aio.loop import connection_calls, datagram_calls, names, socket_calls
from pystack.aio.loop.routing import StackRouter
from pystack.aio.loop.watches import Watches

Ts = TypeVarTuple("Ts")

if TYPE_CHECKING:
    _Loop = asyncio.SelectorEventLoop
else:
    _Loop = object


# shared by the files of `pystack.aio`
_INSIDE: Final = frozenset((
    "finds_stacks", "has_kernel", "router", "sends_files_over_stacks", "use_stacks",
))  # fmt: skip


class StackCalls(_Loop):
    """To be mixed in before a loop's class, which calls `use_stacks` before anything else.

    `router` says which stack an address is for.
    """

    finds_stacks: Final = True  # by asyncio's own calls
    sends_files_over_stacks: Final = True  # for transports, see `_sendfile_native`
    has_kernel: ClassVar[bool] = True  # whether there is one to send what no stack reaches

    router: StackRouter

    def use_stacks(self) -> None:
        """Have what the calls need."""
        self.router = StackRouter(lambda: self.stacks)
        self._network: Network[Endpoint] = Network(
            self, self.router, Resolver(self), self.has_kernel
        )
        self._watches = Watches(self, {
            READABLE: (super().add_reader, super().remove_reader),
            WRITABLE: (super().add_writer, super().remove_writer),
        })  # fmt: skip

    @property
    def stacks(self) -> Sequence[Endpoint]:
        """Those in use; who comes first is asked first."""
        raise NotImplementedError

    # -- connections, servers, datagrams, names ----------------------------------------------------
    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """As asyncio's; see `connection_calls.create_connection`."""
        return await connection_calls.create_connection(
            self._network, super().create_connection, protocol_factory, host, port, **options
        )

    async def connect_accepted_socket(
        self, protocol_factory: Any, sock: Any, **options: Any
    ) -> Any:
        """As asyncio's; see `connection_calls.connect_accepted_socket`."""
        return await connection_calls.connect_accepted_socket(
            super().connect_accepted_socket, protocol_factory, sock, **options
        )

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """As asyncio's; see `connection_calls.create_server`."""
        return await connection_calls.create_server(
            self._network, super().create_server, protocol_factory, host, port, **options
        )

    async def create_datagram_endpoint(
        self, protocol_factory: Any, local_addr: Any = None, remote_addr: Any = None,
        **options: Any,
    ) -> Any:  # fmt: skip
        """As asyncio's; see `datagram_calls.create_datagram_endpoint`."""
        return await datagram_calls.create_datagram_endpoint(
            self._network, super().create_datagram_endpoint, protocol_factory, local_addr,
            remote_addr, **options,
        )  # fmt: skip

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:  # fmt: skip
        """As asyncio's; a stack's own names (`names` of `Stack.over_tun`) come first."""
        found = names.known(self.stacks, host, port, family, type, proto, flags)
        if found is None:
            found = await super().getaddrinfo(
                host, port, family=family, type=type, proto=proto, flags=flags
            )
        return found

    # -- sockets -----------------------------------------------------------------------------------
    async def sock_recv(self, sock: Any, n: int) -> bytes:
        """As asyncio's."""
        if socket_calls.does(self, sock):
            return await socket_calls.tried(self, sock, sock.recv, n)
        return await super().sock_recv(sock, n)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """As asyncio's."""
        if socket_calls.does(self, sock):
            return await socket_calls.tried(self, sock, sock.recv_into, buf)
        return await super().sock_recv_into(sock, buf)

    async def sock_recvfrom(self, sock: Any, bufsize: int) -> Any:
        """As asyncio's."""
        return await socket_calls.receive_from(
            self, super().sock_recvfrom, sock, sock.recvfrom, bufsize
        )

    async def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: int = 0) -> Any:
        """As asyncio's."""
        return await socket_calls.receive_from(
            self, super().sock_recvfrom_into, sock, sock.recvfrom_into, buf, nbytes or len(buf)
        )

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """As asyncio's."""
        if socket_calls.does(self, sock):
            await socket_calls.send_all(self, sock, data)
        else:
            await super().sock_sendall(sock, data)

    async def sock_sendto(self, sock: Any, data: Any, address: Any) -> int:
        """As asyncio's; on a socket that may be a stack's the address decides."""
        return await socket_calls.send_to(
            self._network, super().sock_sendto, sock, data, address
        )

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """As asyncio's; the address decides, also for a plain socket of the kernel."""
        await socket_calls.connect(self._network, super().sock_connect, sock, address)

    async def sock_accept(self, sock: Any) -> Any:
        """As asyncio's: a `StackSocket`, and its peer's address."""
        if socket_calls.does(self, sock):
            return await socket_calls.accept(self, sock)
        return await super().sock_accept(sock)

    async def sock_sendfile(
        self, sock: Any, file: Any, offset: int = 0, count: int | None = None, *,
        fallback: bool | None = True,
    ) -> int:  # fmt: skip
        """As asyncio's, without the kernel's `sendfile`, which knows nothing of stacks."""
        if not socket_calls.does(self, sock):
            return await super().sock_sendfile(sock, file, offset, count, fallback=fallback)
        self._check_sendfile_params(sock, file, offset, count)
        return await socket_calls.send_file(self, sock, file, offset, count, fallback)

    async def _sendfile_native(self, transp: Any, file: Any, offset: int, count: int | None) -> int:
        """What asyncio's `sendfile` tries first, on Python 3.11 to 3.14."""
        if isinstance(transp, Transport):
            self._check_sendfile_params(transp.get_extra_info("socket"), file, offset, count)
            return await send_file(transp, file, offset, count)
        sent: int = await super()._sendfile_native(transp, file, offset, count)  # type: ignore[misc]
        return sent

    if TYPE_CHECKING:

        def _check_sendfile_params(
            self, sock: Any, file: Any, offset: int, count: int | None
        ) -> None: ...

    # -- readers and writers -----------------------------------------------------------------------
    def add_reader(self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As asyncio's: `callback` again and again while the socket is readable."""
        if not self._watches.add(fd, READABLE, callback, args):
            super().add_reader(fd, callback, *args)

    def add_writer(self, fd: Any, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """As asyncio's: `callback` again and again while the socket is writable."""
        if not self._watches.add(fd, WRITABLE, callback, args):
            super().add_writer(fd, callback, *args)

    def remove_reader(self, fd: Any) -> bool:
        """As asyncio's; whether there was one."""
        gone = self._watches.remove(fd, READABLE)
        return super().remove_reader(fd) if gone is None else gone

    def remove_writer(self, fd: Any) -> bool:
        """As asyncio's; whether there was one."""
        gone = self._watches.remove(fd, WRITABLE)
        return super().remove_writer(fd) if gone is None else gone
