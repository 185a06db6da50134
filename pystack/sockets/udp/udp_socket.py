"""`DatagramSocket`: UDP's BSD calls, non-blocking, as Linux answers them; made by `Host.socket`.

What a call does is in `udp_calls`, options are in `udp_options`. Groups of multicast can't be
joined: a datagram may be sent to one (with a TTL of 1), and none is received.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pystack.compiling import mypyc_attr
from pystack.sockets.base import size_to_read
from pystack.sockets.constants import IPPROTO_UDP, SOCK_DGRAM
from pystack.sockets.sockaddr import Address
from pystack.sockets.udp import udp_calls, udp_options
from pystack.sockets.udp.udp_state import UdpSocketState


@mypyc_attr(allow_interpreted_subclasses=True)
class DatagramSocket(UdpSocketState):
    """A UDP socket of a `Host`.

    `on_events` is called with EVENT_… bits (of `pystack.events`) after each batch in which
    something happened: READABLE, WRITABLE (after EAGAIN there is room again), SOFT_ERROR (an
    error is pending, or in the error queue). It may make socket calls. `udp` is what the stack
    knows of it, to be read only. `host`, `family`, `type` (SOCK_DGRAM), `proto` (IPPROTO_UDP) and
    `closed` say what it is. The other attributes belong to this room, and `dir` leaves them out.

    Every call raises OSError EBADF once the socket is closed, but `poll` and `close`.
    """

    __slots__ = ()

    type: Final = SOCK_DGRAM
    proto: Final = IPPROTO_UDP
    option_table = udp_options.TABLE

    # -- names ----------------------------------------------------------------------------------
    def bind(self, address: Any) -> None:
        """Choose the local address and port; port 0 takes a free one at once.

        Raises EINVAL when bound already, EADDRINUSE, EADDRNOTAVAIL (none of the host's),
        EAFNOSUPPORT (an address of another family).
        """
        self.check()
        udp_calls.bind(self, address)

    def connect(self, address: Any) -> None:
        """Choose the peer: `send` sends to it, and only its datagrams are received. May be called
        again; None removes the peer, and releases an address and port that `bind` has not chosen.

        Raises ENETUNREACH, EACCES (a broadcast address without SO_BROADCAST), EAGAIN (no port
        is free).
        """
        self.check()
        udp_calls.connect(self, address)

    # -- datagrams ------------------------------------------------------------------------------
    def send(self, data: Any, flags: int = 0) -> int:
        """Send one datagram to the peer; raises EDESTADDRREQ without one, else as `sendto`."""
        self.check()
        return udp_calls.send(self, data, flags, None)

    def sendto(self, data: Any, address: Any, flags: int = 0) -> int:
        """Send one datagram, which may be empty, to an address; its length is returned.

        Larger ones than the path's MTU are cut, unless IP_MTU_DISCOVER forbids it. Raises EAGAIN
        (the buffer is full), EMSGSIZE, EINVAL (port 0), ENETUNREACH, EACCES (broadcast),
        EPIPE after shutdown, EOPNOTSUPP (MSG_OOB), ENETDOWN, and the pending error.
        """
        self.check()
        if address is None:
            raise TypeError("sendto() takes an address; a connected socket has send()")
        return udp_calls.send(self, data, flags, address)

    def sendmsg(
        self, buffers: Iterable[Any], ancdata: Iterable[tuple[int, int, Any]] = (), flags: int = 0,
        address: Any = None,
    ) -> int:  # fmt: skip
        """Send the buffers, joined, as one datagram; without `address` to the peer.

        `ancdata` are items (level, type, data) of this datagram: IP_PKTINFO and IPV6_PKTINFO (its
        source), IP_TOS, IP_TTL, IPV6_TCLASS, IPV6_HOPLIMIT, UDP_SEGMENT, SO_TIMESTAMPING; SO_MARK,
        SO_PRIORITY and SCM_TXTIME change nothing. Raises as `sendto`; EINVAL for an item that is
        none of these, ENODEV for another interface than the host's.
        """
        self.check()
        return udp_calls.send(self, b"".join(buffers), flags, address, ancdata)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """The next datagram; see `recvfrom`."""
        return self.recvfrom(size, flags)[0]

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Address]:
        """The next datagram and its sender; octets behind `size` are lost.

        MSG_PEEK leaves it there; with MSG_TRUNC all its octets are returned, those behind `size` as
        zeros. Raises EAGAIN when there is none, and the pending error
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
            size = size_to_read(view, nbytes, "recvfrom_into")
            data, where = self.recvfrom(size, flags)
            taken = min(len(data), size)
            view[:taken] = data[:taken]
        return len(data), where

    def recvmsg(
        self, size: int, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, Address]:
        """As `recvfrom`: data, ancillary items, flags (MSG_TRUNC when octets were lost, MSG_CTRUNC
        when items were) and address.

        Items are those that options ask for: IP_PKTINFO, IP_RECVTOS, IP_RECVTTL, IPV6_RECVPKTINFO
        and their like, SO_TIMESTAMP, SO_RXQ_OVFL, UDP_GRO. With MSG_ERRQUEUE the oldest entry of
        the error queue (IP_RECVERR, SO_TIMESTAMPING): the datagram that it is about, `struct
        sock_extended_err` as an item, and where the datagram was to go. Raises EAGAIN when there
        is none.
        """
        self.check()
        return udp_calls.recvmsg(self, size, ancillary_size, flags)

    # -- readiness ------------------------------------------------------------------------------
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

    # -- the end --------------------------------------------------------------------------------
    def shutdown(self, how: int) -> None:
        """SHUT_WR: `send` raises EPIPE from now on. SHUT_RD changes what `poll` says, as in
        Linux. Raises ENOTCONN without a peer (and does it all the same), EINVAL."""
        self.check()
        udp_calls.shutdown(self, how)

    def close(self) -> None:
        """Release the socket. What was sent still goes; what was not read is lost."""
        if self.begin_close():
            udp_calls.close(self)
