"""The BSD socket calls on a host, non-blocking, with Linux's errno values: no I/O, no clock.

Which question is answered where: `base` has what TCP's and UDP's sockets share; `tcp_state` and
`udp_state` what is kept of each, which the calls act on; `tcp_socket` and `udp_socket` the classes
that users have, one line to a call; `host` is on top and makes them. What a call does: TCP's are in
`tcp_connection_calls` (bind to close), `tcp_send_recv` and `tcp_poll`, UDP's in `udp_calls`; both
use `binding` (which addresses), `error_queue` and `sockaddr` (address tuples). Which errno a TCP
socket has pending is in `tcp_errors`. Options: `options` is the machinery, `tcp_options` and
`udp_options` are the tables, `tcp_settings` keeps TCP's values, `tcp_info` is what TCP_INFO tells.
`constants` has Linux's numbers.
"""

from __future__ import annotations

from pystack.sockets import constants
from pystack.sockets.host import Host
from pystack.sockets.tcp_info import TcpInfo
from pystack.sockets.tcp_socket import Socket
from pystack.sockets.udp_socket import DatagramSocket

__all__ = ["DatagramSocket", "Host", "Socket", "TcpInfo", "constants"]
