"""What is kept of a UDP socket; the calls act on it, and `DatagramSocket` is on top of them."""

from __future__ import annotations

from pystack.compiling import mypyc_attr
from pystack.sockets import sockaddr
from pystack.sockets.base import BaseSocket
from pystack.stack.host import HostCore
from pystack.udp.endpoints import UdpEndpoint
from pystack.udp.udp_output import Sending
from pystack.wire.address import place


class Corked:
    """A datagram that is still to be filled: its ends, how it is sent, what was gathered."""

    __slots__ = ("own", "remote", "port", "sending", "payload")

    def __init__(self, own: bytes, remote: bytes, port: int, sending: Sending) -> None:
        self.own = own
        self.remote = remote
        self.port = port
        self.sending = sending
        self.payload = b""


@mypyc_attr(allow_interpreted_subclasses=True)
class UdpSocketState(BaseSocket):
    """The variables of a UDP socket: nearly all of them are its end in the stack, `udp`."""

    __slots__ = ("udp", "corked", "stamps")

    udp: UdpEndpoint
    corked: Corked | None  # what UDP_CORK or MSG_MORE gathers
    stamps: int  # datagrams that were named for their timestamps

    def __init__(self, host: HostCore, family: int) -> None:
        super().__init__(host, family)
        self.udp = UdpEndpoint(sockaddr.any_address(family), self, host.config)
        self.corked = None
        self.stamps = 0

    def _words(self) -> str:
        udp = self.udp
        names = place(udp.local, udp.port)
        if udp.remote:
            names = f"{names} -> {place(udp.remote, udp.remote_port)}"
        if self.closed:
            return f"closed {names}" if udp.port else "closed"
        return f"{names} unread {len(udp.queue)}, drops {udp.drops}"

    def cork(self, corked: Corked | None) -> None:
        """What is gathered from now on; None for nothing."""
        self.corked = corked

    def take_stamp_id(self) -> int:
        """The name of the next datagram in timestamps (SOF_TIMESTAMPING_OPT_ID)."""
        number = self.stamps
        self.stamps = number + 1 & 0xFFFF_FFFF
        return number

    def restart_stamps(self) -> None:
        """SOF_TIMESTAMPING_OPT_ID was set anew: names begin with 0."""
        self.stamps = 0

    @property
    def is_bound(self) -> bool:
        """Whether it has a port, so that IPV6_V6ONLY can no longer change."""
        return self.udp.port != 0

    def own_name(self) -> tuple[bytes, int]:
        """The local address and port."""
        return self.udp.local, self.udp.port

    def peer_name(self) -> tuple[bytes, int] | None:
        """The peer's address and port; None without one, or for port 0, as in Linux."""
        if not self.udp.remote_port:
            return None
        return self.udp.remote, self.udp.remote_port
