"""The BSD socket calls on a host, non-blocking, with Linux's errno values: no I/O, no clock.

The folders `tcp` and `udp` have the calls of each kind, `whole_host` is on top and makes the
sockets. What both kinds use lies here: `base` is the class below theirs, `options` the machinery of
options, `binding` says which addresses a socket may have, `sockaddr` has address tuples,
`error_queue` what IP_RECVERR gives, `constants` Linux's numbers.
"""

from __future__ import annotations

from pystack.sockets import constants
from pystack.sockets.tcp.tcp_info import TcpInfo
from pystack.sockets.tcp.tcp_socket import Socket
from pystack.sockets.udp.udp_socket import DatagramSocket
from pystack.sockets.whole_host.host import Host

__all__ = ["DatagramSocket", "Host", "Socket", "TcpInfo", "constants"]
