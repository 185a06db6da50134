"""The BSD socket calls on a host, non-blocking, with Linux's errno values: no I/O, no clock."""

from __future__ import annotations

from pystack.sockets.host import Host
from pystack.sockets.tcp_info import TcpInfo
from pystack.sockets.tcp_socket import Socket
from pystack.sockets.udp_socket import DatagramSocket

__all__ = ["DatagramSocket", "Host", "Socket", "TcpInfo"]
