"""How far `connect` has been told, and which halves of a connection are shut."""

from __future__ import annotations

from typing import Final

# Linux: `sock->state`, apart from TCP's own state
UNCONNECTED: Final = 0
CONNECTING: Final = 1
CONNECTED: Final = 2
DISCONNECTING: Final = 3

# bits of Socket.shut (Linux: `sk_shutdown`)
RCV_SHUTDOWN: Final = 1
SEND_SHUTDOWN: Final = 2
