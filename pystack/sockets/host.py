"""`Host`: a whole host without I/O or clock, with the socket calls."""

from __future__ import annotations

from errno import (
    EAFNOSUPPORT,
    EINVAL,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
)
from typing import Final

from pystack.cc import registry
from pystack.compiling import mypyc_attr
from pystack.sockets import constants as c
from pystack.sockets.errors import fault
from pystack.sockets.settings import Settings
from pystack.sockets.socket import Socket
from pystack.stack import variants
from pystack.stack.host import HostCore

_FLAGS: Final = c.SOCK_NONBLOCK | c.SOCK_CLOEXEC
_AVAILABLE: Final = "tcp_available_congestion_control"


@mypyc_attr(allow_interpreted_subclasses=True)
class Host(HostCore):
    """`HostCore` (see there for the arguments and for how to drive it) with sockets."""

    def socket(self, family: int = c.AF_INET, type: int = c.SOCK_STREAM, proto: int = 0) -> Socket:
        """A new socket, never blocking. AF_INET6 sockets speak IPv4 as well (IPV6_V6ONLY).

        Raises OSError EAFNOSUPPORT, ESOCKTNOSUPPORT (SOCK_STREAM is all there is),
        EPROTONOSUPPORT (TCP is all there is) or EINVAL (no such number).
        """
        kind = type & c.SOCK_TYPE_MASK
        if type & ~(c.SOCK_TYPE_MASK | _FLAGS) or kind >= c.SOCK_MAX:
            raise fault(EINVAL)
        if family not in (c.AF_INET, c.AF_INET6):
            raise fault(EAFNOSUPPORT)
        if not 0 <= proto < c.IPPROTO_MAX:
            raise fault(EINVAL)
        if kind != c.SOCK_STREAM:
            raise fault(ESOCKTNOSUPPORT)
        if proto not in (0, c.IPPROTO_TCP):
            raise fault(EPROTONOSUPPORT)
        return Socket(self, family, Settings())

    def sysctl(self, name: str, value: str | int | None = None) -> str:
        """Read a setting by its short or full name (`tcp_sack`, `net.ipv4.tcp_sack`), after
        setting it if a value is given.

        Raises OSError ENOENT for an unknown name, of a setting or of what a setting chooses
        (`stack.variants`), EINVAL for a value of the wrong form.
        """
        short = name.replace("/", ".").rsplit(".", 1)[-1]
        if short == _AVAILABLE and value is None:
            return " ".join(registry.names())
        if value is not None:
            kind = variants.kind_of(short)
            if kind:
                variants.check(kind, str(value))
            self.config.set(name, value)
            if kind == variants.ISN:
                self.take_isn_generator()
        return self.config.get(name)
