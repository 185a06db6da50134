"""`DatagramSocket`: UDP's BSD calls, non-blocking, as Linux answers them; made by `Host.socket`.

What a call does is in `datagram_calls`, options are in `datagram_options`. Groups of multicast
can't be joined: a datagram may be sent to one (with a TTL of 1), and none is received.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EBADF, ENOTCONN
from typing import TYPE_CHECKING, Any, Final

from pystack.printed import printed
from pystack.sockets import sockaddr, udp_calls, udp_options
from pystack.sockets.constants import IPPROTO_UDP, SOCK_DGRAM
from pystack.sockets.ear import Ear
from pystack.sockets.errors import errno_of, os_error
from pystack.sockets.sockaddr import Address
from pystack.udp.endpoints import UdpEndpoint
from pystack.wire.address import place

if TYPE_CHECKING:
    from pystack.sockets.host import Host


# what the files of this room share, and is nobody else's
_INSIDE: Final = frozenset((
    "address_locked", "check", "happened", "port_locked", "shut",
))  # fmt: skip


class DatagramSocket:
    """A UDP socket of a `Host`.

    `on_events` is called with EVENT_… bits (of `pystack.events`) after each batch in which
    something happened: READABLE, WRITABLE (after EAGAIN there is room again), SOFT_ERROR (an
    error is pending, or in the error queue). It may make socket calls. `udp` is what the stack
    knows of it, to be read only. `host`, `family`, `type` (SOCK_DGRAM), `proto` (IPPROTO_UDP) and
    `closed` say what it is. The other attributes belong to this room, and `dir` leaves them out.
    """

    __slots__ = (
        "host", "family", "udp", "on_events", "shut", "address_locked", "port_locked", "closed",
    )  # fmt: skip

    type: Final = SOCK_DGRAM
    proto: Final = IPPROTO_UDP
    host: Host
    family: int
    udp: UdpEndpoint
    on_events: Callable[[int], None] | None
    shut: int
    address_locked: bool  # chosen by bind(), not by us
    port_locked: bool
    closed: bool

    def __init__(self, host: Host, family: int) -> None:
        self.host = host
        self.family = family
        self.udp = UdpEndpoint(sockaddr.any_address(family), Ear(self), host.config)
        self.on_events = None
        self.shut = 0
        self.address_locked = False
        self.port_locked = False
        self.closed = False

    def __dir__(self) -> list[str]:
        """Without what belongs to this room."""
        return [name for name in object.__dir__(self) if name not in _INSIDE]

    def __repr__(self) -> str:
        return printed(self, self._words)

    def _words(self) -> str:
        udp = self.udp
        names = place(udp.local, udp.port)
        if udp.remote:
            names = f"{names} -> {place(udp.remote, udp.remote_port)}"
        if self.closed:
            return f"closed {names}" if udp.port else "closed"
        return f"{names} unread {len(udp.queue)}, drops {udp.drops}"

    # -- names ----------------------------------------------------------------------------------
    def bind(self, address: Any) -> None:
        """Choose the local address and port; port 0 takes a free one at once.

        Raises EINVAL when bound already, EADDRINUSE, EADDRNOTAVAIL (none of the host's),
        EAFNOSUPPORT (an address of another family).
        """
        self.check()
        udp_calls.bind(self, address)

    def connect(self, address: Any) -> None:
        """Choose the peer: `send` goes there, and nothing else is received. May be called again;
        None dissolves, and gives back the address and port that `bind` has not chosen.

        Raises ENETUNREACH, EACCES (a broadcast address without SO_BROADCAST), EAGAIN (no port
        is free).
        """
        self.check()
        udp_calls.connect(self, address)

    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the errno is returned, 0 for none."""
        return errno_of(self.connect, address)

    def getsockname(self) -> Address:
        """The local address and port."""
        self.check()
        return sockaddr.unparse(self.family, self.udp.local, self.udp.port)

    def getpeername(self) -> Address:
        """The peer's address and port. Raises ENOTCONN without one."""
        self.check()
        if not self.udp.remote_port:
            raise os_error(ENOTCONN)
        return sockaddr.unparse(self.family, self.udp.remote, self.udp.remote_port)

    # -- datagrams ------------------------------------------------------------------------------
    def send(self, data: Any, flags: int = 0) -> int:
        """Send one datagram to the peer; raises EDESTADDRREQ without one, else as `sendto`."""
        self.check()
        return udp_calls.send(self, data, flags, None)

    def sendto(self, data: Any, address: Any, flags: int = 0) -> int:
        """Send one datagram, which may be empty, to an address; its length is returned.

        Larger ones than the path's MTU are cut, unless IP_MTU_DISCOVER forbids it. Raises EAGAIN
        (the buffer is full), EMSGSIZE, EINVAL (port 0), ENETUNREACH, EACCES (broadcast),
        EPIPE after shutdown, EOPNOTSUPP (MSG_OOB, MSG_MORE), ENETDOWN, and the pending error.
        """
        self.check()
        if address is None:
            raise TypeError("sendto() takes an address; a connected socket has send()")
        return udp_calls.send(self, data, flags, address)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next datagram; see `recvfrom`."""
        return self.recvfrom(size, flags)[0]

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """The next datagram, of which octets behind `size` are lost, and its sender.

        MSG_PEEK leaves it there; with MSG_TRUNC as many octets are returned as it has, those
        behind `size` being zero. Raises EAGAIN when there is none, and the pending error
        (ECONNREFUSED: the peer's port is closed).
        """
        self.check()
        data, _, _, where = udp_calls.recvmsg(self, size, 0, flags)
        return data, where

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recvfrom_into`, without the sender."""
        return self.recvfrom_into(buffer, nbytes, flags)[0]

    def recvfrom_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> tuple[int, Address]:
        """As `recvfrom`, into a writable buffer: how many octets (with MSG_TRUNC, how many there
        were) and the sender."""
        with memoryview(buffer).cast("B") as view:
            if nbytes < 0:
                raise ValueError("negative size in recvfrom_into")
            if nbytes > len(view):
                raise ValueError("buffer too small for the requested bytes")
            size = nbytes or len(view)
            data, where = self.recvfrom(size, flags)
            taken = min(len(data), size)
            view[:taken] = data[:taken]
        return len(data), where

    def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Address]:
        """As `recvfrom`: data, ancillary items, flags (MSG_TRUNC when octets were lost) and
        address. With MSG_ERRQUEUE the oldest entry of the error queue (see IP_RECVERR): the
        datagram that it is about, `struct sock_extended_err` as the one item, and where the
        datagram was to go. Raises EAGAIN when there is none.
        """
        self.check()
        return udp_calls.recvmsg(self, size, ancillary_size, flags)

    # -- readiness and options ------------------------------------------------------------------
    def poll(self) -> int:
        """POLL… bits that are set now, as Linux's poll gives them for POLLIN to POLLRDHUP."""
        return udp_calls.poll(self)

    def ioctl(self, request: int) -> int:
        """SIOCINQ (length of the next datagram), SIOCOUTQ (what waits to be sent, with its
        overhead). Raises ENOTTY for another request."""
        self.check()
        return udp_calls.ioctl(self, request)

    @property
    def drops(self) -> int:
        """Datagrams that found no room in the receive buffer."""
        return self.udp.drops

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option: an int, or the bytes of its C form; see `datagram_options`. Raises
        ENOPROTOOPT for an unknown one, EINVAL for a value that it does not take."""
        self.check()
        udp_options.set_option(self, level, option, value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        """An option as an int, or with `size` up to that many bytes of its C form. Raises as
        `Socket.getsockopt`."""
        self.check()
        return udp_options.get_option(self, level, option, size)

    # -- the end --------------------------------------------------------------------------------
    def shutdown(self, how: int) -> None:
        """SHUT_WR: `send` raises EPIPE from now on. SHUT_RD changes what `poll` says, as in
        Linux. Raises ENOTCONN without a peer (and does it all the same), EINVAL."""
        self.check()
        udp_calls.shutdown(self, how)

    def close(self) -> None:
        """Release the socket. What was sent still goes; what was not read is lost."""
        if not self.closed:
            udp_calls.close(self)

    def check(self) -> None:
        """Raise EBADF if the socket is closed."""
        if self.closed:
            raise os_error(EBADF)

    def happened(self, events: int) -> None:
        """The stack tells of EVENT_… bits."""
        if self.on_events is not None:
            self.on_events(events)
