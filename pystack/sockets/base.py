"""What TCP's and UDP's sockets have in common: their host, names, options call, shutdown, events.

A socket is three layers: this base; the state of its kind (`tcp_state`, `udp_state`), which the
calls act on; and at the top the class that users have (`tcp_socket`, `udp_socket`), whose methods
are one line each.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EBADF, EINVAL, ENOTCONN
from typing import Any, ClassVar, Final

from pystack.compiling import mypyc_attr
from pystack.errors import errno_of, os_error
from pystack.printed import printed
from pystack.sockets import sockaddr
from pystack.sockets.constants import (
    POLLHUP,
    POLLIN,
    POLLOUT,
    POLLRDHUP,
    POLLRDNORM,
    POLLWRNORM,
    SHUT_RD,
    SHUT_RDWR,
)
from pystack.sockets.options import OptionTable
from pystack.sockets.sockaddr import Address
from pystack.stack.host import HostCore

# bits of `shut` (Linux: `sk_shutdown`)
RCV_SHUTDOWN: Final = 1
SEND_SHUTDOWN: Final = 2

# what `poll` says together
READABLE: Final = POLLIN | POLLRDNORM
WRITABLE: Final = POLLOUT | POLLWRNORM

# shared by the files of this room; `dir` leaves it out
_INSIDE: Final = frozenset((
    "address_locked", "add_shutdown", "begin_close", "check", "cookie", "is_bound", "lock_names",
    "notify", "option_table", "own_name", "peer_name", "port_locked", "shown", "shut",
    "take_cookie", "undo_shutdown",
))  # fmt: skip


@mypyc_attr(allow_interpreted_subclasses=True)
class BaseSocket:
    """A socket of either kind; the stack notifies it of events as the owner of what it has there.

    `shut` holds RCV_SHUTDOWN and SEND_SHUTDOWN. `address_locked` and `port_locked`: `bind` has
    chosen them, so that dissolving a connection leaves them.
    """

    __slots__ = (
        "host", "family", "on_events", "shut", "address_locked", "port_locked", "closed", "cookie",
    )  # fmt: skip

    option_table: ClassVar[OptionTable[Any, Any]]

    host: HostCore
    family: int
    on_events: Callable[[int], None] | None
    shut: int
    address_locked: bool
    port_locked: bool
    closed: bool
    cookie: int  # SO_COOKIE, 0 before it was asked for

    def __init__(self, host: HostCore, family: int) -> None:
        self.host = host
        self.family = family
        self.on_events = None
        self.shut = 0
        self.address_locked = False
        self.port_locked = False
        self.closed = False
        self.cookie = 0

    def __dir__(self) -> list[str]:
        """Without what belongs to this room."""
        return [name for name in object.__dir__(self) if name not in _INSIDE]

    def __repr__(self) -> str:
        return printed(self, self._words)

    # -- what each kind has of its own ----------------------------------------------------------
    def _words(self) -> str:
        raise NotImplementedError

    def own_name(self) -> tuple[bytes, int]:
        """The local address, 16 bytes, and port."""
        raise NotImplementedError

    def peer_name(self) -> tuple[bytes, int] | None:
        """The peer's address, 16 bytes, and port; None without one."""
        raise NotImplementedError

    def connect(self, address: Any) -> None:
        """See the class of the kind."""
        raise NotImplementedError

    @property
    def is_bound(self) -> bool:
        """Whether it has a port, so that IPV6_V6ONLY can no longer change."""
        raise NotImplementedError

    # -- names ----------------------------------------------------------------------------------
    def connect_ex(self, address: Any) -> int:
        """As `connect`, but the errno is returned, 0 for none."""
        return errno_of(self.connect, address)

    def getsockname(self) -> Address:
        """The local address and port. Raises EBADF when closed."""
        self.check()
        return self.shown(*self.own_name())

    def getpeername(self) -> Address:
        """The peer's address and port. Raises ENOTCONN without a peer, EBADF when closed."""
        self.check()
        name = self.peer_name()
        if name is None:
            raise os_error(ENOTCONN)
        return self.shown(*name)

    def shown(self, address: bytes, port: int) -> Address:
        """An address and port as the user sees them."""
        return sockaddr.unparse(self.family, address, port, self.host.ip.interface.index)

    def lock_names(self, address: bool, port: bool) -> None:
        """`bind` has chosen the address, the port."""
        self.address_locked = address
        self.port_locked = port

    # -- options --------------------------------------------------------------------------------
    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """Set an option: an int, or the bytes of its C form. Which there are, with Linux's bounds,
        is in `pystack.sockets.tcp.tcp_options` and `udp_options`.

        Raises ENOPROTOOPT for an unknown option, EINVAL for a value that it does not take, EBADF
        when closed; OverflowError for an int that is no C int.
        """
        self.check()
        self.option_table.set(self, level, option, value)

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        """An option as an int, or with `size` up to that many bytes of its C form.

        Raises ENOPROTOOPT for an unknown option; for an unknown level EOPNOTSUPP or, as Linux on
        an AF_INET6 socket, ENOPROTOOPT; EINVAL for a `size` below 0 or above 1024; EBADF when
        closed.
        """
        self.check()
        return self.option_table.get(self, level, option, size)

    def take_cookie(self) -> int:
        """SO_COOKIE: a number that no other socket of the host has."""
        if not self.cookie:
            self.cookie = self.host.next_cookie()
        return self.cookie

    # -- the end --------------------------------------------------------------------------------
    def check(self) -> None:
        """Raise EBADF if the socket is closed."""
        if self.closed:
            raise os_error(EBADF)

    def add_shutdown(self, bits: int) -> None:
        """RCV_SHUTDOWN, SEND_SHUTDOWN or both from now on."""
        self.shut |= bits

    def undo_shutdown(self) -> None:
        """The connection was dissolved: the next one is open both ways."""
        self.shut = 0

    def begin_close(self) -> bool:
        """Closed from now on, and silent; whether it was open."""
        if self.closed:
            return False
        self.closed = True
        self.on_events = None
        return True

    # -- events ---------------------------------------------------------------------------------
    def notify(self, events: int) -> None:
        """The stack tells of EVENT_… bits; the user's `on_events` is called."""
        if self.on_events is not None:
            self.on_events(events)


def shutdown_bits(how: int) -> int:
    """The bits of `shut` for a SHUT_… number. Raises EINVAL for another number."""
    if not SHUT_RD <= how <= SHUT_RDWR:
        raise os_error(EINVAL)
    return how + 1


def poll_bits(shut: int) -> int:
    """What `poll` says of the halves that are shut down (Linux: tcp_poll, datagram_poll)."""
    if not shut:
        return 0
    bits = READABLE | POLLRDHUP if shut & RCV_SHUTDOWN else 0
    return bits | POLLHUP if shut == RCV_SHUTDOWN | SEND_SHUTDOWN else bits


def size_to_read(view: memoryview, nbytes: int, call: str) -> int:
    """How many bytes `call` (recv_into, recvfrom_into) may put into `view`; 0 stands for all.

    Raises ValueError as Python's `socket` does.
    """
    if nbytes < 0:
        raise ValueError(f"negative size in {call}")
    if nbytes > len(view):
        raise ValueError("buffer too small for the requested bytes")
    return nbytes or len(view)
