"""Which tests are not run, and why not: what a name begins with or looks like, and a reason."""

from __future__ import annotations

import inspect
import sys
from asyncio import selector_events
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

_MOCKS: Final = "puts mocks in the place of private parts of asyncio's selector loop"
_PRIVATE: Final = "calls a private method of asyncio's selector loop"
_BARE: Final = "hands over a bare descriptor, through which a stack's text does not come"
_SHARED: Final = "is of several sockets at one port of TCP"
_BLOCKS: Final = "connects to its own loop by a call that blocks it"

CPYTHON: Final[Mapping[str, str]] = {
    "test_base_events.BaseLoopSockSendfileTests.test__sock_sendfile_native_failure": _PRIVATE,
    "test_base_events.*.test_create_connection_ip_addr": _MOCKS,
    "test_base_events.*.test_create_connection_ipv6_scope": _MOCKS,
    "test_base_events.*.test_create_connection_multiple_errors*": _MOCKS,
    "test_base_events.*.test_create_connection_no_inet_pton": _MOCKS,
    "test_base_events.*.test_create_connection_service_name": _MOCKS,
    "test_base_events.*.test_create_connection_timeout": _MOCKS,
    "test_base_events.*.test_create_datagram_endpoint_cant_bind": _MOCKS,
    "test_base_events.*.test_create_datagram_endpoint_*_err": _MOCKS,
    "test_base_events.*.test_create_datagram_endpoint_no_addrinfo": _MOCKS,
    "test_base_events.*.test_create_datagram_endpoint_nosoreuseport": _MOCKS,
    "test_base_events.*.test_create_server_cant_bind": _MOCKS,
    "test_base_events.*.test_create_server_*soreuseport*": _MOCKS,
    "test_base_events.*.test_create_server_empty_host":
        "wants getaddrinfo() to be asked for a wildcard, which a stack need not ask for",
    "test_events.*.test_create_server_multiple_hosts_ipv6": _MOCKS,
    "test_events.*.test_create_server_reuse_port": _SHARED,
    "test_events.*.test_create_server_trsock":
        "wants asyncio's own class of sockets in server.sockets",
    "test_selector_events.*": _MOCKS,
    **({"test_server.TestServer2.test_wait_closed_*": "calls private methods of asyncio's server"}
       if sys.version_info < (3, 13) else {}),
    "test_ssl.*.test_remote_shutdown_receives_trailing_data_on_slow_socket":
        "puts a mock in the place of a transport's method",
    "test_sock_lowlevel.*.test_sendto_blocking": "puts a mock in the place of a socket",
    "test_streams.*.test_unclosed_server_resource_warnings": _BLOCKS,
    "test_unix_events.*.test_sock_sendfile_blocking_error": _PRIVATE,
    "test_unix_events.*.test_sock_sendfile_cancel[12]": _PRIVATE,
}  # fmt: skip


def _miscounts() -> bool:
    """Whether asyncio takes less off a datagram transport's buffer than it has put on, so that
    a task that waits for room waits for ever: Python 3.13.0 to 3.13.5 at least, on any loop."""
    transport: Any = selector_events._SelectorDatagramTransport  # type: ignore[attr-defined]
    header = "len(data) + "
    return header in inspect.getsource(transport.sendto) and header not in inspect.getsource(
        transport._sendto_ready
    )


ANYIO: Final[Mapping[str, str]] = {
    **({"*.TestUDPSocketBackpressure.*": "fails on asyncio's own loop of this Python, which "
        "miscounts what datagrams wait"} if _miscounts() else {}),
    "*.test_happy_eyeballs[[]*": "needs both sides of a connection to have the same address",
    "*.TestTCP*.test_from_socket[[]*fileno]": _BARE,
    "*.TestTCPStream.test_from_socket_*[[]*fileno]": _BARE,
    "*.Test*UDPSocket.test_from_socket[[]*fileno]": _BARE,
    "*.TestConnectedUDPSocket.test_from_socket_not_connected[[]*fileno]": _BARE,
    "*.TestTCPStream.test_from_socket[[]*sock]": _BLOCKS,
    "*.TestUNIXStream.test_from_socket_wrong_address_family[[]*": _BLOCKS,
    "*.Test*UDPSocket.test_from_socket_wrong_socket_type[[]*": _BLOCKS,
    "*.TestTCPListener.test_reuse_port[[]*": _SHARED,
    "*.test_bind_link_local[[]*": "needs an interface with an address of fe80::/10",
    "*.test_get*info[[]*": "is of the kernel's resolver",
}  # fmt: skip


def reason(table: Mapping[str, str], name: str) -> str:
    """Why a test is not run; "" if it is."""
    return next((why for pattern, why in table.items() if fnmatchcase(name, pattern)), "")
